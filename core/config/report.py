"""Configuration of the stage `report`."""

from pydantic import Field

from triggerforge.config.base import Config


class ReportConfig(Config):
    """What the HTML report shows beyond the results themselves."""

    title: str | None = None
    """Headline of the report; the run's name where none is given."""
    experiment: str | None = None
    """Experiment's name on every plot, such as ATLAS; no name is printed unless one is given."""
    label: str = ""
    """Words behind the experiment's name, such as "Simulation Preliminary"."""
    max_features: int = Field(default=24, ge=1)
    """At most so many input distributions are drawn; the caption says how many were left out."""
    plot_events: int = Field(default=200_000, ge=100)
    """Input and observable distributions use at most so many test events, the first ones."""
