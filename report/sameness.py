"""Which forms of the network gave the same bits: their curves would lie under one another."""

from dataclasses import dataclass

import numpy as np

from triggerforge.report.material import Material
from triggerforge.report.style import MODEL_COLORS, MODEL_NAMES


@dataclass(frozen=True)
class Twin:
    """A form whose outputs are those of another in every bit."""

    of: str
    """the other form"""
    events: int
    """test events that both have outputs of"""


def twins(material: Material) -> dict[str, Twin]:
    """Each form that repeats an earlier one bit for bit, on all test events that both answered."""
    found: dict[str, Twin] = {}
    earlier: list[str] = []
    for model, outputs in material.scores.items():
        for other in earlier:
            events = min(len(outputs), len(material.scores[other]))
            if events and np.array_equal(outputs[:events], material.scores[other][:events]):
                found[model] = Twin(other, events)
                break
        else:
            earlier.append(model)
    return found


def legend(material: Material, models: list[str]) -> tuple[tuple[str, str], ...]:
    """(name, colour) of each curve drawn; a form that is another's twin is named with it."""
    same = twins(material)
    return tuple(
        (_name(model, {m: t for m, t in same.items() if t.of == model}), MODEL_COLORS[model])
        for model in models
        if model not in same
    )


def drawn(material: Material, models: list[str]) -> list[str]:
    """`models` without those whose curve would lie under another of them."""
    same = twins(material)
    return [m for m in models if m not in same or same[m].of not in models]


def _name(model: str, same: dict[str, Twin]) -> str:
    others = "".join(
        f" = {MODEL_NAMES[m]} (identical in all bits on {twin.events:,} events: one curve)"
        for m, twin in same.items()
    )
    return MODEL_NAMES[model] + others
