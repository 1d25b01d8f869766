"""Cut triggers by hand-made events, their rates and overlaps."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.trigger.conftest import dataset, logits
from triggerforge.config.trigger import CutConfig, ObjectConfig, TriggerConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import DataError
from triggerforge.fixedpoint import FixedFormat
from triggerforge.trigger.menu import decisions
from triggerforge.trigger.objects import Objects, collect
from triggerforge.trigger.overlap import menu_record, pure_rates
from triggerforge.trigger.score import scored
from triggerforge.trigger.working import working_point

JETS = Objects(
    pt=np.array([[100.0, 50, 0], [30, 100, 60], [0, 0, 0], [40, 40, 40]]),
    eta=np.array([[0.0, 1, 0], [3, 0, 2], [0, 0, 0], [0, 0, 3]]),
    phi=np.array([[0.0, 3, 0], [0, 0, 0], [0, 0, 0], [0, 3.1, 0]]),
)


def passes(**cut: Any) -> list[bool]:
    menu = {"seed": {"jet": CutConfig.model_validate(cut)}}
    return [bool(x) for x in decisions(menu, {"jet": JETS})["seed"]]


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        ({"pt": [80]}, [True, True, False, False]),
        ({"pt": [0]}, [True, True, False, True]),
        ({"pt": [100, 55]}, [False, True, False, False]),
        ({"pt": [25, 25, 25]}, [False, True, False, True]),
        ({"pt": [25, 25, 25], "abs_eta_max": 2.5}, [False, False, False, False]),
        ({"pt": [1, 1, 1, 1]}, [False, False, False, False]),
        ({"pt": [30, 30], "delta_eta_max": 0.5}, [False, False, False, True]),
        ({"pt": [30, 30], "mass_min": 165}, [False, True, False, True]),
        ({"pt": [30, 30], "mass_min": 200}, [False, True, False, False]),
    ],
)
def test_cuts(cut: dict[str, Any], expected: list[bool]) -> None:
    assert passes(**cut) == expected


def test_all_cuts_of_a_seed_must_pass() -> None:
    menu = {"both": {"jet": CutConfig(pt=(80,)), "met": CutConfig(pt=(20,))}}
    met = Objects(np.array([[10.0], [30], [40], [50]]))
    assert decisions(menu, {"jet": JETS, "met": met})["both"].tolist() == [
        False,
        True,
        False,
        False,
    ]


def test_what_the_data_lacks_is_named() -> None:
    with pytest.raises(
        DataError, match=r"menu.S: the data has no object 'jets'; did you mean 'jet'"
    ):
        decisions({"S": {"jets": CutConfig(pt=(9,))}}, {"jet": JETS})
    only_pt = {"ht": Objects(np.ones((2, 1)))}
    with pytest.raises(DataError, match=r"menu.S.ht: its object has no eta"):
        decisions({"S": {"ht": CutConfig(pt=(9,), abs_eta_max=2.0)}}, only_pt)
    with pytest.raises(DataError, match="has no cuts"):
        decisions({"S": {}}, only_pt)


def test_objects_are_found_in_the_observables() -> None:
    found = collect({}, dataset())
    assert set(found) == {"jet"} and found["jet"].eta is not None and found["jet"].phi is None


def test_objects_are_rows_of_the_input_in_the_units_of_the_contract() -> None:
    test = dataset(12, shape=(5, 3))
    x = np.abs(test.x)
    x[:, 3:] = 0
    test = dataset(12, shape=(5, 3), x=x)
    found = collect(
        {
            "jet": ObjectConfig(rows=(1, 5), scale={"pt": 0.5}),
            "ht": ObjectConfig(sum_of="jet", pt_min=0.2, abs_eta_max=2.0),
        },
        test,
    )
    np.testing.assert_allclose(found["jet"].pt, 0.5 * x[:, 1:, 0])
    kept = (found["jet"].pt >= 0.2) & (x[:, 1:, 1] <= 2)
    np.testing.assert_allclose(found["ht"].pt[:, 0], (kept * found["jet"].pt).sum(axis=1))


def test_a_list_of_objects_has_rows_as_a_table_has() -> None:
    rows = [f"{row}_{q}" for row in ("met", "jet0", "jet1") for q in ("pt", "eta", "phi")]
    formats = FixedFormat.parse("ap_fixed<16,8,RND,SAT>")
    features = [InputFeature(name, "0.5 GeV", 0.0, i % 3, formats) for i, name in enumerate(rows)]
    plain = dataset(12, shape=(5, 3))
    x = np.abs(np.random.default_rng(1).normal(size=(len(plain), 9))).astype(np.float32)
    flat = replace(plain, x=x, contract=InputContract(tuple(features), (9,)))
    found = collect({"jet": ObjectConfig(rows=(1, 3), scale={"pt": 0.5})}, flat)["jet"]
    np.testing.assert_array_equal(found.pt, 0.5 * x[:, [3, 6]].astype(np.float64))
    assert found.phi is not None
    np.testing.assert_array_equal(found.phi, 4 * x[:, [5, 8]].astype(np.float64))
    with pytest.raises(DataError, match=r"rows 1\.\.3 of an input of shape \(9,\) with 3 objects"):
        collect({"jet": ObjectConfig(rows=(1, 4))}, flat)
    mixed = InputContract(tuple(features[:8]), (8,))
    with pytest.raises(DataError, match="with 0 objects"):
        collect({"jet": ObjectConfig(rows=(1, 2))}, replace(flat, x=x[:, :8], contract=mixed))


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ({"jet": {"rows": [1, 9]}}, r"rows 1\.\.8 of an input of shape \(5, 3\)"),
        ({"jet": {"columns": {"pt": "jet_p"}}}, "no observable 'jet_p'; did you mean 'jet_pt'"),
        ({"jet": {"columns": {"p": "jet_pt"}}}, "no quantity 'p'"),
        ({"jet": {"columns": {"eta": "jet_eta"}}}, "has no pt"),
        ({"ht": {"sum_of": "jet"}}, "no object 'jet'"),
        ({"jet": {"rows": [0, 5]}}, "negative in"),
    ],
)
def test_bad_objects_are_refused(objects: dict[str, Any], words: str) -> None:
    chosen = {name: ObjectConfig.model_validate(c) for name, c in objects.items()}
    with pytest.raises(DataError, match=words):
        collect(chosen, dataset(12, shape=(5, 3)))


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        (ObjectConfig, {}, "exactly one of"),
        (ObjectConfig, {"rows": [3, 3]}, "are empty"),
        (CutConfig, {"pt": []}, "at least 1"),
        (CutConfig, {"pt": [10, 20]}, "must fall"),
        (CutConfig, {"pt": [10], "mass_min": 5}, "two objects"),
        (TriggerConfig, {"background": ["a"], "signals": ["a"]}, "cannot be background and signal"),
        (TriggerConfig, {"background": ["a"], "target_rates": [0]}, "greater than 0"),
    ],
)
def test_bad_settings_are_refused(model: Any, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        model.model_validate(settings)


def test_rates_pure_rates_and_overlap_of_a_menu(config: TriggerConfig) -> None:
    test = dataset()
    model = scored("float", logits(test), test, config, None)
    point = working_point(model, 1000.0)
    menu = {"J80": {"jet": CutConfig(pt=(80,))}, "J100": {"jet": CutConfig(pt=(100,))}}
    seeds = decisions(menu, collect({}, test))
    record = menu_record(model, [point], seeds)
    rows = {row["name"]: row for row in record["rows"]}
    assert list(rows) == ["J80", "J100", "menu", "score at 1000 kHz"]
    assert rows["menu"]["rate_khz"] == rows["J80"]["rate_khz"]
    assert rows["J100"]["pure_rate_khz"]["value"] == 0  # J80 takes all of it
    assert rows["J100"]["pure_rate_khz"]["upper_limits"]["0.95"] > 0
    both = rows["J80"]["rate_khz"]["value"] - rows["J80"]["pure_rate_khz"]["value"]
    assert both == pytest.approx(rows["J100"]["rate_khz"]["value"])
    overlap = record["overlap"]
    part = rows["J100"]["rate_khz"]["value"] / rows["J80"]["rate_khz"]["value"]
    assert overlap["fraction"][0][1] == pytest.approx(part)
    assert overlap["fraction"][1][0] == 1 and overlap["low"][1][0] < 1
    (pure,) = pure_rates(model, [point], seeds).values()
    assert 0 < pure["value"] < point.threshold.rate.khz
    gain = rows["score at 1000 kHz"]["gain"]["a4l"]
    assert 0 <= gain["value"] <= rows["score at 1000 kHz"]["efficiency"]["a4l"]


def test_an_empty_row_of_the_overlap_is_null(config: TriggerConfig) -> None:
    test = dataset()
    model = scored("float", logits(test), test, config, None)
    seeds = decisions({"never": {"jet": CutConfig(pt=(1e6,))}}, collect({}, test))
    assert menu_record(model, [], seeds)["overlap"]["fraction"] == [[None]]
