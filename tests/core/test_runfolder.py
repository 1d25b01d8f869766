"""A stage is there whole or not at all, and is not run twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from triggerforge.errors import ArtifactError, TriggerForgeError
from triggerforge.runfolder import RunFolder, key_of, read_json, write_atomic, write_json


def write_two(folder: Path) -> None:
    (folder / "one").write_text("1")
    (folder / "two").write_text("2")


def write_mine(folder: Path) -> None:
    (folder / "mine").write_text("m")


def test_a_finished_stage_is_not_run_again(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, "r")
    run.run("train", "key", write_two)
    run.run("train", "key", lambda folder: pytest.fail("ran again"))
    assert (run.stage_path("train") / "two").read_text() == "2"


def test_another_key_replaces_the_stage(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, "r")
    run.run("train", "key", write_two)
    run.run("train", "other", lambda folder: None)
    assert not (run.stage_path("train") / "one").exists()
    assert run.is_done("train", "other") and not run.is_done("train", "key")


def test_a_copied_run_is_whole(tmp_path: Path) -> None:
    RunFolder(tmp_path / "here", "r").run("train", "key", write_two)
    shutil.copytree(tmp_path / "here", tmp_path / "there", copy_function=shutil.copyfile)
    assert RunFolder(tmp_path / "there", "r").is_done("train", "key")


def test_a_shared_stage_of_another_run_is_taken(tmp_path: Path) -> None:
    first = RunFolder(tmp_path, "a").run("generate", "key", write_two)
    second = RunFolder(tmp_path, "b")
    taken = second.run("generate", "key", lambda f: pytest.fail("made again"), shared=True)
    assert second.is_done("generate", "key")
    assert {p.name for p in taken.iterdir()} == {"one", "two", ".stage.json"}
    assert (taken / "one").samefile(first / "one")
    # each run keeps its own when the other one is made anew
    RunFolder(tmp_path, "a").run("generate", "other", lambda f: None)
    assert second.is_done("generate", "key")


def test_a_damaged_or_different_stage_of_another_run_is_not_taken(tmp_path: Path) -> None:
    first = RunFolder(tmp_path, "a").run("generate", "key", write_two)
    (first / "one").write_text("")
    second = RunFolder(tmp_path, "b")
    for key in ("key", "another"):
        made = second.run("generate", key, write_mine, shared=True)
        assert (made / "mine").exists()


@pytest.mark.parametrize("damage", ["remove", "truncate", "overwrite", "seal"])
def test_a_damaged_stage_is_run_again(tmp_path: Path, damage: str) -> None:
    run = RunFolder(tmp_path, "r")
    folder = run.run("train", "key", write_two)
    if damage == "remove":
        (folder / "one").unlink()
    elif damage == "truncate":
        (folder / "one").write_text("")
    elif damage == "overwrite":
        (folder / "one").write_text("x")
    else:
        (folder / ".stage.json").write_text("{")
    run.run("train", "key", write_two)
    assert (folder / "one").read_text() == "1"
    assert run.is_done("train", "key")


DIE_IN_THE_MIDDLE = """
import os, signal, sys
from pathlib import Path
from triggerforge.runfolder import RunFolder

def work(folder):
    (folder / "one").write_text("1")
    os.kill(os.getpid(), signal.SIGKILL)

RunFolder(Path(sys.argv[1]), "r").run("train", "key", work)
"""


def test_a_killed_stage_goes_on_where_it_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DIE_IN_THE_MIDDLE, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    run = RunFolder(tmp_path, "r")
    assert not run.is_done("train", "key") and not run.stage_path("train").exists()
    found = []
    run.run("train", "key", lambda folder: found.append((folder / "one").read_text()))
    assert found == ["1"]


def test_a_killed_stage_with_another_key_starts_anew(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, "r")
    with pytest.raises(ZeroDivisionError):
        run.run("train", "key", lambda folder: (folder / "one").write_text("1") // 0 and None)
    run.run("train", "other", lambda folder: None)
    assert not (run.stage_path("train") / "one").exists()


def test_two_processes_do_not_run_one_stage(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, "r")

    def nested(folder: Path) -> None:
        with pytest.raises(TriggerForgeError, match="another process is running stage 'train'"):
            RunFolder(tmp_path, "r").run("train", "key", write_two)

    run.run("train", "key", nested)


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    write_atomic(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old"


def test_json_refuses_what_json_lacks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "r.json", {"auc": float("nan")})


@pytest.mark.parametrize("text", ["", "[1]", '{"a":'])
def test_damaged_json_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(ArtifactError, match=r"record\.json"):
        read_json(path)


def test_a_key_depends_on_every_part() -> None:
    keys = {key_of({"a": 1}), key_of({"a": 2}), key_of({"a": 1}, "x"), key_of({"b": 1})}
    assert len(keys) == 4
    assert key_of({"a": 1, "b": 2}) == key_of(json.loads('{"b": 2, "a": 1}'))
