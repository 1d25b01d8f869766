"""Elementwise results that are not written where they are made, but inside of what reads them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from triggerforge.export.native.place import Index, Place

_CHEAP = re.compile(
    r"(\{\d+\}|[\s()+*,-]|V|\d[\w.]*(e-?\d+)?f|rectified|larger|smaller|absolute|chosen|greater|equal)*"
)
"""expressions that cost no more than the memory that holding their values would"""
MOST_OPERANDS = 64
"""of one statement"""


@dataclass(frozen=True)
class Deferred:
    """An elementwise result that is not written yet: it may never have to be."""

    out: Place
    expression: str
    operands: list[Place]
    """of the shape of `out`"""

    def seen_from(self, place: Place) -> list[Place]:
        """The operands of those elements that `place`, a view of `out`, holds."""
        element = np.argsort(self.out.index.ravel())[place.index]
        return [Place(p.buffer, p.index.ravel()[element]) for p in self.operands]


def with_operands_inside(
    deferred: Mapping[str, Deferred], expression: str, operands: list[Place]
) -> tuple[str, list[Place]]:
    """The expression with deferred operands written out, where that costs nothing, and what it reads.

    `deferred` is by buffer.
    """
    texts: list[str] = []
    read: list[Place] = []
    for number, place in enumerate(operands):
        held = deferred.get(place.buffer)
        inside = (
            held is not None
            and expression.count(f"{{{number}}}") == 1
            and _CHEAP.fullmatch(held.expression) is not None
            and place.index.size <= held.out.index.size
            and len(held.operands) * len(operands) <= MOST_OPERANDS
        )
        if held is None or not inside:
            texts.append(f"{{{len(read)}}}")
            read.append(place)
            continue
        names = [f"{{{len(read) + i}}}" for i in range(len(held.operands))]
        texts.append(f"({held.expression.format(*names)})")
        read += held.seen_from(place)
    return expression.format(*texts), read


def reads_regularly(deferred: Mapping[str, Deferred], buffer: str, index: Index) -> bool:
    """Whether these elements, or what they are made of, lie at regular distances."""
    held, place = deferred.get(buffer), Place(buffer, index)
    read = [place] if held is None else held.seen_from(place)
    return all(p.affine() is not None for p in read)


def tree(combine: str, texts: list[str]) -> str:
    """The texts joined in pairs, and pairs of pairs: short ways, and sums that lose few bits."""
    while len(texts) > 1:
        odd = texts[len(texts) // 2 * 2 :]
        pairs = zip(texts[::2], texts[1::2], strict=False)
        texts = [f"({combine.format(a, b)})" for a, b in pairs] + odd
    return texts[0]


def places_for(count: int) -> list[str]:
    """{0}, {1}, … as `elementwise` takes them."""
    return [f"{{{i}}}" for i in range(count)]
