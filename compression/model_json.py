"""JSON of a model file: read with limits on its size, depth and numbers."""

import json
from typing import Any

from triggerforge.errors import ArtifactError

_MAX_DEPTH = 100


def parse_json(text: bytes | str, where: str, advice: str = "save the model again") -> Any:
    """The value that `text` holds; `advice` is what a user can do where it holds none.

    Raises ArtifactError, which begins with `where`, for text that is no JSON, is nested more than 100
    deep, or holds NaN.
    """
    try:
        value = json.loads(text, parse_constant=_constant)
        _require_shallow(value)
    except (ValueError, RecursionError) as error:
        told = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise ArtifactError(f"{where} is damaged: {told[:200]}; {advice}") from error
    return value


def _constant(name: str) -> float:
    """Python's names of numbers that JSON lacks; Keras writes Infinity for a bound that is none."""
    if name == "NaN":
        raise ValueError("it holds NaN")
    return float(name)


def _require_shallow(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(_MAX_DEPTH):
        inside = (v.values() if isinstance(v, dict) else v for v in level)
        level = [each for part in inside for each in part if isinstance(each, dict | list)]
        if not level:
            return
    raise RecursionError
