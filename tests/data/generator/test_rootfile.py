"""The same events, the same bytes: whenever and by whomever they are written."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from triggerforge.data.generator.rootfile import write_tree


def parts(seed: int) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(seed)
    for _ in range(3):
        counts = random.integers(0, 4, 50)
        particles = ak.zip({"x": random.normal(size=counts.sum())})
        yield {"a": random.normal(size=50), "part": ak.unflatten(particles, counts)}


def written(folder: Path, seed: int) -> bytes:
    folder.mkdir()
    write_tree(folder / "events.root", "jets", {"about": "é"}, parts(seed))
    return (folder / "events.root").read_bytes()


def test_equal_events_give_equal_bytes(tmp_path: Path) -> None:
    first = written(tmp_path / "a", 1)
    time.sleep(1.1)  # ROOT's dates have seconds
    assert written(tmp_path / "b", 1) == first
    assert written(tmp_path / "c", 2) != first


def test_other_events_are_another_file_to_uproot(tmp_path: Path) -> None:
    names = set()
    for number, folder in enumerate("ab", start=1):
        written(tmp_path / folder, number)
        with uproot.open(tmp_path / folder / "events.root") as file:
            names.add(file.file.uuid)
            expected = np.concatenate([part["a"] for part in parts(number)])
            np.testing.assert_array_equal(file["jets"]["a"].array(), expected)
            assert file["about"] == "é"
    assert len(names) == 2
