"""A hook in Pythia that changes how objects of the hard process decay, before anything radiates."""

from collections.abc import Collection

import numpy as np
import pythia8mc

_RESONANCE = -22  # status of an object of the hard process that decays


class DecayHook(pythia8mc.UserHooks):  # type: ignore[misc]  # Pythia's classes have no types
    """Calls `change` for each decaying object with |PDG id| in `particles`; vetoes no event."""

    particles: Collection[int]

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._rng = np.random.default_rng(seed)

    def change(self, process: pythia8mc.Event, index: int) -> None:
        """Changes the decay of object `index` in `process`, Pythia's record of the hard process."""
        raise NotImplementedError

    def canVetoProcessLevel(self) -> bool:
        """Tells Pythia to call `doVetoProcessLevel`."""
        return True

    def doVetoProcessLevel(self, process: pythia8mc.Event) -> bool:
        """Pythia's call, once an event; `change` may append to `process`."""
        for index in range(process.size()):
            found = process[index]
            if found.status() == _RESONANCE and found.idAbs() in self.particles:
                self.change(process, index)
        return False
