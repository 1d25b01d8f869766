from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from triggerforge.config.data import InputsConfig, PrecisionConfig
from triggerforge.data.contract import InputContract
from triggerforge.data.features import InputBuilder
from triggerforge.data.scaling import covering, derive_contract
from triggerforge.errors import DataError
from triggerforge.fixedpoint import Overflow, Rounding

RNG = np.random.default_rng(0)


def builder(kind: str = "features", names: tuple[str, ...] = ("a", "b")) -> InputBuilder:
    return InputBuilder(InputsConfig(kind=kind, names=names, constituents=4, pixels=8))


def derived(
    made: InputBuilder,
    raw: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    config: PrecisionConfig,
) -> InputContract:
    """The contract for training events that lie in memory."""
    return derive_contract(made, lambda i: raw[..., i], mask, config)


def test_standardisation_has_a_power_of_two_and_an_offset_on_the_grid() -> None:
    raw = (RNG.normal(size=(5000, 2)) * [30, 0.02] + [91, -0.5]).astype(np.float32)
    contract = derived(builder(), raw, None, PrecisionConfig(width=10))
    x = contract.normalize(raw)
    for i, feature in enumerate(contract.features):
        assert feature.format.width == 10
        assert (feature.format.rounding, feature.format.overflow) == (Rounding.RND, Overflow.SAT)
        grid = feature.format.lsb * 2.0**feature.shift
        assert feature.offset / grid == round(feature.offset / grid)
        assert abs(feature.offset - raw[:, i].mean()) <= 0.01 * raw[:, i].std() + grid
        assert 0.7 < x[:, i].std() < 1.5
    saturated = np.array([c.saturated for c in contract.audit(x)])
    assert (saturated <= 5).all()  # coverage of 0.999 on 5000 events


def test_coverage_sets_the_range() -> None:
    raw = np.concatenate([RNG.normal(size=(9990, 1)), np.full((10, 1), 1e4)]).astype(np.float32)
    one = builder(names=("a",))
    narrow = derived(one, raw, None, PrecisionConfig(coverage=0.99))
    wide = derived(one, raw, None, PrecisionConfig(coverage=1.0))
    assert narrow.features[0].shift == 0
    assert narrow.features[0].format.range[1] < 8
    assert narrow.audit(narrow.normalize(raw))[0].saturated >= 10
    assert wide.audit(wide.normalize(raw))[0].saturated == 0


def test_only_features_are_centred_unless_asked() -> None:
    raw = RNG.uniform(5, 6, size=(1000, 4, 1)).astype(np.float32)
    mask = np.ones((1000, 4), bool)
    particles = builder("constituents", ("a",))
    assert derived(particles, raw, mask, PrecisionConfig()).features[0].offset == 0
    assert not derived(particles, raw, mask, PrecisionConfig()).features[0].format.signed
    centred = derived(particles, raw, mask, PrecisionConfig(center=True)).features[0]
    assert abs(centred.offset - 5.5) < 0.05


def test_padding_does_not_count() -> None:
    raw = np.zeros((100, 4, 1), np.float32)
    raw[:, 0] = RNG.uniform(100, 200, size=(100, 1))
    mask = np.zeros((100, 4), bool)
    mask[:, 0] = True
    feature = derived(builder("constituents", ("a",)), raw, mask, PrecisionConfig())
    assert feature.features[0].shift == 7


def test_flags_charges_and_valid_keep_their_value_in_few_bits() -> None:
    names = ("charge", "flag", "valid")
    raw = np.stack(
        [RNG.integers(-1, 2, 400), RNG.integers(0, 2, 400), np.ones(400)], axis=1
    ).reshape(100, 4, 3)
    mask = np.ones((100, 4), bool)
    contract = derived(
        builder("constituents", names), raw.astype(np.float32), mask, PrecisionConfig()
    )
    shown = [(f.offset, f.shift, f.format.width, f.format.signed) for f in contract.features]
    assert shown == [(0, 0, 2, True), (0, 0, 1, False), (0, 0, 1, False)]
    x = contract.normalize(raw)
    np.testing.assert_array_equal(contract.quantize(x), raw)


def test_a_format_of_ones_own_is_taken_as_it_is() -> None:
    config = PrecisionConfig(formats={"b": "ap_fixed<8,4,TRN,WRAP>"})
    contract = derived(builder(), RNG.normal(size=(50, 2)).astype(np.float32), None, config)
    feature = contract.features[1]
    assert str(feature.format) == "ap_fixed<8,4,TRN,WRAP>"
    assert (feature.offset, feature.shift) == (0, 0)
    with pytest.raises(DataError, match="no input 'c'"):
        bad = PrecisionConfig(formats={"c": "ap_fixed<8,4>"})
        derived(builder(), np.ones((5, 2), np.float32), None, bad)


@pytest.mark.parametrize("value", [0.0, 3.0, -1e-3, 1e6])
def test_a_constant_input_is_held(value: float) -> None:
    raw = np.full((20, 2), value, np.float32)
    contract = derived(builder(), raw, None, PrecisionConfig())
    x = contract.quantize(contract.normalize(raw))
    feature = contract.features[0]
    back = x[0, 0] * 2.0**feature.shift + feature.offset
    assert back == pytest.approx(value, rel=1e-3)


@given(
    low=st.floats(-1e6, 1e6),
    span=st.floats(0, 1e6),
    width=st.integers(4, 24),
)
def test_the_finest_format_that_holds_a_range(low: float, span: float, width: int) -> None:
    high = low + span
    fmt = covering(low, high, width)
    ends = np.array([low, high])
    assert np.abs(fmt.quantize(ends) - ends).max() <= fmt.lsb / 2
    assert fmt.width == width and fmt.signed == (low < 0)


def test_empty_pixels_do_not_count() -> None:
    raw = np.zeros((30, 8, 8, 1), np.float32)
    raw[:, 4, 4] = 0.25
    contract = derived(builder("image"), raw, None, PrecisionConfig())
    assert contract.shape == (8, 8, 1)
    assert contract.features[0].shift == -2
    assert contract.order == "eta, then phi, rising"


def particles_of(values: NDArray[Any], **settings: Any) -> InputContract:
    """The contract of particles with one input, all of them there."""
    raw = values.reshape(-1, 4, 1).astype(np.float64)
    made = builder("constituents", ("a",))
    return derived(made, raw, np.ones(raw.shape[:2], bool), PrecisionConfig(**settings))


def test_a_missing_particle_is_0_unless_the_configuration_says_more() -> None:
    values = RNG.normal(size=400) * 10 + 30
    assert particles_of(values).features[0].padding == 0
    feature = particles_of(values, padding={"a": -2.0}, center=True).features[0]
    expected = (-2.0 - feature.offset) / 2.0**feature.shift
    assert abs(feature.padding - expected) <= feature.format.lsb / 2
    low, high = feature.format.range
    assert low <= feature.padding <= high and feature.format.signed
    scaled = particles_of(values, padding_scaled={"a": -2.0}).features[0]
    assert scaled.padding == -2 and scaled.format.signed


def test_a_format_of_ones_own_holds_its_padding_or_says_that_it_cannot() -> None:
    values = RNG.uniform(0, 4, size=400)
    own = {"a": "ap_fixed<8,4,RND,SAT>"}
    assert particles_of(values, formats=own, padding={"a": -2.0}).features[0].padding == -2
    assert particles_of(values, formats=own, padding={"a": -2.03}).features[0].padding == -2
    for far in (-999.0, float("inf"), float("nan"), 1e308):
        with pytest.raises(DataError, match=r"padding of 'a': .* is outside -8..7.9375"):
            particles_of(values, formats=own, padding={"a": far})


@pytest.mark.parametrize("padding", [-99.0, 0.5, -1.0])
def test_flags_stay_exact_beside_their_padding(padding: float) -> None:
    feature = particles_of(RNG.integers(0, 2, 400), padding={"a": padding}).features[0]
    assert feature.padding == padding
    assert feature.format.quantize(np.array([0.0, 1.0])).tolist() == [0, 1]
    assert feature.format.width == (2 if padding == -1 else 12)


def test_particles_that_are_all_0_have_a_padding_of_their_own() -> None:
    feature = particles_of(np.zeros(400), padding={"a": -2.0}).features[0]
    assert feature.padding * 2.0**feature.shift == -2
    assert feature.format.quantize(np.array(0.0)) == 0


def test_what_a_distant_padding_costs_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    feature = particles_of(RNG.uniform(1, 2, 400), padding={"a": -999.0}).features[0]
    assert feature.padding * 2.0**feature.shift == -999
    said = " ".join(capsys.readouterr().err.split())
    assert "'a' has 10 bits fewer below the point" in said and "data.precision.width" in said
    particles_of(RNG.uniform(1, 2, 400), padding={"a": -1.0})
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("constituents", {"padding": {"b": 1.0}}, "padding: no input 'b'"),
        ("constituents", {"padding_scaled": {"b": 1.0}}, "padding_scaled: no input 'b'"),
        ("constituents", {"padding": {"valid": 1.0}}, "'valid' is 0 where"),
        ("constituents", {"padding": {"a": 1.0}, "padding_scaled": {"a": 1.0}}, "give one of them"),
        ("features", {"padding": {"a": 1.0}}, "have no missing particles"),
    ],
)
def test_a_padding_that_means_nothing_is_refused(
    kind: str, settings: dict[str, Any], said: str
) -> None:
    names = ("a", "valid") if kind == "constituents" else ("a", "other")
    raw = np.ones((8, 4, 2) if kind == "constituents" else (8, 2))
    mask = np.ones((8, 4), bool) if kind == "constituents" else None
    with pytest.raises(DataError, match=said):
        derived(builder(kind, names), raw, mask, PrecisionConfig(**settings))


@pytest.mark.parametrize("value", [0.0, 0.1, 7.3, -1e6, 1e-9, 2.0**40 + 1, -1e300, 5e-324])
def test_a_constant_input_has_no_width(value: float) -> None:
    """Beside an integer of 11 bits the port of both would have had 54."""
    raw = np.stack([np.full(999, value), RNG.integers(0, 2048, 999)], axis=1).astype(np.float64)
    contract = derived(builder(), raw, None, PrecisionConfig(width=11))
    constant, other = contract.features
    assert constant.format.width == 1 and constant.format.fraction == 0
    assert not contract.quantize(contract.normalize(raw))[:, 0].any()
    assert other.format.width == 11
    assert (
        max(f.format.integer for f in contract.features)
        - min(-f.format.fraction for f in contract.features)
        <= 12
    )


def test_an_input_that_rarely_differs_keeps_its_values() -> None:
    raw = np.zeros((5000, 1))
    raw[7] = 40.0
    contract = derived(builder(names=("a",)), raw, None, PrecisionConfig())
    x = contract.quantize(contract.normalize(raw))
    assert x[7] != x[8]
    assert contract.audit(contract.normalize(raw))[0].saturated == 0
