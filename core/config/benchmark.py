"""Configuration of the stage `benchmark`."""

from triggerforge.config.base import Config


class BenchmarkConfig(Config):
    """To be filled by the stage's owner."""
