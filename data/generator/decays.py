"""Bosons of the hard process that decay isotropically, as undecayed bosons of MadGraph do.

The reference set of `jets5` (arXiv 1804.06913) takes bosons that MadGraph left undecayed, and so
without their helicity; Pythia's own pairs of bosons carry the full spin correlations.
"""

import numpy as np
import pythia8mc

from triggerforge.data.generator.hooks import DecayHook


class IsotropicDecays(DecayHook):
    """Turns the decays of W and Z of the hard process."""

    particles = frozenset({23, 24})

    def change(self, process: pythia8mc.Event, index: int) -> None:
        """Gives the two decay products one random direction, back to back at rest with the boson."""
        boson = process[index]
        cos_theta, phi = self._rng.uniform(-1, 1), self._rng.uniform(-np.pi, np.pi)
        sin_theta = np.sqrt(1 - cos_theta**2)
        direction = np.array([sin_theta * np.cos(phi), sin_theta * np.sin(phi), cos_theta])
        at_rest = boson.p()
        for daughter, sign in ((boson.daughter1(), 1), (boson.daughter2(), -1)):
            product = process[daughter]
            momentum = product.p()
            momentum.bstback(at_rest, boson.m())
            px, py, pz = sign * momentum.pAbs() * direction
            turned = pythia8mc.Vec4(px, py, pz, momentum.e())
            turned.bst(at_rest, boson.m())
            product.p(turned)
