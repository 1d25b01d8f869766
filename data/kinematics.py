"""Derived quantities: what can be computed from the columns that a file happens to have.

A recipe names the quantities it needs; `plan` follows recipes down to columns of the file, so that
pt_rel works alike for files with (pt, eta, phi), (px, py, pz, E) or (pT, rapidity, phi). Event
quantities start with `jet_`; sums run over all constituents, before any cut on their number.
Momenta and energies in the file's unit (GeV in the known formats), angles in radian.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.language.arithmetic import as_float, canonical
from triggerforge.data.language.refusals import Refusal
from triggerforge.data.readers.base import Chunk, Request
from triggerforge.data.readers.padded import UNPHYSICAL
from triggerforge.errors import DataError, did_you_mean

Array = NDArray[Any]


@dataclass(frozen=True)
class Recipe:
    """How to make a quantity: `make` gets arrays of `needs`, in order.

    `summed`: the needs are of the constituents, `make` gets their sums over each event.
    """

    needs: tuple[str, ...]
    make: Callable[..., Array]
    summed: bool = False


def wrapped(angle: Array) -> Array:
    """`angle` [rad] in [-pi, pi)."""
    return np.asarray(np.mod(np.asarray(angle, np.float64) + np.pi, 2 * np.pi) - np.pi)


def _pseudorapidity(px: Array, py: Array, pz: Array) -> Array:
    return np.asarray(np.arcsinh(pz / np.hypot(px, py)))


def _mass(energy: Array, px: Array, py: Array, pz: Array) -> Array:
    return np.asarray(np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0)))


def _charge(pdgid: Array) -> Array:
    """Electric charge of the particles that reach a detector, by PDG id; 0 for all others."""
    sign = {11: -1, 13: -1, 211: 1, 321: 1, 2212: 1, 3112: -1, 3222: 1, 3312: -1, 3334: -1}
    charge = np.zeros(len(pdgid))
    for code, value in sign.items():
        charge += value * ((pdgid == code).astype(int) - (pdgid == -code).astype(int))
    return charge


def _identity(values: Array) -> Array:
    return values


PARTICLE: dict[str, tuple[Recipe, ...]] = {
    "pt": (Recipe(("px", "py"), np.hypot),),
    "eta": (
        Recipe(("px", "py", "pz"), _pseudorapidity),
        Recipe(("rapidity",), _identity),  # the sets that give rapidity have massless particles
    ),
    "phi": (Recipe(("py", "px"), np.arctan2),),
    "px": (Recipe(("pt", "phi"), lambda pt, phi: pt * np.cos(phi)),),
    "py": (Recipe(("pt", "phi"), lambda pt, phi: pt * np.sin(phi)),),
    "pz": (Recipe(("pt", "eta"), lambda pt, eta: pt * np.sinh(eta)),),
    "energy": (
        Recipe(("pt", "eta", "mass"), lambda pt, eta, m: np.sqrt((pt * np.cosh(eta)) ** 2 + m**2)),
        Recipe(("pt", "eta"), lambda pt, eta: pt * np.cosh(eta)),
    ),
    "log_pt": (Recipe(("pt",), np.log),),
    "log_energy": (Recipe(("energy",), np.log),),
    "pt_rel": (Recipe(("pt", "jet_pt"), np.true_divide),),
    "energy_rel": (Recipe(("energy", "jet_energy"), np.true_divide),),
    "log_pt_rel": (Recipe(("pt_rel",), np.log),),
    "log_energy_rel": (Recipe(("energy_rel",), np.log),),
    "deta": (Recipe(("eta", "jet_eta"), np.subtract),),
    "dphi": (Recipe(("phi", "jet_phi"), lambda phi, axis: wrapped(phi - axis)),),
    "delta_r": (Recipe(("deta", "dphi"), np.hypot),),
    "charge": (Recipe(("pdgid",), _charge),),
    "is_photon": (Recipe(("pdgid",), lambda code: (np.abs(code) == 22) * 1.0),),
    "is_electron": (Recipe(("pdgid",), lambda code: (np.abs(code) == 11) * 1.0),),
    "is_muon": (Recipe(("pdgid",), lambda code: (np.abs(code) == 13) * 1.0),),
    "is_charged_hadron": (
        Recipe(
            ("pdgid", "charge"),
            lambda code, charge: ((charge != 0) & ~np.isin(np.abs(code), (11, 13))) * 1.0,
        ),
    ),
    "is_neutral_hadron": (
        Recipe(
            ("pdgid", "charge"),
            lambda code, charge: ((charge == 0) & (np.abs(code) != 22)) * 1.0,
        ),
    ),
}
"""Quantities of a constituent."""

EVENT: dict[str, tuple[Recipe, ...]] = {
    "jet_px": (Recipe(("px",), _identity, summed=True),),
    "jet_py": (Recipe(("py",), _identity, summed=True),),
    "jet_pz": (Recipe(("pz",), _identity, summed=True),),
    "jet_energy": (Recipe(("energy",), _identity, summed=True),),
    "jet_pt": (Recipe(("jet_px", "jet_py"), np.hypot),),
    "jet_eta": (Recipe(("jet_px", "jet_py", "jet_pz"), _pseudorapidity),),
    "jet_phi": (Recipe(("jet_py", "jet_px"), np.arctan2),),
    "jet_mass": (Recipe(("jet_energy", "jet_px", "jet_py", "jet_pz"), _mass),),
    "mass": (Recipe(("energy", "px", "py", "pz"), _mass),),
    UNPHYSICAL: (Recipe(("pt",), lambda total: (~np.isfinite(total)) * 1, summed=True),),
}
"""Quantities of an event."""
_OWN = ("pt", "eta", "phi", "px", "py", "pz", "energy", "log_pt", "log_energy")
"""quantities of a constituent that follow likewise from an event's own four-vector, by their first
recipe: that it has no mass, and rapidity for pseudorapidity, holds for particles and not for jets"""
for _name in _OWN:
    EVENT[_name] = PARTICLE[_name][:1]
_FOUR = ("pt", "eta", "phi", "energy", "mass", "px", "py", "pz")
for _name in _FOUR:  # where there is nothing to sum
    EVENT[f"jet_{_name}"] = (*EVENT[f"jet_{_name}"], Recipe((_name,), _identity))

COUNT = "jet_multiplicity"
"""constituents of the event, all of them"""
VALID = "valid"
"""1 where there is a constituent"""


class Plan:
    """Which columns of a file the wanted quantities need, and how they are made of them.

    `unusable`: columns that the file has, and what they hold instead of numbers. Raises DataError if a
    quantity is neither a column nor can be derived; the nearest names stand in the message.
    """

    def __init__(
        self,
        event_columns: frozenset[str],
        particle_columns: frozenset[str],
        events: frozenset[str],
        particles: frozenset[str],
        where: str,
        label: bool = True,
        unusable: Mapping[str, str] | None = None,
    ) -> None:
        self._columns = (event_columns, particle_columns)
        self._unusable = unusable or {}
        self._chosen: dict[tuple[str, bool], Recipe | None] = {}
        wanted = [*((n, False) for n in sorted(events)), *((n, True) for n in sorted(particles))]
        for name, particle in wanted:
            if not self._resolve(name, particle, ()):
                raise DataError(
                    f"{where}: no {_kind(particle)} {name!r}; {self._hint(name, particle)}"
                )
        columns = [key for key, recipe in self._chosen.items() if recipe is None]
        own = frozenset(n for n, particle in columns if particle and n != VALID)
        if not own and particle_columns and (VALID in particles or (COUNT, False) in self._chosen):
            own = frozenset({min(particle_columns)})  # any: its list lengths are what is needed
        self.request = Request(
            label=label,
            events=frozenset(n for n, particle in columns if not particle and n != COUNT),
            particles=own,
        )

    def _resolve(self, name: str, particle: bool, above: tuple[tuple[str, bool], ...]) -> bool:
        key = (name, particle)
        if key in self._chosen:
            return True
        if key in above:
            return False
        own = self._columns[particle]
        implied = VALID if particle else COUNT
        if name in own or (name == implied and self._columns[True]):
            self._chosen[key] = None
            return True
        for recipe in (PARTICLE if particle else EVENT).get(name, ()):
            if all(
                self._resolve(need, _is_particle(need, particle, recipe), (*above, key))
                for need in recipe.needs
            ):
                self._chosen[key] = recipe
                return True
        return False

    def _hint(self, name: str, particle: bool) -> str:
        if name in self._columns[not particle]:
            if particle:
                return "the file has it once an event: it belongs among the event's quantities"
            return (
                f"the file has a list of it in each event: reduce it in `data.mapping.columns`, such "
                f"as {{{name}_max: max({name})}}, use inputs of kind `constituents`, or make the "
                "elements of its collection the events (`data.mapping.objects`)"
            )
        if name in self._unusable:
            return f"the file has it, but it holds {self._unusable[name]}"
        if particle and self._columns[True] and not self._resolve("pt", True, ()):
            return (
                "nothing of it can be derived: give the file's columns for pt, eta, phi (or px, py, pz) "
                f"in `data.mapping.constituents`; it has {', '.join(sorted(self._columns[True])[:20])}"
            )
        table = PARTICLE if particle else EVENT
        trial = frozenset(self._columns[particle]) | {
            n for n in table if self._resolve(n, particle, ())
        }
        return did_you_mean(name, trial)

    def columns(self, chunk: Chunk) -> "Columns":
        """The event quantities of `chunk` by name, made when they are asked for."""
        return Columns(self._chosen, chunk)


def _kind(particle: bool) -> str:
    return "quantity of a constituent" if particle else "quantity of an event"


def _is_particle(need: str, particle: bool, recipe: Recipe) -> bool:
    if recipe.summed:
        return True
    return particle and not need.startswith("jet_")


class Columns(dict[str, Array]):
    """Event quantities (n,) of one chunk by name; derived ones are made on first use."""

    def __init__(self, chosen: dict[tuple[str, bool], Recipe | None], chunk: Chunk) -> None:
        super().__init__(chunk.events)
        self.chunk = chunk
        self._chosen = chosen
        self._made = dict(chunk.particles)

    @property
    def particles(self) -> Mapping[str, Array]:
        """The quantities (m,) of the constituents."""
        # a view made anew: two objects that hold each other would outlive their chunk
        return _Particles(self._chosen, self, self._made)

    def take(self, index: NDArray[np.int64]) -> "Columns":
        """Those of the events at `index`, which rises."""
        chunk, particles, counts = self.chunk, self.chunk.particles, self.chunk.counts
        if counts is not None:
            kept = np.zeros(chunk.size, np.bool_)
            kept[index] = True
            inside = np.repeat(kept, counts)
            particles = {n: v[inside] for n, v in particles.items()}
            counts = counts[index]
        events = {n: v[index] for n, v in chunk.events.items()}
        return Columns(
            self._chosen,
            Chunk(chunk.first, events, particles, counts, size=len(index)),
        )

    def __missing__(self, name: str) -> Array:
        if name == COUNT:
            assert self.chunk.counts is not None
            self[name] = self.chunk.counts
        else:
            self[name] = self._make(name)
        return self[name]

    def _make(self, name: str) -> Array:
        recipe = self._chosen[(name, False)]
        assert recipe is not None
        values = [
            sums(self.particles[need], self.chunk.counts, need)
            if recipe.summed
            else _float(self[need], need)
            for need in recipe.needs
        ]
        with np.errstate(all="ignore"):  # NaN and inf are counted where the inputs are checked
            return recipe.make(*values)


class _Particles(Mapping[str, Array]):
    """Quantities (m,) of the constituents; those of their event are repeated for each."""

    def __init__(
        self,
        chosen: dict[tuple[str, bool], Recipe | None],
        events: Columns,
        made: dict[str, Array],
    ) -> None:
        self._chosen, self._events, self._made = chosen, events, made

    def __getitem__(self, name: str) -> Array:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)

    def _make(self, name: str) -> Array:
        counts = self._events.chunk.counts
        assert counts is not None
        if name == VALID:
            return np.ones(int(counts.sum()))
        recipe = self._chosen[(name, True)]
        assert recipe is not None
        values = [
            _float(self[need], need)
            if _is_particle(need, True, recipe)
            else np.repeat(_float(self._events[need], need), counts)
            for need in recipe.needs
        ]
        with np.errstate(all="ignore"):
            return recipe.make(*values)


def _float(values: Array, name: str) -> Array:
    """A quantity as float64; raises DataError for an integer that is none."""
    try:
        return as_float(canonical(np.asarray(values)))
    except Refusal as refusal:
        where = "" if refusal.index is None else f" (number {refusal.index} of the chunk)"
        raise DataError(f"{name!r}{where}: {refusal}") from refusal


def sums(values: Array, counts: NDArray[np.int64] | None, name: str) -> Array:
    """(n,) sums of the flat (m,) `values`, called `name`, over the constituents of each event."""
    assert counts is not None
    event = np.repeat(np.arange(len(counts)), counts)
    return np.bincount(event, weights=_float(values, name), minlength=len(counts))
