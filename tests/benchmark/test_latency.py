"""Latency rows are made of real calls, in turn, and the process is left as it was."""

import gc
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from triggerforge.benchmark.engines import make_engines
from triggerforge.benchmark.latency import (
    Contestant,
    measure,
    one_quiet_core,
    statistics_us,
    time_rounds,
    timer_overhead_ns,
)
from triggerforge.config.benchmark import LatencyConfig
from triggerforge.data.dataset import Splits
from triggerforge.errors import DataError, RegistryError
from triggerforge.export.runtime import EngineSource


class Counting:
    """An engine that notes the inputs of every call."""

    model = "float"

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log
        self.seen: list[float] = []

    def predict(self, x: Any) -> Any:
        self.log.append(self.name)
        self.seen.append(float(x[0, 0]))
        return np.zeros((len(x), 1))

    def bind(self, x: Any, y: Any) -> Callable[[], None]:
        def call() -> None:
            y[:] = self.predict(x)

        return call


def test_engines_take_turns_on_changing_inputs() -> None:
    log: list[str] = []
    engines = {name: Counting(name, log) for name in ("a", "b")}
    x = np.arange(30, dtype=np.float32)[:, None]
    config = LatencyConfig(batches=(3,), calls=50, seconds=60)
    rows = measure(config, engines, x, "net")
    assert [(r.engine, r.io, r.batch, r.calls, r.network) for r in rows] == [
        ("a", "copy", 3, 50, "net"),
        ("a", "bound", 3, 50, "net"),
        ("b", "copy", 3, 50, "net"),
        ("b", "bound", 3, 50, "net"),
    ]
    timed = log[-200:]
    for round_ in np.reshape(timed, (50, 4)):
        assert sorted(round_) == ["a", "a", "b", "b"]
    assert set(engines["a"].seen) == {0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 21.0, 24.0, 27.0}


def test_who_has_fewer_calls_has_them_spread_over_all_rounds() -> None:
    log: list[str] = []
    x = np.zeros((1, 1), np.float32)
    contestants = [
        Contestant(engine, "copy", lambda _: None, lambda engine=engine: engine.predict(x))
        for engine in (Counting(name, log) for name in ("fast", "slow"))
    ]
    took = time_rounds(contestants, [x], [100, 4])
    assert [len(t) for t in took] == [100, 4]
    assert log.count("fast") == 100 and log.count("slow") == 4
    quarters = np.array_split(np.array(log), 4)
    assert [list(q).count("slow") for q in quarters] == [1, 1, 1, 1]


def test_an_engine_beyond_its_share_of_the_time_has_fewer_calls() -> None:
    class Slow(Counting):
        def predict(self, x: Any) -> Any:
            time.sleep(2e-3)
            return super().predict(x)

    log: list[str] = []
    engines = {"fast": Counting("fast", log), "slow": Slow("slow", log)}
    config = LatencyConfig(batches=(1,), calls=400, seconds=0.4)
    rows = measure(config, engines, np.zeros((5, 1), np.float32), "net")
    calls = {(r.engine, r.io): r.calls for r in rows}
    assert calls["fast", "copy"] == calls["fast", "bound"] == 400
    assert 15 <= calls["slow", "copy"] <= 50


def test_when_the_time_is_over_the_calls_that_were_made_count() -> None:
    log: list[str] = []
    engine, x = Counting("a", log), np.zeros((1, 1), np.float32)

    def slow() -> None:
        time.sleep(1e-3)
        engine.predict(x)

    (took,) = time_rounds([Contestant(engine, "copy", lambda _: None, slow)], [x], [10_000], 0.05)
    assert 15 <= len(took) == len(log) <= 60
    assert took.min() >= 1e6
    (few,) = time_rounds([Contestant(engine, "copy", lambda _: None, slow)], [x], [1000], 0.0)
    assert len(few) == 15


def test_statistics_are_measured_calls() -> None:
    took = np.random.default_rng(0).permutation(np.arange(1, 1001)) * 1000
    assert statistics_us(took) == {
        "p50_us": 501.0,
        "p99_us": 991.0,
        "p999_us": 1000.0,
        "min_us": 1.0,
        "max_us": 1000.0,
    }


def test_twenty_thousand_calls_are_the_default() -> None:
    assert LatencyConfig().calls == 20_000


def test_quantiles_are_in_order_and_throughput_is_events_over_time(
    source: EngineSource, splits: Splits
) -> None:
    engines, not_run = make_engines(["torch", "onnxruntime-quantized", "alir"], source)
    assert not not_run
    config = LatencyConfig(batches=(1, 16), calls=40, seconds=5)
    rows = measure(config, engines, splits.test.quantized_x, "net")
    assert len(rows) == 3 * 2 * 2
    for row in rows:
        assert 0 < row.min_us <= row.p50_us <= row.p99_us <= row.p999_us <= row.max_us
        assert row.batch * 1e6 / row.p999_us <= row.throughput_hz <= row.batch * 1e6 / row.min_us


def test_batches_larger_than_the_sample_repeat_events(source: EngineSource) -> None:
    engines, _ = make_engines(["alir"], source)
    config = LatencyConfig(batches=(64,), calls=10, seconds=0.01)
    rows = measure(config, engines, np.zeros((5, 3), np.float32), "net")
    assert {r.calls for r in rows} == {10} or all(r.calls <= 30 for r in rows)


def test_no_event_is_an_error() -> None:
    with pytest.raises(DataError, match="no events"):
        measure(LatencyConfig(), {}, np.zeros((0, 3), np.float32), "net")


def test_the_process_is_left_as_it_was_even_after_an_error() -> None:
    before = (gc.isenabled(), torch.get_num_threads(), os.sched_getaffinity(0))
    with pytest.raises(ZeroDivisionError), one_quiet_core():
        assert not gc.isenabled()
        assert len(os.sched_getaffinity(0)) == 1
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError
    assert (gc.isenabled(), torch.get_num_threads(), os.sched_getaffinity(0)) == before


def test_the_clock_costs_less_than_ten_microseconds() -> None:
    assert 0 < timer_overhead_ns() < 10_000


def test_an_unknown_engine_names_the_nearest(source: EngineSource) -> None:
    with pytest.raises(RegistryError, match="did you mean 'torch'"):
        make_engines(["torhc"], source)
