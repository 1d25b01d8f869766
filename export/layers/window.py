"""Sliding windows over the spatial axes of an event (channels last): sizes, padding, slices."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from triggerforge.export.lowering import Lowering
from triggerforge.export.tensor import Stored

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """A window of `size` that moves by `strides` over an event padded by `pads`."""

    size: Shape
    strides: Shape
    dilation: Shape
    pads: tuple[tuple[int, int], ...]
    out: Shape
    """number of positions along each axis"""

    @classmethod
    def of(cls, shape: Shape, size: Shape, strides: Any, dilation: Any, padding: str) -> "Window":
        """The window as Keras places it on spatial axes of `shape` ("valid" or "same")."""
        strides, dilation = (_each(v, len(size)) for v in (strides, dilation))
        reach = [(n - 1) * d + 1 for n, d in zip(size, dilation, strict=True)]
        pads = tuple(_pad(n, r, s, padding) for n, r, s in zip(shape, reach, strides, strict=True))
        out = tuple(
            (n + sum(p) - r) // s + 1
            for n, p, r, s in zip(shape, pads, reach, strides, strict=True)
        )
        return cls(tuple(size), strides, dilation, pads, out)

    @property
    def shifts(self) -> list[Shape]:
        """Every position inside the window."""
        return list(product(*(range(n) for n in self.size)))

    def slices(self, shift: Shape) -> tuple[slice, ...]:
        """What position `shift` of the window sees, over the padded spatial axes."""
        return tuple(
            slice(at * d, at * d + s * (n - 1) + 1, s)
            for at, d, s, n in zip(shift, self.dilation, self.strides, self.out, strict=True)
        )


def _each(value: Any, rank: int) -> Shape:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _pad(length: int, reach: int, stride: int, padding: str) -> tuple[int, int]:
    if padding == "valid":
        return 0, 0
    total = max((-(-length // stride) - 1) * stride + reach - length, 0)
    return total // 2, total - total // 2


def pad_name(context: Lowering, window: Window, x: Stored, value: float) -> str:
    """x (batch, *spatial, channels), padded with `value`."""
    if not any(sum(p) for p in window.pads):
        return x.name
    before, after = ([0, *(p[i] for p in window.pads), 0] for i in (0, 1))
    pads = context.graph.constant(np.array(before + after, np.int64), "pads")
    return context.graph.node(
        "Pad", x.name, pads, context.graph.constant(np.asarray(value, x.dtype))
    )


def shifted(context: Lowering, window: Window, padded: str, shift: Shape) -> str:
    """What position `shift` of the window sees of the padded x."""
    cuts = window.slices(shift)
    columns = [
        [c.start for c in cuts],
        [c.stop for c in cuts],
        list(range(1, len(cuts) + 1)),
        [c.step for c in cuts],
    ]
    names = [context.graph.constant(np.array(c, np.int64), "slice") for c in columns]
    return context.graph.node("Slice", padded, *names)
