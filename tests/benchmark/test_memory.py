import pytest

from triggerforge.benchmark import memory


@pytest.mark.parametrize("form", ["root", pytest.param("lhcjets", marks=pytest.mark.long)])
def test_footprint_does_not_follow_the_file(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A small size of the benchmark; its full size is run by hand and stands in docs/data.md."""
    status = memory.main(["--chunk", "6000", "--chunks", "4", "--formats", form])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert "the limit of 1.2" in lines[-1]
    assert status == 0, "\n".join(lines)
