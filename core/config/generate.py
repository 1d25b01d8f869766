"""Configuration of the stage `generate`."""

from triggerforge.config.base import Config


class GenerateConfig(Config):
    """To be filled by the stage's owner."""
