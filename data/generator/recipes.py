"""The recipes: which processes give which class of jet, in which window.

Those that come along are `recipe_files/*.yaml`; a file of the user's own has the same keys.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from triggerforge.config.base import Config
from triggerforge.config.generate import GenerateConfig
from triggerforge.config.load import validated
from triggerforge.config.yamlfile import read_yaml
from triggerforge.errors import ConfigError

_SHIPPED = Path(__file__).with_name("recipe_files")


class JetClass(Config):
    """One class of jets: its Pythia processes, and the parton that a jet must match."""

    name: str = Field(min_length=1)
    pythia: tuple[str, ...] = Field(min_length=1)
    parents: frozenset[int] = Field(min_length=1)
    """|PDG id| of the parton, boson or top quark that the jet comes from"""
    contained: bool = False
    """whether all three quarks of the top decay must lie within R of the jet axis"""
    isotropic: bool = False
    """whether its bosons decay evenly in all directions, and not as their helicity has it"""


class Recipe(Config):
    """Everything that decides the physics of a sample."""

    classes: tuple[JetClass, ...] = Field(min_length=2)
    """in the order of the labels 0, 1, …"""
    energy: float = Field(gt=0)
    """centre-of-mass energy of the proton pair [GeV]"""
    radius: float = Field(gt=0, le=2)
    """anti-kT R, and the largest distance between a jet and its parent"""
    jet_pt: tuple[float, float]
    """[GeV]"""
    jet_abs_eta_max: float = Field(gt=0, le=4)
    parton_window: tuple[float, float]
    """pT of the hard process, relative to the centre (narrow) or the edges of `jet_pt` (wide)"""
    narrow: bool
    """whether `parton_window` is relative to the centre of `jet_pt`"""
    detector: Literal["CMS", "ATLAS", "none"]
    multiparton_interactions: bool
    constituents: int | None = Field(default=None, gt=0)
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


def load_recipe(name: str) -> Recipe:
    """The recipe that comes along under `name`, or the one in the YAML file `name`.

    Raises ConfigError, naming the file and the key, where it cannot be read.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = _SHIPPED / f"{name}.yaml"
    recipe = validated(Recipe, read_yaml(path), path)
    names = [jet_class.name for jet_class in recipe.classes]
    if len(set(names)) < len(names):
        raise ConfigError(f"{path}: the classes {names} do not differ; give each a name of its own")
    return recipe


def resolve(config: GenerateConfig) -> Recipe:
    """The recipe that `config` names, with what it overrides.

    Raises ConfigError if the recipe cannot be read or its pT window is empty.
    """
    recipe = load_recipe(config.recipe)
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
    given |= {"jet_pt": (low, high), "pythia": (*recipe.pythia, *config.pythia)}
    return recipe.model_copy(update=given)
