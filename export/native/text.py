"""The C++ templates, and how numbers are written into them."""

from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray


def filled(names: dict[str, bool], values: dict[str, Any], room: str = "native") -> dict[str, str]:
    """File name -> text of each template, with `values` in those that have places for them.

    The templates lie under `export/room`, "native" or "gpu".
    """
    texts = {name: text_of(name, room) for name in names}
    return {
        name: Template(texts[name]).substitute(values) if has_places else texts[name]
        for name, has_places in names.items()
    }


def number_list(values: NDArray[Any]) -> str:
    """Elements as C++ literals that read back as the same numbers."""
    if values.dtype == np.float32:
        return ", ".join(map(_float, values))
    return ", ".join(map(repr, values.tolist()))


def _float(value: np.float32) -> str:
    if np.isfinite(value):
        return f"{np.format_float_scientific(value, unique=True)}f"
    return "NAN" if np.isnan(value) else f"{'-' if value < 0 else ''}INFINITY"


def text_of(name: str, room: str = "native") -> str:
    """A template as it is."""
    return (files("triggerforge.export") / room / "templates" / name).read_text()
