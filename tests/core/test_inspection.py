"""`inspect` and `init` on files as people have them: what they say runs, and mistakes are one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
import yaml

from triggerforge import cli
from triggerforge.config.load import load_config
from triggerforge.data.load import load

Said = Callable[..., str]
EVENTS = 400


@pytest.fixture
def jets(tmp_path: Path) -> Path:
    """A ROOT file of 20 branches, the tree in a folder, as a TFileService writes it."""
    rng = np.random.default_rng(1)
    columns: dict[str, Any] = {f"x{i}": rng.normal(size=EVENTS).astype("f4") for i in range(16)}
    columns |= {"run": np.full(EVENTS, 1, np.uint32), "event": np.arange(EVENTS, dtype=np.uint64)}
    columns |= {
        "is_top": (np.arange(EVENTS) % 2).astype(np.int8),
        "tagged": rng.random(EVENTS) < 0.5,
    }
    path = tmp_path / "jets.root"
    with uproot.recreate(path) as file:
        tree = file.mktree("ntuple/jets", {name: values.dtype for name, values in columns.items()})
        tree.extend(columns)
    return path


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command line; gives back what it says, on the output or, with a status, as an error."""

    def run(*words: object, status: int = 0) -> str:
        assert cli.main([str(word) for word in words]) == status
        told = capsys.readouterr()
        return told.err if status else told.out

    return run


def test_the_section_that_inspect_shows_reads_the_file(
    jets: Path, said: Said, tmp_path: Path
) -> None:
    text = said("inspect", jets)
    assert f"{jets}: events, format root, tree ntuple/jets, 400 entries" in text
    assert "could be the label: is_top (0: 200, 1: 200)" in text
    section = yaml.safe_load(text[text.index("\ndata:") :])
    assert "is_top" not in section["data"]["inputs"]["names"]
    assert not {"run", "event"} & set(section["data"]["inputs"]["names"])
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump(section | {"name": "c"}))
    splits = load(load_config(config).data, None, 1, tmp_path)
    assert sum(len(part) for part in (splits.train, splits.validation, splits.test)) == EVENTS


def test_what_init_writes_loads_and_keeps_its_comments(
    jets: Path, said: Said, tmp_path: Path
) -> None:
    written = tmp_path / "mine.yaml"
    said("init", jets, "-o", written)
    text = written.read_text()
    assert "# one condition for each class" in text and "# what the network sees" in text
    for quick in (False, True):
        config = load_config(written, quick=quick)
        assert config.name.startswith("jets") and config.data.mapping.tree == "ntuple/jets"
    assert load(config.data, None, 1, tmp_path).classes == ("background", "signal")


def test_a_label_of_ones_own_takes_the_place_of_the_guess(
    jets: Path, said: Said, tmp_path: Path
) -> None:
    written = tmp_path / "mine.yaml"
    words = ["--label", "low=x3 < 0", "--label", "high = x3 >= 0"]
    said("init", jets, "-o", written, *words)
    config = load_config(written)
    assert config.data.label == {"low": "x3 < 0", "high": "x3 >= 0"}
    assert "x3" not in config.data.inputs.names, "a network would read the label off it"
    assert "Note" not in written.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--label", "a"], "CLASS=CONDITION"),
        (["--label", "=x > 0"], "CLASS=CONDITION"),
        (["--label", "a=x0 > 0"], "at least two classes"),
        (["--label", "a=x0 > 0", "--label", "a=x0 < 0"], "each once"),
        (["--label", "a=x0 >", "--label", "b=x0 < 0"], "is no expression"),
        (["--tree", "none"], "no tree 'none'"),
        (["--objects", "Jet"], "Jet"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    words: list[str], message: str, jets: Path, said: Said, tmp_path: Path
) -> None:
    written = tmp_path / "mine.yaml"
    error = said("init", jets, "-o", written, *words, status=1)
    assert message in error and error.count("\n") == 1
    assert not written.exists()


def test_a_configuration_that_is_there_stays(jets: Path, said: Said, tmp_path: Path) -> None:
    written = tmp_path / "mine.yaml"
    written.write_text("name: mine\n")
    assert "is there already" in said("init", jets, "-o", written, status=1)
    assert written.read_text() == "name: mine\n"


@pytest.mark.parametrize("verb", ["inspect", "init"])
@pytest.mark.parametrize(
    "content", [None, b"", b"root", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"text"]
)
def test_what_is_no_file_of_events_is_one_line(
    verb: str, content: bytes | None, said: Said, tmp_path: Path
) -> None:
    path = tmp_path / "file.root"
    if content is not None:
        path.write_bytes(content)
    error = said(verb, path, status=1)
    assert str(path) in error and error.count("\n") == 1


def test_a_folder_that_is_no_run(said: Said, tmp_path: Path) -> None:
    assert "no stage in it is finished" in said("inspect", tmp_path, status=1)
