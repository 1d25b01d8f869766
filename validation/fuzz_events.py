"""Event files that were damaged or made with bad intent: each is read whole, or refused in one line.

    python -m triggerforge.validation.fuzz_events --files 3000 --seed 1

makes small files of every format, damages copies of them and reads each in a process of its own: at most
2 GiB beyond what it starts with, 30 s of CPU, no file outside its folder, no other program, no
connection, no pickle that asks for a class. A file may end in its events or in one line that names it;
anything else is printed with what was done to it. Ends with status 1 if there was one.
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.inspect_events import inspect_events
from triggerforge.data.readers.base import READERS
from triggerforge.data.score import score_file
from triggerforge.data.source import Count, EventSource
from triggerforge.fixedpoint import FixedFormat
from triggerforge.progress import progress
from triggerforge.validation import crossingfiles, eventfiles
from triggerforge.validation.guard import Bait
from triggerforge.validation.mutations import mutate
from triggerforge.validation.sandbox import Limits, Outcome, limited

LIMITS = Limits(seconds=30)
_JETS = 24


@dataclass(frozen=True)
class Sample:
    """A good file and how it is read."""

    format: str
    file: str
    """its name; other files may belong to it"""
    write: Callable[[Path], Path]
    settings: dict[str, Any]


def _constituents(*names: str) -> dict[str, Any]:
    return {"kind": "constituents", "constituents": 4, "names": names or ("pt_rel", "deta", "dphi")}


def samples() -> list[Sample]:
    """One of every registered format, and of every layout that a format has."""
    jets = eventfiles.make_jets(_JETS)
    by_jets: dict[str, tuple[str, dict[str, Any]]] = {
        "toptag": ("toptag", {"inputs": _constituents()}),
        "lhco": ("lhco", {"inputs": _constituents()}),
        "lhcjets": ("lhcjets", {"inputs": _constituents(), "classes": ("g", "q")}),
        "arff": ("lhcjets16", {"classes": ("g", "q")}),
        "parquet": ("lhcjets16", {"classes": ("g", "q")}),
        "lists": ("parquet", eventfiles.LISTS_SETTINGS | {"inputs": _constituents()}),
        "energyflow": ("energyflow", {"inputs": _constituents()}),
        "quadruple": ("energyflow", {"inputs": _constituents(), "classes": ("gluon", "quark")}),
        "generator": ("generator", {}),
        "jetclass": ("jetclass", {"inputs": _constituents(), "classes": ("QCD", "Hbb")}),
        "pfnano": (
            "pfnano",
            {"inputs": _constituents(), "label": {"a": "truth == 0", "b": "truth == 1"}},
        ),
        "nanoaod": (
            "nanoaod",
            {
                "inputs": {"names": ("pt", "eta", "mass")},
                "mapping": {"objects": "FatJet"},
                "label": {"a": "truth == 0", "b": "truth == 1"},
            },
        ),
        "root": (
            "root",
            {
                "inputs": {"names": ("jet_pt", "j_zlogz", "n")},
                "mapping": {"columns": {"n": "count(part_pt)"}},
                "label": {"a": "label == 0", "b": "label == 1"},
            },
        ),
    }
    sources = {"nanoaod": "pfnano", "root": "generator"}
    found = []
    for layout, (name, settings) in by_jets.items():
        ending, write = eventfiles.WRITERS[sources.get(layout, layout)]
        found.append(Sample(name, f"{layout}.{ending}", _of(write, jets), settings))
    crossings: dict[str, tuple[str, Callable[..., Path], str]] = {
        "adc2021": ("Ato4l.h5", crossingfiles.write_adc2021, "l1_objects"),
        "l1nano": ("l1nano.root", crossingfiles.write_l1nano, "l1_objects"),
        "l1": ("l1.root", crossingfiles.write_l1, "l1_regions"),
        "regions": ("ZeroBias.h5", crossingfiles.write_regions, "l1_regions"),
    }
    for name, (file, write, kind) in crossings.items():
        table = crossingfiles.physical()
        own: dict[str, Any] = {"inputs": {"kind": kind}}
        if name == "l1nano":
            own |= {"label": {"a": "jet0_pt > 20", "b": "jet0_pt <= 20"}}
        if name == "regions":
            own |= {"classes": ("ZeroBias", "SUEP")}
        found.append(Sample(name, file, _of(write, table), own))
    return found


def _of(write: Callable[..., Path], content: Any) -> Callable[[Path], Path]:
    return lambda path: write(path, content)


def read_whole(path: Path, settings: dict[str, Any]) -> str:
    """Reads a file as a training does, copies every column of it as scoring does, and inspects it.

    Raises what these raise.
    """
    config = DataConfig.model_validate(settings | {"chunk": 10})
    source, count = EventSource(path, config), Count()
    for _ in source.batches(count):
        pass
    builder = source.builder
    fixed = FixedFormat.parse("ap_fixed<8,4,RND,SAT>")
    features = tuple(InputFeature(name, "", 0.0, 0, fixed) for name in builder.names)
    contract = InputContract(features, builder.shape)
    out = path.with_name("scored.root" if path.suffix == ".root" else "scored.parquet")
    scored = score_file(_predict, config, contract, path, out, ("one", "two"))
    inspect_events(path, config.format, objects=config.mapping.objects)
    return f"{count.read} events read, {scored.events} scored"


def _predict(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.zeros((len(x), 2), np.float32)


class Fuzz:
    """Mutated files of one seed, in a folder that is theirs; the same number gives the same file."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._seed = seed
        self._samples = samples()
        self._good, self._bait = folder / "good", folder / "bait" / "bait.h5"
        self._own = folder / "own"
        for path in (self._good, self._bait.parent):
            path.mkdir(parents=True)
        with h5py.File(self._bait, "w") as file:
            file["secret"] = np.arange(10)
        self._files = []
        for i, sample in enumerate(self._samples):
            place = self._good / str(i)
            place.mkdir()
            self._files.append(sample.write(place / sample.file))

    def check(self) -> None:
        """Raises RuntimeError unless every good file is read: a refusal then says something."""
        for sample, path in zip(self._samples, self._files, strict=True):
            for name in (sample.format, "auto"):
                settings = sample.settings | {"format": name}
                found = limited(partial(read_whole, path, settings), path.parent, LIMITS)
                if found.kind != "read":
                    raise RuntimeError(f"{path.name} as {name}: {found}")

    def sample(self, number: int) -> Sample:
        """The format that a number stands for."""
        return self._samples[number % len(self._samples)]

    def make(self, number: int) -> tuple[Path, dict[str, Any], str]:
        """The mutated file of that number, how to read it, and what was done to it."""
        rng = np.random.default_rng([self._seed, number])
        place = number % len(self._samples)
        shutil.rmtree(self._own, ignore_errors=True)
        shutil.copytree(self._files[place].parent, self._own)
        path = self._own / self._files[place].name
        target = path
        if len(others := sorted(self._own.iterdir())) > 1:
            target = others[int(rng.integers(len(others)))]
        done = mutate(target, rng, self._bait)
        sample = self._samples[place]
        given = {"format": sample.format if rng.random() < 0.7 else "auto"}
        return path, sample.settings | given, done

    def outcome(self, path: Path, settings: dict[str, Any], bait: Bait) -> Outcome:
        """What became of reading it; a refusal that does not name the file counts as a violation."""
        bait.taken()
        found = limited(partial(read_whole, path, settings), self._own, LIMITS)
        if bait.taken():
            return Outcome("violation", f"opened the bait; {found.kind}: {found.text}")
        if found.kind == "refused" and not any(p.name in found.text for p in self._own.iterdir()):
            return Outcome("violation", f"does not name the file: {found.text}")
        return found

    def watched(self) -> Bait:
        """The bait, under watch."""
        return Bait(self._bait.parent)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what became of the files; gives back the exit status."""
    options = _options(arguments)
    numbers = [options.only] if options.only is not None else range(options.files)
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as name:
        fuzz = Fuzz(options.seed, Path(name))
        fuzz.check()
        with fuzz.watched() as bait, progress("damaged files", len(numbers)) as meter:
            for done_so_far, number in enumerate(numbers):
                meter(done_so_far)
                path, settings, done = fuzz.make(number)
                found = fuzz.outcome(path, settings, bait)
                sample = fuzz.sample(number)
                counts[sample.file, found.kind] += 1
                if not found.good or options.only is not None:
                    sys.stdout.write(
                        f"{number} {sample.file} ({done}): {found.kind}\n{found.text}\n\n"
                    )
                    sys.stdout.flush()
                    if options.keep:
                        shutil.copytree(path.parent, options.keep / str(number), dirs_exist_ok=True)
    return _summary(counts)


def _summary(counts: Counter[tuple[str, str]]) -> int:
    kinds = sorted({kind for _, kind in counts})
    sys.stdout.write(f"{'file':16s}" + "".join(f"{kind:>10s}" for kind in kinds) + "\n")
    for file in sorted({file for file, _ in counts}):
        cells = "".join(f"{counts[file, kind]:10d}" for kind in kinds)
        sys.stdout.write(f"{file:16s}{cells}\n")
    good = sum(n for (_, kind), n in counts.items() if kind in ("read", "refused"))
    total = sum(counts.values())
    sys.stdout.write(f"{total} files, {total - good} neither read nor refused in one line\n")
    return 0 if good == total else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m triggerforge.validation.fuzz_events",
        description=f"Damages event files and reads them. Formats: {', '.join(READERS)}.",
    )
    parser.add_argument("--files", type=int, default=300, help="how many (300)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="this number alone, and say what became of it")
    parser.add_argument("--keep", type=Path, help="folder for copies of the files that fail")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
