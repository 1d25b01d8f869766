"""What a run remembers of its making, and how it is held to it byte for byte."""

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from triggerforge import cli, pipeline, result
from triggerforge.border import explained
from triggerforge.config.load import load_config
from triggerforge.errors import ArtifactError
from triggerforge.pipeline import STAGES, Run, Stage, execute
from triggerforge.result import collect, write_record
from triggerforge.runfolder import read_json
from triggerforge.verify import verify

DEMO = Path(__file__).parents[2] / "configs" / "demo.yaml"
VERSIONS = {"numpy": "2", "torch": "1"}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two stages that read a user's file, and what they were made of in order."""
    order: list[str] = []

    def work(name: str, run: Run, folder: Path) -> None:
        order.append(name)
        (folder / "values.bin").write_bytes(name.encode() * 1000)
        write_record(folder, metrics={name: len(order)})

    stages = (
        Stage("data", (), partial(work, "data"), packages=("numpy",)),
        Stage("export", ("data",), partial(work, "export"), packages=("torch",), tools=("g++",)),
    )
    monkeypatch.setattr(pipeline, "STAGES", stages)
    monkeypatch.setattr(pipeline, "_BY_NAME", {stage.name: stage for stage in stages})
    monkeypatch.setattr(pipeline, "_require_model_arguments", lambda config, needed: None)
    return order


@pytest.fixture
def run(tmp_path: Path) -> Run:
    source = tmp_path / "jets.root"
    source.write_bytes(b"a" * 100)
    return Run(load_config(DEMO, [f"data.source={source}", "name=r"]), tmp_path / "runs")


def flip(path: Path, at: int = 7) -> None:
    """Another byte at that place, with the size and the time that the file had."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_a_run_that_is_whole_is_verified(
    made: list[str], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(run, "export")
    assert cli.main(["verify", str(run.folder.path)]) == 0
    assert "4 files are, byte for byte, what was made" in capsys.readouterr().out


@pytest.mark.parametrize("file", ["data/values.bin", "export/record.json", "result.json"])
def test_one_byte_flipped_is_found(made: list[str], run: Run, file: str) -> None:
    execute(run, "export")
    path = run.folder.path / file
    flip(path)
    with pytest.raises(ArtifactError, match="SHA-256 is another") as error:
        verify(run.folder.path)
    assert str(path) in str(error.value) and "1 of its files" in str(error.value)
    assert cli.main(["verify", str(run.folder.path)]) == 1
    # a run finds it too: what is published does not come from such a file
    made.clear()
    execute(run, "export")
    assert made == [name for name in ("data", "export") if file.startswith(name)]
    verify(run.folder.path)


def test_a_source_replaced_at_equal_size_and_time_is_found(made: list[str], run: Run) -> None:
    execute(run, "export")
    (source,) = run.config.data.input_files()
    flip(source)
    with pytest.raises(ArtifactError, match="not the file that data was made from"):
        verify(run.folder.path)
    made.clear()
    execute(run, "export")
    assert made == ["data"]
    verify(run.folder.path)


def test_a_source_that_was_touched_and_not_changed_is_read_and_kept(
    made: list[str], run: Run
) -> None:
    execute(run, "export")
    (source,) = run.config.data.input_files()
    source.chmod(0o600)  # its ctime is another
    made.clear()
    execute(run, "export")
    assert made == []
    source.unlink()
    assert "is not there any more" in verify(run.folder.path)


def test_a_missing_file_and_a_stage_of_another_run_are_found(made: list[str], run: Run) -> None:
    execute(run, "export")
    folder = run.folder.path
    other = Run(run.config.model_copy(update={"name": "other", "seed": 7}), folder.parent)
    execute(other, "data")
    shutil.rmtree(folder / "data")
    shutil.copytree(other.path("data"), folder / "data")
    (folder / "export" / "values.bin").unlink()
    with pytest.raises(ArtifactError) as error:
        verify(folder)
    assert "export was made from another data than the one that is there" in str(error.value)
    assert "values.bin is missing" in str(error.value)


@pytest.mark.parametrize("content", [None, "{", "{}", '{"key": 1, "files": {}}'])
def test_what_is_no_run_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / ".stage.json").write_text(content)
    with pytest.raises(ArtifactError, match="no finished stage|run the stage again|run again"):
        verify(tmp_path)


def test_the_record_keeps_the_commit_and_tools_of_the_making(
    made: list[str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(run, "data")
    before = read_json(run.path("data") / "record.json")["stages"]["data"]
    now = {"git": {"commit": "new", "dirty": False}, "tools": {"torch": "9"}, "host": {}}
    monkeypatch.setattr(result, "_made", lambda: now)
    execute(run, "export")
    found = read_json(run.folder.path / "result.json")
    assert found["stages"] == {"data": before, "export": now}
    assert before["tools"]["torch"] and before["git"] != now["git"]
    context = {**now, "seed": run.config.seed, "differs": ["data"]}
    assert found["context"] == context | {"quick": False}
    # another look at the run does not give it another date
    monkeypatch.undo()
    folders = [run.path(name) for name in ("data", "export")]
    assert collect(folders, run.config.seed)["context"] == context


@pytest.mark.parametrize(
    ("package", "again"), [("numpy", ["data", "export"]), ("torch", ["export"]), ("hls4ml", [])]
)
def test_another_version_of_a_package_makes_again_what_it_decides(
    made: list[str], run: Run, monkeypatch: pytest.MonkeyPatch, package: str, again: list[str]
) -> None:
    execute(run, "export")
    real = result._version
    monkeypatch.setattr(result, "_version", lambda n: "0.0.1" if n == package else real(n))
    made.clear()
    execute(run, "export")
    assert made == again


def test_every_stage_names_what_decides_its_bytes() -> None:
    for stage in STAGES:
        assert stage.packages and set(result.versions(stage.packages)) >= {
            name for name in stage.packages if name not in ("openvino", "ai-edge-litert")
        }, stage.name


def test_a_finished_run_on_a_read_only_disk_is_read(
    made: list[str], tmpfs: Callable[..., Path], tmp_path: Path
) -> None:
    source = tmp_path / "jets.root"
    source.write_bytes(b"a" * 100)
    disk = tmpfs("1m")
    run = Run(load_config(DEMO, [f"data.source={source}", "name=r"]), disk)
    execute(run, "export")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    made.clear()
    execute(run, "export")
    assert made == []
    verify(run.folder.path)
    with pytest.raises(OSError, match="Read-only file system") as error:
        execute(Run(run.config.model_copy(update={"seed": 8}), disk), "export")
    assert "give a folder that can be written (--runs, -o)" in explained(error.value)
