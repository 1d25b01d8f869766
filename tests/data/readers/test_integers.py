"""Integers of files reach the expressions whole: no reader wraps, truncates or rounds one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from triggerforge.config.data import DataConfig
from triggerforge.data.load import load
from triggerforge.data.source import Batch, Count, EventSource
from triggerforge.errors import DataError

N = 6
TYPES = ("bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")
ORIGIN = 2**60
PT = np.array([3, 2**63 + 1, 2**63 + 2, 7, 9, 8], "u8")
COUNTS = [3, 0, 1, 0, 2, 0]


def columns() -> dict[str, np.ndarray]:
    """A column of 0 and 1 of every type, wide integers, flags, and a label."""
    made = {f"c_{dtype}": (np.arange(N) % 2).astype(dtype) for dtype in TYPES}
    made |= {f"big_{d}": ORIGIN + np.arange(N).astype(d) for d in ("u8", "i8")}
    made["flags"] = np.array([1, 4, 5, 6, 7, 255], "u1")
    made["wide"] = np.array([2**64 - 1, 2**64 - 2, 2**63, 5, 5, 6], "u8")
    made["number"] = np.arange(N).astype("i8")
    return made


def write_root(path: Path) -> Path:
    """Scalar branches, and jagged ones of uint64 and Bool_t."""
    written = columns()
    lists = {"pt": ak.unflatten(PT, COUNTS), "tag": ak.unflatten(PT % 2 == 0, COUNTS)}
    types = {n: c.dtype for n, c in written.items()}
    types |= {n: v.type.content for n, v in lists.items()}
    with uproot.recreate(path) as file:
        file.mktree("t", types).extend(written | lists)
    return path


def write_parquet(path: Path) -> Path:
    """The columns beside the labels of the 16-feature set."""
    pq.write_table(pa.table(columns() | {"class": [b"g", b"q"] * (N // 2)}), path)
    return path


def write_pandas(path: Path, order: str = ">") -> Path:
    """A pandas frame in its fixed layout, as top tagging files are, a block for each column."""
    momenta = {f"{c}_0": np.ones(N, "f4") for c in ("E", "PX", "PY", "PZ")}
    table = columns() | momenta | {"is_signal_new": np.arange(N) % 2}
    with h5py.File(path, "w") as file:
        group = file.create_group("table")
        group.attrs["pandas_type"] = "frame"
        for i, (name, column) in enumerate(table.items()):
            kept = (
                column if column.dtype == bool else column.astype(column.dtype.newbyteorder(order))
            )
            group[f"block{i}_values"] = kept[:, None]
            group[f"block{i}_items"] = np.array([name.encode()])
    return path


def write_plain_parquet(path: Path) -> Path:
    """The columns alone, for the reader of any table."""
    pq.write_table(pa.table(columns()), path)
    return path


WRITERS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "root": ("e.root", write_root),
    "lhcjets16": ("e.parquet", write_parquet),
    "parquet": ("plain.parquet", write_plain_parquet),
    "toptag": ("e.h5", write_pandas),
}


@pytest.fixture(scope="module", params=WRITERS)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    name, write = WRITERS[request.param]
    path = write(tmp_path_factory.mktemp("integers") / name)
    return DataConfig.model_validate({"source": [str(path)], "format": request.param})


def source(config: DataConfig, **settings: Any) -> EventSource:
    inputs = settings.pop("inputs", {"names": ["c_u1"]})
    labels = {"a": "number % 2 == 0", "b": "number % 2 == 1"}
    update = {"inputs": inputs, "label": labels, "chunk": 4} | settings
    changed = DataConfig.model_validate(config.model_dump() | update)
    return EventSource(changed.input_files()[0], changed)


def inputs(config: DataConfig, *names: str) -> np.ndarray:
    events = source(config, inputs={"names": names})
    return np.concatenate([made.raw for _, made in events.inputs()])


def batch(config: DataConfig, **settings: Any) -> Batch:
    (one,) = source(config, chunk=N, **settings).batches(Count())
    return one


@pytest.mark.parametrize("dtype", TYPES)
def test_differences_of_every_type_have_their_sign(written: DataConfig, dtype: str) -> None:
    made = inputs(written, f"c_{dtype} - 2", f"-c_{dtype}", f"c_{dtype} + c_{dtype}")
    one = np.arange(N) % 2
    np.testing.assert_array_equal(made, np.stack([one - 2, -one, 2 * one], axis=1))


@pytest.mark.parametrize("dtype", ["u8", "i8"])
def test_wide_integers_keep_their_differences(written: DataConfig, dtype: str) -> None:
    made = inputs(written, f"big_{dtype} - {ORIGIN}", f"big_{dtype} % 1000 * 2")
    np.testing.assert_array_equal(made[:, 0], np.arange(N))
    np.testing.assert_array_equal(made[:, 1], [(ORIGIN + i) % 1000 * 2 for i in range(N)])
    middle = inputs(written, f"big_{dtype} // {2**20}", f"number + {2**40}")
    np.testing.assert_array_equal(middle[:, 0], 2**40)
    np.testing.assert_array_equal(middle[:, 1], 2**40 + np.arange(N))
    with pytest.raises(DataError, match=f"event 1: the integer {ORIGIN + 1} is no float64"):
        inputs(written, f"big_{dtype}")


def test_bits_are_cleared_and_zero_divides_to_nan(written: DataConfig) -> None:
    made = inputs(written, "flags & ~4", "flags // 0", "flags % c_u1")
    np.testing.assert_array_equal(made[:, 0], [1, 0, 1, 2, 3, 251])
    assert np.isnan(made[:, 1]).all()
    np.testing.assert_array_equal(made[:, 2], [np.nan, 0] * 3)


def test_a_divisor_of_zero_ends_in_the_count_of_nan(written: DataConfig, tmp_path: Path) -> None:
    config = source(written, inputs={"names": ["flags % c_u1"]}).config
    message = "3 values of the selected events are NaN or infinite, the first is 'flags % c_u1' of event 0"
    with pytest.raises(DataError, match=message):
        load(config, None, 1, tmp_path)


@pytest.mark.parametrize(
    ("selection", "kept"),
    [
        ("flags & 4 == 4", None),
        ("flags > 4 & c_u1 < 3", None),
        ("(flags > 4) & (c_u8 < 1)", [2, 4]),
        ("c_bool + c_bool == 2", [1, 3, 5]),
        ("c_bool + c_u1", [1, 3, 5]),
        ("wide > 9223372036854775808", [0, 1]),
    ],
)
def test_selections(written: DataConfig, selection: str, kept: list[int] | None) -> None:
    if kept is None:
        with pytest.raises(DataError, match="bind tighter than comparisons; write"):
            batch(written, selection=selection)
        return
    assert batch(written, selection=selection).place.tolist() == kept


def test_weights_and_labels_go_by_the_same_rules(written: DataConfig) -> None:
    taken = batch(written, weights="c_u8 - 2", label={"a": "c_u8 - 1", "b": "c_u8"})
    assert taken.weight.tolist() == [-2, -1] * 3
    assert taken.label.tolist() == [0, 1] * 3
    with pytest.raises(DataError, match="data.label gives NaN for 3 events, the first is event 0"):
        batch(written, label={"a": "1 // c_u8", "b": "c_u8 > 5"})


def test_events_of_one_number_stay_together_and_no_others(written: DataConfig) -> None:
    """The float64 of the first three numbers is the same; as int64 they would be negative."""
    key = batch(written, together="wide").together
    assert len(np.unique(key)) == 5 and key[3] == key[4]


def test_events_are_parted_by_numbers_beyond_a_float(tmp_path: Path) -> None:
    """Jets of one collision stay in one part; all of them as one float64 would be one collision."""
    event = np.uint64(2**63) + np.arange(60, dtype="u8") // np.uint64(2)
    with uproot.recreate(tmp_path / "e.root") as file:
        file.mktree("t", {"event": "u8", "x": "i4"}).extend(
            {"event": event, "x": np.arange(60, dtype="i4")}
        )
    settings = {
        "source": [str(tmp_path / "e.root")],
        "inputs": {"names": ["x // 2", "x"]},
        "label": {"a": "x % 2 == 0", "b": "x % 2 == 1"},
        "together": "event",
        "precision": {"formats": {"x // 2": "ap_ufixed<6,6>", "x": "ap_ufixed<6,6>"}},
    }
    splits = load(DataConfig.model_validate(settings), None, 1, tmp_path)
    parts = [set(part.x[:, 0]) for part in (splits.train, splits.validation, splits.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 30


def test_observables_are_the_numbers_or_refused(written: DataConfig) -> None:
    assert batch(written, observables=["flags"]).observables["flags"].tolist() == [
        *(1.0, 4.0, 5.0, 6.0, 7.0, 255.0)
    ]
    with pytest.raises(DataError, match=f"'big_i8' of event 1 is the integer {ORIGIN + 1}"):
        batch(written, observables=["big_i8"])


def test_unsigned_pt_orders_the_constituents(tmp_path: Path) -> None:
    """Two of them are one float64; -pt as uint64 would put the softest first."""
    path = write_root(tmp_path / "e.root")
    config = DataConfig.model_validate({"source": [str(path)], "format": "root"})
    names = ["pt > 9223372036854775809", "pt > 100", "tag + tag", "valid"]
    kind = {"kind": "constituents", "constituents": 3, "names": names}
    (made,) = [made for _, made in source(config, inputs=kind, chunk=N).inputs()]
    np.testing.assert_array_equal(made.raw[0], [[1, 1, 2, 1], [0, 1, 0, 1], [0, 0, 0, 1]])
    assert made.mask is not None and made.mask.sum(axis=1).tolist() == COUNTS
    assert made.raw[4, :, 2].tolist() == [0, 2, 0]


def test_mapped_columns_go_by_the_same_rules(tmp_path: Path) -> None:
    path = write_root(tmp_path / "e.root")
    mapping = {"columns": {"tags": "sum(tag)", "over": "sum(pt)", "least": "count(pt) - c_u8 - 3"}}
    config = DataConfig.model_validate({"source": [str(path)], "mapping": mapping})
    made = inputs(config, "tags + tags", "least")
    np.testing.assert_array_equal(made[:, 0], [2, 0, 0, 0, 2, 0])
    np.testing.assert_array_equal(made[:, 1], [0, -4, -2, -4, -1, -4])
    with pytest.raises(DataError, match=r"'sum\(pt\)': event 0: the integer result 184467440"):
        inputs(config, "over")


@pytest.mark.parametrize("layout", ["root", "parquet"])
def test_mapped_columns_name_the_event_of_the_file(layout: str, tmp_path: Path) -> None:
    name, write = WRITERS[layout]
    settings = {"source": [str(write(tmp_path / name))], "format": layout}
    settings |= {"mapping": {"columns": {"m": "number // 5 * 4611686018427387904 * 4"}}}
    events = source(DataConfig.model_validate(settings), inputs={"names": ["m"]})
    with pytest.raises(DataError, match=f"'number // 5 .*': event 5: the integer result {2**64}"):
        for _ in events.inputs():
            pass  # chunks of 4 events


def test_events_of_a_later_chunk_are_called_by_their_number(written: DataConfig) -> None:
    with pytest.raises(DataError, match=f"event 5: the integer result {2**64}"):
        for _ in source(written, selection="number // 5 * 4611686018427387904 * 4").batches(
            Count()
        ):
            pass
    with pytest.raises(DataError, match="event 5: the integer 9007199254740993 is no float64"):
        for _ in source(written, weights="number // 5 * 9007199254740993").batches(Count()):
            pass
