"""Sums of products of two tensors that both depend on the event: Einsum, and MatMul's rule."""

from collections.abc import Hashable, Sequence

import numpy as np
import onnx

from triggerforge.export.native.float_graph import FloatGraph, attributes, handles
from triggerforge.export.native.place import Place

Labels = Sequence[Hashable]
"""a name for every axis of a tensor"""


@handles("Einsum")
def _einsum(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    equation = attributes(node)["equation"].decode().replace(" ", "")
    terms, arrow, out = equation.partition("->")
    labels = terms.split(",")
    letters = "".join(labels)
    if not arrow:
        out = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    repeated = any(len(set(term)) < len(term) for term in labels)
    if len(labels) not in (1, 2) or "." in equation or repeated:
        raise graph.unsupported(
            f"{equation}: one or two tensors, without an ellipsis or a diagonal, only"
        )
    operands = [(graph.place(n), t) for n, t in zip(node.input, labels, strict=True)]
    if len(operands) == 1:
        operands.append((graph.literal(np.ones(())), ""))
    first, second = operands
    return contraction(graph, first, second, out)


def contraction(
    graph: FloatGraph, first: tuple[Place, Labels], second: tuple[Place, Labels], out: Labels
) -> Place:
    """The sum of products over all labels that are not in `out`."""
    summed = [x for x in dict.fromkeys([*first[1], *second[1]]) if x not in out]
    spread = [_spread(graph, place, labels, [*out, *summed]) for place, labels in (first, second)]
    if any(p.events is not None and p.events >= len(out) for p in spread):
        raise graph.unsupported("it runs over the axis that counts events")
    one, other = spread
    return graph.contract(one, other, len(summed))


def _spread(graph: FloatGraph, x: Place, labels: Labels, order: list[Hashable]) -> Place:
    """x with its axes in `order`, of length 1 where it has none of that label."""
    if len(labels) != x.index.ndim:
        raise graph.unsupported(f"{labels} for a tensor of {x.index.ndim} axes")
    turned = x.index.transpose([labels.index(x) for x in order if x in labels])
    index = turned[tuple(slice(None) if x in labels else None for x in order)]
    events = None if x.events is None else order.index(labels[x.events])
    return Place(x.buffer, index, events, x.inner)
