"""Configuration of the stage `generate`."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from triggerforge.config.base import Config


class GenerateConfig(Config):
    """Simulate collision events and write their jets to one ROOT file."""

    recipe: Literal["jets5", "toptag"] = "jets5"
    """What to simulate: jets5 (q, g, W, Z, t at about 1 TeV) or toptag (top against light QCD)."""
    jets: int = Field(default=100_000, gt=0)
    """Jets in all, shared equally among the recipe's classes."""
    workers: int = Field(default=0, ge=0)
    """Processes; 0 means one per CPU core. The result does not depend on it."""
    chunk_jets: int = Field(default=2000, gt=0)
    """Jets per chunk: a killed run loses at most the chunks it was at. Part of the seeding."""
    jet_pt_min: float | None = Field(default=None, gt=0)
    """Lowest jet pT in GeV; null means the recipe's (800 for jets5, 550 for toptag)."""
    jet_pt_max: float | None = Field(default=None, gt=0)
    """Highest jet pT in GeV; null means the recipe's (1200 for jets5, 650 for toptag)."""
    jet_abs_eta_max: float | None = Field(default=None, gt=0, le=4.0)
    """Largest |eta| of the jet axis; null means the recipe's (2.5 for jets5, 2 for toptag)."""
    constituents: int | None = Field(default=None, gt=0)
    """Leading constituents kept per jet; null means the recipe's (all, or 200 for toptag)."""
    multiparton_interactions: bool | None = None
    """Underlying event; null means the recipe's (on for jets5, off for toptag)."""
    detector: Literal["CMS", "ATLAS", "none"] | None = None
    """Detector response; "none" keeps the stable particles; null means the recipe's."""
    pythia: tuple[str, ...] = ()
    """Further Pythia settings, such as "TimeShower:alphaSvalue = 0.13"; they come last and win."""

    def identity(self) -> dict[str, Any]:
        """All but the number of processes, which does not change the events."""
        return self.model_dump(mode="json", exclude={"workers"})

    @model_validator(mode="after")
    def _window_is_not_empty(self) -> Self:
        low, high = self.jet_pt_min, self.jet_pt_max
        if low is not None and high is not None and low >= high:
            raise ValueError(
                f"the jet pT window {low} to {high} GeV is empty; give jet_pt_min < jet_pt_max"
            )
        return self
