"""The rates command prints what its documentation says, and its errors are right."""

from pathlib import Path

import pytest

from triggerforge.benchmark import l1_rates
from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generate import generate


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
