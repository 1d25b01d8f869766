"""What networks have to do, what the core can do, and workers and energy beside them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from triggerforge.benchmark.suite import machine
from triggerforge.benchmark.suite.closeness import reference
from triggerforge.benchmark.suite.energy import EnergyMeter, joules_per_event
from triggerforge.benchmark.suite.machine import Limits, last_cache_bytes
from triggerforge.benchmark.suite.networks import NETWORKS
from triggerforge.benchmark.suite.roofline import Loop, Roof, measure_rooflines
from triggerforge.benchmark.suite.scaling import measure_scaling, worker_counts
from triggerforge.benchmark.suite.work import Work, count_work
from triggerforge.errors import ArtifactError, ModelError
from triggerforge.export.files import write_onnx
from triggerforge.export.float_model import float_onnx

ENCODER = 57 * 32 + 32 * 16 + 16 * 3
MULTIPLY_ADDS = {
    "mlp": 16 * 64 + 64 * 32 + 32 * 32 + 32 * 5,
    "deepsets": 16 * (6 * 32 + 32 * 32) + 32 * 32 + 32 * 32 + 32 * 5,
    "ae": 2 * ENCODER,
    "vae": ENCODER,
    "cnn": 10 * 10 * 4 * 9 + 5 * 5 * 8 * 9 * 4 + 200 * 16 + 16 * 5,
    "jedi_linear": (16 * (6 * 16 + 16 * 16 + 16 * 16) + 16 * 16 + (16 * 32 + 32 * 16 + 16 * 5)),
}


@pytest.fixture(scope="module")
def models() -> dict[str, onnx.ModelProto]:
    return {name: float_onnx(network.build(1)) for name, network in NETWORKS.items()}


def test_work_by_hand(models: dict[str, onnx.ModelProto]) -> None:
    works = {name: count_work(model) for name, model in models.items()}
    assert {name: work.multiply_adds for name, work in works.items()} == MULTIPLY_ADDS
    for name, work in works.items():
        network = NETWORKS[name]
        assert work.flops == 2 * MULTIPLY_ADDS[name]
        assert work.input_bytes == 4 * np.prod(network.shape)
        assert work.output_bytes == 4 * network.classes
    biases = 64 + 32 + 32 + 5
    assert works["mlp"].weight_bytes == 4 * (MULTIPLY_ADDS["mlp"] + biases)
    assert works["mlp"].bytes_per_event(100) == 64 + 20 + works["mlp"].weight_bytes / 100


def model_of(
    node: onnx.NodeProto, given: tuple[int, ...], weights: dict[str, tuple[int, ...]]
) -> onnx.ModelProto:
    constants = [
        helper.make_tensor(name, TensorProto.FLOAT, shape, np.ones(shape).ravel())
        for name, shape in weights.items()
    ]
    x, y = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", *s])
        for n, s in (("x", given), ("y", (None,) * (len(given) if node.op_type == "Conv" else 1)))
    )
    return helper.make_model(helper.make_graph([node], "g", [x], [y], constants))


@pytest.mark.parametrize(
    ("node", "given", "weights", "expected"),
    [
        (helper.make_node("MatMul", ["x", "w"], ["y"]), (7,), {"w": (7, 3)}, 21),
        (helper.make_node("Gemm", ["x", "w"], ["y"], transB=1), (7,), {"w": (3, 7)}, 21),
        (helper.make_node("Relu", ["x"], ["y"]), (7,), {}, 0),
        (
            # two groups: each of the four channels sees two of the four
            helper.make_node("Conv", ["x", "w"], ["y"], group=2, pads=[1, 1, 1, 1]),
            (4, 5, 6),
            {"w": (4, 2, 3, 3)},
            4 * 5 * 6 * 2 * 9,
        ),
        (
            helper.make_node("Conv", ["x", "w"], ["y"], strides=[2]),
            (3, 9),
            {"w": (8, 3, 3)},
            4 * 8 * 3 * 3,
        ),
    ],
)
def test_work_of_one_node(
    node: onnx.NodeProto, given: tuple[int, ...], weights: dict[str, Any], expected: int
) -> None:
    assert count_work(model_of(node, given, weights)).multiply_adds == expected


def test_a_shape_that_is_not_known_is_an_error() -> None:
    node = helper.make_node("Odd", ["x"], ["z"], domain="nobody")
    product = helper.make_node("MatMul", ["z", "w"], ["y"], name="product")
    model = model_of(product, (7,), {"w": (7, 3)})
    model.graph.node.insert(0, node)
    model.opset_import.append(helper.make_opsetid("nobody", 1))
    with pytest.raises(ModelError, match=r"MatMul \(product\): the shape of 'z' is not known"):
        count_work(model)


@pytest.fixture(scope="module")
def limits() -> Limits:
    return Limits(1 << 20)


def test_the_kernels_compute_what_they_count(limits: Limits) -> None:
    found = {name: kernel() for name, kernel in limits.kernels().items()}
    assert all(np.isfinite(v) and v > 0.1 for v in found.values())
    lanes = limits.register_bits // 32
    chains = limits._library.triggerforge_operations() // (2 * lanes)
    assert chains in (12, 28)
    limits.gflops()  # x -> 0.999 x + 0.001 ends at 1 in every chain
    np.testing.assert_allclose(limits._out[:lanes], chains, rtol=1e-3)
    limits.read_gb_s()
    assert limits._out[:lanes].sum() == limits._arrays[0].size == (1 << 20) // 4
    assert (limits._arrays[2] == 1.5).all()


def test_arrays_are_larger_than_the_last_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i, size in enumerate(("32K\n", "1024K\n", "48M\n")):
        (tmp_path / f"index{i}").mkdir()
        (tmp_path / f"index{i}" / "size").write_text(size)
    (tmp_path / "index3").mkdir()
    (tmp_path / "index3" / "size").write_text("\n")
    assert last_cache_bytes(tmp_path) == 48 << 20
    assert last_cache_bytes(tmp_path / "none") == 64 << 20
    monkeypatch.setattr(machine, "last_cache_bytes", lambda: 48 << 20)
    assert Limits()._arrays[0].nbytes == 96 << 20


def test_the_loop_runs_the_network_on_changing_inputs(models: dict[str, onnx.ModelProto]) -> None:
    network = NETWORKS["mlp"]
    x = network.events(50, 3)
    expected = reference(network.build(1), x)
    loop = Loop(models["mlp"], x, 5)
    assert loop.ns_per_event(50) > 0
    np.testing.assert_allclose(loop.y, expected, atol=1e-6)
    for calls, last in ((1, 0), (3, 2), (50, 49), (51, 0)):
        loop._ns(1, calls)
        np.testing.assert_allclose(loop.y[0], expected[last], atol=1e-6)
    # every call is made: a thousand times as many take much longer
    assert loop._ns(1, 200_000) > 20 * loop._ns(1, 200)


def test_the_roof_is_the_longer_of_the_two() -> None:
    roof = Roof(256, gflops=100.0, read_gb_s=20.0, triad_gb_s=10.0)
    heavy, light = Work(5000, 40, 40, 2000), Work(50, 400, 0, 2000)
    assert roof.ns(heavy, 1) == (100.0, "compute")
    assert roof.ns(heavy, 100) == (100.0, "compute")
    assert roof.ns(light, 1) == (1.0, "compute")
    assert roof.ns(light, 100) == ((400 + 20) / 20.0, "memory")


def test_rows_of_all_networks_beside_the_limits(
    models: dict[str, onnx.ModelProto], limits: Limits
) -> None:
    events = {"mlp": NETWORKS["mlp"].events(64, 1)}
    roof, rows = measure_rooflines({"mlp": models["mlp"]}, events, 3, limits)
    assert [row["batch"] for row in rows] == [1, 64]
    for row in rows:
        assert row["gflops"] == row["flops"] / row["ns_per_event"]
        assert row["fraction"] == row["roof_ns"] / row["ns_per_event"]
        assert 0 < row["gflops"] < 1.2 * roof.gflops
        assert 0 < row["quickest_ns_per_event"] <= row["ns_per_event"]
        # the quickest round, beside limits that are no lower than their medians
        assert row["quickest_fraction"] <= row["roof_ns"] / row["quickest_ns_per_event"]


@pytest.mark.parametrize(
    ("cores", "expected"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])]
)
def test_numbers_of_workers(cores: int, expected: list[int]) -> None:
    assert worker_counts(cores) == expected


def test_workers_of_both_kinds_call_at_once(
    models: dict[str, onnx.ModelProto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triggerforge.benchmark.suite.scaling.worker_counts", lambda most: [1, 2])
    write_onnx(models["mlp"], tmp_path / "float.onnx")
    x = NETWORKS["mlp"].events(128, 1)
    rows = measure_scaling("mlp", tmp_path / "float.onnx", x, seconds=0.05, rounds=1)
    assert [(r["kind"], r["workers"]) for r in rows] == [
        *(("threads", 1), ("threads", 2), ("processes", 1), ("processes", 2)),
    ]
    assert all(r["events_per_second"] > 0 and r["batch"] == 128 for r in rows)
    assert rows[0]["efficiency"] == rows[2]["efficiency"] == 1
    assert rows[1]["efficiency"] == rows[1]["events_per_second"] / (
        2 * rows[0]["events_per_second"]
    )


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_worker_that_fails_does_not_let_the_others_wait(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triggerforge.benchmark.suite import scaling

    monkeypatch.setattr(scaling, "_KINDS", {kind: scaling._KINDS[kind]})
    monkeypatch.setattr(scaling, "worker_counts", lambda most: [2])
    with pytest.raises(ArtifactError, match="nowhere"):
        measure_scaling("mlp", tmp_path / "nowhere", np.zeros((2, 16), np.float32), 0.01, 1)


def counter(folder: Path, name: str, energy: int, most: int = 10_000_000) -> Path:
    (folder / name).mkdir()
    (folder / name / "max_energy_range_uj").write_text(f"{most}\n")
    (folder / name / "energy_uj").write_text(f"{energy}\n")
    return folder / name / "energy_uj"


def adding(*steps: tuple[Path, int]) -> Callable[[], None]:
    def work() -> None:
        for path, step in steps:
            path.write_text(str((int(path.read_text()) + step) % 10_000_000))

    return work


def test_energy_is_that_of_all_packages_across_the_counters_end(tmp_path: Path) -> None:
    first = counter(tmp_path, "intel-rapl:0", 1_000_000)
    second = counter(tmp_path, "intel-rapl:1", 9_500_000)
    part = counter(tmp_path, "intel-rapl:0:0", 0)
    meter = EnergyMeter(tmp_path)
    assert meter.works
    steps = adding((first, 2_000_000), (second, 1_500_000), (part, 1_000_000))
    assert meter.joules(steps) == pytest.approx(3.5)
    one = adding((first, 200_000))
    assert joules_per_event(meter, one, events=10, seconds=0.0) == pytest.approx(0.02)


def test_a_machine_without_readable_counters_tells_nothing(tmp_path: Path) -> None:
    assert not EnergyMeter(tmp_path / "none").works
    counter(tmp_path, "intel-rapl:0", 5).write_text("")
    assert not EnergyMeter(tmp_path).works
