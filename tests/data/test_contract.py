"""Raw values to integers: exactly what rational arithmetic gives, whatever becomes of them on the way."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from hypothesis import given, reject
from hypothesis import strategies as st

from triggerforge.config.data import DataConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.load import load
from triggerforge.errors import DataError
from triggerforge.fixedpoint import FixedFormat, Overflow, Rounding
from triggerforge.validation.prepare import exact_steps


def one(feature: InputFeature) -> InputContract:
    return InputContract((feature,), (1,))


@given(
    steps=st.integers(-300, 300),
    part=st.sampled_from([0.0, 0.5, 0.25, -0.5]),
    nudge=st.integers(-1, 1),
    other=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    width=st.integers(1, 24),
    integer=st.integers(-4, 30),
    signed=st.booleans(),
    shift=st.integers(-8, 12),
    offset=st.sampled_from([0.0, 3.0, -7.25, 0.1, -12.7, 2.0**30 + 1]),
    rounding=st.sampled_from(Rounding),
    overflow=st.sampled_from(Overflow),
)
def test_raw_values_give_the_integers_of_exact_arithmetic(
    steps: int,
    part: float,
    nudge: int,
    other: float | None,
    width: int,
    integer: int,
    signed: bool,
    shift: int,
    offset: float,
    rounding: Rounding,
    overflow: Overflow,
) -> None:
    """Ties and the float64 numbers beside them, or any number at all."""
    fmt = FixedFormat(width, integer, signed, rounding, overflow)
    try:
        feature = InputFeature("x", "", offset, shift, fmt)
    except DataError:  # an offset that is a dust of the step
        reject()
    raw = offset + (steps + part) * 2.0 ** (shift - fmt.fraction) if other is None else other
    raw = float(np.nextafter(raw, nudge * np.inf)) if nudge else raw
    values = np.array([[raw]])
    contract = one(feature)
    assert feature.to_integers(values)[0, 0] == exact_steps(raw, feature)
    x = contract.normalize(values)
    assert x.dtype == np.float32 and np.isfinite(x).all()
    assert contract.to_integers(x)[0, 0] == exact_steps(raw, feature)
    assert contract.quantize(x)[0, 0] == exact_steps(raw, feature) * fmt.lsb


def test_x_is_next_to_the_exact_number() -> None:
    feature = InputFeature("x", "", 0.1, 3, FixedFormat.parse("ap_fixed<12,4,RND,SAT>"))
    raw = np.random.default_rng(1).normal(size=(4000, 1)) * 30
    x = one(feature).normalize(raw)[:, 0]
    for value, got in zip(raw[:, 0], x, strict=True):
        wanted = (Fraction(float(value)) - Fraction(0.1)) / 8
        assert abs(Fraction(float(got)) - wanted) <= Fraction(float(np.spacing(np.abs(got))))


def test_what_wraps_stays_outside_the_range_for_the_audit() -> None:
    """2^40 + 5 has no float32 number that wraps to 5: another one that does stands for it."""
    feature = InputFeature("n", "", 0.0, 0, FixedFormat.parse("ap_ufixed<24,24,TRN,WRAP>"))
    contract = one(feature)
    raw = np.array([[2.0**40 + 5], [2.0**40 + 2**24 - 1], [7.0]])
    x = contract.normalize(raw)
    assert contract.to_integers(x)[:, 0].tolist() == [5, 2**24 - 1, 7]
    assert contract.audit(x)[0].saturated == 2


def test_nan_and_infinite_values_stay_what_they_are() -> None:
    feature = InputFeature("x", "", 1.0, 2, FixedFormat.parse("ap_fixed<8,4,RND,SAT>"))
    x = one(feature).normalize(np.array([[np.nan], [np.inf], [-np.inf], [1e300]]))
    np.testing.assert_array_equal(x[:3, 0], np.float32([np.nan, np.inf, -np.inf]))
    assert x[3, 0] == np.finfo(np.float32).max


@pytest.mark.parametrize("branch", ["whole", "double"])
def test_large_values_of_a_file_keep_their_differences(tmp_path: Path, branch: str) -> None:
    """float32 knows 2^40 + 1 as 2^40, and of 20 000 doubles rounds one over an edge."""
    rng = np.random.default_rng(1)
    columns: dict[str, Any] = {
        "whole": 2**40 + rng.integers(0, 1000, 20_000),
        "double": rng.normal(size=20_000) * 7 + 1e3,
        "label": np.arange(20_000, dtype=np.int32) % 2,
    }
    with uproot.recreate(tmp_path / "events.root") as file:
        file.mktree("Events", {n: v.dtype for n, v in columns.items()})
        file["Events"].extend(columns)
    settings = {
        "source": [str(tmp_path / "events.root")],
        "format": "root",
        "inputs": {"kind": "features", "names": [branch, f"{branch} * 1"]},
        "label": "label",
        "classes": ["a", "b"],
        "observables": [],
    }
    splits = load(DataConfig.model_validate(settings), None, 1, tmp_path)
    feature = splits.contract.features[0]
    expected = sorted(exact_steps(float(v), feature) for v in columns[branch])
    got = np.concatenate(
        [p.contract.to_integers(p.x) for p in (splits.train, splits.validation, splits.test)]
    )
    assert sorted(got[:, 0].tolist()) == sorted(got[:, 1].tolist()) == expected
    assert len(np.unique(got)) > 900


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": FixedFormat(25, 4)}, "wider than the 24 bits"),
        ({"format": FixedFormat(8, 130)}, "2^±126"),
        ({"format": FixedFormat(8, -130)}, "2^±126"),
        ({"shift": 10**12}, "a shift of 1000000000000"),
        ({"shift": 1.5}, "a shift of 1.5"),
        ({"offset": float("nan")}, "an offset of nan"),
        ({"offset": 2.0**70}, "below 2^60 steps"),
        ({"offset": 2.0**-80}, "64 bits after the point"),
        ({"padding": 0.1}, "multiples of 0.0625 from -8 to 7.9375"),
        ({"padding": -999.0}, "multiples of 0.0625 from -8 to 7.9375"),
        ({"padding": float("inf")}, "padding inf"),
    ],
)
def test_a_feature_that_hardware_cannot_have_is_refused(change: dict[str, Any], words: str) -> None:
    usual: dict[str, Any] = {
        "name": "pt",
        "unit": "GeV",
        "offset": 1.0,
        "shift": 2,
        "format": FixedFormat.parse("ap_fixed<8,4,RND,SAT>"),
    }
    with pytest.raises(DataError) as error:
        InputFeature(**usual | change)
    assert "'pt'" in str(error.value) and words in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        *({"offset": bad} for bad in ("one", None, [1.0], {})),
        *({"padding": bad} for bad in ("one", None, [0.0, 1.0])),
        *({"shift": bad} for bad in ("one", None, 10**30)),
        {"colour": "red"},
    ],
)
def test_a_record_of_nonsense_is_no_contract(change: dict[str, Any]) -> None:
    feature = InputFeature("x", "", 1.0, 2, FixedFormat.parse("ap_fixed<8,4,RND,SAT>"))
    record = one(feature).to_dict()
    assert InputContract.from_dict(record) == one(feature)
    record["features"][0] |= change
    with pytest.raises(DataError):
        InputContract.from_dict(record)


def test_the_numbers_of_a_format_may_be_those_of_numpy() -> None:
    """A quantiser's bits come out of an array."""
    fmt = FixedFormat(np.int64(8), np.int64(4), True, Rounding.RND, Overflow.SAT)
    feature = InputFeature("x", "", 1.0, 0, fmt)
    assert feature.offset_steps == 16
    assert one(feature).quantize(np.array([[0.3]], np.float32)).tolist() == [[0.3125]]
