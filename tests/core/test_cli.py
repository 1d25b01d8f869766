"""The command line: instant help, one line an error, an exit status that a CI can gate on."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from triggerforge import cli, pipeline
from triggerforge.config import RunConfig
from triggerforge.config.generate import GenerateConfig
from triggerforge.config.load import load_config
from triggerforge.errors import BudgetError, DataError, ParityError
from triggerforge.pipeline import STAGES, Run, check_gates

ROOT = Path(__file__).parents[2]
DEMO = str(ROOT / "configs/demo.yaml")


def test_help_is_instant_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from triggerforge.cli import main\n"
        "try: main(['-h'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'keras', 'jax', 'pydantic', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for stage in STAGES:
        assert stage.name in done.stdout


def test_an_unknown_key_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", DEMO, "--set", "train.epoch=3"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "did you mean 'epochs'" in error


def test_config_prints_what_reads_back(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["config", DEMO, "--set", "seed=4"]) == 0
    shown = tmp_path / "shown.yaml"
    shown.write_text(capsys.readouterr().out)
    assert cli.main(["config", str(shown)]) == 0
    assert "seed: 4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (DataError("events.root is empty"), 1, "events.root is empty"),
        (ParityError("rtl: 3 of 100 outputs"), 3, "rtl: 3 of 100"),
        (BudgetError("1200 EBOPs"), 3, "1200 EBOPs"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "the disk is full"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "runs"), 1, "can be written (--runs"),
        (KeyboardInterrupt(), 130, "to go on"),
    ],
)
def test_the_exit_status_tells_what_happened(
    error: BaseException,
    status: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(run: Run, target: str) -> None:
        raise error

    monkeypatch.setattr(pipeline, "execute", fail)
    assert cli.main(["train", DEMO]) == status
    assert words in capsys.readouterr().err


def test_every_stage_has_its_section() -> None:
    assert {stage.section or stage.name for stage in STAGES} <= set(RunConfig.model_fields)


def test_rates_are_wanted_only_with_their_section() -> None:
    config = load_config(Path(DEMO))
    (stage,) = (s for s in STAGES if s.name == "trigger")
    assert not stage.wanted(config)
    assert stage.wanted(load_config(Path(DEMO), ["trigger.background=[q, g]"]))


def test_the_number_of_processes_does_not_run_the_generator_again() -> None:
    one, two = GenerateConfig(workers=1), GenerateConfig(workers=2)
    assert one.identity() == two.identity() != GenerateConfig(jets=1).identity()


def test_gates_pass_on_parity_and_met_targets() -> None:
    row = {"candidate": "rtl", "inputs": "test", "outputs": 10, "mismatches": 0}
    check_gates({"parity": [row], "compression": {"target_missed": None}})


def test_gates_stop_a_mismatch_and_a_target_missed() -> None:
    row = {"candidate": "rtl", "inputs": "test", "outputs": 10, "mismatches": 1}
    with pytest.raises(ParityError, match="rtl: 1 of 10 outputs"):
        check_gates({"parity": [row]})
    with pytest.raises(BudgetError, match="9000 EBOPs"):
        check_gates({"compression": {"target_missed": "9000 EBOPs, the target was 5000"}})
