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
    return {
        name: Template(_text(room, name)).substitute(values) if has_places else _text(room, name)
        for name, has_places in names.items()
    }


def number_list(values: NDArray[Any]) -> str:
    """Elements as C++ literals that read back as the same numbers."""
    if values.dtype == np.float32:
        return ", ".join(f"{np.format_float_scientific(v, unique=True)}f" for v in values)
    return ", ".join(map(repr, values.tolist()))


def _text(room: str, name: str) -> str:
    return (files("triggerforge.export") / room / "templates" / name).read_text()
