"""Pythia8 in batches: the event record as flat arrays, without a Python loop over particles."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import awkward as ak
import numpy as np
import pythia8mc
from numpy.typing import NDArray

from triggerforge.errors import ConfigError, DataError

_QUIET = ("Print:quiet = on",)
_KNOWN_IDS = 10_000  # every stable particle that Pythia leaves has a smaller |PDG id|


@dataclass(frozen=True)
class EventBatch:
    """Event records of Pythia, one after the other; P particles in N events.

    Momenta in GeV; `status`, `daughter1` and `daughter2` as in Pythia's event record.
    """

    offsets: NDArray[np.int64]
    """(N + 1,): where each event's particles begin"""
    pdg: NDArray[np.int32]
    status: NDArray[np.int32]
    daughter1: NDArray[np.int64]
    """(P,): index into these arrays; the particle itself where there is no daughter"""
    daughter2: NDArray[np.int64]
    px: NDArray[np.float64]
    py: NDArray[np.float64]
    pz: NDArray[np.float64]
    e: NDArray[np.float64]
    pthat: NDArray[np.float64]
    """(N,): pT of the hardest 2 -> 2 scattering; 0 where Pythia has none"""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def event(self) -> NDArray[np.int64]:
        """(P,): the event that each particle is in."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


class Generator:
    """Pythia8 with the given settings and, if `hooks` are given, with those at work in each event.

    Raises ConfigError if Pythia refuses a setting or cannot start with them.
    """

    def __init__(self, settings: Sequence[str], hooks: pythia8mc.UserHooks | None = None) -> None:
        self._pythia = pythia8mc.Pythia("", False)
        self._hooks = hooks  # Pythia does not keep its Python part alive
        if hooks is not None:
            self._pythia.setUserHooksPtr(hooks)
        for setting in (*_QUIET, *settings):
            if not self._pythia.readString(setting, False):
                raise ConfigError(
                    f"Pythia does not know the setting {setting!r}; "
                    "write it as in the Pythia 8 manual, such as 'PartonLevel:MPI = off'"
                )
        if not self._pythia.init():
            raise ConfigError(f"Pythia cannot start with the settings {list(settings)}")
        self._charge = self._charges()

    def next(self, events: int) -> EventBatch:
        """The next events; Pythia's own failures are left out.

        Raises DataError if none of them succeeded.
        """
        record = self._pythia.nextBatch(events)
        particles = record.prt
        counts = ak.to_numpy(ak.num(particles))
        if not len(counts):
            raise DataError(
                f"Pythia failed in all of {events} events; widen the pT window or mend the settings"
            )
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        flat = ak.flatten(particles)
        start = np.repeat(offsets[:-1], counts)
        own = np.arange(len(start))

        def daughter(name: str) -> NDArray[np.int64]:
            index = ak.to_numpy(flat[name]).astype(np.int64)
            return np.where(index > 0, start + index, own)

        return EventBatch(
            offsets=offsets,
            pdg=ak.to_numpy(flat.id),
            status=ak.to_numpy(flat.status),
            daughter1=daughter("daughter1"),
            daughter2=daughter("daughter2"),
            px=ak.to_numpy(flat.p.px),
            py=ak.to_numpy(flat.p.py),
            pz=ak.to_numpy(flat.p.pz),
            e=ak.to_numpy(flat.p.e),
            pthat=np.sqrt(np.maximum(ak.to_numpy(record.info.pT2Hat), 0.0)),
        )

    @property
    def cross_section(self) -> float:
        """Of all events made until now [mb], Pythia's own estimate."""
        return float(self._pythia.infoPython().sigmaGen())

    def charge(self, pdg: NDArray[np.int32]) -> NDArray[np.int8]:
        """Electric charge of stable particles, in units of the proton's."""
        charge: NDArray[np.int8] = self._charge[np.abs(pdg)] * np.sign(pdg).astype(np.int8)
        return charge

    def _charges(self) -> NDArray[np.int8]:
        table = np.zeros(_KNOWN_IDS, dtype=np.int8)
        data = self._pythia.particleData
        for pdg in range(_KNOWN_IDS):
            if data.isParticle(pdg):
                table[pdg] = data.chargeType(pdg) // 3
        return table
