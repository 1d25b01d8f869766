"""Soft bombs (SUEP): a scalar that decays into many soft dark mesons, by a hook in Pythia.

Pythia has no such process. Here gg -> H with a mass of 400 GeV gives the scalar, and its decay is
replaced by dark mesons of 2 GeV whose momenta at rest with the scalar follow a thermal spectrum,
p^2 exp(-p/T) with T = 2 GeV (relativistic; after Knapen, Pagan Griso, Papucci, Robinson, JHEP 08
(2017) 076, arXiv 1612.00850). Momentum is conserved by subtracting the mean, energy by scaling all
momenta. Mesons decay to pi pi (70 %), e e and mu mu (15 % each): assumed.
"""

import numpy as np
import pythia8mc
from numpy.typing import NDArray

from triggerforge.data.generator.hooks import DecayHook

_MESON = 4900111
_MASS, _TEMPERATURE = 2.0, 2.0  # [GeV]
_OUTGOING = 23  # status of what the scalar decays to
_SCALAR = 25
_SCALE_STEPS = 60

SUEP_SETTINGS = (
    *("HiggsSM:gg2H = on", "25:m0 = 400", "25:doForceWidth = on", "25:mWidth = 0.1"),
    *("25:onMode = off", "25:onIfMatch = 22 22"),  # two photons that the hook turns into mesons
    *(f"{_MESON}:m0 = {_MASS}", f"{_MESON}:mayDecay = on", f"{_MESON}:tau0 = 0"),
    f"{_MESON}:oneChannel = 1 0.7 0 211 -211",
    f"{_MESON}:addChannel = 1 0.15 0 11 -11",
    f"{_MESON}:addChannel = 1 0.15 0 13 -13",
)


class SoftBomb(DecayHook):
    """Replaces the decay of the scalar of the hard process."""

    particles = frozenset({_SCALAR})

    def change(self, process: pythia8mc.Event, index: int) -> None:
        """Photons of the decay become mesons, and more mesons are appended."""
        scalar = process[index]
        mass, momentum, first = scalar.m(), scalar.p(), scalar.daughter1()
        for number, at_rest in enumerate(thermal_momenta(mass, self._rng)):
            energy = float(np.sqrt(at_rest @ at_rest + _MASS**2))
            meson = pythia8mc.Vec4(*(float(p) for p in at_rest), energy)
            meson.bst(momentum, mass)
            if number < 2:
                photon = process[first + number]
                photon.id(_MESON)
                photon.p(meson)
                photon.m(_MASS)
            else:
                process.append(_MESON, _OUTGOING, index, 0, 0, 0, 0, 0, meson, _MASS, 0.0, 9.0)
        process[index].daughters(first, process.size() - 1)


def thermal_momenta(mass: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(K, 3): momenta [GeV] of the mesons of a scalar of `mass` [GeV] at rest; at least two.

    They sum to zero, and their energies to `mass`.
    """
    found: list[NDArray[np.float64]] = []
    energy = 0.0
    while energy < mass or len(found) < 2:
        momentum = rng.gamma(3.0, _TEMPERATURE)
        direction = rng.standard_normal(3)
        found.append(direction * (momentum / np.linalg.norm(direction)))
        energy += float(np.hypot(momentum, _MASS))
    momenta = np.array(found)
    momenta -= momenta.mean(axis=0)
    return momenta * _scale(momenta, mass)


def _scale(momenta: NDArray[np.float64], mass: float) -> float:
    """The factor for all momenta with which the energies sum to `mass`, by bisection."""
    squares = (momenta**2).sum(axis=1)
    low, high = 0.0, 1.0
    while np.sqrt(high**2 * squares + _MASS**2).sum() < mass:
        high *= 2
    for _ in range(_SCALE_STEPS):
        middle = (low + high) / 2
        short = np.sqrt(middle**2 * squares + _MASS**2).sum() < mass
        low, high = (middle, high) if short else (low, middle)
    return low
