"""The truth lies in the quoted interval as often as it says; `benchmark.closure` does more of it."""

import numpy as np
import pytest

from triggerforge.benchmark.closure import CASES, LEVELS, coverage, main

EXPERIMENTS = 250


@pytest.mark.parametrize("case", CASES)
def test_intervals_cover_as_often_as_they_say(case: str) -> None:
    found = coverage(case, EXPERIMENTS, "mid-p", seed=2)
    for level in LEVELS:
        four_sigma = 4 * np.sqrt(level * (1 - level) / EXPERIMENTS)
        assert found.rate[level] > level - four_sigma
        if case in ("unweighted", "weighted", "signed"):
            assert found.rate[level] < level + four_sigma
        assert abs(found.threshold[level] - found.rate[level]) < 0.01


def test_an_interval_that_is_too_short_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from triggerforge.trigger import curve

    exact = curve.interval
    monkeypatch.setattr(
        curve, "interval", lambda tally, level, method: exact(tally, level * 0.9, method)
    )
    assert coverage("unweighted", EXPERIMENTS, "mid-p").rate[0.95] < 0.92


def test_the_command_prints_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--experiments", "20"])
    text = capsys.readouterr().out
    assert text.count("+-") >= 4 * len(CASES)
    assert ("does NOT close" in text) == bool(status)
