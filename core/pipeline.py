"""The stages in their order, and how each is called. Rooms are imported when their stage runs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triggerforge import __version__
from triggerforge.config import RunConfig
from triggerforge.errors import BudgetError, ConfigError, ParityError
from triggerforge.known_engines import KNOWN
from triggerforge.progress import say
from triggerforge.result import RECORD_FILE, collect, versions, write_made, write_record
from triggerforge.runfolder import (
    RunFolder,
    file_identity,
    json_bytes,
    key_of,
    read_json,
    write_atomic,
    write_json,
)
from triggerforge.tools import find_tool
from triggerforge.verify import PUBLISHED, PUBLISHED_SEAL, RESULT_FILE, published_seal

if TYPE_CHECKING:
    from triggerforge.compression.quantized_model import QuantizedModel
    from triggerforge.data.contract import InputContract
    from triggerforge.data.dataset import Splits
    from triggerforge.export.runtime import EngineSource
    from triggerforge.training.trained import TrainedModel


class Run:
    """A configuration and its folder; artifacts are read from the folder when first asked for."""

    def __init__(self, config: RunConfig, root: Path) -> None:
        self.config = config
        self.folder = RunFolder(root, config.name)

    def path(self, stage: str) -> Path:
        """The folder of a finished stage."""
        return self.folder.stage_path(stage)

    @cached_property
    def splits(self) -> "Splits":
        """What the stage `data` left."""
        from triggerforge.data.load import load_splits

        return load_splits(self.path("data"))

    @cached_property
    def trained(self) -> "TrainedModel":
        """What the stage `train` left."""
        from triggerforge.training.trained import load_trained

        return load_trained(self.path("train"))

    @cached_property
    def quantized(self) -> "QuantizedModel":
        """What the stage `compress` left."""
        from triggerforge.compression.quantized_model import MODEL_FILE, QuantizedModel

        return QuantizedModel.load(self.path("compress") / MODEL_FILE)

    @property
    def float_model(self) -> "TrainedModel | None":
        """`trained`; None where the quantised model is the user's own file."""
        return None if self.config.compress.model else self.trained

    @cached_property
    def given_contract(self) -> "InputContract | None":
        """The input contract that the user's model file brings along, if it does."""
        from triggerforge.compression.quantized_model import QuantizedModel

        files = _contract_file(self.config)
        return QuantizedModel.load(files[0]).contract if files else None

    @property
    def engines(self) -> "EngineSource":
        """What the engines are made from."""
        from triggerforge.export.runtime import EngineSource

        return EngineSource(
            trained=self.float_model,
            quantized=self.quantized,
            export_folder=self.path("export"),
            firmware_folder=self.path("firmware"),
        )


def _generate(run: Run, folder: Path) -> None:
    from triggerforge.data.generate import generate

    assert run.config.generate is not None
    generate(run.config.generate, run.config.seed, folder)


def _data(run: Run, folder: Path) -> None:
    from triggerforge.data.load import load

    events = run.path("generate") / "events.root" if run.config.generate else None
    contract = run.given_contract if _contract_file(run.config) else None
    load(run.config.data, events, run.config.seed, folder, contract)


def _train(run: Run, folder: Path) -> None:
    from triggerforge.training.train import train

    train(run.config.train, run.splits, run.config.seed, folder)


def _compress(run: Run, folder: Path) -> None:
    if run.config.compress.model:
        from triggerforge.compression.imported import import_model

        import_model(run.config.compress, run.splits, folder)
        return
    from triggerforge.compression.compress import compress

    compress(run.config.compress, run.trained, run.splits, run.config.seed, folder)


def _export(run: Run, folder: Path) -> None:
    from triggerforge.export.export import export

    export(run.config.export, run.float_model, run.quantized, folder)


def _firmware(run: Run, folder: Path) -> None:
    from triggerforge.firmware.build import build

    build(run.config.firmware, run.quantized, folder)


def _benchmark(run: Run, folder: Path) -> None:
    from triggerforge.benchmark.run import benchmark

    file = run.config.compress.model
    network = file.stem if file else run.config.train.model.name or run.config.name
    config, seed = run.config.benchmark, run.config.seed
    benchmark(config, run.engines, run.splits, network, seed, folder)


def _trigger(run: Run, folder: Path) -> None:
    from triggerforge.trigger.run import rates

    config = run.config.trigger
    assert config is not None
    if not config.background:
        config = config.model_copy(update={"background": run.splits.background})
    record = read_json(run.path("data") / RECORD_FILE).get("data", {})
    sample = {"run": run.config.name, "seed": run.config.seed, "source": record.get("source")}
    formats = run.quantized.output_formats
    rates(config, run.splits, run.folder.path, formats, sample, folder)


def _scores(run: Run, folder: Path) -> None:
    from triggerforge.data.score import score_file
    from triggerforge.export.runtime import ENGINES
    from triggerforge.training.task import Task

    runtime = ENGINES["onnxruntime-quantized"](run.engines)
    config = run.config.data
    scored = []
    for number, source in enumerate(config.input_files()):
        output = folder / f"{number:03d}_{source.stem}.{config.write_scores}"
        contract, outputs = run.splits.contract, Task.of(run.splits).outputs
        scored.append(score_file(runtime.predict, config, contract, source, output, outputs))
    write_record(folder, scores=[file.to_dict() for file in scored])


def _report(run: Run, folder: Path) -> None:
    from triggerforge.report.material import gather
    from triggerforge.report.minus_float import with_differences
    from triggerforge.report.write import write_page

    folders = _records(run, (stage.name for stage in STAGES if stage.wanted(run.config)))
    paths = {path.name: path for path in folders}
    material = with_differences(gather(run.config.report, _collected(run, folders), paths))
    write_json(folder / RESULT_FILE, material.result)
    write_page(material, folder / "report.html")


def _contract_file(config: RunConfig) -> list[Path]:
    """The user's model file where it says what its inputs are, by name, scale and format."""
    model = config.compress.model
    return [model] if model and model.suffix == ".tfq" else []


@dataclass(frozen=True)
class Stage:
    """One step; a stage that is not wanted by a configuration is passed over."""

    name: str
    upstream: tuple[str, ...]
    work: Callable[[Run, Path], None]
    section: str = ""
    """section of the configuration; left out: the one of its name"""
    wanted: Callable[[RunConfig], bool] = lambda config: True
    files: Callable[[RunConfig], list[Path]] = lambda config: []
    """the user's files that it reads beside those of its section"""
    version: int = 1
    """raised where the same configuration and files give other bytes than before"""
    shared: bool = False
    """whether a run may take what another run of the same root has made with the same key"""
    packages: tuple[str, ...] = ()
    """whose versions decide the bytes that it leaves"""
    tools: tuple[str, ...] = ()
    """external programs, likewise"""


_FILES = ("numpy", "awkward", "uproot", "h5py")
_FIXED_POINT = ("keras", "hgq2", "quantizers", "alkaid", "jax")
STAGES = (
    Stage(
        "generate",
        (),
        _generate,
        wanted=lambda config: config.generate is not None,
        shared=True,
        packages=("pythia8mc", "fastjet", "vector", *_FILES),
    ),
    Stage(
        "data",
        ("generate",),
        _data,
        files=_contract_file,
        version=2,
        packages=(*_FILES, "pandas", "pyarrow", "tables", "blosc2"),
    ),
    Stage(
        "train",
        ("data",),
        _train,
        wanted=lambda config: config.compress.model is None,
        packages=("torch", "zuko", "numpy"),
    ),
    Stage("compress", ("train",), _compress, packages=("torch", *_FIXED_POINT, "numpy")),
    Stage(
        "export",
        ("compress",),
        _export,
        packages=("torch", *_FIXED_POINT, "onnx", "onnxscript", "onnxruntime", "qonnx"),
    ),
    Stage(
        "firmware",
        ("compress",),
        _firmware,
        packages=(*_FIXED_POINT, "hls4ml", "da4ml"),
        tools=("g++", "verilator", "yosys"),
    ),
    Stage(
        "benchmark",
        ("export", "firmware"),
        _benchmark,
        packages=(
            "torch",
            *_FIXED_POINT,
            "onnxruntime",
            "openvino",
            "ai-edge-litert",
            "scikit-learn",
        ),
    ),
    Stage(
        "scores",
        ("export",),
        _scores,
        "data",
        lambda config: config.data.write_scores != "none",
        packages=("onnxruntime", *_FILES, "pyarrow"),
    ),
    Stage(
        "trigger",
        ("benchmark",),
        _trigger,
        wanted=lambda config: config.trigger is not None,
        packages=("numpy",),
    ),
    Stage(
        "report",
        ("benchmark", "scores", "trigger"),
        _report,
        packages=("matplotlib", "mplhep", "hist", "jinja2"),
    ),
)
_BY_NAME = {stage.name: stage for stage in STAGES}


def execute(run: Run, target: str) -> None:
    """Runs `target` and what it stands on; stages that are there already are not run again.

    Raises ParityError or BudgetError, after everything is written, if a gate is not passed.
    """
    result = _publish(run, _make(run, target))
    check_gates(result)


def _make(run: Run, target: str) -> list[str]:
    """Runs what is not there yet; gives back the names of all stages that are there then."""
    needed = _needed(target)
    _require_model_file(run.config, target, needed)
    contents: dict[str, str] = {}
    done = []
    for stage in needed:
        if not stage.wanted(run.config):
            # its place is taken by what it stands on
            contents[stage.name] = "".join(contents.get(name, "") for name in stage.upstream)
            continue
        key = _key(run, stage, contents)
        there = run.folder.is_done(stage.name, key)
        say("is there already" if there else "…", stage.name)
        if stage.name in ("generate", "data") and not there:
            _require_model_arguments(run.config, needed)
        if stage.name == "train" and not there and _BY_NAME["compress"] in needed:
            _require_fixed_point_form(run)
        if not there:
            run.folder.run(
                stage.name,
                key,
                partial(_work, run, stage),
                stage.shared,
                _own_files(run.config, stage),
                {name: contents[name] for name in stage.upstream if contents.get(name)},
            )
        contents[stage.name] = run.folder.contents(stage.name)
        done.append(stage.name)
    return done


def _work(run: Run, stage: Stage, folder: Path) -> None:
    stage.work(run, folder)
    write_made(folder, stage.name)


def _require_model_arguments(config: RunConfig, needed: list[Stage]) -> None:
    """Looks at the network's arguments before any stage takes its time."""
    if any(stage.name == "train" and stage.wanted(config) for stage in needed):
        from triggerforge.training.build import require_arguments

        require_arguments(config.train, scores=bool(config.data.background))


def _require_fixed_point_form(run: Run) -> None:
    """Reads the untrained network as `compress` will: better refused now than after the training."""
    from triggerforge.compression.lowering import checked_graph
    from triggerforge.compression.qkeras import require_qkeras_form
    from triggerforge.training.build import untrained_module
    from triggerforge.training.task import Task

    splits = run.splits
    outputs = len(Task.of(splits).outputs)
    module = untrained_module(run.config.train.model, splits.contract, outputs)
    graph, _ = checked_graph(module, splits.contract)
    if run.config.compress.method == "qkeras":
        require_qkeras_form(graph)


def _require_model_file(config: RunConfig, target: str, needed: list[Stage]) -> None:
    """Looks at the user's model file before any stage takes its time."""
    model = config.compress.model
    if model is None:
        return
    if target == "train":
        raise ConfigError(f"compress.model names {model}, so nothing is trained; leave it out")
    if any(stage.name == "compress" or stage.files(config) for stage in needed):
        from triggerforge.compression.model_file import require_readable

        require_readable(model)


def score(run: Run, source: Path, output: Path, *engines: str) -> None:
    """Appends the scores of the first engine that can run to a copy of `source`, which needs no labels.

    Both files are looked at first. Then what the engines are made of is made, if it is not there;
    result.json stays as it is.
    Raises RegistryError for an unknown engine, DataError for a file that does not fit, ArtifactError
    or MissingToolError where the run has no such firmware.
    """
    from triggerforge.data.score import require_scorable, score_file
    from triggerforge.export.runtime import ENGINES, first_engine
    from triggerforge.training.task import Task

    for engine in engines:
        ENGINES[engine]  # an unknown one is said before anything is made
    require_scorable(run.config.data, source, output)
    stages = {KNOWN[engine].stage for engine in engines if engine in KNOWN}
    _make(run, "firmware" if "firmware" in stages else "export")
    runtime = first_engine(engines, run.engines)
    say(f"scores by the engine {runtime.name}")
    contract, outputs = run.splits.contract, Task.of(run.splits).outputs
    score_file(runtime.predict, run.config.data, contract, source, output, outputs)


def check_gates(result: dict[str, Any]) -> None:
    """Raises ParityError if an exact engine differed, BudgetError if a stated target was missed."""
    bad = [
        f"{r['candidate']}: {r['mismatches']} of {r['outputs']} outputs ({r['inputs']} inputs)"
        for r in result.get("parity", [])
        if r["mismatches"]
    ]
    if bad:
        raise ParityError(f"engines disagree with the reference: {'; '.join(bad)}; see the report")
    missed = result.get("compression", {}).get("target_missed")
    if missed:
        raise BudgetError(missed)


def _needed(target: str) -> list[Stage]:
    """`target` and all that it stands on, in order."""
    wanted, todo = set(), [target]
    while todo:
        name = todo.pop()
        wanted.add(name)
        todo += _BY_NAME[name].upstream
    return [stage for stage in STAGES if stage.name in wanted]


def _key(run: Run, stage: Stage, contents: dict[str, str]) -> str:
    section = getattr(run.config, stage.section or stage.name)
    files = sorted(file_identity(path) for path in _own_files(run.config, stage))
    upstream = [contents.get(name, "") for name in stage.upstream]
    made_with = versions(stage.packages) | {name: find_tool(name).version for name in stage.tools}
    own = [__version__, stage.name, stage.version, section.identity(), run.config.seed]
    return key_of(*own, files, upstream, made_with)


def _own_files(config: RunConfig, stage: Stage) -> list[Path]:
    """The user's files that a stage reads."""
    section = getattr(config, stage.section or stage.name)
    named = [*section.input_files(), *stage.files(config)]
    return [path for path in dict.fromkeys(named) if path.is_file()]


def _records(run: Run, names: Iterable[str]) -> list[Path]:
    return [run.path(name) for name in names if (run.path(name) / RECORD_FILE).is_file()]


def _publish(run: Run, done: Iterable[str]) -> dict[str, Any]:
    """Lays result.json, and the report if it was made, at the top of the run's folder."""
    folder = run.folder.path
    if "report" in done:
        published = {name: (run.path("report") / name).read_bytes() for name in PUBLISHED}
    else:
        result = _collected(run, _records(run, done))
        published = {RESULT_FILE: json_bytes(result)}
    for name, content in published.items():
        _write_new(folder / name, content)
    _write_new(folder / PUBLISHED_SEAL, json_bytes(published_seal(published)))
    return read_json(folder / RESULT_FILE)


def _collected(run: Run, folders: list[Path]) -> dict[str, Any]:
    """The records of the stages as one, which says whether they are of a quick run."""
    result = collect(folders, run.config.seed)
    sizes = run.config.quick
    result["context"] |= {"quick": sizes is not None}
    if sizes:
        result["context"]["quick_sizes"] = sizes
    return result


def _write_new(path: Path, content: bytes) -> None:
    """What is there already is not written again: the folder of a finished run may be read-only."""
    if not path.is_file() or path.read_bytes() != content:
        write_atomic(path, content)
