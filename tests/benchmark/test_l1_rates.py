"""The rates command prints what its documentation says, and its errors are right."""

from pathlib import Path

import numpy as np
import pytest

from triggerforge.benchmark import l1_rates
from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generate import generate


def test_rates_of_weighted_crossings_agree_with_their_errors() -> None:
    """Two parts of known acceptance, a thousand times: pulls have a width of one."""
    rng = np.random.default_rng(1)
    weight = np.repeat([1.0, 0.01], [2000, 500])
    accept = np.repeat([0.05, 0.6], [2000, 500])
    truth = (weight * accept).sum() / weight.sum()
    pulls = []
    for _ in range(1000):
        value, error = l1_rates.rate(weight, rng.random(2500) < accept, 1.0)
        pulls.append((value - truth) / error)
    assert abs(np.mean(pulls)) < 0.15
    assert np.std(pulls) == pytest.approx(1.0, abs=0.1)


def test_nothing_passes() -> None:
    assert l1_rates.rate(np.ones(10), np.zeros(10, bool), 100.0) == (0.0, 0.0)


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"background": 50, "signal": 2, "signals": ["ttbar"], "soft_pool": 20}
    settings |= {"hard_pool": 2, "pileup": 10}
    config = GenerateConfig.model_validate({"recipe": "l1", "workers": 1, "l1": settings})
    path = generate(config, 1, tmp_path)
    capsys.readouterr()
    assert l1_rates.main(str(path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("pile-up 10, 50 background crossings")
    assert lines[1].split()[-1] == "ttbar"
    rates = {line.split()[0]: float(line.split()[1]) for line in lines[2:19]}
    assert rates["SingleJet60"] >= rates["SingleJet90"] >= rates["SingleJet180"]
    assert any(line.startswith("towers: mean ET") for line in lines)
    assert any("crossings/s with 1 processes" in line for line in lines)
