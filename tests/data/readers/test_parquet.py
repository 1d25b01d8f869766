"""Parquet tables: numbers, lists as constituents; what is neither is refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from triggerforge.config.data import DataConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.readers.opening import open_reader, sniff
from triggerforge.data.score import score_file
from triggerforge.data.source import Count, EventSource
from triggerforge.errors import DataError
from triggerforge.fixedpoint import FixedFormat

Write = Callable[..., Path]
LABEL = {"label": {"a": "truth == 0", "b": "truth == 1"}}


def table_of(jets: Any, kind: str = "lists") -> pa.Table:
    """The jets' constituents as lists, as a list of records, or as large lists."""
    columns = {"pt": jets.pt, "eta": jets.eta, "phi": jets.phi}
    starts = np.concatenate([[0], np.cumsum(jets.counts)])
    names = {"truth": pa.array(jets.label), "met": pa.array(np.arange(60.0))}
    if kind == "records":
        records = pa.StructArray.from_arrays([pa.array(v) for v in columns.values()], list(columns))
        return pa.table(names | {"part": pa.ListArray.from_arrays(starts.astype("i4"), records)})
    make = pa.LargeListArray if kind == "large" else pa.ListArray
    offsets = starts.astype("i8" if kind == "large" else "i4")
    return pa.table(
        names | {f"part_{n}": make.from_arrays(offsets, pa.array(v)) for n, v in columns.items()}
    )


def config(**own: Any) -> DataConfig:
    names = ["pt_rel", "deta", "dphi", "valid"]
    tree = {
        "inputs": {"kind": "constituents", "constituents": 6, "names": names},
        "mapping": {"constituents": {n: f"part_{n}" for n in ("pt", "eta", "phi")}},
    }
    return DataConfig.model_validate(tree | LABEL | own)


@pytest.mark.parametrize("kind", ["lists", "records", "large"])
@pytest.mark.parametrize("chunk", [7, 1000])
def test_lists_are_constituents(
    kind: str, chunk: int, tmp_path: Path, jets: Any, written: Write
) -> None:
    """The same inputs as from the generator's ROOT file of the same jets."""
    path = tmp_path / "jets.parquet"
    pq.write_table(table_of(jets, kind), path, row_group_size=13)
    assert sniff(path, config()) == "parquet"
    (expected,) = EventSource(
        written("generator", jets),
        DataConfig.model_validate({"inputs": config().inputs.model_dump(), "format": "generator"}),
    ).batches(Count())
    batches = list(EventSource(path, config(chunk=chunk)).batches(Count()))
    raw = np.concatenate([b.inputs.raw for b in batches])
    np.testing.assert_allclose(raw, expected.inputs.raw, atol=2e-4)
    np.testing.assert_array_equal(np.concatenate([b.label for b in batches]), jets.label)


def test_what_awkward_and_pandas_write(tmp_path: Path, jets: Any) -> None:
    path = tmp_path / "ak.parquet"
    array = ak.zip(
        {
            "part": ak.unflatten(
                ak.zip({"pt": jets.pt, "eta": jets.eta, "phi": jets.phi}), jets.counts
            ),
            "truth": jets.label,
        },
        depth_limit=1,
    )
    ak.to_parquet(array, path)
    (batch,) = EventSource(path, config()).batches(Count())
    assert len(batch.label) == 60
    pd.DataFrame({"met": np.arange(60.0), "truth": jets.label}).to_parquet(path)
    features = config(inputs={"names": ["met", "sqrt(met)"]}, mapping={})
    (batch,) = EventSource(path, features).batches(Count())
    np.testing.assert_array_equal(batch.inputs.raw[:, 0], np.arange(60))


def test_a_list_is_reduced_by_the_mapping(tmp_path: Path, jets: Any) -> None:
    path = tmp_path / "jets.parquet"
    pq.write_table(table_of(jets), path)
    mapping = {"columns": {"n": "count(part_pt)", "hardest": "max(part_pt)"}}
    own = config(inputs={"names": ["n", "hardest", "met"]}, mapping=mapping)
    (batch,) = EventSource(path, own).batches(Count())
    np.testing.assert_array_equal(batch.inputs.raw[:, 0], jets.counts)


def _with(column: Any, name: str = "odd") -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.append_column(name, pa.array(column))


FEATURES = {"names": ["met", "odd"]}
STAMPS = np.arange(60).astype("M8[s]")


@pytest.mark.parametrize(
    ("change", "own", "message"),
    [
        (_with(STAMPS), {"inputs": FEATURES}, r"'odd' is of type timestamp\[ms\]; numbers"),
        (_with(STAMPS - STAMPS[0]), {"inputs": FEATURES}, r"'odd' is of type duration\[s\]"),
        (_with(["a"] * 60), {"inputs": FEATURES}, "'odd' is of type string"),
        (_with([[[1.0]]] * 60), {"inputs": FEATURES}, "'odd' is of type list<"),
        (
            _with([[["a"]]] * 60),
            {"inputs": {"names": ["met"]}, "selection": "odd > 1"},
            "'odd' is of",
        ),
        (
            _with([[1.0, 2.0]] * 60),
            {"inputs": FEATURES},
            "has a list of it in each event: reduce it",
        ),
        (_with([[1.0], None] * 30), {}, "30 lists of 'odd' are missing"),
        (_with([[1.0]] * 60), {}, "lists of different lengths"),
        (_with(np.arange(60.0)), {}, "once an event"),
        (lambda t: t.drop_columns("part_pt"), {}, "no column 'part_pt'; did you mean"),
        (lambda t: t.slice(0, 0), {}, "has no entries"),
        (_with(np.arange(60.0)), {"mapping": {"tree": "t"}}, r"data\.mapping\.tree is for ROOT"),
    ],
)
def test_what_is_refused(
    change: Callable[[pa.Table], pa.Table],
    own: dict[str, Any],
    message: str,
    tmp_path: Path,
    jets: Any,
) -> None:
    path = tmp_path / "jets.parquet"
    pq.write_table(change(table_of(jets)), path)
    if not own:
        names = ["pt", "odd"] if "did you" not in message else ["pt"]
        own = {"inputs": {"kind": "constituents", "constituents": 3, "names": names}}
    elif "inputs" in own:
        own = {"mapping": {}} | own
    with pytest.raises(DataError, match=message) as caught:
        list(EventSource(path, config(**own)).batches(Count()))
    assert "jets.parquet" in str(caught.value)


@pytest.mark.parametrize(
    ("column", "message"),
    [([[1.0]] * 60, "list of it|no quantity"), (STAMPS, r"'zlogz' is of type timestamp\[ms\]")],
)
def test_the_16_features_in_other_types(
    column: Any, message: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    path = written("parquet", jets)
    table = pq.read_table(path)
    place = table.column_names.index("zlogz")
    pq.write_table(table.set_column(place, "zlogz", pa.array(column)), path)
    own = {"format": "lhcjets16", "classes": ["g", "q"], "inputs": {"names": ["zlogz"]}}
    with pytest.raises(DataError, match=message):
        list(EventSource(path, DataConfig.model_validate(own)).batches(Count()))


def test_missing_numbers_are_nan_and_integers_stay_exact(tmp_path: Path) -> None:
    path = tmp_path / "n.parquet"
    large = [2**40 + 1, None, 3, 2**40]
    columns = {"i": pa.array(large), "b": pa.array([True, None, False, True]), "k": [2**53 + 1] * 4}
    pq.write_table(pa.table(columns), path)
    reader = open_reader(path, DataConfig())
    from triggerforge.data.readers.base import Request

    (chunk,) = reader.chunks(Request(frozenset("ibk"), label=False), 10)
    np.testing.assert_array_equal(chunk.events["i"], [2**40 + 1, np.nan, 3, 2**40])
    np.testing.assert_array_equal(chunk.events["b"], [1, np.nan, 0, 1])
    assert chunk.events["k"].dtype == np.int64 and set(chunk.events["k"]) == {2**53 + 1}


@pytest.mark.parametrize("ending", ["parquet", "root"])
def test_scores_beside_every_column(ending: str, tmp_path: Path, jets: Any, capsys: Any) -> None:
    path = tmp_path / "jets.parquet"
    pq.write_table(table_of(jets).append_column("when", pa.array(STAMPS)), path)
    fmt = FixedFormat.parse("ap_fixed<12,8,RND,SAT>")
    contract = InputContract((InputFeature("met", "", 0.0, 0, fmt),), (1,))
    own = config(inputs={"names": ["met"]}, chunk=7)
    out = tmp_path / f"scored.{ending}"
    done = score_file(lambda x: np.hstack([x, x]), own, contract, path, out)
    assert done.events == 60 and done.left_out == ["when"]
    assert "when" in capsys.readouterr().err
    if ending == "parquet":
        columns = ak.from_parquet(out)
        assert columns.fields == [
            "truth",
            "met",
            "part_pt",
            "part_eta",
            "part_phi",
            *("tf_score_a", "tf_score_b"),
        ]
        np.testing.assert_allclose(ak.flatten(columns["part_pt"]), jets.pt)
        np.testing.assert_array_equal(columns["tf_score_b"], np.arange(60))


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.99])
def test_a_truncated_table(keep: float, tmp_path: Path, jets: Any) -> None:
    path = tmp_path / "jets.parquet"
    pq.write_table(table_of(jets), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(DataError, match=r"jets\.parquet cannot be read as parquet"):
        open_reader(path, DataConfig())
