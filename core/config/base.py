"""The base of every configuration section: frozen, typed, documented, and closed to unknown keys."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A section of the YAML file.

    The docstring under a field is its help text and its comment in `triggerforge config`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def input_files(self) -> list[Path]:
        """The user's own files that this section names: when one changes, the stage runs again."""
        return []

    def identity(self) -> dict[str, Any]:
        """What decides the stage's result: the stage is run again when it changes."""
        return self.model_dump(mode="json")
