"""Configuration of the stage `data`."""

from triggerforge.config.base import Config


class DataConfig(Config):
    """To be filled by the stage's owner."""
