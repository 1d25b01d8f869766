"""`make bench`: a small real run, and engines and arguments that are wrong."""

import contextlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.benchmark.suite.__main__ import main
from triggerforge.benchmark.suite.closeness import EVENTS, TOLERANCE, closeness, reference
from triggerforge.benchmark.suite.networks import NETWORKS
from triggerforge.benchmark.suite.run import float_engines, run_suite
from triggerforge.benchmark.suite.sheet import Sheet
from triggerforge.benchmark.suite.sizes import QUICK, Sizes
from triggerforge.benchmark.suite.tables import best_peer, headlines, ratio_to_native, sheets
from triggerforge.compression.onnx_file import read_onnx
from triggerforge.config.load import load_config
from triggerforge.export.runtime import ENGINES, EngineSource
from triggerforge.result import read_result

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "mlp": "jets5_mlp",
    "deepsets": "jets5_deepsets",
    "vae": "anomaly_vae",
    "cnn": "jets5_cnn",
    "jedi_linear": "jets5_jedi_linear",
}
ENGINES_HERE = ("torch", "onnxruntime", "native", "alir")
FEW = replace(QUICK, calls=20, seconds=0.05, bulk=(16,), bulk_seconds=0.05, worker_batch=16)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, Path]:
    """Exit status, what was printed, and the folder of a quick run."""
    folder = tmp_path_factory.mktemp("suite") / "bench"
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        arguments = ["--quick", "--networks", "mlp", "--engines", *ENGINES_HERE, "-o", str(folder)]
        status = main(arguments)
    return status, said.getvalue(), folder


@pytest.fixture(scope="module")
def record(run: tuple[int, str, Path]) -> dict[str, Any]:
    return read_result(run[2] / "result.json")


def test_every_engine_has_both_modes_at_every_batch(record: dict[str, Any]) -> None:
    rows = {(r["engine"], r["io"], r["batch"]): r for r in record["latency"]}
    timed = ("torch", "onnxruntime", "native")
    assert set(rows) == {(e, m, b) for e in timed for m in ("copy", "bound") for b in (1, 16, 1024)}
    assert all(r["network"] == "mlp" and r["model"] == "float" for r in rows.values())
    assert rows["native", "bound", 1]["calls"] == QUICK.calls


def test_engines_are_close_to_torch_or_have_a_reason(record: dict[str, Any]) -> None:
    network = record["suite"]["networks"]["mlp"]
    assert all(0 <= e["error"] < TOLERANCE and not e["wrong"] for e in network["engines"].values())
    assert list(network["not_run"]) == ["alir"]
    assert "quantised model" in network["not_run"]["alir"]


def test_loops_workers_and_machine_are_in_the_record(record: dict[str, Any]) -> None:
    suite = record["suite"]
    assert suite["complete"]
    assert [(r["network"], r["batch"]) for r in suite["rooflines"]] == [("mlp", 1), ("mlp", 1024)]
    assert suite["roof"]["gflops"] > 0 and suite["roof"]["read_gb_s"] > 0
    kinds = {(r["kind"], r["workers"]) for r in suite["scaling"]}
    assert {("threads", 1), ("processes", 1)} <= kinds
    assert len(suite["machine"]["load_average"]) == 3 and suite["machine"]["cores"] >= 1
    assert record["benchmark"]["timer_overhead_ns"] > 0


def test_tables_are_printed_and_written_and_drawn(run: tuple[int, str, Path]) -> None:
    status, said, folder = run
    assert status == 0
    markdown = (folder / "bench.md").read_text()
    for title in (
        "Time of a call, batch 1, copy",
        "Native in a C++ loop",
        "Native and its best peer",
    ):
        assert title in said and f"## {title}" in markdown
    assert "as initialised" in said and "as initialised" in markdown
    assert (folder / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "bench.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "mlp" / "float.onnx").is_file()


def test_copy_and_bound_never_share_a_table(record: dict[str, Any]) -> None:
    made = {sheet.title: sheet for sheet in sheets(record)}
    for mode in ("copy", "bound"):
        shown = {row[1]: row[2] for row in made[f"Time of a call, batch 1, {mode}"].rows}
        for row in record["latency"]:
            if row["batch"] == 1 and row["io"] == mode:
                assert float(shown[row["engine"]].replace(",", "")) == pytest.approx(
                    row["p50_us"], rel=0.01
                )
    peers = made["Native and its best peer"].rows
    assert {(row[1], row[2]) for row in peers} == {
        (m, b) for m in ("copy", "bound") for b in ("1", "16", "1,024")
    }


def test_sizes_are_those_of_the_configurations() -> None:
    for name, config in CONFIGS.items():
        found, network = load_config(ROOT / "configs" / f"{config}.yaml"), NETWORKS[name]
        assert network.model == found.train.model.name
        assert network.arguments == found.train.model.kwargs
        inputs = found.data.inputs
        shapes = {
            "features": (16,),
            "constituents": (inputs.constituents, len(inputs.names)),
            "image": (inputs.pixels, inputs.pixels, 1),
            "l1_objects": (57,),
        }
        assert network.shape == shapes[inputs.kind]
        if inputs.kind == "constituents":
            assert network.inputs == inputs.names
    assert set(NETWORKS) == {*CONFIGS, "ae"}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_the_same_each_time_and_nothing_in_them_is_trivial(name: str) -> None:
    first, second = (NETWORKS[name].build(1) for _ in range(2))
    x = torch.from_numpy(NETWORKS[name].events(3, 1))
    with torch.no_grad():
        assert torch.equal(first.module(x), second.module(x))
        assert first.module(x).shape == (3, len(first.task.outputs))
    for part in first.module.modules():
        bias = getattr(part, "bias", None)
        assert bias is None or bias.abs().max() > 0
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            assert part.running_mean.abs().max() > 0 and (part.running_var - 1).abs().max() > 0


def test_the_full_size_has_twenty_thousand_calls_and_all_batches() -> None:
    assert Sizes().calls >= 20_000
    assert (1, *Sizes().bulk) == (1, 16, 128, 1024, 16_384, 65_536)


def test_engines_that_come_later_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"torch", "onnxruntime", "native"} <= set(float_engines())
    assert not {"alir", "hgq2", "native-int", "onnxruntime-quantized", "rtl"} & set(float_engines())
    monkeypatch.setitem(ENGINES._entries, "newcomer", lambda source: None)
    assert "newcomer" in float_engines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engines", "onxruntime"], "no engine 'onxruntime'; did you mean 'onnxruntime'?"),
        (["--networks", "deepset"], "no network 'deepset'; did you mean 'deepsets'?"),
        (["--networks", "mlp", "xyz"], "no network 'xyz'; known: ae, cnn"),
    ],
)
def test_unknown_names_are_one_line_and_nothing_is_measured(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert message in said.err and len(said.err.splitlines()) == 1
    assert not said.out and not (tmp_path / "out").exists()


@pytest.mark.parametrize("calls", ["0", "-5", "few"])
def test_calls_are_a_number_that_makes_statistics(
    calls: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--calls", calls])
    assert "--calls" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_seconds_are_more_than_none(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--seconds", seconds])
    assert "--seconds" in capsys.readouterr().err


def test_a_folder_that_is_a_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--quick", "--networks", "mlp", "-o", str(tmp_path / "file")]) == 1
    said = capsys.readouterr().err
    assert "give a folder that can be written" in said and len(said.splitlines()) == 1


class Changed:
    """torch, but for what `change` does to its outputs, in calls of both modes or in bound ones."""

    name, model = "changed", "float"

    def __init__(self, source: Any, change: Callable[[Any], Any], modes: str = "both") -> None:
        self._right = ENGINES["torch"](source)
        self._change, self._modes = change, modes

    def predict(self, x: Any) -> Any:
        y = self._right.predict(x)
        return y if self._modes == "bound" else self._change(y.copy())

    def bind(self, x: Any, y: Any) -> Callable[[], None]:
        def call() -> None:
            got = self._right.predict(x)
            y[:] = self._change(got.copy())

        return call


def raising(y: Any) -> Any:
    raise RuntimeError("no such device\nand more")


def last_wrong(y: Any) -> Any:
    y[-1, -1] += 0.01
    return y


def nan(y: Any) -> Any:
    y[0, 0] = np.nan
    return y


WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a little": (lambda y: y * np.float32(1 + 1e-4), "differs from torch"),
    "one output": (last_wrong, "differs from torch"),
    "not finite": (nan, "not finite"),
    "infinite": (lambda y: y + np.inf, "not finite"),
    "shape": (lambda y: y[:, :1], r"outputs \(1, 1\) instead of \(1, 5\)"),
    "raises": (raising, "RuntimeError: no such device$"),
}


@pytest.fixture(scope="module")
def probe() -> tuple[Any, Any, Any]:
    """Source of engines, inputs and the reference's outputs."""
    trained = NETWORKS["mlp"].build(1)
    x = NETWORKS["mlp"].events(EVENTS, 2)
    return EngineSource(trained=trained), x, reference(trained, x)


def test_the_right_engine_is_right(probe: tuple[Any, Any, Any]) -> None:
    source, x, expected = probe
    found = closeness(ENGINES["torch"](source), x, expected)
    assert not found.wrong and found.error is not None and 0 < found.error < 1e-6
    assert expected.dtype == np.float64


# y has its shape before a bound call
@pytest.mark.parametrize(
    ("kind", "modes"),
    [(k, m) for k in WRONG for m in ("both", "bound") if (k, m) != ("shape", "bound")],
)
def test_wrong_numbers_are_seen_in_either_mode(
    kind: str, modes: str, probe: tuple[Any, Any, Any]
) -> None:
    source, x, expected = probe
    change, words = WRONG[kind]
    assert re.search(words, closeness(Changed(source, change, modes), x, expected).wrong)


def test_a_bound_call_that_keeps_old_inputs_is_wrong(probe: tuple[Any, Any, Any]) -> None:
    source, x, expected = probe

    class Stale(Changed):
        def bind(self, x: Any, y: Any) -> Callable[[], None]:
            return super().bind(x.copy(), y)

    assert closeness(Stale(source, lambda y: y), x, expected).wrong


def test_a_bound_call_that_writes_nothing_is_wrong(probe: tuple[Any, Any, Any]) -> None:
    source, x, expected = probe

    class Idle(Changed):
        def bind(self, x: Any, y: Any) -> Callable[[], None]:
            return lambda: None

    assert "not finite" in closeness(Idle(source, lambda y: y), x, expected).wrong


@pytest.fixture
def exported(run: tuple[int, str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The export of the first run serves again: it takes seconds."""
    model = read_onnx(run[2] / "mlp" / "float.onnx")
    monkeypatch.setattr("triggerforge.benchmark.suite.run.float_onnx", lambda trained: model)


@pytest.mark.usefixtures("exported")
def test_a_wrong_engine_is_reported_and_not_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(ENGINES._entries, "changed", lambda source: Changed(source, last_wrong))
    monkeypatch.setattr("triggerforge.benchmark.suite.__main__.QUICK", FEW)
    arguments = ["--quick", "--networks", "mlp", "--engines", "torch", "changed"]
    assert main([*arguments, "-o", str(tmp_path)]) == 3
    said = capsys.readouterr()
    assert "changed is not timed: differs from torch" in said.err
    assert "WRONG: differs from torch in float64" in said.out
    record = json.loads((tmp_path / "result.json").read_text())
    assert {row["engine"] for row in record["latency"]} == {"torch"}
    # without native there are no ratios, no loop and no workers, and all else is there
    assert record["suite"]["rooflines"] == [] and record["suite"]["scaling"] == []
    assert "Native and its best peer" not in said.out


@pytest.mark.usefixtures("exported")
def test_a_run_of_wrong_engines_only_still_ends_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES._entries, "changed", lambda source: Changed(source, nan))
    record = run_suite(tmp_path, ["mlp"], ["changed"], FEW)
    assert record["latency"] == [] and record["suite"]["complete"]
    assert record["suite"]["networks"]["mlp"]["engines"]["changed"]["error"] is None
    assert [sheet.title for sheet in sheets(record)] == ["Not timed"]


def row(engine: str, p50: float, **more: Any) -> dict[str, Any]:
    call = {"network": "n", "io": "copy", "batch": 1, "device": "cpu"}
    return call | {"engine": engine, "p50_us": p50} | more


def test_ratios_and_best_peer_are_of_the_same_call() -> None:
    rows = [
        row("native", 2.0),
        row("native", 1.0, io="bound"),
        row("native", 0.5, network="other"),
        row("native-int", 0.1),
        row("slow", 8.0),
        row("fast", 6.0),
        row("fast", 0.2, io="bound"),
        row("fast", 0.3, batch=16),
        row("card", 0.4, device="a GPU"),
    ]
    assert ratio_to_native(rows, rows[5]) == 3.0
    assert ratio_to_native(rows, rows[6]) == 0.2
    assert ratio_to_native(rows, rows[7]) is None
    peer = best_peer(rows, rows[0])
    assert peer is rows[5]
    assert best_peer(rows, rows[2]) is None


def test_a_record_that_is_not_whole_says_so(record: dict[str, Any]) -> None:
    assert not any("INCOMPLETE" in line for line in headlines(record))
    cut = record | {"suite": record["suite"] | {"complete": False}}
    assert any("INCOMPLETE" in line for line in headlines(cut))


def test_a_machine_that_tells_its_energy_has_a_table(record: dict[str, Any]) -> None:
    energy = [{"network": "mlp", "engine": "native", "batch": 1024, "joules_per_event": 2.5e-6}]
    told = record | {"suite": record["suite"] | {"energy": energy, "energy_told": True}}
    table = next(s for s in sheets(told) if s.title.startswith("Energy"))
    assert table.rows == (("mlp", "native", "1,024", "2,500"),)
    assert not any(line.startswith("energy") for line in headlines(told))
    silent = record | {"suite": record["suite"] | {"energy": [], "energy_told": False}}
    assert "energy: not told by this machine" in headlines(silent)


def test_sheets_as_text_and_markdown() -> None:
    sheet = Sheet("Times", ("name", "ns"), (("a|b", "1"), ("c", "1,000")), "Note.")
    assert sheet.text().splitlines() == [
        *("Times", "Note.", "", "name     ns", "-----------", "a|b       1", "c     1,000"),
    ]
    assert sheet.markdown().splitlines() == [
        *("## Times", "", "Note.", "", "| name | ns |", "| --- | ---: |"),
        *("| a\\|b | 1 |", "| c | 1,000 |"),
    ]
