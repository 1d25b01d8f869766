"""Reasons why things were not done, each said once, whatever number of things it holds for."""

import re
from collections.abc import Iterable, Sequence

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")


def said_once(reasons: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """(what, reason) pairs with those of one reason together: (what, what, …; the reason).

    Reasons that differ in their numbers alone are one: the numbers are listed in the order of the things.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for what, why in reasons:
        groups.setdefault(_NUMBER.sub("#", why), []).append((what, why))
    return [
        (", ".join(dict.fromkeys(what for what, _ in group)), _merged([why for _, why in group]))
        for group in groups.values()
    ]


def _merged(reasons: Sequence[str]) -> str:
    """One text out of texts that differ in their numbers alone."""
    columns = iter(zip(*(_NUMBER.findall(why) for why in reasons), strict=True))
    return _NUMBER.sub(lambda _: " / ".join(dict.fromkeys(next(columns))), reasons[0])
