"""Configuration of the stage `export`."""

from triggerforge.config.base import Config


class ExportConfig(Config):
    """To be filled by the stage's owner."""
