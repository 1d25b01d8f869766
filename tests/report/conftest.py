"""A small finished run: three classes, four inputs, every section of the result."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triggerforge.config.report import ReportConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.data.scores import write_logits
from triggerforge.data.splits import save_splits
from triggerforge.fixedpoint import FixedFormat
from triggerforge.report.material import gather
from triggerforge.report.minus_float import with_differences
from triggerforge.result import RESULT_VERSION, context
from triggerforge.training.task import Task

EVENTS, FIRMWARE_EVENTS = 900, 300
CLASSES = ("q", "g", "t")


@dataclass
class FakeRun:
    """A result and the folders of its stages."""

    result: dict[str, Any]
    folders: dict[str, Path]


def contract(shape: tuple[int, ...]) -> InputContract:
    """Inputs of that shape, named f0, f1, …"""
    port = FixedFormat.parse("ap_fixed<8,3,RND,SAT>")
    features = tuple(InputFeature(f"f{i}", "GeV", 50.0, 4, port) for i in range(shape[-1]))
    return InputContract(features, shape)


def dataset(
    events: int, classes: tuple[str, ...], shape: tuple[int, ...], seed: int = 1
) -> Dataset:
    """Events whose inputs depend on their class; particles beyond the first two may be absent."""
    rng = np.random.default_rng(seed)
    y = np.arange(events) % len(classes)
    x = rng.normal(size=(events, *shape)) + 0.4 * y.reshape(-1, *[1] * len(shape))
    mask = None
    if len(shape) == 2:
        mask = np.arange(shape[0]) < rng.integers(1, shape[0] + 1, events)[:, None]
        x = x * mask[..., None]
    return Dataset(
        x=x.astype(np.float32),
        y=y.astype(np.int64),
        weight=rng.uniform(0.5, 1.5, events).astype(np.float32),
        contract=contract(shape),
        classes=classes,
        mask=mask,
        observables={"jet_pt": rng.exponential(90, events).astype(np.float32) + 500},
    )


def build_run(
    root: Path,
    classes: tuple[str, ...] = CLASSES,
    shape: tuple[int, ...] = (4,),
    background: tuple[str, ...] = (),
) -> FakeRun:
    """Writes the stages' files below `root` and gives back the run; with `background` of a score."""
    stages = ("data", "train", "compress", "export", "firmware", "benchmark")
    folders = {stage: root / "myrun" / stage for stage in stages}
    for folder in folders.values():
        folder.mkdir(parents=True)
    train, validation, test = (dataset(EVENTS, classes, shape, seed) for seed in (1, 2, 3))
    splits = Splits(train, validation, test, background)
    save_splits(splits, folders["data"])
    logits = 2.5 * np.eye(len(classes))[splits.test.y]
    if background:
        logits = 2.5 * ~Task.of(splits).is_background(splits.test.y)[:, None]
    logits += np.random.default_rng(4).normal(size=logits.shape)
    scores = {
        "float": logits,
        "quantized": np.round(8 * logits) / 8,
        "firmware": np.round(8 * logits[:FIRMWARE_EVENTS]) / 8,
    }
    for (model, values), stage in zip(
        scores.items(), ("train", "compress", "benchmark"), strict=True
    ):
        assert model in ("float", "quantized", "firmware")
        write_logits(folders[stage], values)
    result = _result(classes, splits, scores)
    made = with_differences(gather(ReportConfig(), result, folders))
    return FakeRun(dict(made.result), folders)


@pytest.fixture
def make_dataset() -> Callable[[int], Dataset]:
    """`make_dataset(events)`: three classes, three inputs."""
    return lambda events: dataset(events, CLASSES, (3,))


@pytest.fixture(scope="session")
def session_run(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    return build_run(tmp_path_factory.mktemp("report"))


@pytest.fixture
def run(session_run: FakeRun) -> FakeRun:
    """The small run; its result may be changed, its files must not be."""
    return FakeRun(copy.deepcopy(session_run.result), dict(session_run.folders))


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., FakeRun]:
    """Builds another run: make_run(classes=…, shape=…)."""
    return lambda **choices: build_run(tmp_path / "other", **choices)


def _result(classes: tuple[str, ...], splits: Splits, scores: dict[str, Any]) -> dict[str, Any]:
    test = splits.test
    return {
        "version": RESULT_VERSION,
        "context": context(7) | {"quick": False},
        "stages": _stages(),
        "data": {"source": ["events.root"], "events": {"test": EVENTS}, "classes": list(classes)},
        "metrics": {
            model: Task.of(splits).metrics(
                values, test.y[: len(values)], test.weight[: len(values)]
            )
            for model, values in scores.items()
        },
        "training": {
            "model": "mlp",
            "parameters": 99,
            "events": EVENTS,
            "epochs": 3,
            "best_epoch": 3,
            "history": [
                {"epoch": e, "lr": 1e-3, "train_loss": 1 / e, "validation_loss": 1.1 / e}
                | {"validation_accuracy": 0.6 + 0.05 * e}
                for e in (1, 2, 3)
            ],
        },
        "compression": _compression() | {"measure": "overlap" if splits.background else "accuracy"},
        "export": {
            "float": {"file": "float.onnx", "bytes": 11_000, "events": 64}
            | {"operators": {"Gemm": 3}, "max_difference": 3.0e-8},
            "quantized": {"file": "quantized.onnx", "bytes": 5_000, "events": 64}
            | {"operators": {"Add": 3, "Floor": 4}, "mismatches": 0},
        },
        "parity": [
            {
                "reference": "hgq2",
                "candidate": engine,
                "events": 100,
                "inputs": inputs,
                "outputs": 300,
                "mismatches": 0,
                "max_lsb": 0.25 * tolerance,
                "tolerance_lsb": tolerance,
                "tolerance_relative": 1e-6 * tolerance,
            }
            for engine, tolerance in (("alir", 0), ("onnxruntime", 2.0), ("hls4ml", 0), ("rtl", 0))
            for inputs in ("test", "corner")
        ],
        "input_audit": [
            {"name": f.name, "events": EVENTS, "saturated": 3 * i, "low": -3.0, "high": 5.5}
            | {"allowed": list(f.format.range)}
            for i, f in enumerate(test.contract.features)
        ],
        "overflow_audit": [
            {"layer": layer, "tensor": tensor, "kind": kind, "events": EVENTS}
            | {"overflows": overflows, "values": 8 * EVENTS, "events_with_overflow": overflows}
            for layer, tensor, kind, overflows in (
                ("fc1", "output", "sat", 9),
                ("fc1", "kernel sum", "wrap", 0),
                ("fc2", "input", "wrap", 2),
            )
        ],
        "resources": {
            "part": "xcvu13p-flga2577-2-e",
            "clock_ns": 5.0,
            "latency_cycles": 6,
            "latency_ns": 30.0,
            "ii": 1,
            "lut": 5184,
            "ff": 3456,
            "dsp": 0,
            "bram": 0,
            "method": "yosys",
            "carry_bits": 123,
            "lut_estimate": 4321,
        },
        "firmware": {
            "rtl": {"stage_delay_ns": 5.5, "stage_budget_ns": 4.5, "delay_model_meets_clock": False}
        },
        "latency": [
            {"network": "mlp", "engine": engine, "device": "cpu", "model": model, "io": io}
            | {"batch": batch, "calls": 1000, "p50_us": 9.5 * batch, "p99_us": 12.5 * batch}
            | {
                "p999_us": 31.0 * batch,
                "min_us": 9.0 * batch,
                "max_us": 90.0 * batch,
                "throughput_hz": 1.05e5,
            }
            for batch in (1, 64)
            for engine, model, io in (
                ("torch", "float", "copy"),
                ("onnxruntime", "float", "bound"),
                ("alir", "quantized", "copy"),
            )
        ],
    }


def _stages() -> dict[str, Any]:
    made = {"git": {"commit": "0123456789abcdef", "dirty": False}, "tools": {"torch": "2.13.0"}}
    return dict.fromkeys(("data", "train", "compress"), made)


def _compression() -> dict[str, Any]:
    layer = {"kind": "QDense", "shape": [8], "weights": 40, "nonzero_weights": 10}
    layer |= {"weight_bits_mean": 0.75, "weight_bits_max": 4, "ebops": 321}
    layer |= {"weight_bits": {"0": 30, "2": 5, "4": 5}}
    layer |= {"activation_bits_mean": 6.5, "activation_bits_max": 8}
    pareto = [{"accuracy": 0.7 + 0.02 * i, "ebops": 400.0 * 2**i, "epoch": 9 - i} for i in range(4)]
    return {
        "ebops": 800.0,
        "ebops_uniform8": 32_000.0,
        "bits_mean": 0.75,
        "sparsity": 0.75,
        "pareto": pareto,
        "chosen": pareto[1],
        "validation_accuracy_float": 0.77,
        "target_missed": None,
        "seconds": 12.0,
        "history": [{"epoch": e, "loss": 1.0 / (e + 1)} for e in range(3)]
        + [{"epoch": 3, "loss": 0.2, "accuracy": 0.72, "ebops": 800.0}],
        "layers": [{"name": "fc1", **layer}, {"name": "fc2", **layer}],
    }
