"""Nests of C++ loops over the elements of tensors, with as few loops as their layout allows."""

from collections.abc import Callable, Sequence

from triggerforge.export.native.place import Affine

Statement = Callable[[list[str]], str]
"""the addresses of one element in every operand -> C++"""


def loop_nest(shape: Sequence[int], operands: Sequence[Affine], statement: Statement) -> str:
    """`statement` for every element; the axis in which the first operand is closest runs innermost.

    Axes that lie behind each other in every operand become one loop.
    """
    axes = [(n, tuple(o.strides[a] for o in operands)) for a, n in enumerate(shape)]
    ordered = sorted(axes, key=lambda axis: [-abs(stride) for stride in axis[1]])
    merged = _merged([axis for axis in ordered if axis[0] > 1])
    names = [f"i{depth}" for depth in range(len(merged))]
    addresses = [
        Affine(o.offset, tuple(strides[k] for _, strides in merged)).address(names)
        for k, o in enumerate(operands)
    ]
    lines = [
        f"{'  ' * depth}for (long {name} = 0; {name} < {length}; ++{name})"
        for depth, (name, (length, _)) in enumerate(zip(names, merged, strict=True))
    ]
    return "\n".join([*lines, f"{'  ' * len(lines)}{statement(addresses)}"])


def _merged(axes: list[tuple[int, tuple[int, ...]]]) -> list[tuple[int, tuple[int, ...]]]:
    merged: list[tuple[int, tuple[int, ...]]] = []
    for length, strides in axes:
        if merged and merged[-1][1] == tuple(length * s for s in strides):
            length *= merged.pop()[0]
        merged.append((length, strides))
    return merged
