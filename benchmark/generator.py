"""Events a second and core: Pythia and FastJet in batches, against a Python loop over particles.

`python -m triggerforge.benchmark.generator [recipe] [rounds]` prints both, taken in turn in one
process, in CPU time, so that other work on the machine does not count. Both make the same events
from the same seed and end with the same thing: anti-kT jets whose constituents have momentum,
charge and PDG id. "Pythia alone" is the time inside `Pythia.next`, which no way of reading the
events can go below. "Whole chain" is one chunk of the default size, with the start of Pythia.
"""

import statistics
import sys
import time
from collections.abc import Callable

import fastjet
import pythia8mc

from triggerforge.border import answer, by_words
from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generator.chunk import ChunkTask, make_chunk
from triggerforge.data.generator.events import Generator
from triggerforge.data.generator.jets import cluster
from triggerforge.data.generator.particles import visible
from triggerforge.data.generator.recipes import JetClass, Recipe, resolve

_EVENTS = 100
_CHUNK = GenerateConfig().chunk_jets
_NEUTRINOS = {12, 14, 16}


def main(recipe_name: str = "jets5", rounds: int = 5) -> None:
    """Prints medians over `rounds` rounds for each class of the recipe, and their ratios."""
    recipe = resolve(GenerateConfig.model_validate({"recipe": recipe_name}))
    sys.stdout.write(
        f"recipe {recipe_name}: events/s/core, CPU time, median of {rounds} rounds of {_EVENTS}\n"
        "class  Pythia alone  loop  batches  ratio  ratio without Pythia  "
        "whole chain [jets/s/core]\n"
    )
    for jet_class in recipe.classes:
        sys.stdout.write(_row(recipe, jet_class, rounds) + "\n")
        sys.stdout.flush()


def _row(recipe: Recipe, jet_class: JetClass, rounds: int) -> str:
    settings = recipe.settings(jet_class, seed=1)
    alone, loop, batches = _Loop(settings), _Loop(settings), Generator(settings)
    ways: dict[str, Callable[[], object]] = {
        "alone": alone.only_events,
        "loop": lambda: loop.jets(recipe.radius, recipe.jet_pt[0]),
        "batches": lambda: _batch(batches, recipe),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds[name].append(_cpu_seconds(way) / _EVENTS)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = median["loop"] / median["batches"]
    # `batches` makes its events inside Pythia too: what is left is reading and clustering
    rest = (median["loop"] - median["alone"]) / max(median["batches"] - median["alone"], 1e-6)
    task = ChunkTask(recipe, recipe.classes.index(jet_class), index=0, jets=_CHUNK, seed=1)
    chain = _CHUNK / _cpu_seconds(lambda: make_chunk(task))
    return (
        f"{jet_class.name:5s}  {1 / median['alone']:12.0f}  {1 / median['loop']:4.0f}  "
        f"{1 / median['batches']:7.0f}  {ratio:5.2f}  {rest:20.1f}  {chain:25.0f}"
    )


def _cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _batch(generator: Generator, recipe: Recipe) -> object:
    events = generator.next(_EVENTS)
    return cluster(visible(events, generator), len(events), recipe.radius, recipe.jet_pt[0])


class _Loop:
    """The way that Pythia's and FastJet's Python examples show."""

    def __init__(self, settings: tuple[str, ...]) -> None:
        self._pythia = pythia8mc.Pythia("", False)
        for setting in ("Print:quiet = on", *settings):
            self._pythia.readString(setting)
        self._pythia.init()

    def only_events(self) -> None:
        """Events that nobody looks at."""
        for _ in range(_EVENTS):
            self._pythia.next()

    def jets(self, radius: float, pt_min: float) -> list[object]:
        """Jets and the properties of their constituents, one Python object a particle."""
        definition = fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
        found: list[object] = []
        for _ in range(_EVENTS):
            self._pythia.next()
            objects: list[object] = []
            kinds: list[tuple[int, float]] = []
            for particle in self._pythia.event:
                if not particle.isFinal() or particle.idAbs() in _NEUTRINOS:
                    continue
                if abs(particle.eta()) > 5:
                    continue
                pseudojet = fastjet.PseudoJet(
                    particle.px(), particle.py(), particle.pz(), particle.e()
                )
                pseudojet.set_user_index(len(kinds))
                objects.append(pseudojet)
                kinds.append((particle.id(), particle.charge()))
            sequence = fastjet._swig.ClusterSequence(objects, definition)
            for jet in sequence.inclusive_jets(pt_min):
                parts = [
                    (p.pt(), p.eta(), p.phi(), p.e(), *kinds[p.user_index()])
                    for p in jet.constituents()
                ]
                found.append(sorted(parts, reverse=True))
        return found


if __name__ == "__main__":
    sys.exit(
        answer(
            by_words(main, __doc__, "triggerforge.benchmark.generator"),
            "triggerforge.benchmark.generator",
        )
    )
