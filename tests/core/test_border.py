"""What a command says, and its status, in the surroundings that people have."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from triggerforge.border import answer, printable, tell
from triggerforge.errors import DataError, ParityError
from triggerforge.progress import progress, say

ROOT = Path(__file__).parents[2]
DEMO = str(ROOT / "configs" / "demo.yaml")
CALL = "import sys; from triggerforge.cli import main; sys.exit(main())"
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def shell(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a shell makes of `script`, in which $TF is the command line."""
    tf = f"'{sys.executable}' -c '{CALL}'"
    return subprocess.run(
        ["bash", "-c", script.replace("$TF", tf)],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env=os.environ | environment,
        cwd=ROOT,
    )


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("chek", "did you mean 'check'?"),
        ("trian", "did you mean 'train'?"),
        ("verfy", "did you mean 'verify'?"),
        ("run x.yaml --quik", "did you mean '--quick'?"),
        ("train x.yaml --sett a=1", "did you mean '--set'?"),
        ("score x.yaml e.root --ouput=a.root -o b.root", "did you mean '--output'?"),
        ("run x.yaml y.yaml", "it is one too many"),
    ],
)
def test_a_word_that_is_none_is_answered_with_the_nearest(
    words: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from triggerforge.cli import main

    with pytest.raises(SystemExit, match="2"):
        main(words.split())
    assert hint in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DataError("[b] of [/b] is [ns]\x1b[31m"), 1),
        (ParityError("3 differ"), 3),
        (MemoryError("2 TB"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_is_one_line_and_a_status(
    error: BaseException, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    assert answer(fail, "tool") == status
    said = capsys.readouterr().err
    assert said.startswith("tool: error: ") and said.count("\n") == 1
    assert "\x1b" not in said and (str(error).partition("\x1b")[0] in said or status == 130)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unwinds_the_stack(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    closed = []

    def work() -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            closed.append(True)

    before = signal.getsignal(number)
    assert answer(work) == 128 + number and closed
    assert "to go on" in capsys.readouterr().err
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("text", ["r[/b]", "out[v2].root", "[ns]", "[bold]x", ":warning:", "a\\[b"])
def test_what_a_user_wrote_is_shown_letter_by_letter(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say(f"{text}: read", label="data", style="red")
    with progress(f"score {text}", 2) as meter:
        meter(2, text)
    said = capsys.readouterr().err
    assert said.splitlines()[0] == f"data {text}: read"
    assert f"score {text}: 2/2" in said and said.count(text) == 3


def test_what_steers_a_terminal_is_spelled_out() -> None:
    assert printable("p\x1b[31m\udc80é\t") == "p\\x1b[31m\\udc80é\t"


def test_markup_in_a_path_of_the_command_line(tmp_path: Path) -> None:
    found = shell(f"$TF report {DEMO} --runs '{tmp_path}/r[/b]' --set 'generate.recipe=x[/b].yaml'")
    assert found.returncode == 1 and "Traceback" not in found.stderr
    assert "x[/b].yaml" in found.stderr


def test_without_standard_error_the_command_does_its_work_and_says_its_last_word() -> None:
    good = shell(f"$TF config {DEMO} 2>&-")
    assert good.returncode == 0 and good.stdout == shell(f"$TF config {DEMO}").stdout
    bad = shell(f"$TF config {DEMO} --set sed=1 2>&-")
    assert bad.returncode == 1 and "did you mean 'seed'" in bad.stdout
    assert shell("$TF config nowhere.yaml >&- 2>&-").returncode == 1


def test_without_standard_error_no_file_takes_its_place(tmp_path: Path) -> None:
    file = tmp_path / "data"
    script = (
        "import os, sys; from triggerforge.border import answer\n"
        f"def work(): open({str(file)!r}, 'w').close(); os.write(2, b'a library talks')\n"
        "sys.exit(answer(work))"
    )
    done = subprocess.run(["bash", "-c", f"'{sys.executable}' -c \"{script}\" 2>&-"], check=False)
    assert done.returncode == 0 and file.read_bytes() == b""


def test_without_standard_output_an_answer_cannot_be_given() -> None:
    found = shell(f"$TF config {DEMO} >&-")
    assert found.returncode == 1 and "standard output is closed" in found.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    found = shell(f"$TF config {DEMO} | head -c 10; exit ${{PIPESTATUS[0]}}")
    assert found.stderr == "" and found.returncode in (0, 141)
    full = shell(f"$TF config {DEMO} > /dev/full")
    assert full.returncode == 1 and "the disk is full" in full.stderr
    assert "Traceback" not in full.stderr


def test_an_ascii_locale_shows_what_reads_back(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("data: {source: é.root, selection: 'η < 2'}\n", encoding="utf-8")
    shown = shell(f"$TF config {config}", **ASCII)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.isascii() and "\\xb1" in shown.stdout  # data.inputs: jet axis ± this much
    again = tmp_path / "again.yaml"
    again.write_text(shown.stdout)
    from triggerforge.config.load import load_config

    read = load_config(again).data
    assert read.source == ("é.root",) and read.selection == "η < 2"
    bad = shell(f"$TF config {config} --set data.format=é", **ASCII)
    assert bad.returncode == 1 and "Traceback" not in bad.stderr and "it is '\\xe9'" in bad.stderr
    run = shell(f"$TF data {config} --runs {tmp_path}", **ASCII)
    assert run.returncode == 1 and "Traceback" not in run.stderr and "PYTHONUTF8=1" in run.stderr


def test_every_word_of_help_is_shown_in_an_ascii_locale() -> None:
    for verb in ("", "score"):
        found = shell(f"$TF {verb} -h", **ASCII)
        assert found.returncode == 0 and found.stdout.isascii(), found.stderr


def test_an_answer_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(lambda: tell("42\n")) == 0
    assert capsys.readouterr().out == "42\n"


@pytest.mark.parametrize("verb", ["config", "run"])
def test_a_command_that_is_none_imports_nothing_heavy(verb: str) -> None:
    code = f"{CALL.replace('sys.exit(main())', '')}main(['{verb}', 'nowhere.yaml']); print(set(sys.modules))"
    done: Any = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"'torch'", "'keras'", "'jax'"} & set(done.stdout.replace(",", "").split())
