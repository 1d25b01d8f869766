"""Layers that move elements and change none."""

from typing import Any

import numpy as np

from triggerforge.export.handlers import handles
from triggerforge.export.layers.merge import stored_with
from triggerforge.export.lowering import Lowering
from triggerforge.export.tensor import Stored, Tensor


def _moved(
    context: Lowering, x: Tensor, operator: str, change: Any, *extra: str, **attributes: Any
) -> Tensor:
    source, exponent = stored_with(context, x)
    name = context.graph.node(operator, source.name, *extra, **attributes)
    return Tensor(x.grid.map(change), context.where, Stored(name, source.dtype), change(exponent))


def reshaped(context: Lowering, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """x with events of `shape`."""
    if x.shape == shape:
        return x
    target = context.graph.constant(np.array([-1, *shape], np.int64), "shape")
    return _moved(context, x, "Reshape", lambda v: v.reshape(shape), target)


def transposed(context: Lowering, x: Tensor, order: tuple[int, ...]) -> Tensor:
    """x with the event's axes in another order (counted from 0)."""
    if order == tuple(range(len(order))):
        return x
    perm = [0, *(a + 1 for a in order)]
    return _moved(context, x, "Transpose", lambda v: v.transpose(order), perm=perm)


@handles("Reshape", "Flatten", "Ravel")
def reshape(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """Another shape, the elements in the same order."""
    if not hasattr(layer, "target_shape") and not hasattr(layer, "newshape"):
        return reshaped(context, x, (int(np.prod(x.shape)),))
    shape = layer.target_shape if hasattr(layer, "target_shape") else layer.newshape[1:]
    return reshaped(context, x, np.empty(x.shape, bool).reshape(shape).shape)


@handles("Permute")
def permute(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """Another order of the axes."""
    return transposed(context, x, tuple(d - 1 for d in layer.dims))


@handles("Transpose")
def keras_transpose(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """`keras.ops.transpose`, the batch axis staying first."""
    if not layer.axes or layer.axes[0] != 0:
        raise context.unsupported(f"transpose {layer.axes} moves the batch axis; keep it first")
    return transposed(context, x, tuple(a - 1 for a in layer.axes[1:]))


@handles("ExpandDims")
def expand_dims(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """`keras.ops.expand_dims`."""
    axis = layer.axis if not isinstance(layer.axis, (list, tuple)) else layer.axis[0]
    axis = axis - 1 if axis >= 0 else axis + len(x.shape) + 1
    return reshaped(context, x, np.expand_dims(np.empty(x.shape, bool), axis).shape)


@handles("RepeatVector")
def repeat_vector(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """(N, F) to (N, n, F)."""
    one = reshaped(context, x, (1, *x.shape))
    repeats = context.graph.constant(np.array([1, layer.n, 1], np.int64), "repeats")
    return _moved(context, one, "Tile", lambda v: np.tile(v, (layer.n, 1)), repeats)


@handles("GetItem")
def get_item(context: Lowering, layer: Any, x: Tensor, key: Any) -> Tensor:
    """`x[:, a:b:c, i]`: slices and single indices along the axes of an event."""
    key = key if isinstance(key, (tuple, list)) else (key,)
    if key[0] is not Ellipsis and key[0] != slice(None):
        raise context.unsupported(f"slice {key} cuts the batch axis; leave it whole")
    rest = _without_ellipsis(tuple(key), len(x.shape) + 1)[1:]
    for axis, part in enumerate(rest):
        if part != slice(None):
            x = _cut(context, x, axis, part)
    kept = tuple(n for n, p in zip(x.shape, rest, strict=True) if isinstance(p, slice))
    return reshaped(context, x, kept)


def _without_ellipsis(key: tuple[Any, ...], rank: int) -> tuple[Any, ...]:
    if Ellipsis not in key:
        return key + (slice(None),) * (rank - len(key))
    at = key.index(Ellipsis)
    return key[:at] + (slice(None),) * (rank - len(key) + 1) + key[at + 1 :]


def _cut(context: Lowering, x: Tensor, axis: int, part: Any) -> Tensor:
    length = x.shape[axis]
    if isinstance(part, int):
        part = slice(part % length, part % length + 1)
    if not isinstance(part, slice):
        raise context.unsupported(f"index {part!r}; use whole numbers and slices")
    start, stop, step = part.indices(length)
    if step < 0:
        raise context.unsupported(f"slice {part} runs backwards; use a positive step")
    bounds = [
        context.graph.constant(np.array([v], np.int64), "slice")
        for v in (start, stop, axis + 1, step)
    ]
    index = (slice(None),) * axis + (slice(start, stop, step),)
    return _moved(context, x, "Slice", lambda v: v[index], *bounds)
