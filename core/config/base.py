"""The base of every configuration section: frozen, typed, documented, and closed to unknown keys."""

from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator


class Config(BaseModel):
    """A section of the YAML file.

    The docstring under a field is its help text and its comment in `triggerforge config`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, values: Any) -> Any:
        """`source: jets.root` is `source: [jets.root]`, in every key that is a list of any length."""
        if not isinstance(values, dict):
            return values
        lists = {name for name, field in cls.model_fields.items() if _is_list(field.annotation)}
        return {
            name: (value,) if name in lists and isinstance(value, str | int | float) else value
            for name, value in values.items()
        }

    def input_files(self) -> list[Path]:
        """The user's own files that this section names: when one changes, the stage runs again."""
        return []

    def identity(self) -> dict[str, Any]:
        """What decides the stage's result: the stage is run again when it changes."""
        return self.model_dump(mode="json")


def _is_list(annotation: Any) -> bool:
    """Whether it is `tuple[…, ...]`, perhaps beside None."""
    if get_origin(annotation) in (Union, UnionType):
        return any(_is_list(one) for one in get_args(annotation))
    return get_origin(annotation) is tuple and Ellipsis in get_args(annotation)
