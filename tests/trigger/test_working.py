"""Scores, working points and efficiencies, on float and firmware scores of the same events."""

from typing import Any

import numpy as np
import pytest

from tests.trigger.conftest import SCORE, dataset, logits
from triggerforge.config.trigger import TriggerConfig
from triggerforge.errors import ConfigError, DataError, RateError
from triggerforge.trigger.efficiency import efficiency, paired
from triggerforge.trigger.score import Scored, scored
from triggerforge.trigger.working import rate_at, working_point, working_points


def models(config: TriggerConfig, **replaced: Any) -> list[Scored]:
    test = dataset(**replaced)
    values = logits(test)
    fixed = np.clip(np.floor(values * 128) / 128, *SCORE.range)
    return [
        scored("float", values, test, config, None),
        scored("firmware", fixed, test, config, [SCORE]),
    ]


def test_one_reason_is_given_once_for_all_targets_and_models(config: TriggerConfig) -> None:
    points = working_points(models(config), [0.1, 0.2, 0.3])
    assert len(points.refused) == 6
    ((names, reason),) = points.refusals
    assert names.count(" kHz") == 6 and "float at 0.1 kHz" in names
    assert reason.startswith("below ") and "the smallest that" in reason


def test_working_points_have_what_a_menu_needs(config: TriggerConfig) -> None:
    points = working_points(models(config), config.target_rates)
    assert set(points.refused) == {"float at 0.1 kHz", "firmware at 0.1 kHz"}
    rows = [p.row for p in points.found]
    assert [(r.model, r.target_khz) for r in rows] == [
        ("float", 100.0),
        ("firmware", 100.0),
        ("float", 1000.0),
        ("firmware", 1000.0),
    ]
    for row in rows:
        assert row.rate_khz <= row.target_khz and row.rate_err_khz > 0
        assert set(row.efficiency) == {"a4l", "dark"}
        for name, value in row.efficiency.items():
            assert row.efficiency_low[name] < value < row.efficiency_high[name]
    float_row, hardware = rows[2:]
    assert float_row.threshold_lsb is None and float_row.efficiency_minus_float == {}
    assert hardware.threshold_lsb == hardware.threshold * 128
    for name, change in hardware.efficiency_minus_float.items():
        expected = hardware.efficiency[name] - float_row.efficiency[name]
        assert change == pytest.approx(expected)
        # the same events: the difference is known better than either efficiency
        assert hardware.efficiency_minus_float_err[name] < hardware.efficiency_err[name]


def test_the_rate_of_a_given_threshold(config: TriggerConfig) -> None:
    float_model, hardware = models(config)
    rate, found = rate_at(hardware, 3.0)
    assert rate.events == int((hardware.score[hardware.background] >= 3).sum())
    assert found["a4l"].value > rate.khz / hardware.curve.total_khz
    with pytest.raises(RateError, match="outside .* range of the float model"):
        rate_at(float_model, 1e4)
    with pytest.raises(RateError, match="outside -16"):
        rate_at(hardware, 16.0)


def test_a_difference_of_logits_is_a_score() -> None:
    chosen = {"output": "dark", "minus": "minbias"}
    config = TriggerConfig.model_validate({"background": ["minbias"], "score": chosen})
    test = dataset()
    table = np.round(np.random.default_rng(1).normal(size=(len(test), 3)) * 128) / 128
    found = scored("firmware", table, test, config, [SCORE] * 3)
    np.testing.assert_array_equal(found.score, table[:, 2] - table[:, 0])
    assert found.grid is not None and found.grid.width == 13
    assert working_point(found, 1000.0).lsb is not None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"background": ["minbia"]}, "no class 'minbia'; did you mean 'minbias'"),
        ({"signals": ["drak"]}, "no class 'drak'; did you mean 'dark'"),
        ({"score": {"output": 3}}, "no output 3"),
        ({"score": {"output": "a4l"}}, "no output 'a4l'; known: 0"),
    ],
)
def test_unknown_names_are_refused(settings: dict[str, Any], words: str) -> None:
    config = TriggerConfig.model_validate({"background": ["minbias"]} | settings)
    with pytest.raises(ConfigError, match=words):
        models(config)


def test_which_of_several_outputs_must_be_said(config: TriggerConfig) -> None:
    with pytest.raises(ConfigError, match="3 outputs; say in trigger.score.output"):
        scored("float", np.zeros((9, 3)), dataset(9), config, None)


def test_bad_samples_are_refused(config: TriggerConfig) -> None:
    test = dataset()
    values = logits(test)
    values[5] = np.nan
    with pytest.raises(DataError, match=r"float model: 1 of 9000 scores .* event 5"):
        scored("float", values, test, config, None)
    with pytest.raises(DataError, match="sum to -9000"):
        models(config, weight=np.full(9000, -1, np.float32))
    with pytest.raises(DataError, match=r"background \['minbias'\].*no events"):
        models(config, y=np.ones(9000, np.int64))
    with pytest.raises(DataError, match="no values of"):
        scored("firmware", logits(test), test, config, [SCORE])


def test_a_signal_without_events_is_named(config: TriggerConfig) -> None:
    with pytest.raises(DataError, match="signal 'a4l'.*no events"):
        working_points(models(config, y=np.arange(9000) % 2 * 2), [1000.0])


def test_efficiencies_count_weights_and_pairs_do_not_count_what_agrees() -> None:
    passed = np.array([True, True, False, False])
    found = efficiency(passed, np.array([3.0, 1.0, 2.0, 2.0]), "x")
    assert found.value == 0.5 and found.low < 0.5 < found.high
    same = paired(passed, passed, np.ones(4))
    assert (same.value, same.err) == (0.0, 0.0)
    other = paired(passed, np.array([True, False, False, False]), np.ones(4))
    assert other.value == 0.25 and other.err == pytest.approx(np.sqrt(0.75) / 4)
