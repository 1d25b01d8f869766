"""The form of a float network that is fastest on this machine, found once and remembered.

What differs: how many products are under way at once for one event, and whether events in bulk are
computed one by one or in blocks, of one vector register of events or two. Sums end in another order,
so the last bits of float32 may be others on another machine.
"""

import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from triggerforge.export.native.build import compiled, loaded

Form = tuple[int, int]
"""products under way at once; registers of a block, 0 for events one by one"""

CHAINS, PARTS = (8, 12), (0, 1, 2)
_USUAL = (8, 2)
_EVENTS = 1024
_ROUNDS = 7
_REMEMBERED = "fastest"


def fastest(
    sources: Mapping[str, str], inputs: int, outputs: int, cache: Path | None = None
) -> Path:
    """The library of `sources` in its fastest form; raises as `compiled`."""
    return compiled(sources, cache, fastest_options(sources, inputs, outputs, cache))


def fastest_options(
    sources: Mapping[str, str], inputs: int, outputs: int, cache: Path | None = None
) -> tuple[str, ...]:
    """What to tell the compiler for the fastest form of a network of `inputs` floats an event.

    The first time all forms are compiled and timed, which takes seconds. Raises as `compiled`.
    """
    remembered = compiled(sources, cache, _options(_USUAL)).with_name(_REMEMBERED)
    form = _recall(remembered)
    if form is None:
        form = _find(sources, inputs, outputs, cache)
        _remember(remembered, form)
    return _options(form)


def _find(sources: Mapping[str, str], inputs: int, outputs: int, cache: Path | None) -> Form:
    x = np.random.default_rng(0).normal(size=(_EVENTS, inputs)).astype(np.float32)
    y = np.empty((_EVENTS, outputs), np.float32)

    def quickest(forms: Iterable[Form]) -> Form:
        forms = list(forms)
        with ThreadPoolExecutor() as pool:
            libraries = list(pool.map(lambda f: compiled(sources, cache, _options(f)), forms))
        calls = [loaded(library).bind(x, y) for library in libraries]
        took = np.empty((_ROUNDS, len(calls)))
        for turn in range(_ROUNDS):
            for place, call in enumerate(calls):
                start = time.perf_counter()
                call()
                took[turn, place] = time.perf_counter() - start
        return forms[int(took.min(axis=0).argmin())]

    chains, _ = quickest((chains, 0) for chains in CHAINS)
    return quickest((chains, parts) for parts in PARTS)


def _options(form: Form) -> tuple[str, str]:
    return f"-DTRIGGERFORGE_CHAINS={form[0]}", f"-DTRIGGERFORGE_PARTS={form[1]}"


def _text(form: Form) -> str:
    return f"{form[0]} {form[1]}"


def _recall(file: Path) -> Form | None:
    """The form in the file; None if there is none, or no such form."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    forms = ((chains, parts) for chains in CHAINS for parts in PARTS)
    return {_text(form): form for form in forms}.get(text)


def _remember(file: Path, form: Form) -> None:
    """Whole or not at all, whoever else finds a form at the same time."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".fastest-")
    with os.fdopen(handle, "w") as out:
        out.write(_text(form))
    Path(name).replace(file)
