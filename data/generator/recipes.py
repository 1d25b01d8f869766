"""The recipes: which processes give which class of jet, in which window.

Sources: jets5 follows the hls4ml LHC jet set (arXiv 1709.08705 and 1804.06913), toptag follows
the Top Tagging reference set (arXiv 1902.09914).
"""

from dataclasses import dataclass, replace
from typing import Any

from triggerforge.config.generate import GenerateConfig
from triggerforge.errors import ConfigError
from triggerforge.registry import Registry

_LIGHT = frozenset({1, 2, 3})
_GLUON = frozenset({21})
_ANY_LIGHT_QCD = _LIGHT | _GLUON | {4, 5}
_QUARK_PAIRS = ("HardQCD:qq2qq = on", "HardQCD:gg2qqbar = on", "HardQCD:qqbar2qqbarNew = on")
_GLUON_PAIRS = ("HardQCD:gg2gg = on", "HardQCD:qqbar2gg = on")
_HADRONIC_W = ("24:onMode = off", "24:onIfAny = 1 2 3 4 5")
_HADRONIC_Z = ("23:onMode = off", "23:onIfAny = 1 2 3 4 5")
_W_PAIRS = ("WeakDoubleBoson:ffbar2WW = on", *_HADRONIC_W)
_Z_PAIRS = ("WeakDoubleBoson:ffbar2gmZgmZ = on", *_HADRONIC_Z)
_TOP_PAIRS = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on", *_HADRONIC_W)


@dataclass(frozen=True)
class JetClass:
    """One class of jets: its Pythia processes, and the parton that a jet must match."""

    name: str
    pythia: tuple[str, ...]
    parents: frozenset[int]
    """|PDG id| of the parton, boson or top quark that the jet comes from"""
    contained: bool = False
    """whether all three quarks of the top decay must lie within R of the jet axis"""
    isotropic: bool = False
    """whether its bosons decay evenly in all directions, and not as their helicity has it"""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the physics of a sample."""

    classes: tuple[JetClass, ...]
    """in the order of the labels 0, 1, …"""
    energy: float
    """centre-of-mass energy of the proton pair [GeV]"""
    radius: float
    """anti-kT R, and the largest distance between a jet and its parent"""
    jet_pt: tuple[float, float]
    """[GeV]"""
    jet_abs_eta_max: float
    parton_window: tuple[float, float]
    """pT of the hard process, relative to the centre (narrow) or the edges of `jet_pt` (wide)"""
    narrow: bool
    """whether `parton_window` is relative to the centre of `jet_pt`"""
    detector: str
    multiparton_interactions: bool
    constituents: int | None
    """leading constituents kept; None keeps all"""
    pythia: tuple[str, ...] = ()

    @property
    def parton_pt(self) -> tuple[float, float]:
        """Window of the hard process' pT [GeV]."""
        low, high = self.jet_pt
        centre = (low + high) / 2
        if self.narrow:
            return self.parton_window[0] * centre, self.parton_window[1] * centre
        return self.parton_window[0] * low, self.parton_window[1] * high

    def settings(self, jet_class: JetClass, seed: int) -> tuple[str, ...]:
        """Pythia settings for one class; `seed` is 1..900,000,000."""
        low, high = self.parton_pt
        return (
            f"Beams:eCM = {self.energy}",
            f"PhaseSpace:pTHatMin = {low}",
            f"PhaseSpace:pTHatMax = {high}",
            f"PartonLevel:MPI = {'on' if self.multiparton_interactions else 'off'}",
            "HardQCD:nQuarkNew = 3",  # new pairs are u, d, s: light jets
            "WeakZ0:gmZmode = 2",  # the Z alone, without the photon
            "Random:setSeed = on",
            f"Random:seed = {seed}",
            *jet_class.pythia,
            *self.pythia,
        )


RECIPES: Registry[Recipe] = Registry("recipe")

# Partons and bosons within 1 % of the centre, as in arXiv 1709.08705; Monash tune, underlying event.
RECIPES.register("jets5")(
    Recipe(
        classes=(
            JetClass("q", _QUARK_PAIRS, _LIGHT),
            JetClass("g", _GLUON_PAIRS, _GLUON),
            JetClass("W", _W_PAIRS, frozenset({24}), isotropic=True),
            JetClass("Z", _Z_PAIRS, frozenset({23}), isotropic=True),
            JetClass("t", _TOP_PAIRS, frozenset({6})),
        ),
        energy=13_000.0,
        radius=0.8,
        jet_pt=(800.0, 1200.0),
        jet_abs_eta_max=2.5,
        parton_window=(0.99, 1.01),
        narrow=True,
        detector="CMS",
        multiparton_interactions=True,
        constituents=None,
    )
)

# Light QCD has every 2 -> 2 process of quarks and gluons; no heavy pair production.
RECIPES.register("toptag")(
    Recipe(
        classes=(
            JetClass("QCD", (*_QUARK_PAIRS, *_GLUON_PAIRS, "HardQCD:qg2qg = on"), _ANY_LIGHT_QCD),
            JetClass("top", _TOP_PAIRS, frozenset({6}), contained=True),
        ),
        energy=14_000.0,
        radius=0.8,
        jet_pt=(550.0, 650.0),
        jet_abs_eta_max=2.0,
        parton_window=(0.85, 1.6),
        narrow=False,
        detector="ATLAS",
        multiparton_interactions=False,
        constituents=200,
    )
)


def resolve(config: GenerateConfig) -> Recipe:
    """The recipe that `config` names, with what it overrides.

    Raises ConfigError if the pT window is empty.
    """
    recipe = RECIPES[config.recipe]
    low = recipe.jet_pt[0] if config.jet_pt_min is None else config.jet_pt_min
    high = recipe.jet_pt[1] if config.jet_pt_max is None else config.jet_pt_max
    if low >= high:
        raise ConfigError(
            f"the jet pT window {low} to {high} GeV is empty (what is not given comes from recipe "
            f"{config.recipe!r}); give generate.jet_pt_min < generate.jet_pt_max"
        )
    if 2 * high >= recipe.energy:
        raise ConfigError(
            f"two jets of {high} GeV need more than the {recipe.energy} GeV of the collision; "
            f"give generate.jet_pt_max < {recipe.energy / 2}"
        )
    overrides: dict[str, Any] = {
        "jet_abs_eta_max": config.jet_abs_eta_max,
        "constituents": config.constituents,
        "multiparton_interactions": config.multiparton_interactions,
        "detector": config.detector,
    }
    given = {key: value for key, value in overrides.items() if value is not None}
    return replace(recipe, jet_pt=(low, high), pythia=(*recipe.pythia, *config.pythia), **given)
