"""Scores come back as written, and damage is named."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from triggerforge.data.scores import SCORES_FILE, read_logits, write_logits
from triggerforge.errors import ArtifactError


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    logits = np.random.default_rng(1).normal(size=(11, 3))
    write_logits(tmp_path, logits)
    back = read_logits(tmp_path)
    assert back is not None and back.dtype == np.float32
    np.testing.assert_array_equal(back, logits.astype(np.float32))
    assert [p.name for p in tmp_path.iterdir()] == [SCORES_FILE]


def test_a_stage_without_scores_gives_none(tmp_path: Path) -> None:
    assert read_logits(tmp_path) is None


@pytest.mark.parametrize("logits", [np.zeros(3), np.array([[0.0, np.nan]]), np.array([[np.inf]])])
def test_bad_logits_are_refused(tmp_path: Path, logits: np.ndarray) -> None:
    with pytest.raises(ArtifactError, match="logits"):
        write_logits(tmp_path, logits)
    assert not list(tmp_path.iterdir())


def test_damage_is_named(tmp_path: Path) -> None:
    path = write_logits(tmp_path, np.zeros((4, 2)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match="run the stage again"):
        read_logits(tmp_path)
    with h5py.File(path, "w") as file:
        file["other"] = 1
    with pytest.raises(ArtifactError, match=SCORES_FILE):
        read_logits(tmp_path)
    with h5py.File(path, "w") as file:
        file["logits"] = np.zeros(3)
    with pytest.raises(ArtifactError, match="shape"):
        read_logits(tmp_path)
