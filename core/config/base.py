"""The base of every configuration section: frozen, typed, documented, and closed to unknown keys."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A section of the YAML file.

    The docstring under a field is its help text and its comment in `triggerforge config`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
