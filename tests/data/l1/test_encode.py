"""Hardware integers: truncated, saturated and counted, sorted, padded; what cannot be is refused."""

import numpy as np
import pytest

from triggerforge.data.l1.encode import encode, pad
from triggerforge.data.l1.layout import INPUTS, KINDS, OBJECTS, SCALES, SLOTS
from triggerforge.data.l1.scales import CALO_ETA, CALO_PHI, JET_PT, MUON_PHI
from triggerforge.errors import DataError


def events(count: int = 3) -> np.ndarray:
    """Crossings with one jet and MET."""
    found = np.zeros((count, OBJECTS, 3))
    found[:, SLOTS["met"]] = [[[20.0, 0.0, 1.0]]]
    found[:, SLOTS["jet"].start] = [50.0, -1.0, -2.0]
    return found


def test_the_layout_is_that_of_adc2021() -> None:
    assert len(INPUTS) == 57
    assert INPUTS[:4] == ("met_pt", "met_eta", "met_phi", "eg0_pt")
    assert INPUTS[27:30] == ("jet0_pt", "jet0_eta", "jet0_phi") and INPUTS[-1] == "jet9_phi"
    assert [kind.slots for kind in KINDS] == [1, 4, 4, 10]


@pytest.mark.parametrize("name", sorted(set(SCALES)))
def test_every_step_of_every_scale_comes_back(name: str) -> None:
    scale = SCALES[name]
    integers = np.arange(scale.low, scale.high + 1)
    back, over = scale.to_integers(integers * scale.lsb)
    np.testing.assert_array_equal(back, integers)
    assert not over.any()
    assert scale.high - scale.low < 2**scale.bits


def test_pt_is_truncated_and_angles_are_rounded() -> None:
    assert JET_PT.to_integers(np.array([0.49, 0.5, 0.99, 30.0]))[0].tolist() == [0, 1, 1, 60]
    assert CALO_ETA.to_integers(np.array([0.03, -0.03]))[0].tolist() == [1, -1]


def test_past_the_range_saturates_never_wraps_and_is_counted() -> None:
    found = events()
    found[1, SLOTS["jet"].start] = [5000.0, 9.0, 0.0]
    found[1, SLOTS["eg"].start] = [300.0, -9.0, 0.0]
    encoded = encode(found, "here")
    assert encoded.objects[1, SLOTS["jet"].start].tolist() == [2047, 127, 0]
    assert encoded.objects[1, SLOTS["eg"].start].tolist() == [511, -128, 0]
    assert encoded.saturated.sum(axis=(1, 2)).tolist() == [0, 4, 0]


@pytest.mark.parametrize("turns", [-3, -1, 0, 2])
def test_phi_has_no_end(turns: int) -> None:
    phi = np.array([-np.pi, -0.01, 0.0, 3.0]) + 2 * np.pi * turns
    for scale, steps in ((CALO_PHI, 144), (MUON_PHI, 576)):
        integers, over = scale.to_integers(phi)
        assert not over.any() and ((integers >= 0) & (integers < steps)).all()
        distance = np.angle(np.exp(1j * (integers * scale.lsb - phi)))
        assert np.abs(distance).max() <= scale.lsb / 2 + 1e-9


def test_missing_objects_are_zeros() -> None:
    found = events()
    found[:, SLOTS["mu"].start] = [0.4, 1.0, 1.0]  # below one step of pT: no object
    encoded = encode(found, "here")
    there = encoded.objects[..., 0] > 0
    assert there.sum(axis=1).tolist() == [2, 2, 2]
    assert not encoded.objects[~there].any()
    assert not encoded.objects[:, SLOTS["met"], 1].any()


def test_unsorted_objects_are_sorted_and_counted() -> None:
    found = events()
    found[2, SLOTS["jet"].start + 4] = [80.0, 2.0, 0.5]
    encoded = encode(found, "here")
    assert encoded.unsorted == 1
    assert (np.diff(encoded.objects[:, SLOTS["jet"], 0], axis=1) <= 0).all()
    assert encoded.objects[2, SLOTS["jet"].start].tolist() == [160, 46, 11]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "1 values are NaN or infinite, the first is pT of jet0 in event 1: nan"),
        (np.inf, "NaN or infinite"),
        (-3.0, "1 values are negative, the first is pT of jet0 in event 1: -3"),
    ],
)
def test_values_that_no_hardware_can_hold(value: float, message: str) -> None:
    found = events()
    found[1, SLOTS["jet"].start, 0] = value
    with pytest.raises(DataError, match=f"here: .*{message}"):
        encode(found, "here")


def test_a_wrong_shape() -> None:
    with pytest.raises(DataError, match=r"\(18, 3\).*\(19, 3\) is due"):
        encode(np.zeros((2, 18, 3)), "here")


def test_padding_takes_the_leading_objects_of_each_event() -> None:
    event = np.array([2, 0, 2, 2])
    objects = np.array([[5.0, 0, 0], [1.0, 1, 1], [7.0, 2, 2], [6.0, 3, 3]])
    table = pad(event, objects, slots=2, events=3)
    assert table[:, :, 0].tolist() == [[1.0, 0.0], [0.0, 0.0], [7.0, 6.0]]
