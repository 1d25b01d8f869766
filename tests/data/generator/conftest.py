"""Particles that tests shoot at the detector, without Pythia."""

import numpy as np

from triggerforge.data.generator.particles import Kind, Particles


def shoot(
    count: int, kind: Kind, pt: float, eta: float, charge: int = 0, mass: float = 0.0
) -> Particles:
    """`count` collisions of one particle, anywhere in phi; pT and mass in GeV."""
    return Particles(
        event=np.arange(count),
        pt=np.full(count, pt),
        eta=np.full(count, eta),
        phi=np.random.default_rng(1).uniform(-np.pi, np.pi, count),
        mass=np.full(count, mass),
        charge=np.full(count, charge, dtype=np.int8),
        kind=np.full(count, kind, dtype=np.int8),
    )
