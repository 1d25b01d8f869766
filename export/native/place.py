"""Where the elements of a tensor lie in memory: reshapes, slices and transpositions move nothing."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Affine:
    """Element (i, j, …) lies at offset + i · strides[0] + j · strides[1] + …"""

    offset: int
    strides: tuple[int, ...]

    def address(self, indices: list[str]) -> str:
        """The C++ expression for it."""
        terms = [
            name if stride == 1 else f"{stride} * {name}"
            for name, stride in zip(indices, self.strides, strict=True)
            if stride
        ]
        if self.offset or not terms:
            terms.append(str(self.offset))
        return " + ".join(terms)


@dataclass(frozen=True)
class Place:
    """The tensor of one event: its element e is `buffer[index[e]]`.

    The index has the axes of the ONNX tensor. Its axis `events` counts events there, and is of
    length 1 here: longer where a reshape has merged others into it, `inner` of which lie inside.
    It is None where the tensor is the same for every event, or is of one event.
    """

    buffer: str
    index: Index
    events: int | None = None
    inner: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes, for one event."""
        return self.index.shape

    def at(self, index: Index) -> "Place":
        """Other elements of the same buffer, events where they were."""
        return replace(self, index=index)

    def of_buffer(self, buffer: str, index: Index) -> "Place":
        """A tensor elsewhere, events where they were."""
        return replace(self, buffer=buffer, index=index)

    def of_events(self, model: "Place") -> "Place":
        """The same elements, their axis of events that of `model`."""
        return replace(self, events=model.events, inner=model.inner)

    def affine(self) -> Affine | None:
        """Offset and strides; None where the elements lie in no such order."""
        index = self.index
        if index.size == 0:
            return None
        first = index[(0,) * index.ndim]
        strides = []
        for axis, length in enumerate(index.shape):
            second = [0] * index.ndim
            second[axis] = min(1, length - 1)
            strides.append(int(index[tuple(second)] - first))
        grid = np.full(index.shape, first)
        for axis, (length, stride) in enumerate(zip(index.shape, strides, strict=True)):
            grid += (np.arange(length) * stride).reshape(
                [-1 if a == axis else 1 for a in range(index.ndim)]
            )
        return Affine(int(first), tuple(strides)) if (grid == index).all() else None


def row_major(buffer: str, shape: tuple[int, ...]) -> Place:
    """A tensor in a buffer of its own, last axis first."""
    return Place(buffer, np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape))


def laid_out_like(buffer: str, shape: tuple[int, ...], model: Affine | None) -> Place:
    """A tensor in a buffer of its own, its axes in the order in which `model`'s lie in memory."""
    if model is None or len(model.strides) != len(shape):
        return row_major(buffer, shape)
    order = sorted(
        range(len(shape)), key=lambda axis: -abs(model.strides[axis]) if model.strides[axis] else 0
    )
    inner = row_major(buffer, tuple(shape[axis] for axis in order)).index
    return Place(buffer, inner.transpose(np.argsort(order)))
