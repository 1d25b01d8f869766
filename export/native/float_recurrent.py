"""GRU and LSTM: products of all steps' inputs at once, then one product of the state a step."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from triggerforge.export.native.float_dense import constant_weights, row_products
from triggerforge.export.native.float_graph import FloatGraph, attributes, handles
from triggerforge.export.native.place import Place

_GATES = {"GRU": 3, "LSTM": 4}


@dataclass(frozen=True)
class _Direction:
    """Weights (in, gates · size) and biases of one direction, and whether it begins at the end."""

    inputs: NDArray[Any]
    states: NDArray[Any]
    input_bias: NDArray[Any]
    state_bias: NDArray[Any]
    backwards: bool


@handles("GRU", "LSTM")
def _recurrent(graph: FloatGraph, node: onnx.NodeProto) -> list[Place]:
    """Y (steps, directions, events, size) and the last states (directions, events, size).

    Equations of the ONNX operators GRU and LSTM, whose gates are z, r, h and i, o, f, c.
    """
    told = attributes(node)
    _require_ordinary(graph, node, told)
    rows = 1 if told.get("layout", 0) else 0
    x = graph.place(node.input[0])
    if x.index.ndim != 3 or x.events != 1 - rows or x.shape[x.events] != 1:
        raise graph.unsupported("its input must be events and steps of one event")
    x = Place(x.buffer, x.index.squeeze(x.events))
    directions = _directions(graph, node, told)
    size = directions[0].states.shape[0]
    starts = [
        _start(graph, node, number, len(directions), size, rows)
        for number in ((5,) if node.op_type == "GRU" else (5, 6))
    ]
    sequence = graph.new((len(x.index), len(directions), size))
    lasts = [graph.new((len(directions), size)) for _ in starts]
    for d, direction in enumerate(directions):
        states = [Place(last.buffer, last.index[d]) for last in lasts]
        for state, start in zip(states, starts, strict=True):
            graph.copy_into(state, Place(start.buffer, start.index[d]))
        one = Place(sequence.buffer, sequence.index[:, d])
        after = node.op_type == "LSTM" or bool(told.get("linear_before_reset", 0))
        _run(graph, direction, x, states, one, after)
    axes = [0 if rows else p.index.ndim - 1 for p in (sequence, *lasts)]
    return [
        Place(p.buffer, np.expand_dims(p.index, axis), axis)
        for p, axis in zip((sequence, *lasts), axes, strict=True)
    ]


def _require_ordinary(graph: FloatGraph, node: onnx.NodeProto, told: dict[str, Any]) -> None:
    usual = {"GRU": [b"Sigmoid", b"Tanh"], "LSTM": [b"Sigmoid", b"Tanh", b"Tanh"]}[node.op_type]
    directions = 2 if told.get("direction") == b"bidirectional" else 1
    named = told.get("activations", usual * directions)
    if named != usual * directions or "clip" in told or told.get("input_forget", 0):
        raise graph.unsupported("only sigmoids and hyperbolic tangents, without a clip")
    if any(node.input[4:5]) or any(node.input[7:8]):
        raise graph.unsupported("sequences of one length, without peepholes, only")


def _directions(graph: FloatGraph, node: onnx.NodeProto, told: dict[str, Any]) -> list[_Direction]:
    inputs, states = (constant_weights(graph, node, number) for number in (1, 2))
    width = _GATES[node.op_type] * states.shape[-1]
    bias = (
        constant_weights(graph, node, 3)
        if any(node.input[3:4])
        else np.zeros((len(inputs), 2 * width))
    )
    backwards = {b"forward": [False], b"reverse": [True]}.get(
        told.get("direction", b"forward"), [False, True]
    )
    return [
        _Direction(w.T, r.T, b[:width], b[width:], back)
        for w, r, b, back in zip(inputs, states, bias, backwards, strict=True)
    ]


def _start(
    graph: FloatGraph, node: onnx.NodeProto, number: int, directions: int, size: int, rows: int
) -> Place:
    """The first state (directions, size)."""
    if not any(node.input[number : number + 1]):
        return graph.literal(np.zeros((directions, size)))
    start = graph.place(node.input[number])
    events = 0 if rows else 1
    if start.events not in (events, None) or start.shape[events] != 1:
        raise graph.unsupported("its first state does not count events where its input does")
    return Place(start.buffer, start.index.squeeze(events))


def _run(
    graph: FloatGraph,
    direction: _Direction,
    x: Place,
    states: list[Place],
    out: Place,
    after: bool,
) -> None:
    """All steps of one direction. `states` are the state, and the cell of an LSTM."""
    state, size = states[0], len(states[0].index)
    gates = direction.states.shape[1] // size
    bias = direction.state_bias
    if not after:  # the product of what the reset gate leaves has the last bias
        bias, last = bias[: 2 * size], bias[2 * size :]
    inputs = row_products(graph, x, direction.inputs, direction.input_bias)
    stride = int(inputs.index[1, 0] - inputs.index[0, 0]) if len(x.index) > 1 else 0
    move = int(out.index[1, 0] - out.index[0, 0]) if len(x.index) > 1 else 0
    steps = len(x.index)
    order = (
        f"long step = {steps - 1}; step >= 0; --step"
        if direction.backwards
        else (f"long step = 0; step < {steps}; ++step")
    )
    graph.emit(f"for ({order}) {{")
    taken = direction.states if after else direction.states[:, : 2 * size]
    products = row_products(graph, Place(state.buffer, state.index[None]), taken, bias)
    begin = f"{inputs.buffer} + {inputs.index[0, 0]} + step * {stride}"
    own = [f"{p.buffer} + {p.index.ravel()[0]}" for p in (products, *states)]
    if gates == 4:
        graph.emit(f"lstm<{size}>({begin}, {', '.join(own)});")
    elif after:
        graph.emit(f"gru_after_product<{size}>({begin}, {', '.join(own)});")
    else:
        left = graph.new((1, size))
        graph.emit(f"gru_reset<{size}>({begin}, {', '.join(own)}, {left.buffer});")
        second = row_products(graph, left, direction.states[:, 2 * size :], last)
        call = f"{begin}, {own[0]}, {second.buffer} + {second.index[0, 0]}, {own[1]}"
        graph.emit(f"gru_before_product<{size}>({call});")
    begin = f"{out.buffer} + {out.index[0, 0]} + step * {move}"
    graph.emit(f"std::copy_n({state.buffer} + {state.index[0]}, {size}, {begin});\n}}")
