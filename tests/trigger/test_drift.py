"""Drift: quiet where nothing changes, loud where something does."""

import numpy as np
import pytest

from tests.trigger.conftest import dataset, logits
from triggerforge.config.trigger import DriftConfig, TriggerConfig
from triggerforge.errors import ConfigError, DataError
from triggerforge.trigger.drift import drifts, kolmogorov, stability_index
from triggerforge.trigger.score import scored
from triggerforge.trigger.slices import rate_in_slices, slice_numbers
from triggerforge.trigger.stability import score_drift
from triggerforge.trigger.turnon import turn_on
from triggerforge.trigger.working import working_point

RNG = np.random.default_rng(5)


def sample(events: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    return RNG.normal(shift, 1, events), np.ones(events)


def test_without_drift_alarms_are_as_rare_as_configured() -> None:
    config = DriftConfig(p_value=0.05)
    alarms = sum(
        any(row.alarm for row in drifts({n: (sample(300), sample(200)) for n in "abc"}, config))
        for _ in range(200)
    )
    assert alarms < 200 * 0.05 + 4 * np.sqrt(200 * 0.05 * 0.95)


def test_a_shift_raises_the_alarm() -> None:
    (row,) = drifts({"x": (sample(4000), sample(4000, 0.8))}, DriftConfig())
    assert row.alarm and row.psi > 0.3 and row.p_value < 1e-6


def test_the_index_is_that_of_its_definition() -> None:
    ref, now = np.arange(1000.0), np.concatenate([np.arange(500.0), np.arange(500.0)])
    found, bins = stability_index((ref, np.ones(1000)), (now, np.ones(1000)))
    assert bins == 10
    tiny = 0.5 / 1000
    q = np.array([0.2] * 5 + [tiny] * 5) / (1 + 5 * tiny)
    assert found == pytest.approx(((q - 0.1) * np.log(q / 0.1)).sum(), rel=0.05)


def test_ks_is_scipys_without_weights() -> None:
    from scipy.stats import ks_2samp

    a, b = sample(500), sample(700, 0.1)
    distance, p_value = kolmogorov(a, b)
    expected = ks_2samp(a[0], b[0], method="asymp")
    assert distance == pytest.approx(expected.statistic)
    assert p_value == pytest.approx(expected.pvalue, rel=0.2)


def test_bad_samples_are_refused() -> None:
    good = sample(10)
    for bad in ((np.array([]), np.array([])), (np.full(10, np.nan), np.ones(10))):
        with pytest.raises(DataError, match="drift of 'x', now"):
            drifts({"x": (good, bad)}, DriftConfig())
    with pytest.raises(DataError, match="sum to more than 0"):
        drifts({"x": ((good[0], -good[1]), good)}, DriftConfig())


def test_a_score_that_drifts_in_time_is_seen_and_one_that_does_not_is_quiet() -> None:
    config = TriggerConfig(background=("minbias",), time="lumi")
    test = dataset()
    values = logits(test)
    quiet = scored("float", values, test, config, None)
    assert not any(row["alarm"] for row in score_drift(quiet, "lumi"))
    late = test.observables["lumi"] > 70
    loud = scored("float", values + late[:, None], test, config, None)
    assert score_drift(loud, "lumi")[-1]["alarm"]
    for model, alarm in ((quiet, False), (loud, True)):
        (row,) = rate_in_slices(model, [working_point(model, 2000.0)], "lumi", "trigger.time")
        assert row["alarm"] is alarm and len(row["rate_khz"]) == len(row["edges"]) - 1


def test_slices_hold_equal_numbers_and_equal_values_stay_together() -> None:
    edges, place = slice_numbers(np.arange(100), 4)
    assert np.bincount(place).tolist() == [25, 25, 25, 25] and len(edges) == 5
    edges, place = slice_numbers(np.zeros(10), 4)
    assert set(place) == {0}
    _, place = slice_numbers(np.repeat([1, 2], 50), 8)
    assert set(place) <= {0, 1}


def test_turn_on_rises_with_what_the_score_is_made_from() -> None:
    config = TriggerConfig(background=("minbias",))
    test = dataset()
    model = scored("float", logits(test), test, config, None)
    curves = turn_on(model, [working_point(model, 1000.0)])
    assert {(c["observable"], c["signal"]) for c in curves} == {
        ("jet_pt", "a4l"),
        ("jet_pt", "dark"),
    }
    for curve in curves:
        assert curve["efficiency"][0] < 0.1 and curve["efficiency"][-1] == 1
        assert all(
            low <= e <= high
            for low, e, high in zip(curve["low"], curve["efficiency"], curve["high"], strict=True)
        )


def test_an_unknown_observable_is_named() -> None:
    config = TriggerConfig(background=("minbias",), turn_on=("jetpt",))
    test = dataset()
    model = scored("float", logits(test), test, config, None)
    with pytest.raises(
        ConfigError, match="no observable 'jetpt' in the data; did you mean 'jet_pt'"
    ):
        turn_on(model, [])
    with pytest.raises(ConfigError, match="trigger.pileup: no observable 'nvp'"):
        rate_in_slices(model, [], "nvp", "trigger.pileup")
