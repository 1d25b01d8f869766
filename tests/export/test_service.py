"""The model repository: read with the server's own schema, never overwritten, refused in words."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig, ModelInstanceGroup

from triggerforge.compression.onnx_file import read_onnx
from triggerforge.data.contract import InputContract
from triggerforge.errors import (
    ArtifactError,
    ConfigError,
    ModelError,
    TriggerForgeError,
)
from triggerforge.export.files import FLOAT_FILE, QONNX_FILE, QUANTIZED_FILE, write_onnx
from triggerforge.export.metadata import metadata
from triggerforge.export.runtime import ENGINES, EngineSource
from triggerforge.export.service import main, parser, write_service
from triggerforge.export.service_config import ServiceSettings
from triggerforge.runfolder import locked

FILES = {"quantized": QUANTIZED_FILE, "float": FLOAT_FILE}
ELEMENTS = {"tensor(float)": "TYPE_FP32", "tensor(double)": "TYPE_FP64"}


@pytest.fixture
def run(source: EngineSource, tmp_path: Path) -> Path:
    """A finished run, as far as the exporter looks."""
    assert source.export_folder
    shutil.copytree(source.export_folder, tmp_path / "demo" / "export")
    return tmp_path / "demo"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "models"


def parsed(folder: Path) -> Any:
    """`config.pbtxt` of a model's folder in the server's schema: unknown fields are errors."""
    return text_format.Parse((folder / "config.pbtxt").read_text(), ModelConfig())


def state(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for locks."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != ".lock")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def reweight(run: Path, file: str = QUANTIZED_FILE) -> bytes:
    """Another training of the same network: one weight of a run's file doubled."""
    model = read_onnx(run / "export" / file)
    weight = next(w for w in model.graph.initializer if w.data_type == onnx.TensorProto.FLOAT)
    values = onnx.numpy_helper.to_array(weight).copy()
    values.flat[np.flatnonzero(values)[0]] *= 2
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    write_onnx(model, run / "export" / file)
    return (run / "export" / file).read_bytes()


def handmade(
    run: Path,
    contract: InputContract,
    classes: tuple[str, ...],
    element: int = onnx.TensorProto.FLOAT,
    shape: tuple[Any, ...] = ("batch", 6),
) -> None:
    """A quantized.onnx that hands on its input as another type."""
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Cast", ["x"], ["logits"], to=element)],
        "handmade",
        [info("x", onnx.TensorProto.FLOAT, shape)],
        [info("logits", element, shape)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    model.ir_version = 10
    entries = metadata(contract, classes, {"output_formats": "[]"})
    onnx.helper.set_model_props(model, entries)
    write_onnx(model, run / "export" / QUANTIZED_FILE)


def session(file: Path) -> ort.InferenceSession:
    return ort.InferenceSession(file, providers=["CPUExecutionProvider"])


def require_agreement(version: Path) -> None:
    """The configuration says of every tensor what the file itself does, and the file runs on it."""
    config = parsed(version.parent)
    served = session(version / config.default_model_filename)
    for told, true in (
        (config.input, served.get_inputs()),
        (config.output, served.get_outputs()),
    ):
        assert [t.name for t in told] == [t.name for t in true]
        assert [list(t.dims) for t in told] == [t.shape[1:] for t in true]
        assert [DataType.Name(t.data_type) for t in told] == [ELEMENTS[t.type] for t in true]
    x = np.zeros((config.max_batch_size, *config.input[0].dims), np.float32)
    (y,) = served.run([config.output[0].name], {config.input[0].name: x})
    assert y.shape == (config.max_batch_size, *config.output[0].dims)


@pytest.mark.parametrize("model", FILES)
def test_the_configuration_is_the_schemas_and_agrees_with_the_file(
    run: Path, repository: Path, model: str
) -> None:
    version = write_service(run, repository, model)
    folder = repository / f"demo_{model}"
    assert version == folder / "1"
    require_agreement(version)
    config = parsed(folder)
    assert (config.name, config.platform, config.backend) == (
        folder.name,
        "onnxruntime_onnx",
        "onnxruntime",
    )
    assert state(folder).keys() == {"config.pbtxt", "labels.txt", "1/model.onnx"}
    assert (version / "model.onnx").read_bytes() == (run / "export" / FILES[model]).read_bytes()


def test_events_of_several_axes(
    run: Path, repository: Path, make_contract: Callable[..., InputContract]
) -> None:
    handmade(run, make_contract(4, 3), ("a",), shape=("batch", 4, 3))
    require_agreement(write_service(run, repository))
    assert list(parsed(repository / "demo_quantized").input[0].dims) == [4, 3]


def test_outputs_of_many_bits_are_float64(
    run: Path, repository: Path, make_contract: Callable[..., InputContract]
) -> None:
    handmade(run, make_contract(6), tuple("abcdef"), onnx.TensorProto.DOUBLE)
    require_agreement(write_service(run, repository))


@pytest.mark.parametrize("model", FILES)
def test_a_client_finds_the_contract_in_the_parameters(
    run: Path, repository: Path, source: EngineSource, model: str
) -> None:
    write_service(run, repository, model)
    parameters = parsed(repository / f"demo_{model}").parameters
    told = {key: parameters[key].string_value for key in parameters}
    contract = InputContract.from_dict(json.loads(told["input_contract"]))
    assert source.quantized and contract == source.quantized.contract
    assert json.loads(told["classes"]) == ["a", "b", "c"]
    assert told["model"] == model
    assert ("and quantize)" in told["input_values"]) == (model == "quantized")
    assert told["intra_op_thread_count"] == told["inter_op_thread_count"] == "1"


def test_the_served_file_gives_the_firmwares_bits(
    run: Path, repository: Path, source: EngineSource
) -> None:
    assert source.quantized
    version = write_service(run, repository)
    config = parsed(version.parent)
    contract = InputContract.from_dict(json.loads(config.parameters["input_contract"].string_value))
    x = contract.quantize(np.random.default_rng(0).normal(scale=3, size=(200, 6)))
    (y,) = session(version / "model.onnx").run(None, {config.input[0].name: x})
    np.testing.assert_array_equal(y, ENGINES["alir"](source).predict(x))


def test_labels_name_the_outputs(run: Path, repository: Path) -> None:
    version = write_service(run, repository)
    (output,) = parsed(version.parent).output
    labels = (version.parent / output.label_filename).read_text().splitlines()
    assert labels == ["a", "b", "c"] and len(labels) == output.dims[0]


@pytest.mark.parametrize("classes", [("score",), tuple("abcde") + ("f\ng",)])
def test_no_labels_where_classes_do_not_name_the_outputs(
    run: Path, repository: Path, make_contract: Callable[..., InputContract], classes: Any
) -> None:
    handmade(run, make_contract(6), classes)
    version = write_service(run, repository)
    assert parsed(version.parent).output[0].label_filename == ""
    assert not (version.parent / "labels.txt").exists()


def test_text_of_any_kind_survives(
    run: Path, repository: Path, make_contract: Callable[..., InputContract]
) -> None:
    features = make_contract(6).features
    order = 'pT, "falling" \\ \n η\t\x01 \' {{ name }} }'
    contract = InputContract(features, (6,), order)
    handmade(run, contract, ("τ→3µ", *"bcdef"))
    version = write_service(run, repository)
    parameters = parsed(version.parent).parameters
    told = InputContract.from_dict(json.loads(parameters["input_contract"].string_value))
    assert told == contract
    assert (version.parent / "labels.txt").read_text().splitlines()[0] == "τ→3µ"


def test_the_defaults(run: Path, repository: Path) -> None:
    config = parsed(write_service(run, repository).parent)
    assert config.max_batch_size == 1024
    assert list(config.dynamic_batching.preferred_batch_size) == []
    assert config.dynamic_batching.max_queue_delay_microseconds == 100
    assert config.version_policy.latest.num_versions == 1
    (group,) = config.instance_group
    assert (group.kind, group.count) == (ModelInstanceGroup.KIND_AUTO, 1)


@pytest.mark.parametrize("device", ["auto", "cpu", "gpu"])
def test_settings_are_the_servers(run: Path, repository: Path, device: str) -> None:
    settings = ServiceSettings(256, (64, 128), 250, device, 3, "all")
    config = parsed(write_service(run, repository, settings=settings).parent)
    assert config.max_batch_size == 256
    assert list(config.dynamic_batching.preferred_batch_size) == [64, 128]
    assert config.dynamic_batching.max_queue_delay_microseconds == 250
    assert config.version_policy.HasField("all")
    (group,) = config.instance_group
    assert ModelInstanceGroup.Kind.Name(group.kind) == f"KIND_{device.upper()}"
    assert group.count == 3
    accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert [(a.name, dict(a.parameters)) for a in accelerators] == (
        [] if device == "cpu" else [("cuda", {"use_tf32": "0"})]
    )


@pytest.mark.parametrize(
    ("serve", "field", "numbers"),
    [("latest:2", "latest", [2]), ("all", "all", []), ("1,7", "specific", [1, 7])],
)
def test_version_policies(
    run: Path, repository: Path, serve: str, field: str, numbers: list[int]
) -> None:
    write_service(run, repository, version=1)
    settings = ServiceSettings(serve=serve)
    version = write_service(run, repository, version=7, settings=settings, reconfigure=True)
    policy = parsed(version.parent).version_policy
    assert policy.WhichOneof("policy_choice") == field
    found = {
        "latest": [policy.latest.num_versions],
        "all": [],
        "specific": list(policy.specific.versions),
    }
    assert found[field] == numbers


def test_a_new_version_stands_beside_the_old_one(run: Path, repository: Path) -> None:
    first = write_service(run, repository)
    before = state(repository)
    content = reweight(run)
    assert write_service(run, repository) == first.with_name("2")
    after = state(repository)
    changed = "demo_quantized/config.pbtxt"
    assert {k: v for k, v in after.items() if k in before and k != changed} == {
        k: v for k, v in before.items() if k != changed
    }
    assert after.keys() - before.keys() == {"demo_quantized/2/model.onnx"}
    assert after["demo_quantized/2/model.onnx"] == content


def test_the_server_is_told_the_checksum_of_every_version(run: Path, repository: Path) -> None:
    write_service(run, repository)
    reweight(run)
    folder = write_service(run, repository, version=12).parent
    (agent,) = parsed(folder).model_repository_agents.agents
    assert agent.name == "checksum"
    assert dict(agent.parameters) == {
        f"MD5:{file}": hashlib.md5((folder / file).read_bytes()).hexdigest()
        for file in ("1/model.onnx", "12/model.onnx")
    }


@pytest.mark.parametrize("version", [None, 1])
def test_the_same_file_again_changes_nothing(
    run: Path, repository: Path, version: int | None
) -> None:
    first = write_service(run, repository)
    before = state(repository)
    stamp = (first / "model.onnx").stat().st_mtime_ns
    assert write_service(run, repository, version=version) == first
    assert state(repository) == before
    assert (first / "model.onnx").stat().st_mtime_ns == stamp


def test_a_version_is_never_overwritten(run: Path, repository: Path) -> None:
    write_service(run, repository)
    before = state(repository)
    reweight(run)
    with pytest.raises(ModelError, match="version 1 of .* is another file; leave --version out"):
        write_service(run, repository, version=1, reconfigure=True)
    assert state(repository) == before


def test_other_settings_are_not_taken_silently(run: Path, repository: Path) -> None:
    write_service(run, repository, settings=ServiceSettings(max_batch_size=256))
    before = state(repository)
    reweight(run)
    with pytest.raises(ModelError, match="--reconfigure") as caught:
        write_service(run, repository)
    assert "- max_batch_size: 256\n+ max_batch_size: 1024" in str(caught.value)
    assert state(repository) == before
    version = write_service(run, repository, reconfigure=True)
    assert version.name == "2" and parsed(version.parent).max_batch_size == 1024


def test_what_a_person_changed_is_kept(run: Path, repository: Path) -> None:
    config = write_service(run, repository).parent / "config.pbtxt"
    text = config.read_text() + "response_cache { enable: true }\n"
    config.write_text(text)
    reweight(run)
    with pytest.raises(ModelError, match=r"- response_cache"):
        write_service(run, repository)
    assert config.read_text() == text


def test_a_damaged_version_is_not_blessed(run: Path, repository: Path) -> None:
    version = write_service(run, repository)
    config = version.parent / "config.pbtxt"
    # as cmsTritonConfigTool writes it back
    config.write_text(text_format.MessageToString(parsed(version.parent)))
    reweight(run)
    shutil.copy(run / "export" / QUANTIZED_FILE, version / "model.onnx")
    with pytest.raises(ArtifactError, match=r"1/model.onnx is not as it was written: its MD5 is"):
        write_service(run, repository, version=2, reconfigure=True)
    assert not (version.parent / "2").exists()


def test_a_killed_export_is_completed(run: Path, repository: Path) -> None:
    write_service(run, repository)
    whole = state(repository)
    (repository / "demo_quantized" / "config.pbtxt").unlink()
    shutil.rmtree(repository / "demo_quantized" / "1")
    partial = repository / "demo_quantized" / ".1.partial"
    partial.mkdir()
    (partial / "model.onnx").write_bytes(b"half")
    write_service(run, repository)
    assert state(repository) == whole
    (repository / "demo_quantized" / "config.pbtxt").unlink()
    write_service(run, repository)
    assert state(repository) == whole


def test_one_process_writes_at_a_time(run: Path, repository: Path) -> None:
    repository.mkdir()
    with (
        locked(repository / ".lock", "busy"),
        pytest.raises(TriggerForgeError, match="another process is writing to .*models; wait"),
    ):
        write_service(run, repository)
    assert state(repository) == {}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_batch_size": 0}, "max_batch_size is 0; give a whole number from 1 to 2147483647"),
        ({"max_batch_size": 2**31}, "max_batch_size is 2147483648"),
        ({"preferred_batch_sizes": (64, 0)}, "preferred_batch_sizes is 0"),
        ({"preferred_batch_sizes": (-4,)}, "preferred_batch_sizes is -4"),
        ({"preferred_batch_sizes": (2048,)}, "is 2048; give a whole number from 1 to 1024"),
        ({"max_queue_delay_us": 0}, "max_queue_delay_us is 0"),
        ({"max_queue_delay_us": -1}, "max_queue_delay_us is -1"),
        ({"instances": 0}, "instances is 0"),
        ({"device": "tpu"}, "device 'tpu' is not known; give one of auto, cpu, gpu"),
        ({"serve": "newest"}, "serve 'newest' is not known; give latest:2, all, or 1,3"),
        ({"serve": "latest:0"}, "serve is 0"),
        ({"serve": "1,0"}, "serve is 0"),
        ({"serve": "-1"}, "serve '-1' is not known"),
        ({"serve": ""}, "serve '' is not known"),
    ],
)
def test_settings_that_the_server_would_refuse(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ServiceSettings(**settings)


@pytest.mark.parametrize("name", ["a/b", "../up", "..", ".", "", "-x", "a b", "a\n", "µ", "a\\b"])
def test_names_that_are_no_folder(run: Path, repository: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is no folder's name"):
        write_service(run, repository, name=name)
    assert not repository.exists()


@pytest.mark.parametrize("version", [0, -1, 2**63])
def test_versions_that_the_server_passes_over(run: Path, repository: Path, version: int) -> None:
    with pytest.raises(ConfigError, match=f"version is {version}; give a whole number from 1"):
        write_service(run, repository, version=version)
    assert not repository.exists()


def test_a_policy_names_versions_that_are_there(run: Path, repository: Path) -> None:
    with pytest.raises(ConfigError, match="serve '1,3' names versions that are not there.* 1$"):
        write_service(run, repository, settings=ServiceSettings(serve="1,3"))
    assert state(repository) == {}


def test_missing_parts(run: Path, repository: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="there is no run .*nowhere"):
        write_service(tmp_path / "nowhere", repository)
    with pytest.raises(ConfigError, match="model 'qonnx' is not known; give one of quantized, fl"):
        write_service(run, repository, "qonnx")
    (run / "export" / FLOAT_FILE).unlink()
    with pytest.raises(ArtifactError, match=r"has no export/float.onnx; run the stage export"):
        write_service(run, repository, "float")
    shutil.rmtree(run / "export")
    with pytest.raises(ArtifactError, match=r"has no export/quantized.onnx; run the stage export"):
        write_service(run, repository)
    assert not repository.exists()


def test_damaged_files(run: Path, repository: Path) -> None:
    file = run / "export" / QUANTIZED_FILE
    content = file.read_bytes()
    for damage in (b"", content[: len(content) // 2], b"\xff" * 100):
        file.write_bytes(damage)
        with pytest.raises(ArtifactError, match="quantized.onnx"):
            write_service(run, repository)
    model = onnx.load_from_string(content)
    del model.metadata_props[:]
    write_onnx(model, file)
    with pytest.raises(ArtifactError, match="carries no readable 'input_contract'"):
        write_service(run, repository)
    assert not repository.exists()


def test_files_that_cannot_be_batched(
    run: Path, repository: Path, make_contract: Callable[..., InputContract]
) -> None:
    shutil.copy(run / "export" / QONNX_FILE, run / "export" / QUANTIZED_FILE)
    with pytest.raises(ModelError, match="tensor '.*' is not .* cannot batch; serve float.onnx"):
        write_service(run, repository)
    handmade(run, make_contract(6), tuple("abcdef"), shape=("batch",))
    with pytest.raises(ModelError, match="cannot batch"):
        write_service(run, repository)
    handmade(run, make_contract(6), tuple("abcdef"), onnx.TensorProto.INT32)
    with pytest.raises(ModelError, match="tensor 'logits' is INT32; served are FLOAT and DOUBLE"):
        write_service(run, repository)
    assert not repository.exists()


def test_a_name_that_another_model_has(
    run: Path, repository: Path, make_contract: Callable[..., InputContract]
) -> None:
    write_service(run, repository, name="tagger")
    before = state(repository)
    with pytest.raises(ModelError, match="another model to its clients .parameters differ"):
        write_service(run, repository, "float", name="tagger")
    handmade(run, make_contract(6), tuple("abcdef"))
    for version in (None, 1, 5):
        with pytest.raises(ModelError, match=r"\((outputs|parameters).* differ\); give another"):
            write_service(run, repository, name="tagger", version=version, reconfigure=version == 5)
    assert state(repository) == before


def test_folders_that_are_not_ours(run: Path, repository: Path) -> None:
    plan = repository / "tagger" / "1" / "model.plan"
    plan.parent.mkdir(parents=True)
    plan.write_bytes(b"plan")
    with pytest.raises(ModelError, match=r"has no model.onnx: another model"):
        write_service(run, repository, name="tagger")
    foreign = read_onnx(run / "export" / QUANTIZED_FILE)
    del foreign.metadata_props[:]
    plan.unlink()
    write_onnx(foreign, plan.with_name("model.onnx"))
    with pytest.raises(ArtifactError, match="carries no readable"):
        write_service(run, repository, name="tagger")
    plan.with_name("model.onnx").write_bytes(b"\xff")
    with pytest.raises(ArtifactError, match=r"1/model.onnx"):
        write_service(run, repository, name="tagger")
    assert [p.name for p in repository.glob("tagger/*")] == ["1"]
    (repository / "file").write_text("")
    with pytest.raises(ConfigError, match="file is a file, not a model's folder"):
        write_service(run, repository, name="file")
    with pytest.raises(ConfigError, match="is no folder: a file is in its way"):
        write_service(run, repository / "file")
    with pytest.raises(ConfigError, match="is no folder: a file is in its way"):
        write_service(run, repository / "file" / "deeper")


def test_the_command(run: Path, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--model float --name tagger --version 4 --max-batch-size 512 --max-queue-delay-us 50"
    more = "--preferred-batch-sizes 64 256 --device gpu --instances 2 --serve latest:3"
    assert main([str(run), str(repository), *words.split(), *more.split()]) == 0
    assert capsys.readouterr().out == f"{repository / 'tagger' / '4'}\n"
    config = parsed(repository / "tagger")
    assert (config.max_batch_size, config.instance_group[0].count) == (512, 2)
    assert list(config.dynamic_batching.preferred_batch_size) == [64, 256]
    assert config.dynamic_batching.max_queue_delay_microseconds == 50
    assert config.version_policy.latest.num_versions == 3
    assert main([str(run), str(repository), "--model", "float", "--name", "tagger"]) == 1
    assert "--reconfigure" in capsys.readouterr().err
    assert main([str(run), str(repository), "--max-queue-delay-us", "0"]) == 1
    assert capsys.readouterr().err.startswith("error: max_queue_delay_us is 0")


def test_the_page_tells_every_option_and_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "service.md").read_text()
    rows = dict(re.findall(r"^\| `(--[a-z-]+)` \|[^|]*\| ?(.*?) ?\|$", page, re.MULTILINE))
    usage = parser().format_usage()
    assert rows.keys() == set(re.findall(r"--[a-z-]+", usage))
    default = ServiceSettings()
    assert rows["--max-batch-size"] == str(default.max_batch_size)
    assert rows["--max-queue-delay-us"] == str(default.max_queue_delay_us)
    assert rows["--device"] == f"`{default.device}`"
    assert rows["--instances"] == str(default.instances)
    assert rows["--serve"] == f"`{default.serve}`"
