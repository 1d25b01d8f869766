"""The record of a run: parts joined, context beside them."""

from pathlib import Path

import numpy as np
import pytest

from triggerforge.errors import ArtifactError
from triggerforge.result import RESULT_VERSION, ParityRow, collect, write_record


def test_parts_are_joined_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "compress").mkdir()
    write_record(tmp_path / "train", metrics={"float": {"accuracy": np.float32(0.5)}})
    write_record(tmp_path / "compress", metrics={"quantized": {"accuracy": 0.25}})
    result = collect([tmp_path / "train", tmp_path / "compress"], seed=7)
    assert result["version"] == RESULT_VERSION
    assert result["metrics"] == {"float": {"accuracy": 0.5}, "quantized": {"accuracy": 0.25}}
    assert result["context"]["seed"] == 7
    assert result["context"]["tools"]["torch"]


def test_lists_are_joined_end_to_end(tmp_path: Path) -> None:
    for name in ("compress", "benchmark"):
        (tmp_path / name).mkdir()
        write_record(tmp_path / name, parity=[name])
    result = collect([tmp_path / "compress", tmp_path / "benchmark"], seed=7)
    assert result["parity"] == ["compress", "benchmark"]


def test_rows_are_written_as_objects(tmp_path: Path) -> None:
    row = ParityRow(
        reference="hgq2",
        candidate="alir",
        events=2,
        inputs="test",
        outputs=10,
        mismatches=0,
        max_lsb=0.0,
    )
    write_record(tmp_path, parity=[row])
    assert collect([tmp_path], 1)["parity"][0]["candidate"] == "alir"


def test_a_missing_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"record\.json"):
        collect([tmp_path], 1)
