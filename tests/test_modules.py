"""Every `python -m triggerforge.…` says what it is for, and ends every mistake with one line."""

import runpy
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("data", "training", "compression", "export", "firmware", "trigger", "benchmark", "report")
APART = "qkeras_env"
"""runs in an environment of its own"""


def modules() -> list[str]:
    """The dotted names of all modules that can be run."""
    found = []
    for path in (p for room in ROOMS for p in (ROOT / room).rglob("*.py")):
        if APART not in path.parts and '\nif __name__ == "__main__":' in path.read_text():
            found.append(".".join(["triggerforge", *path.relative_to(ROOT).with_suffix("").parts]))
    return found


def status(module: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """What the module's process would end with: here it is run, for its imports take seconds."""
    monkeypatch.setattr(sys, "argv", [module, *words])
    with warnings.catch_warnings(), pytest.raises(SystemExit) as end:
        warnings.simplefilter("ignore", RuntimeWarning)  # another test has imported it
        runpy.run_module(module, run_name="__main__")
    return end.value.code


def test_they_are_found() -> None:
    assert {f"triggerforge.{m}" for m in ("benchmark.suite.__main__", "export.service")} <= set(
        modules()
    )
    assert len(modules()) >= 15


@pytest.mark.parametrize("module", modules())
def test_help_is_help(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(module, ["-h"], monkeypatch) == 0
    assert capsys.readouterr().out.startswith("usage: ")


@pytest.mark.parametrize("module", modules())
def test_a_wrong_word_is_one_line(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(module, ["--nonsense"], monkeypatch) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said and "error: " in said.splitlines()[-1]


@pytest.mark.parametrize("module", ["benchmark.physics", "benchmark.l1_rates", "report.compare"])
def test_a_file_that_is_not_there_is_one_line(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["nowhere.root"] * (2 if module == "report.compare" else 1)
    assert status(f"triggerforge.{module}", words, monkeypatch) == 1
    said = capsys.readouterr().err.strip()
    assert "nowhere.root" in said and "\n" not in said
