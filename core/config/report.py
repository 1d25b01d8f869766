"""Configuration of the stage `report`."""

from triggerforge.config.base import Config


class ReportConfig(Config):
    """To be filled by the stage's owner."""
