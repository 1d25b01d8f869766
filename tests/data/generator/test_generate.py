"""The stage `generate`: the file, reproducibility, resuming, and input that cannot work."""

import json
import multiprocessing
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from pydantic import ValidationError

from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generate import generate
from triggerforge.data.generator import chunk
from triggerforge.data.generator.jetsample import JetSample
from triggerforge.data.generator.schema import BRANCH_DOCS, PART_BRANCHES, TREE
from triggerforge.errors import ConfigError, DataError, TriggerForgeError

CONFIG = GenerateConfig(recipe="toptag", jets=26, chunk_jets=5, workers=1)
CHUNKS = 6
SCRIPT = """
import sys
from pathlib import Path
from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generate import generate
if __name__ == "__main__":
    generate(GenerateConfig.model_validate_json(sys.argv[1]), 5, Path(sys.argv[2]))
"""


def jets_of(path: Path) -> ak.Array:
    with uproot.open(path) as file:
        return file[TREE].arrays()


def same(a: ak.Array, b: ak.Array) -> bool:
    """Whether all branches hold the same bits."""
    return a.fields == b.fields and all(
        np.array_equal(
            ak.to_numpy(ak.flatten(a[n], axis=None)), ak.to_numpy(ak.flatten(b[n], axis=None))
        )
        for n in a.fields
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(CONFIG, 5, tmp_path_factory.mktemp("generate"))


def test_the_file(whole: Path) -> None:
    jets = jets_of(whole)
    assert len(jets) == 26
    assert np.bincount(jets.label).tolist() == [13, 13]
    assert ak.all((jets.jet_pt >= 550) & (jets.jet_pt < 650))
    assert ak.all(np.abs(jets.jet_eta) < 2)
    assert ak.all(jets.part_pt[:, :-1] >= jets.part_pt[:, 1:])
    np.testing.assert_array_equal(ak.num(jets.part_pt), jets.npart)
    np.testing.assert_allclose(
        np.hypot(ak.sum(jets.part_px, axis=1), ak.sum(jets.part_py, axis=1)), jets.jet_pt, rtol=1e-4
    )
    np.testing.assert_allclose(ak.sum(jets.part_energy, axis=1), jets.jet_energy, rtol=1e-4)
    assert ak.all(np.hypot(jets.part_deta, jets.part_dphi) < 1.2)
    assert len(np.unique(jets.event)) <= 26
    assert sorted(p.name for p in whole.parent.iterdir()) == ["events.root", "record.json"]


def test_branches_are_documented_with_their_units(whole: Path) -> None:
    with uproot.open(whole) as file:
        about = json.loads(str(file[BRANCH_DOCS]))
        assert about["classes"] == ["QCD", "top"]
        assert set(about["branches"]) == set(file[TREE].keys())
        for name, branch in about["branches"].items():
            assert branch["doc"] and branch["unit"]
            interpretation = file[TREE][name].interpretation
            inner = getattr(interpretation, "content", interpretation)
            assert inner.numpy_dtype.newbyteorder("=") == np.dtype(branch["type"]), name
    assert about["branches"]["part_pt"]["unit"] == "GeV"
    assert {f"part_{n}" for n in PART_BRANCHES} <= set(about["branches"])


def test_record(whole: Path) -> None:
    record = json.loads((whole.parent / "record.json").read_text())["data"]["generator"]
    assert record["recipe"] == "toptag"
    assert record["classes"] == ["QCD", "top"]
    assert record["settings"]["jet_pt"] == [550.0, 650.0]


def test_two_workers_give_the_same_bits(whole: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"workers": 2})
    made = generate(config, 5, tmp_path)
    assert same(jets_of(whole), jets_of(made))
    assert made.read_bytes() == whole.read_bytes()


def test_another_seed_gives_other_jets(whole: Path, tmp_path: Path) -> None:
    few = CONFIG.model_copy(update={"jets": 4})
    assert not same(jets_of(generate(few, 6, tmp_path))[:4], jets_of(whole)[:4])


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_and_resume(
    whole: Path, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    config = CONFIG.model_copy(update={"workers": workers})
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, config.model_dump_json(), str(folder)]
    )
    chunks = folder / "chunks"
    wait_for(lambda: len(list(chunks.glob("*.npz"))) >= 2 or process.poll() is not None)
    children = children_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    assert not (folder / "events.root").exists()
    left = len(list(chunks.glob("*.npz")))
    assert 2 <= left < CHUNKS

    made = []
    make = chunk.make_chunk
    monkeypatch.setattr(chunk, "make_chunk", lambda task: (made.append(task.name), make(task))[1])
    again = generate(CONFIG, 5, folder)
    assert len(made) == CHUNKS - left
    assert same(jets_of(whole), jets_of(again))


def test_chunks_of_another_seed_are_not_used(tmp_path: Path) -> None:
    chunks = tmp_path / "chunks"
    chunks.mkdir()
    (chunks / "key.txt").write_text("of another run")
    (chunks / "QCD-00000.npz").write_bytes(b"not a chunk")
    few = CONFIG.model_copy(update={"jets": 2})
    assert len(jets_of(generate(few, 5, tmp_path))) == 2


def test_disk_full_while_chunks_are_written(tmp_path: Path) -> None:
    few = CONFIG.model_copy(update={"jets": 20, "chunk_jets": 10})
    with file_size_limit(20_000), pytest.raises(DataError, match="cannot write chunk.*make room"):
        generate(few, 5, tmp_path)
    assert not (tmp_path / "events.root").exists()
    assert len(jets_of(generate(few, 5, tmp_path))) == 20


def test_disk_full_while_the_root_file_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = CONFIG.model_copy(update={"jets": 4, "chunk_jets": 1})

    merge = JetSample.merge

    def merge_on_full_disk(sample: JetSample, path: Path) -> None:
        with file_size_limit(20_000):
            merge(sample, path)

    with monkeypatch.context() as patch:
        patch.setattr(JetSample, "merge", merge_on_full_disk)
        with pytest.raises(DataError, match=r"cannot write .*events\.root"):
            generate(few, 5, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["chunks"]
    assert len(list((tmp_path / "chunks").glob("*.npz"))) == 4
    monkeypatch.setattr(chunk, "make_chunk", lambda task: pytest.fail("chunk made twice"))
    assert len(jets_of(generate(few, 5, tmp_path))) == 4


def test_a_killed_worker_is_named(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"workers": 2})
    expected = pytest.raises(TriggerForgeError, match="a generator process was killed")
    with expected, killer():
        generate(config, 5, tmp_path)


def test_no_worker_is_started_beside_the_pools_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn = ProcessPoolExecutor._spawn_process
    threads = []

    def spawn_process(pool: ProcessPoolExecutor) -> None:
        threads.append(pool._executor_manager_thread)
        spawn(pool)

    monkeypatch.setattr(ProcessPoolExecutor, "_spawn_process", spawn_process)
    generate(CONFIG.model_copy(update={"workers": 2}), 5, tmp_path)
    assert threads == [None, None]


@pytest.mark.parametrize("error", [OSError("handle is closed"), ValueError("bad value(s)")])
def test_a_pool_that_breaks_while_it_is_filled_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """What `submit` raises depends on how far it was when another worker died."""

    def submit(*task: object) -> None:
        raise error

    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit)
    config = CONFIG.model_copy(update={"workers": 2})
    with pytest.raises(TriggerForgeError, match="a generator process was killed"):
        generate(config, 5, tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"jets": -5}, "jets"),
        ({"jets": 0}, "jets"),
        ({"workers": -1}, "workers"),
        ({"recipe": "jets6"}, "recipe"),
        ({"detector": "CDF"}, "detector"),
        ({"jet_pt_min": 900, "jet_pt_max": 800}, "window 900.0 to 800.0 GeV is empty"),
        ({"jet_abs_eta_max": 9}, "jet_abs_eta_max"),
        ({"event": 9}, "event"),
    ],
)
def test_config_that_cannot_work(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GenerateConfig.model_validate(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"recipe": "jets5", "jet_pt_min": 1500.0}, "1500.0 to 1200.0 GeV is empty"),
        ({"recipe": "jets5", "jet_pt_max": 9000.0}, "more than the 13000"),
        ({"recipe": "jets5", "jets": 3}, "3 jets for 5 classes"),
        ({"pythia": ["PartonLevel:MPl = off"]}, "does not know the setting 'PartonLevel:MPl"),
    ],
)
def test_recipe_that_cannot_run(values: dict[str, object], message: str, tmp_path: Path) -> None:
    config = GenerateConfig.model_validate({"jets": 5, "workers": 1} | values)
    with pytest.raises(ConfigError, match=message):
        generate(config, 1, tmp_path)


def test_no_jet_in_the_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk, "_BATCHES_WITHOUT_JETS", 1)
    config = CONFIG.model_copy(update={"jet_abs_eta_max": 1e-6})
    with pytest.raises(DataError, match="no jet with 550.0 < pT < 650.0 GeV"):
        generate(config, 1, tmp_path)


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """Processes whose parent is `pid`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: how a full disk looks to a program."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def killer() -> Iterator[None]:
    """Kills the first process of a pool as soon as there is one."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            for child in multiprocessing.active_children():
                child.kill()
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
