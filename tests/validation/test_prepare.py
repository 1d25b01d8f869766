"""The command that holds the C++ library's `prepare` to Python and to rational arithmetic."""

from typing import Any

import numpy as np
import pytest

from triggerforge.validation import prepare


def test_no_event_differs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "_CONTRACTS", 2)
    monkeypatch.setattr(prepare, "_EXACT", 2000)
    assert prepare.main(["--events", "4000"]) == 0
    told = capsys.readouterr().out
    assert "4000 events" in told and "4 rounding modes: 0 differ from Python" in told
    assert "4000 numbers against rational arithmetic: 0 differ" in told


def test_a_float32_before_the_contract_is_seen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rounded_twice(contract: Any, raw: Any, mask: Any) -> Any:
        rounded = raw.astype(np.float32)
        return prepare_normalized(contract, np.where(np.isfinite(rounded), rounded, raw), mask)

    prepare_normalized = prepare.normalized
    monkeypatch.setattr(prepare, "normalized", rounded_twice)
    monkeypatch.setattr(prepare, "_CONTRACTS", 1)
    monkeypatch.setattr(prepare, "BUILDS", {"-O2": ("-O2",)})
    with np.errstate(over="ignore"):
        assert prepare.main(["--events", "1000"]) == 1
    assert ": 0 differ from Python" not in capsys.readouterr().out
