"""The response and speed commands print what their documentation says."""

import pytest

from triggerforge.benchmark import l1_response, l1_speed


def test_jets_without_pile_up_have_a_response_near_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(l1_response, "_SOFT_COLLISIONS", 10)
    monkeypatch.setattr(l1_response, "_BINS", ("hard170to250",))
    assert l1_response.main("1", "60") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "pile-up 1"
    for line in lines[2:4]:
        jets, found, median = line.split()[4:7]
        assert int(jets) >= 10 and float(found) > 0.9
        assert 0.85 < float(median) < 1.15


@pytest.mark.long
def test_speed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(l1_speed, "_COLLISIONS", {"soft": 20})
    monkeypatch.setattr(l1_speed, "_FEW", 2)
    assert l1_speed.main("5") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(line.endswith("/s/core") for line in lines)
