"""Configuration of the stage `train`."""

from triggerforge.config.base import Config


class TrainConfig(Config):
    """To be filled by the stage's owner."""
