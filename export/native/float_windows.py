"""Windows that slide over the axes behind the channels, and what they see beyond the ends."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from triggerforge.export.native.float_graph import FloatGraph
from triggerforge.export.native.place import Place


def outer_pads(
    graph: FloatGraph, told: dict[str, Any], shape: Sequence[int], lengths: Sequence[int]
) -> list[int]:
    """Elements around x of `shape`, all begins, then all ends, as `pads` or `auto_pad` says."""
    auto = told.get("auto_pad", b"NOTSET").decode()
    if auto == "NOTSET":
        return list(told.get("pads", [0] * 2 * len(lengths)))
    if auto == "VALID":
        return [0] * 2 * len(lengths)
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise graph.unsupported(f"auto_pad {auto}")
    steps, gaps = steps_and_gaps(told, len(lengths))
    whole = [
        max(0, (-(-n // step) - 1) * step + (k - 1) * gap + 1 - n)
        for n, k, step, gap in zip(shape, lengths, steps, gaps, strict=True)
    ]
    small, large = [n // 2 for n in whole], [n - n // 2 for n in whole]
    return [*small, *large] if auto == "SAME_UPPER" else [*large, *small]


def steps_and_gaps(told: dict[str, Any], axes: int) -> tuple[list[int], list[int]]:
    """How far apart neighbouring windows, and the elements of one, are."""
    return told.get("strides") or [1] * axes, told.get("dilations") or [1] * axes


def padded(graph: FloatGraph, x: Place, pads: list[int], value: str) -> Place:
    """x (channels, …) with `value` around it, as ONNX's `pads` says: all begins, then all ends."""
    if not any(pads):
        return x
    if x.buffer in graph.frames:
        return graph.frames[x.buffer]
    sides = list(zip(pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True))
    shape = [x.shape[0], *(n + a + b for n, (a, b) in zip(x.shape[1:], sides, strict=True))]
    out = graph.new(shape, x.affine())
    fill_around(graph, out, pads, value)
    graph.copy_into(Place(out.buffer, out.index[_inside(out, pads)]), x)
    return out


def _inside(out: Place, pads: list[int]) -> tuple[slice, ...]:
    sides = zip(out.shape[1:], pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True)
    return (slice(None), *(slice(before, n - after) for n, before, after in sides))


def fill_around(graph: FloatGraph, out: Place, pads: list[int], value: str) -> None:
    """Fills what lies outside of the tensor, side by side."""
    cut = list(_inside(out, pads))
    for axis in range(1, len(cut)):
        for side in (slice(0, cut[axis].start), slice(cut[axis].stop, None)):
            strip = out.index[(*cut[:axis], side, *(slice(None) for _ in cut[axis + 1 :]))]
            if strip.size:
                graph.fill(Place(out.buffer, strip), value)


def windows(x: Place, lengths: Sequence[int], told: dict[str, Any]) -> Place:
    """x (channels, …) to (channels, …, taps, …): all windows that lie inside."""
    steps, gaps = steps_and_gaps(told, len(lengths))
    wide = [(k - 1) * gap + 1 for k, gap in zip(lengths, gaps, strict=True)]
    axes = tuple(range(1, 1 + len(lengths)))
    taken = np.lib.stride_tricks.sliding_window_view(x.index, wide, axes)
    moves = [slice(None, None, step) for step in steps]
    return x.at(taken[(slice(None), *moves, *(slice(None, None, gap) for gap in gaps))])
