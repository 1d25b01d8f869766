"""How a generation ends that does not go well: interrupted, or started from a script without a guard."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generate import generate

generate(GenerateConfig(recipe="toptag", jets=8, chunk_jets=2, workers=2), 5, Path(sys.argv[1]))
"""
CALL = "import sys; from triggerforge.cli import main; sys.exit(main())"
CONFIG = """
generate: {recipe: toptag, jets: 100_000, chunk_jets: 20_000, workers: 2}
data: {}
"""


def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "put the call under `if __name__ ==" in last and "memory" not in done.stderr


def command_of(process: int) -> str:
    """How it was called; nothing where it is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


def workers_of(process: int) -> list[int]:
    """Living processes that `process` started, but for multiprocessing's tracker."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == process and "spawn_main" in command_of(int(path.parent.name)):
            found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize(
    ("number", "to_all", "word"),
    [
        (signal.SIGINT, False, "interrupted"),
        (signal.SIGINT, True, "interrupted"),  # Ctrl-C goes to all processes of a terminal
        (signal.SIGTERM, False, "ended by SIGTERM"),
    ],
)
def test_a_signal_while_workers_generate_is_one_line(
    tmp_path: Path, number: signal.Signals, to_all: bool, word: str
) -> None:
    (tmp_path / "mine.yaml").write_text(CONFIG)
    process = subprocess.Popen(
        [sys.executable, "-c", CALL, "generate", "mine.yaml", "--runs", "runs"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while len(workers := workers_of(process.pid)) < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        (os.killpg if to_all else os.kill)(process.pid, number)
        # a chunk of 20,000 jets takes minutes: this ends because nobody waits for it
        said = process.communicate(timeout=60)[1]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1].startswith(f"triggerforge: error: {word}")
    assert [n for n in workers if "spawn_main" in command_of(n)] == []
