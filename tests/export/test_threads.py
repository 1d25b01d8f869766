"""Eight threads on one runtime: every engine's right outputs, or the refusal that it is known for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from triggerforge.errors import MissingToolError, ModelError, RegistryError
from triggerforge.export.probe import central_inputs
from triggerforge.export.runtime import ENGINES, EngineSource, Runtime
from triggerforge.known_engines import KNOWN, Engine

THREADS, CALLS = 8, 40
Outputs = np.ndarray[Any, Any]
SLOW = {"hgq2": 3}
"""calls of an engine that takes tens of ms for each"""
IN_PROCESS = [name for name in KNOWN if KNOWN[name].stage == "export"]
"""the firmware's two stand in tests/firmware/test_build.py, where it is built"""


def from_threads(work: Callable[[int], Any]) -> list[Any]:
    """What `work(number)` gave in each thread, all started at once; an exception is what it gave."""
    start = Barrier(THREADS)

    def call(number: int) -> Any:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(call, number) for number in range(THREADS)]
    return [one.exception() or one.result() for one in running]


def wrong(engine: Runtime, y: Outputs, expected: Outputs) -> int:
    """Outputs that are not the expected ones; a float engine may round another way in a thread."""
    if KNOWN[engine.name].model == "quantized":
        return int((y != expected).sum())
    return int((~np.isclose(y, expected, rtol=1e-6, atol=1e-6)).sum())


def require_right_or_refused(engine: Runtime, x: Outputs) -> None:
    """Threads of batches of their own, through `predict` and through bound calls."""
    parts, calls = np.array_split(x, THREADS), SLOW.get(engine.name, CALLS)
    expected = [engine.predict(part) for part in parts]

    def predict(number: int) -> int:
        return sum(
            wrong(engine, engine.predict(parts[number]), expected[number]) for _ in range(calls)
        )

    def bound(number: int) -> int:
        y = np.empty_like(expected[number])
        call, count = engine.bind(parts[number], y), 0
        for _ in range(calls):
            y[:] = np.nan
            call()
            count += wrong(engine, y, expected[number])
        return count

    for work in (predict, bound):
        found = from_threads(work)
        if KNOWN[engine.name].threads:
            assert found == [0] * THREADS
        else:
            assert any(isinstance(one, ModelError) for one in found)
            assert all(one == 0 or isinstance(one, ModelError) for one in found)


@pytest.mark.parametrize("name", IN_PROCESS)
def test_threads_do_not_mix_their_events(source: EngineSource, name: str) -> None:
    try:
        engine = ENGINES[name](source)
    except MissingToolError as error:
        pytest.skip(str(error))
    require_right_or_refused(engine, central_inputs(source.quantized.contract, 8 * 13, seed=5))


def test_every_engine_says_what_it_is() -> None:
    made = {name for name in ENGINES if ENGINES[name]}
    assert made == set(KNOWN)


def test_an_engine_of_ones_own_joins_by_registration(monkeypatch: pytest.MonkeyPatch) -> None:
    from triggerforge.config.benchmark import LatencyConfig, ParityConfig

    monkeypatch.setattr(KNOWN, "_entries", dict(KNOWN._entries))
    monkeypatch.setattr(ENGINES, "_entries", dict(ENGINES._entries))
    with pytest.raises(ValueError, match="no engine 'mine'; known: alir"):
        LatencyConfig.model_validate({"engines": ["mine"]})
    ENGINES.register("mine", Engine("float"))(ENGINES["torch"])
    assert LatencyConfig.model_validate({"engines": ["mine"]}).engines == ("mine",)
    with pytest.raises(ValueError, match="no engine 'mine' that must be exact"):
        ParityConfig.model_validate({"engines": ["mine"]})
    with pytest.raises(RegistryError, match="'mine' is registered already"):
        ENGINES.register("mine", Engine("float"))


@pytest.mark.parametrize("name", [name for name in KNOWN if not name.startswith("hgq2")])
def test_every_engine_can_be_named_in_the_configuration(name: str) -> None:
    from triggerforge.config.benchmark import LatencyConfig, ParityConfig

    assert LatencyConfig.model_validate({"engines": [name]}).engines == (name,)
    if KNOWN[name].exact:
        assert ParityConfig.model_validate({"engines": [name]}).engines == (name,)
