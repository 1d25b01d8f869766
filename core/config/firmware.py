"""Configuration of the stage `firmware`."""

from triggerforge.config.base import Config


class FirmwareConfig(Config):
    """To be filled by the stage's owner."""
