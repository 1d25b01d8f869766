"""Configuration of the stage `trigger`."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator

from triggerforge.config.base import Config


class ScoreConfig(Config):
    """Which number of the network is cut on."""

    output: str | int | None = None
    """Class whose logit is the score, or number of the output. Left out: the only output."""
    minus: str | int | None = None
    """Class or output that is subtracted: a difference of logits is as exact in firmware as one."""


class ObjectConfig(Config):
    """Where the momenta of one kind of object are found."""

    rows: tuple[NonNegativeInt, NonNegativeInt] | None = None
    """First row, and the row behind the last, in the network's list of objects: [9, 19]."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Observables of the events by quantity, for a single object: {pt: jet_pt, eta: jet_eta}."""
    sum_of: str | None = None
    """The scalar sum of the pT of these objects, such as jet for HT."""
    pt_min: float = Field(default=0.0, ge=0)
    """pT [GeV] that an object needs to count in `sum_of`."""
    abs_eta_max: PositiveFloat | None = None
    """Largest |eta| of the objects in `sum_of`."""
    scale: dict[str, float] = Field(default_factory=dict)
    """GeV, or units of eta and phi, for one unit of the input, where the rows hold hardware
    integers: {pt: 0.5}."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [self.rows is not None, bool(self.columns), self.sum_of is not None]
        if sum(given) != 1:
            raise ValueError("give exactly one of rows, columns and sum_of")
        if self.rows is not None and self.rows[0] >= self.rows[1]:
            raise ValueError(f"rows {list(self.rows)} are empty; give [first, last + 1]")
        return self


class CutConfig(Config):
    """What objects of one kind must satisfy."""

    pt: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
    """Lowest pT [GeV] of the first object, the second, …: [25, 12] asks for two."""
    abs_eta_max: PositiveFloat | None = None
    """Objects with larger |eta| do not count."""
    mass_min: PositiveFloat | None = None
    """Lowest invariant mass [GeV] of a pair; for two objects, taken as massless."""
    delta_eta_max: PositiveFloat | None = None
    """Largest |Δη| of a pair; for two objects."""

    @model_validator(mode="after")
    def _pairs_are_two(self) -> Self:
        if list(self.pt) != sorted(self.pt, reverse=True):
            raise ValueError(f"pt {list(self.pt)} must fall: the leading object first")
        if len(self.pt) != 2 and (self.mass_min or self.delta_eta_max):
            raise ValueError("mass_min and delta_eta_max are of two objects; give two values of pt")
        return self


class DriftConfig(Config):
    """When scores or inputs have changed enough to call somebody."""

    psi: float = Field(default=0.2, gt=0)
    """Population stability index, less what chance alone gives, that raises an alarm."""
    p_value: float = Field(default=1e-3, gt=0, lt=1)
    """Chance of a false alarm of all Kolmogorov-Smirnov tests of a table together."""


class TriggerConfig(Config):
    """From scores to rates, working points and a comparison with a menu."""

    background: tuple[str, ...] = ()
    """Classes that make up the bunch crossings, such as minimum bias: their weights give the rate.
    Left out: `data.background`."""
    signals: tuple[str, ...] = ()
    """Classes whose efficiency is wanted. Left out: all that are no background."""
    score: ScoreConfig = ScoreConfig()
    """Which number is cut on."""
    colliding_bunches: int = Field(default=2340, ge=1, le=3564)
    """Pairs of bunches that collide: 2340 in Run 3 (26.3 MHz of crossings), 2760 at the HL-LHC."""
    target_rates: tuple[PositiveFloat, ...] = (0.1, 1.0, 10.0, 100.0)
    """Rates [kHz] for which a threshold is chosen. What the sample does not support is refused."""
    min_events: float = Field(default=10.0, ge=1)
    """Effective number of background events that must pass for a rate to be quoted."""
    interval: Literal["mid-p", "clopper-pearson"] = "mid-p"
    """mid-p covers its confidence level on average, clopper-pearson at least that."""
    objects: dict[str, ObjectConfig] = Field(default_factory=dict)
    """Objects of the menu, by name. Left out: found in the observables, jet_pt as pT of `jet`."""
    menu: dict[str, dict[str, CutConfig]] = Field(default_factory=dict)
    """Cut triggers by name, each a set of cuts by object that must all pass:
    {DoubleEG_25_12: {eg: {pt: [25, 12], abs_eta_max: 2.5}}}."""
    turn_on: tuple[str, ...] | None = None
    """Observables against which the efficiency is drawn. Left out: those in GeV."""
    pileup: str | None = None
    """Observable that holds the pile-up of an event, such as npv."""
    time: str | None = None
    """Observable that holds the time of an event, such as a luminosity section."""
    slices: int = Field(default=8, ge=2, le=200)
    """Slices in pile-up and in time, of equal numbers of background events."""
    drift: DriftConfig = DriftConfig()
    """Alarms."""

    @model_validator(mode="after")
    def _no_class_is_both(self) -> Self:
        both = sorted(set(self.background) & set(self.signals))
        if both:
            raise ValueError(f"{both} cannot be background and signal; leave them out of one")
        return self
