"""Configuration of the stage `generate`."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from triggerforge.config.base import Config
from triggerforge.errors import did_you_mean


class L1Config(Config):
    """Bunch crossings as the Level-1 trigger sees them: recipe l1."""

    pileup: float = Field(default=60.0, gt=0, le=400)
    """Mean number of inelastic collisions in a crossing: 60 for Run 3, 200 for Phase 2."""
    energy: float = Field(default=13_600.0, ge=7_000, le=100_000)
    """Centre-of-mass energy of the proton pair in GeV: 13600 for Run 3, 14000 for Phase 2."""
    background: int = Field(default=100_000, gt=0)
    """Background crossings: 35 % without a hard collision, the others in bins of pTHat and with W or
    Z (docs/l1.md); their weights make the mixture right."""
    signal: int = Field(default=5_000, gt=0)
    """Crossings of each signal."""
    signals: tuple[str, ...] | None = None
    """Signals to make, in the order of the labels (docs/l1.md lists them); null means all."""
    soft_pool: int = Field(default=20_000, gt=0)
    """Soft collisions simulated; pile-up is drawn from them again and again."""
    hard_pool: int = Field(default=4_000, gt=0)
    """Collisions simulated for each pTHat bin and, at most, for each signal."""
    chunk_events: int = Field(default=1_000, gt=0)
    """Crossings or collisions per chunk: a killed run loses at most the chunks it was at. Part of
    the seeding."""


RECIPES = ("jets5", "toptag", "l1")
"""those that come along"""
_OF_JETS = (
    "jets",
    "chunk_jets",
    "jet_pt_min",
    "jet_pt_max",
    "jet_abs_eta_max",
    "constituents",
    "multiparton_interactions",
    "detector",
)


class GenerateConfig(Config):
    """Simulate collision events and write their jets, or Level-1 objects, to one ROOT file."""

    recipe: str = "jets5"
    """What to simulate: jets5 (q, g, W, Z, t at about 1 TeV), toptag (top against light QCD), l1
    (bunch crossings at Level-1, by the section `l1`; the keys about jets do not apply), or the path of
    a recipe of your own (*.yaml, docs/generator.md)."""
    l1: L1Config = L1Config()
    """For the recipe l1 alone."""
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

    def input_files(self) -> list[Path]:
        """See Config."""
        return [] if self.recipe in RECIPES else [Path(self.recipe)]

    def identity(self) -> dict[str, Any]:
        """What changes the events: neither the number of processes nor keys of other recipes."""
        others = _OF_JETS if self.recipe == "l1" else ("l1",)
        return self.model_dump(mode="json", exclude={"workers", *others})

    @field_validator("recipe")
    @classmethod
    def _recipe_is_there(cls, recipe: str) -> str:
        if recipe in RECIPES:
            return recipe
        if not recipe.endswith((".yaml", ".yml")):
            raise ValueError(f"{did_you_mean(recipe, RECIPES)}; or the path of a YAML file")
        if not Path(recipe).is_file():
            raise ValueError("there is no such file")
        return recipe

    @model_validator(mode="after")
    def _keys_belong_to_the_recipe(self) -> Self:
        for name in _OF_JETS if self.recipe == "l1" else ("l1",):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(
                    f"{name} does not apply to the recipe {self.recipe!r}; leave it out"
                    + (": the section l1 has its keys" if name != "l1" else "")
                )
        return self

    @model_validator(mode="after")
    def _window_is_not_empty(self) -> Self:
        low, high = self.jet_pt_min, self.jet_pt_max
        if low is not None and high is not None and low >= high:
            raise ValueError(
                f"the jet pT window {low} to {high} GeV is empty; give jet_pt_min < jet_pt_max"
            )
        return self
