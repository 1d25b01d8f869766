"""Passes over the neutral graph: fixed affine maps (batch normalisation, scale, offset) go into
the weights of a neighbour, and a ReLU joins the layer before it.
"""

import math
from dataclasses import replace

import numpy as np

from triggerforge.compression.graph import Array, Graph, Layer

_WEIGHTED = ("linear", "conv")


def fold(graph: Graph) -> Graph:
    """Applies every pass until nothing changes; gives `graph` back."""
    while any(
        step(graph, layer) for layer in graph for step in _STEPS if layer.name in graph.layers
    ):
        pass
    for name in list(graph.layers):
        _fuse_relu(graph, graph[name])
    return graph


def _constants(layer: Layer) -> tuple[Array, Array]:
    return layer.weights["scale"], layer.weights["offset"]


def _drop_identity(graph: Graph, layer: Layer) -> bool:
    same_shape = layer.op == "reshape" and layer.shape == graph[layer.inputs[0]].shape
    unit = (
        layer.op == "affine"
        and (_constants(layer)[0] == 1).all()
        and not _constants(layer)[1].any()
    )
    if same_shape or unit:
        graph.bypass(layer.name)
        return True
    return False


def _merge_affines(graph: Graph, layer: Layer) -> bool:
    before = _producer(graph, layer, ("affine",))
    if before is None:
        return False
    (s1, o1), (s2, o2) = _constants(before), _constants(layer)
    weights = {"scale": s1 * s2, "offset": o1 * s2 + o2}
    graph.update(replace(layer, weights=weights))
    graph.bypass(before.name)
    return True


def _into_preceding(graph: Graph, layer: Layer) -> bool:
    """y = s (W x + b) + o = (s W) x + (s b + o)."""
    before = _producer(graph, layer, _WEIGHTED)
    if before is None:
        return False
    axis = 0 if before.op == "conv" else len(before.shape) - 1
    constants = [_along(c, layer.shape, axis) for c in _constants(layer)]
    if constants[0] is None or constants[1] is None:
        return False
    scale, offset = constants[0], constants[1]
    bias = before.weights.get("bias", np.zeros_like(offset)) * scale + offset
    kernel = before.weights["kernel"] * scale
    graph.update(replace(before, weights={"kernel": kernel, "bias": bias}))
    graph.bypass(layer.name)
    return True


def _into_following(graph: Graph, layer: Layer) -> bool:
    """y = W (s x + o) + b = (W s) x + (W o + b)."""
    after = graph.only_consumer(layer.name) if layer.op == "affine" else None
    if after is None or after.op != "linear":
        return False
    constants = [_along(c, layer.shape, len(layer.shape) - 1) for c in _constants(layer)]
    if constants[0] is None or constants[1] is None:
        return False
    kernel = after.weights["kernel"]
    bias = after.weights.get("bias", np.zeros(kernel.shape[1], np.float32))
    weights = {"kernel": kernel * constants[0][:, None], "bias": bias + constants[1] @ kernel}
    if "bias" not in after.weights and not constants[1].any():
        del weights["bias"]
    graph.update(replace(after, weights=weights))
    graph.bypass(layer.name)
    return True


def _into_sum(graph: Graph, layer: Layer) -> bool:
    """2^k times a sum is the same sum of moved binary points."""
    before = _producer(graph, layer, ("sum",))
    if before is None or _constants(layer)[1].any():
        return False
    scale = float(_constants(layer)[0].flat[0])
    if (_constants(layer)[0] != scale).any() or scale <= 0 or math.log2(scale) % 1:
        return False
    attrs = before.attrs | {"scale": before.attrs["scale"] * scale}
    graph.update(replace(before, attrs=attrs))
    graph.bypass(layer.name)
    return True


def _join_slices(graph: Graph, layer: Layer) -> bool:
    """Slices of one tensor along the axis of their concatenation are one slice."""
    parts = [graph[name] for name in layer.inputs]
    if layer.op != "concat" or any(part.op != "slice" for part in parts):
        return False
    axis = layer.attrs["axis"]
    if any(p.attrs["axis"] != axis or p.inputs != parts[0].inputs for p in parts):
        return False
    indices = tuple(i for part in parts for i in part.attrs["indices"])
    attrs = {"axis": axis, "indices": indices}
    graph.update(replace(layer, op="slice", inputs=parts[0].inputs, attrs=attrs))
    return True


def _drop_unread(graph: Graph, layer: Layer) -> bool:
    if layer.op == "input" or layer.name == graph.output or graph.consumers(layer.name):
        return False
    del graph.layers[layer.name]
    return True


def _across_transpose(graph: Graph, layer: Layer) -> bool:
    """affine(transpose(x)) = transpose(affine(x)): brings the affine map next to the weights."""
    before = _producer(graph, layer, ("transpose",))
    if before is None:
        return False
    axes = before.attrs["axes"]
    back = tuple(axes.index(a) for a in range(len(axes)))
    weights = {
        k: np.transpose(v.reshape((1,) * (len(axes) - v.ndim) + v.shape), back)
        for k, v in layer.weights.items()
    }
    source = graph[before.inputs[0]]
    graph.update(replace(before, op="affine", attrs={}, weights=weights, shape=source.shape))
    graph.update(replace(layer, op="transpose", attrs={"axes": axes}, weights={}))
    return True


def _producer(graph: Graph, layer: Layer, ops: tuple[str, ...]) -> Layer | None:
    """The layer before an affine map, if it is one of `ops` and nothing else reads it."""
    if layer.op != "affine":
        return None
    before = graph[layer.inputs[0]]
    alone = graph.only_consumer(before.name) is not None
    return before if before.op in ops and alone else None


def _along(constant: Array, shape: tuple[int, ...], axis: int) -> Array | None:
    """`constant`, which broadcasts against `shape`, as a vector along `axis`; None if it is more."""
    full = constant.reshape((1,) * (len(shape) - constant.ndim) + constant.shape)
    others = [s for a, s in enumerate(full.shape) if a != axis]
    if any(s != 1 for s in others):
        return None
    return np.broadcast_to(full.reshape(-1), (shape[axis],)).astype(np.float32)


def _fuse_relu(graph: Graph, layer: Layer) -> None:
    if layer.op != "relu":
        return
    before = graph[layer.inputs[0]]
    if before.op in _WEIGHTED and graph.only_consumer(before.name) is not None:
        graph.update(replace(before, attrs=before.attrs | {"activation": "relu"}))
        graph.bypass(layer.name)


_STEPS = (
    _drop_identity,
    _merge_affines,
    _into_preceding,
    _into_following,
    _into_sum,
    _join_slices,
    _drop_unread,
    _across_transpose,
)
