"""Names of event files: literal names before patterns, URLs through fsspec or refused by name."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from triggerforge import remote
from triggerforge.cli import main
from triggerforge.config.data import DataConfig
from triggerforge.errors import DataError, MissingToolError
from triggerforge.remote import file_of, files_of


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    """fsspec's file system in memory, and a cache folder of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    system = fsspec.filesystem("memory")
    system.store.clear()
    remote._fetched.cache_clear()
    yield system
    system.store.clear()


@pytest.mark.parametrize("name", ["e[1].npz", "what?.root", "a*.h5", "e:1.npz", "x://y.npz"])
def test_a_file_of_that_very_name_is_that_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for other in ("e1.npz", "whats.root", "ab.h5", name):
        Path(other).parent.mkdir(exist_ok=True, parents=True)
        Path(other).write_text("events")
    assert files_of(name) == [Path(name)]
    assert DataConfig(source=(name,)).input_files() == [Path(name)]


def test_a_pattern_is_one_where_no_such_file_is(tmp_path: Path) -> None:
    for name in ("e1.npz", "e2.npz", "f1.npz"):
        (tmp_path / name).write_text("events")
    assert [p.name for p in files_of(f"{tmp_path}/e[12].npz")] == ["e1.npz", "e2.npz"]
    with pytest.raises(DataError, match="no file matches"):
        files_of(f"{tmp_path}/g[12].npz")


def test_a_url_is_fetched_once_and_again_when_it_changes(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe("/set/QG_jets_1.npz", b"one")
    (copy,) = files_of("memory://set/QG_jets_1.npz")
    assert copy.name == "QG_jets_1.npz" and copy.read_bytes() == b"one"
    assert [p.name for p in copy.parent.iterdir() if "partial" in p.name] == []
    copy.write_bytes(b"own")  # of that size: not fetched again
    remote._fetched.cache_clear()
    assert file_of("memory://set/QG_jets_1.npz").read_bytes() == b"own"
    memory.pipe("/set/QG_jets_1.npz", b"other")
    remote._fetched.cache_clear()
    assert files_of("memory://set/QG_jets_1.npz")[0].read_bytes() == b"other"


def test_events_are_read_from_a_url(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    from triggerforge.data.load import load

    x = np.random.default_rng(0).uniform(1, 2, (60, 3, 4))
    np.savez(tmp_path / "a.npz", X=x, y=np.arange(60) % 2)
    memory.pipe("/QG_jets.npz", (tmp_path / "a.npz").read_bytes())
    tree = {"source": ["memory://QG_jets.npz"], "inputs": {"kind": "constituents"}}
    splits = load(DataConfig.model_validate(tree), None, 1, tmp_path)
    assert splits.classes == ("gluon", "quark") and len(splits.train) == 42


def test_a_local_file_as_url(tmp_path: Path) -> None:
    (tmp_path / "a.root").write_text("events")
    assert files_of(f"file://{tmp_path}/a.root") == [tmp_path / "a.root"]


def test_what_cannot_be_fetched(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"memory://none\.root cannot be fetched: .*check the address"
    ):
        files_of("memory://none.root")
    with pytest.raises(DataError, match="no protocol 'htps'; did you mean 'https'"):
        files_of("htps://a.b/c.root")
    with pytest.raises(DataError, match=r"file://.*none\.root cannot be fetched"):
        files_of(f"file://{tmp_path}/none.root")


NEEDED = {"root": "fsspec_xrootd", "https": "aiohttp", "s3": "s3fs"}


@pytest.mark.parametrize("protocol", NEEDED)
def test_a_protocol_whose_package_is_missing_is_named(
    protocol: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec(NEEDED[protocol]):
        pytest.skip(f"{NEEDED[protocol]} is installed here")
    url = f"{protocol}://eospublic.cern.ch//eos/file.root"
    with pytest.raises(MissingToolError, match=rf"{protocol}://eospublic.* needs a package"):
        DataConfig(source=(url,)).input_files()
    config = tmp_path / "c.yaml"
    config.write_text(f"data: {{source: ['{url}'], label: {{a: x > 0, b: x < 0}}}}\n")
    assert main(["data", str(config), "--runs", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert (
        f"error: {url}: reading {protocol}:// needs a package" in error and "Traceback" not in error
    )
    assert main(
        ["score", str(config), url, "-o", str(tmp_path / "o.root"), "--runs", str(tmp_path)]
    )
    assert f"error: {url}: reading {protocol}:// needs" in capsys.readouterr().err


def test_no_room_for_a_copy(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    memory.pipe("/a.npz", b"events")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 4321)  # of whom the system knows nothing
    with pytest.raises(DataError, match="no home folder for a copy; set XDG_CACHE_HOME"):
        files_of("memory://a.npz")
