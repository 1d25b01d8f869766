"""Hostile model files: each is read in a process with limits, and ends as a model or as one line.

`python -m triggerforge.validation.fuzz_models --files 2000 --seed 1` writes small files of every kind
(.keras, .h5 of HGQ2 and of QKeras, .tfq, .onnx), changes each in one of many ways, and reads it as a
user would. A file that loads is consistent: its fixed-point graph was compared with its own framework's
numbers on the way in (`from_file`). Anything but that, or an error of triggerforge in one line, is a finding: a
traceback, a crash, more than 2 GiB or a minute of CPU, code that runs, a file or a socket that is opened.
"""

import argparse
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from triggerforge.errors import TriggerForgeError
from triggerforge.validation.guard import Bait
from triggerforge.validation.model_mutations import SECRET, mutated
from triggerforge.validation.sandbox import Limits, Outcome, limited, watched

_SECONDS = 60
"""of CPU for one file"""
_LIMITS = Limits(memory=2 * 2**30, seconds=_SECONDS, wall=900)
_BATCH = 250
"""files that are read by one process: what JAX compiles for the first serves the others"""
_BATCH_LIMITS = Limits(memory=2 * 2**30, seconds=_BATCH * 10, wall=7200)
_INSPECTED = 4
"""about one file in so many is looked at by `inspect_model` as well"""


@dataclass(frozen=True)
class Finding:
    """A file that did not end as it should."""

    outcome: Outcome
    path: Path


def main() -> None:
    """The command; ends with status 1 where there are findings."""
    parser = argparse.ArgumentParser(prog="fuzz_models", description=__doc__)
    parser.add_argument("--files", type=int, default=2000, help="how many (2000)")
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed makes the same changes (1)"
    )
    parser.add_argument("--first", type=int, default=0, help="number of the first file (0)")
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz_models"), help="where findings are kept"
    )
    options = parser.parse_args()
    counts, findings = fuzz(options.files, options.seed, options.keep, options.first)
    for finding in findings:
        print(f"{finding.path}: {finding.outcome.kind}: {finding.outcome.text[-1500:]}")
    for (ending, kind), count in sorted(counts.items()):
        print(f"{ending:7} {kind:10} {count}")
    print(f"{options.files} files, seed {options.seed}: {len(findings)} findings")
    sys.exit(1 if findings else 0)


def fuzz(
    files: int, seed: int, keep: Path, first: int = 0
) -> tuple[Counter[tuple[str, str]], list[Finding]]:
    """Reads `files` mutated files; how often each kind of file ended how, and the findings.

    A file that is a finding is kept in the folder `keep`. Call it in a process in which JAX has not
    computed yet: its threads are lost in a fork.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # what a small function compiles to is the same for every file
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "open" / "cache")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
        bases = _bases(folder)
        bait = folder / "bait"
        bait.mkdir()
        with h5py.File(bait / SECRET, "w") as file:
            file["w"] = np.full(100, 4711.0, np.float32)
        reader = Reader(folder / "open", bait)
        _require_good(bases, reader.read(bases))
        counts: Counter[tuple[str, str]] = Counter()
        findings = []
        for start in range(first, first + files, _BATCH):
            numbers = range(start, min(start + _BATCH, first + files))
            paths = [_write(number, seed, bases[number % len(bases)], folder) for number in numbers]
            for path, outcome in zip(paths, reader.read(paths), strict=True):
                counts[path.suffix, outcome.kind] += 1
                if not outcome.good:
                    keep.mkdir(parents=True, exist_ok=True)
                    kept = keep / path.name
                    kept.write_bytes(path.read_bytes())
                    findings.append(Finding(outcome, kept))
                path.unlink()
            print(f"{numbers.stop - first} of {files} files, {len(findings)} findings", flush=True)
        return counts, findings


def _bases(folder: Path) -> list[Path]:
    """The files to change; written in a fork, since JAX computes for that."""
    (folder / "open").mkdir()
    made = folder / "open" / "bases"
    made.mkdir()
    from triggerforge.validation import model_bases

    writing = multiprocessing.get_context("fork").Process(
        target=model_bases.write_bases, args=(made,)
    )
    writing.start()
    writing.join()
    if writing.exitcode:
        raise TriggerForgeError(
            "the files to change cannot be written; the traceback above says why"
        )
    return sorted(made.iterdir())


def _require_good(bases: list[Path], outcomes: list[Outcome]) -> None:
    """A file that is refused before it is changed would find nothing."""
    for base, outcome in zip(bases, outcomes, strict=True):
        if outcome.kind != "read":
            raise TriggerForgeError(f"{base.name} is not read as it is: {outcome.text}")


def _write(number: int, seed: int, base: Path, folder: Path) -> Path:
    random = np.random.default_rng([seed, number])
    path = folder / "open" / f"{base.stem}_{seed}_{number}{base.suffix}"
    path.write_bytes(mutated(base.read_bytes(), base.suffix, random, folder / "bait"))
    return path


class Reader:
    """Reads files in processes with limits; whoever looks into `bait` is seen."""

    def __init__(self, folder: Path, bait: Path) -> None:
        self._folder = folder
        self._bait = bait

    def read(self, paths: list[Path]) -> list[Outcome]:
        """What became of each file; one that seems a finding is read again, in a process of its own."""
        with Bait(self._bait) as seen:
            batch, outcomes = self._in_one(paths)
            quiet = not seen.taken()
        if quiet and len(outcomes) < len(paths):  # the next one ended the process
            suspect, rest = paths[len(outcomes)], paths[len(outcomes) + 1 :]
            outcomes += [self._alone(suspect), *(self.read(rest) if rest else [])]
        elif not (quiet and batch.good):  # some library has swallowed that it was stopped
            return [self._alone(path) for path in paths]
        return [o if o.good else self._alone(p) for p, o in zip(paths, outcomes, strict=True)]

    def _in_one(self, paths: list[Path]) -> tuple[Outcome, list[Outcome]]:
        log = self._folder / "outcomes"
        log.unlink(missing_ok=True)

        def task() -> str:
            limit = resource.getrlimit(resource.RLIMIT_AS)
            with log.open("a") as file:
                for path in paths:
                    resource.setrlimit(resource.RLIMIT_AS, limit)  # an error may have taken it off
                    signal.setitimer(signal.ITIMER_PROF, _SECONDS)  # its signal ends the process
                    outcome = watched(self._task(path))
                    print(json.dumps([outcome.kind, outcome.text]), file=file, flush=True)
            return ""

        outcome = limited(task, self._folder, _BATCH_LIMITS)
        lines = log.read_text().splitlines() if log.is_file() else []
        return outcome, [Outcome(*json.loads(line)) for line in lines]

    def _alone(self, path: Path) -> Outcome:
        with Bait(self._bait) as seen:
            outcome = limited(self._task(path), self._folder, _LIMITS)
            return Outcome("violation", "a file outside was opened") if seen.taken() else outcome

    def _task(self, path: Path) -> Callable[[], str]:
        inspected = path.stat().st_size % _INSPECTED == 0

        def task() -> str:
            os.chdir(self._folder)  # where relative names lead to
            tempfile.tempdir = str(self._folder)
            return read(path, inspected)

        return task


def read(path: Path, inspected: bool) -> str:
    """Reads a model file of any kind as a user would; says what it is."""
    from triggerforge.compression.inspect_model import inspect_model
    from triggerforge.compression.model_file import from_file, is_qkeras, require_readable
    from triggerforge.validation.model_bases import qkeras_contract

    if inspected:
        try:
            inspect_model(path)
        except TriggerForgeError as error:
            _require_one_line(error)
    if path.suffix == ".onnx":
        return _run_onnx(path)
    old = path.suffix == ".h5" and is_qkeras(path, require_readable(path))
    model = from_file(path, qkeras_contract() if old else None)
    return f"{model.alir.shape} with {model.ebops:g} EBOPs"


def _require_one_line(error: TriggerForgeError) -> None:
    if "\n" in str(error):
        raise error


def _run_onnx(path: Path) -> str:
    from triggerforge.export.engines.onnxruntime import OnnxRuntime

    runtime = OnnxRuntime("onnxruntime-quantized", "quantized", path)
    x = np.zeros((3, *runtime.contract.shape), np.float32)
    return str(runtime.predict(x).shape)


if __name__ == "__main__":
    main()
