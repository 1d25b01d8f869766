"""The configuration: typed sections, their YAML form, and its errors."""

from triggerforge.config.base import Config
from triggerforge.config.run import RunConfig

__all__ = ["Config", "RunConfig"]
