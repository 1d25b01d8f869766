"""Configuration of the stage `compress`."""

from triggerforge.config.base import Config


class CompressConfig(Config):
    """To be filled by the stage's owner."""
