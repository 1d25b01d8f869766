"""GPU engines against torch.compile and onnxruntime-CUDA, in one run on one card.

`python -m triggerforge.benchmark.gpu RUN…` takes folders of runs. Bulk: x and y stay on the card,
engines alternate, CUDA events tell the time. Latency: one event from the host's memory and back.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from triggerforge.benchmark.gpu_peers import peers
from triggerforge.border import answer
from triggerforge.compression.quantized_model import MODEL_FILE, QuantizedModel
from triggerforge.errors import TriggerForgeError
from triggerforge.export.engines.triton import TritonRuntime
from triggerforge.export.files import FLOAT_FILE
from triggerforge.export.gpu.device import new_stream, require_gpu, timer
from triggerforge.export.gpu.runtime import DeviceRuntime
from triggerforge.export.gpu.triton_kernel import DEFAULT, Precision
from triggerforge.export.runtime import ENGINES, EngineSource, Runtime
from triggerforge.training.trained import load_trained

BATCHES = tuple(16**power for power in range(6))
"""1 … 1,048,576 events"""
_ROUNDS = 50
_WARM_UP = 5
_CALLS = 20_000
_ENGINES = ("triton", "torch-cuda-graph", "cuda-persistent", "cuda-int")
_COMPARED = 4096
"""events of a call whose outputs are looked at"""
_COPIED = 2**28
"""bytes of the copy that measures the card's bandwidth"""

Enqueue = Callable[[Tensor, Tensor], None]


def main(arguments: list[str] | None = None) -> int:
    """Prints the tables; gives back exit status 0, or 1 and one line without a card."""
    parser = argparse.ArgumentParser(prog="triggerforge.benchmark.gpu", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--batches", nargs="+", type=int, default=BATCHES, metavar="N", help="events of a bulk call"
    )
    told = parser.parse_args(arguments)
    if min(told.batches) < 1:
        parser.error(f"--batches {min(told.batches)}: a batch has at least one event")
    try:
        device = require_gpu()
        sources = {folder.name: source_of(folder) for folder in told.runs}
    except TriggerForgeError as error:
        _line(f"not run: {error}")
        return 1
    bandwidth = copy_bandwidth(device)
    _line(
        f"{torch.cuda.get_device_name(device)}, copies {bandwidth / 1e9:.0f} GB/s, torch {torch.__version__}"
    )
    # onnxruntime takes the default stream for none given, and one of its own has other events
    with torch.cuda.stream(new_stream(device)):
        for name, source in sources.items():
            _network(name, source, device, bandwidth, told.batches)
    return 0


def source_of(folder: Path) -> EngineSource:
    """The parts of a run; raises ArtifactError where one is missing."""
    return EngineSource(
        load_trained(folder / "train"),
        QuantizedModel.load(folder / "compress" / MODEL_FILE),
        folder / "export",
    )


def copy_bandwidth(device: torch.device) -> float:
    """Bytes read and written per second by a copy on the card, the best of some."""
    source = torch.zeros(_COPIED, dtype=torch.uint8, device=device)
    took = alternated({"copy": _copy}, source, torch.empty_like(source))
    return 2 * _COPIED / float(took["copy"].min())


def able(engines: Mapping[str, Enqueue], x: Tensor, y: Mapping[str, Tensor]) -> dict[str, Enqueue]:
    """Those that take a batch, and a line for each that does not; torch.OutOfMemoryError is raised."""
    taken = {}
    for name, engine in engines.items():
        try:
            engine(x, y[name])
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # cuDNN has limits of its own, and onnxruntime tells them so
            _line(f"{len(x):9,} {name:20} not run: {str(error).splitlines()[0]}")
        else:
            taken[name] = engine
    return taken


def _copy(x: Tensor, y: Tensor) -> None:
    y.copy_(x)


def alternated(
    engines: Mapping[str, Enqueue], x: Tensor, y: Tensor | Mapping[str, Tensor]
) -> dict[str, np.ndarray]:
    """Seconds of each call (rounds,) by CUDA events: all engines in turn, shuffled, after warm-up."""
    outputs = y if isinstance(y, Mapping) else dict.fromkeys(engines, y)
    for name, engine in engines.items():
        for _ in range(_WARM_UP):
            engine(x, outputs[name])
    marks: dict[str, list[tuple[torch.cuda.Event, torch.cuda.Event]]] = {n: [] for n in engines}
    names, shuffle = list(engines), np.random.default_rng(0).permutation
    for _ in range(_ROUNDS):
        for place in shuffle(len(names)):
            name = names[place]
            begin, end = timer(), timer()
            begin.record()
            engines[name](x, outputs[name])
            end.record()
            marks[name].append((begin, end))
    torch.cuda.synchronize()
    return {n: np.array([b.elapsed_time(e) for b, e in pairs]) / 1e3 for n, pairs in marks.items()}


def _network(
    name: str, source: EngineSource, device: torch.device, bandwidth: float, batches: Iterable[int]
) -> None:
    assert source.trained is not None
    made = _made(source)
    on_card: dict[str, Enqueue] = {
        n: e.enqueue for n, e in made.items() if isinstance(e, DeviceRuntime)
    }
    on_card |= peers(source, device, _line)
    kinds = {n: made[n].kind if n in made else torch.float32 for n in on_card}  # type: ignore[attr-defined]
    shape, outputs = source.trained.contract.shape, len(source.trained.task.outputs)
    _line(
        f"\n{name}: bulk, x and y on the card; ns an event (median), share of the copy's bandwidth, "
        "largest error over largest output of torch in float64"
    )
    exact = copy.deepcopy(source.trained.module).double().to(device).eval()
    for batch in batches:
        try:
            x = torch.randn((batch, *shape), device=device)
            y = {n: x.new_empty((batch, outputs), dtype=kind) for n, kind in kinds.items()}
            timed = alternated(able(on_card, x, y), x, y)
        except torch.OutOfMemoryError:
            _line(f"{batch:9,} not run: the card's memory does not hold them")
            break
        with torch.inference_mode():
            expected = exact(x[:_COMPARED].double())
        for engine, took in timed.items():
            seconds = float(np.median(took))
            share = (x.nbytes + y[engine].nbytes) / seconds / bandwidth
            error = "" if engine == "cuda-int" else f"{_error(expected, y[engine]):.0e}"
            _line(
                f"{batch:9,} {engine:20} {seconds / batch * 1e9:12.3f} ns {share:8.1%} {error:>8}"
            )
    _line(f"{name}: one event from the host's memory and back, bound; µs")
    for engine, took in latencies(made, shape).items():
        p50, p99, p999 = np.percentile(took, [50, 99, 99.9], method="higher") * 1e6
        _line(f"          {engine:20} p50 {p50:8.2f}  p99 {p99:8.2f}  p99.9 {p999:8.2f}")


def _error(expected: Tensor, y: Tensor) -> float:
    """Of a call's first events, in units of the largest output; NaN if one is."""
    return float((y[: len(expected)] - expected).abs().max() / expected.abs().max())


def _made(source: EngineSource) -> dict[str, Runtime]:
    """The engines that can be made, and a line for each that cannot."""
    assert source.export_folder is not None
    file = source.export_folder / FLOAT_FILE
    wanted: dict[str, Callable[[], Runtime]] = {
        name: partial(ENGINES[name], source) for name in _ENGINES
    }
    wanted |= {
        f"triton-{precision}": partial(TritonRuntime, file, precision)
        for precision in get_args(Precision)
        if precision != DEFAULT  # that is `triton`
    }
    made: dict[str, Runtime] = {}
    for name, make in wanted.items():
        try:
            made[name] = make()
        except TriggerForgeError as error:
            _line(f"{name} not run: {error}")
    return made


def latencies(engines: Mapping[str, Runtime], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Seconds of each bound call of one event (calls,), engines in turn."""
    x = np.zeros((1, *shape), np.float32)
    calls = {name: engine.bind(x, engine.predict(x)) for name, engine in engines.items()}
    took: dict[str, list[int]] = {name: [] for name in calls}
    for turn in range(_WARM_UP + _CALLS):
        for name, call in calls.items():
            start = time.perf_counter_ns()
            call()
            if turn >= _WARM_UP:
                took[name].append(time.perf_counter_ns() - start)
    return {name: np.array(ns) / 1e9 for name, ns in took.items()}


def _line(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(answer(main, "triggerforge.benchmark.gpu"))
