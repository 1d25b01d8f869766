"""The C++ library's `prepare` against Python's contract, and both against exact rational arithmetic.

    python -m triggerforge.validation.prepare [--events 1000000] [--seed 1]

draws input contracts of every rounding and overflow, with offsets on the grid and off it, and events of
what is hard to round: ties, the float64 numbers next to them, ±half an LSB, subnormal and huge numbers,
integers about 2^40, particles that are missing. The C++ is compiled as a user would (-O2) and with
-O3 -ffast-math, and called in each of the four rounding modes of IEEE 754. Ends with status 1 if a
number differs.
"""

import argparse
import ctypes
import ctypes.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.load import normalized
from triggerforge.errors import DataError, ToolFailedError
from triggerforge.export.native.library_network import LibraryNetwork
from triggerforge.fixedpoint import FixedFormat, Overflow, Rounding
from triggerforge.tools import require

Raw = NDArray[np.float64]
Mask = NDArray[np.bool_]
Prepare = Callable[[Raw, Mask, int], NDArray[np.float32]]
"""(raw, present, rounding mode) to x"""

ROUNDINGS = {"to nearest": 0x000, "downwards": 0x400, "upwards": 0x800, "towards 0": 0xC00}
"""fesetround's modes on x86 (fenv.h)"""
BUILDS = {"-O2": ("-O2",), "-O3 -ffast-math": ("-O3", "-ffast-math", "-march=native")}
_CONTRACTS = 5
_PARTICLES, _FEATURES = 2, 12
_CHUNK = 20_000
_EXACT = 20_000


@dataclass
class Count:
    """What was compared and what differed."""

    events: int = 0
    different: int = 0
    """events, in any build and rounding mode"""
    exact: int = 0
    """numbers compared with rational arithmetic"""
    wrong: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the counts; gives back the exit status."""
    parser = argparse.ArgumentParser(prog="python -m triggerforge.validation.prepare")
    parser.add_argument("--events", type=int, default=1_000_000, help="events in all")
    parser.add_argument("--seed", type=int, default=1, help="of contracts and events")
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(options.seed)
    count = Count()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(_CONTRACTS):
            contract = random_contract(rng)
            builds = compiled(contract, Path(folder) / str(number))
            share = options.events // _CONTRACTS + (number < options.events % _CONTRACTS)
            compare(contract, builds, share, rng, count)
    sys.stdout.write(
        f"{count.events} events of {_PARTICLES} x {_FEATURES} inputs, {_CONTRACTS} contracts, "
        f"{len(BUILDS)} builds, {len(ROUNDINGS)} rounding modes: {count.different} differ from Python\n"
        f"{count.exact} numbers against rational arithmetic: {count.wrong} differ\n"
    )
    return int(count.different + count.wrong > 0)


def compare(
    contract: InputContract,
    builds: Sequence[Prepare],
    events: int,
    rng: np.random.Generator,
    count: Count,
) -> None:
    """Adds `events` random events to `count`."""
    for first in range(0, events, _CHUNK):
        raw = random_events(contract, min(_CHUNK, events - first), rng)
        there = rng.random(raw.shape[:-1]) < 0.9
        expected = contract.quantize(normalized(contract, raw, there))
        bits = expected.view(np.uint32)
        different = np.zeros(len(raw), np.bool_)
        for prepare in builds:
            for mode in ROUNDINGS.values():
                got = prepare(raw, there, mode).view(np.uint32)
                different |= (got != bits).any(axis=(1, 2))
        count.events += len(raw)
        count.different += int(different.sum())
        chosen = rng.choice(raw.size, min(raw.size, _EXACT * len(raw) // max(events, 1)), False)
        count.exact += len(chosen)
        count.wrong += sum(not is_exact(contract, raw, there, expected, i) for i in chosen)


def is_exact(
    contract: InputContract, raw: Raw, there: Mask, x: NDArray[np.float32], i: int
) -> bool:
    """Whether number i of x is that of rational arithmetic."""
    event, particle, place = np.unravel_index(i, raw.shape)
    feature = contract.features[place]
    if not there[event, particle]:
        return bool(x[event, particle, place] == feature.padding)
    steps = exact_steps(float(raw[event, particle, place]), feature)
    return Fraction(float(x[event, particle, place])) == steps * Fraction(feature.format.lsb)


def exact_steps(raw: float, feature: InputFeature) -> int:
    """The port's integer by the rules of UG1399 on rational numbers."""
    fmt = feature.format
    steps = (Fraction(raw) - Fraction(feature.offset)) * Fraction(2) ** (
        fmt.fraction - feature.shift
    )
    below = floor(steps)
    rest, half = steps - below, Fraction(1, 2)
    up = {
        Rounding.TRN: False,
        Rounding.RND: rest >= half,
        Rounding.RND_CONV: rest > half or (rest == half and below % 2 == 1),
    }[fmt.rounding]
    low, high = fmt.integer_range
    if fmt.overflow is Overflow.WRAP:
        return int((below + up - low) % 2**fmt.width + low)
    return min(max(below + up, low), high)


def random_contract(rng: np.random.Generator) -> InputContract:
    """Features of random formats, shifts, offsets and padding."""
    features = tuple(_feature(f"x{i}", rng) for i in range(_FEATURES))
    return InputContract(features, (_PARTICLES, _FEATURES))


def _feature(name: str, rng: np.random.Generator) -> InputFeature:
    fmt = FixedFormat(
        width=int(rng.integers(1, 25)),
        integer=int(rng.integers(-8, 31)),
        signed=bool(rng.integers(2)),
        rounding=list(Rounding)[rng.integers(3)],
        overflow=list(Overflow)[rng.integers(3)],
    )
    shift = int(rng.integers(-10, 21))
    step = float(np.ldexp(1.0, shift - fmt.fraction))
    padding = float(fmt.quantize(np.array(rng.uniform(*fmt.range))))
    offsets = (0.0, step * rng.integers(-1000, 1000), step * rng.normal() * 30, 2.0**40 + 3)
    try:
        return InputFeature(name, "", float(offsets[rng.integers(4)]), shift, fmt, padding)
    except DataError:  # 2^40 may be too many steps
        return InputFeature(name, "", 0.0, shift, fmt, padding)


def random_events(contract: InputContract, events: int, rng: np.random.Generator) -> Raw:
    """(events, *shape) physical values, of every kind about as many."""
    raw = np.empty((events, *contract.shape))
    for i, feature in enumerate(contract.features):
        kinds = list(_values(feature, raw[..., i].shape, rng))
        raw[..., i] = np.choose(rng.integers(0, len(kinds), raw[..., i].shape), kinds)
    return raw


def _values(
    feature: InputFeature, size: tuple[int, ...], rng: np.random.Generator
) -> Iterator[Raw]:
    fmt = feature.format
    step = float(np.ldexp(1.0, feature.shift - fmt.fraction))
    low, high = fmt.integer_range
    whole = rng.integers(2 * low - 3, 2 * high + 4, size).astype(np.float64)
    ties = feature.offset + step * (whole + 0.5)
    yield feature.offset + step * (whole + rng.random(size))
    yield feature.offset + step * whole
    yield ties
    yield np.nextafter(ties, rng.choice([-np.inf, np.inf], size))
    yield np.nextafter(feature.offset + step * whole, rng.choice([-np.inf, np.inf], size))
    yield feature.offset + step * rng.choice([-0.5, 0.5], size) * (
        1 + rng.integers(-1, 2, size) * 2.0**-53
    )
    yield rng.normal(size=size).astype(np.float32).astype(np.float64)
    yield rng.choice([-1.0, 1.0], size) * np.ldexp(
        rng.random(size), rng.integers(-1074, 1024, size)
    )
    yield rng.integers(-3, 4, size).astype(np.float64) * 5e-324
    yield 2.0**40 + rng.integers(-5000, 5000, size).astype(np.float64)


def compiled(contract: InputContract, folder: Path) -> list[Prepare]:
    """`prepare` of the contract's C++ library in every build.

    Raises MissingToolError without g++.
    """
    network = LibraryNetwork(
        name="drawn",
        contract=contract,
        outputs=("y",),
        formats=("float",),
        sources={"none.cc": ""},
        result="float",
        numbers="",
        raw=np.zeros((1, *contract.shape)),
        expected=np.zeros((1, 1)),
        tolerance=0.0,
    )
    folder.mkdir(parents=True)
    for path, text in network.files().items():
        (folder / Path(path).name).write_text(text, encoding="utf-8")
    made = []
    for number, flags in enumerate(BUILDS.values()):
        # linked by itself: fast-math's start-up code would change this process' own arithmetic
        unit, library = folder / f"{number}.o", folder / f"{number}.so"
        compiler = require("g++").command
        command = [
            *compiler,
            "-std=c++20",
            "-fPIC",
            *flags,
            "-c",
            "drawn_inputs.cc",
            "-o",
            str(unit),
        ]
        subprocess.run(command, cwd=folder, check=True)
        subprocess.run([*compiler, "-shared", unit, "-o", library], check=True)
        made.append(_prepare(library))
    return made


def _prepare(library: Path) -> Prepare:
    call = ctypes.CDLL(str(library)).triggerforge_drawn_prepare
    call.restype = ctypes.c_long
    call.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_long]
    round_to = ctypes.CDLL(ctypes.util.find_library("m")).fesetround

    def prepare(raw: Raw, there: Mask, mode: int) -> NDArray[np.float32]:
        x = np.empty(raw.shape, np.float32)
        present = np.ascontiguousarray(there, np.uint8)
        pointers = raw.ctypes.data, present.ctypes.data, x.ctypes.data
        if round_to(mode):
            raise ToolFailedError(f"this processor has no rounding mode {mode:#x}")
        try:
            call(*pointers, len(raw))
        finally:
            round_to(ROUNDINGS["to nearest"])
        return x

    return prepare


if __name__ == "__main__":
    sys.exit(main())
