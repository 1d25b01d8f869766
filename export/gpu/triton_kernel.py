"""The fused kernel in Triton's hands: imported, tuned once on the card, started."""

import importlib.util
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from triggerforge.errors import MissingToolError, ModelError, UnsupportedOperationError
from triggerforge.export.gpu.cache import hashed, kept
from triggerforge.export.gpu.device import require_gpu, timer
from triggerforge.export.gpu.fused import FusedKernel

Precision = Literal["fp32", "tf32x3", "fp16", "bf16"]
_FACTORS: dict[Precision, tuple[str, str]] = {
    "fp32": ("float32", "ieee"),
    "tf32x3": ("float32", "tf32x3"),
    "fp16": ("float16", "ieee"),
    "bf16": ("bfloat16", "ieee"),
}
"""type of a product's factors, and how Triton multiplies them"""
DEFAULT: Precision = "tf32x3"
"""as good as float32's own products, and sooner; before sm_80 Triton makes those in its place"""
_TRIAL = 2**26
"""numbers that candidates are timed with, in and out: the time of a launch must not show"""
_MOST_EVENTS = 2**20
_PATIENCE = 60.0
"""seconds after which no more tiles are compiled: Triton takes minutes over a network of many formulas"""


@dataclass(frozen=True)
class Tile:
    """What a program of the kernel computes at once, with how many threads, and how many there are."""

    events: int
    warps: int
    programs: int
    """for each SM: what does not fit at once follows, and reads the weights again"""


def interpreted() -> bool:
    """Whether Triton interprets kernels on the CPU: TRITON_INTERPRET=1 before its first import."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def kernel_device() -> torch.device:
    """The CPU where Triton interprets, else the card; raises MissingToolError without one."""
    return torch.device("cpu") if interpreted() else require_gpu()


def candidates(rows: int) -> list[Tile]:
    """Tiles of 32 to 256 rows of a product of matrices, 32 or 64 for each warp.

    Never less than 16 events: then a warp may have 128 rows, and eight warps any number.
    """
    tiles = []
    for events in sorted({max(16, whole // rows) for whole in (32, 64, 128, 256)}):
        most = 128 if events == 16 else 64
        for warps in (1, 2, 4, 8):
            share = events * rows // warps
            if share >= 32 and (share <= most or warps == 8):
                tiles += [Tile(events, warps, programs) for programs in (2, 4, 8, 16)]
    return tiles


def fastest(
    tiles: Iterable[Tile], seconds: Callable[[Tile], float | None], patience: float = _PATIENCE
) -> Tile:
    """The tile of the least time; None says that it does not fit the card.

    Once one fits, none is tried any more after `patience` seconds. Raises UnsupportedOperationError
    if none fits.
    """
    began = time.monotonic()
    fitting: dict[Tile, float] = {}
    for tile in tiles:
        if fitting and time.monotonic() - began > patience:
            break
        took = seconds(tile)
        if took is not None:
            fitting[tile] = took
    if not fitting:
        raise UnsupportedOperationError(
            "the network's tensors do not fit an SM of this card; use torch-cuda-graph"
        )
    return min(fitting, key=lambda tile: fitting[tile])


class TritonKernel:
    """One network, ready to start on x (N, inputs) and y (N, outputs), float32 and contiguous.

    `precision` is the type of a product's factors; sums are float32. Raises ModelError for another,
    MissingToolError without Triton or a card.
    """

    def __init__(self, kernel: FusedKernel, precision: Precision = DEFAULT) -> None:
        if precision not in get_args(Precision):
            raise ModelError(f"no precision {precision!r}; choose {', '.join(get_args(Precision))}")
        self._triton = triton()
        self.device = kernel_device()
        self._kernel = kernel
        self._network = _imported(kernel.text).network
        kind, self._products = _FACTORS[precision]
        self._kind = getattr(self._triton.language, kind)
        self._weights = torch.from_numpy(kernel.weights).to(self.device)
        self._tables = torch.from_numpy(kernel.tables).to(self.device)
        tiles = candidates(kernel.rows)
        self.tile = tiles[0] if self.device.type == "cpu" else fastest(tiles, self._seconds)

    def start(self, x: Tensor, y: Tensor, tile: Tile | None = None) -> None:
        """Enqueues the kernel on torch's current stream."""
        tile = tile or self.tile
        programs = 2 if self.device.type == "cpu" else tile.programs * _multiprocessors(self.device)
        grid = (min(programs, -(-len(x) // tile.events)),)
        arguments = (x, y, self._weights, self._tables, len(x))
        how = {"E": tile.events, "KIND": self._kind, "PRODUCTS": self._products}
        self._network[grid](*arguments, **how, num_warps=tile.warps)

    def _seconds(self, tile: Tile) -> float | None:
        inputs, outputs = self._kernel.inputs, self._kernel.outputs
        events = min(_MOST_EVENTS, _TRIAL // (inputs + outputs))
        x = torch.randn((events, inputs), device=self.device)
        y = torch.empty((events, outputs), device=self.device)
        try:
            for _ in range(3):
                self.start(x, y, tile)
        except self._triton.runtime.errors.OutOfResources:
            return None
        begin, end = timer(), timer()
        begin.record()
        for _ in range(10):
            self.start(x, y, tile)
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e4


def triton() -> Any:
    """The package; raises MissingToolError without it."""
    try:
        import triton as package
        import triton.language
        import triton.runtime.errors
    except ImportError as error:
        raise MissingToolError(
            "triton was not found; install the dependency group `gpu` "
            "(`uv pip install --group gpu`), or torch with CUDA, which brings it"
        ) from error
    return package


def _imported(text: str) -> ModuleType:
    """Triton reads a kernel's source from its file, so there has to be one."""
    name = f"fused_{hashed([text])}"
    path = kept(f"{name}.py", text.encode)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _multiprocessors(device: torch.device) -> int:
    return int(torch.cuda.get_device_properties(device).multi_processor_count)
