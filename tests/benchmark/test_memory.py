import pytest

from triggerforge.benchmark import memory


def test_footprint_does_not_follow_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    """A small size of the benchmark; its full size is run by hand and stands in docs/data.md."""
    status = memory.main(["--chunk", "6000", "--chunks", "4"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert "the limit of 1.2" in lines[-1]
    assert status == 0, "\n".join(lines)
