"""The recipe l1 as a stage: the file, its weights, seeds, resuming, and input that cannot work."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from pydantic import ValidationError

from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generate import generate
from triggerforge.data.generator.l1.collisions import PoolTask
from triggerforge.data.generator.l1.crossing import CrossingTask
from triggerforge.data.generator.l1.processes import SIGNALS, STRATA
from triggerforge.data.generator.l1.sample import shares
from triggerforge.data.generator.l1.schema import ABOUT, BRANCHES, TREE
from triggerforge.data.l1.layout import INPUTS, SCALES, SLOTS
from triggerforge.data.splits import split_indices
from triggerforge.errors import ConfigError

SETTINGS: dict[str, Any] = {
    "background": 72,
    "signal": 6,
    "signals": ["SUEP", "A_4l"],
    "soft_pool": 30,
    "hard_pool": 5,
    "chunk_events": 30,
    "pileup": 20,
}
CONFIG = GenerateConfig.model_validate({"recipe": "l1", "workers": 1, "l1": SETTINGS})
SEED = 5


def crossings_of(path: Path) -> dict[str, np.ndarray]:
    with uproot.open(path) as file:
        found: dict[str, np.ndarray] = file[TREE].arrays(library="np")
    return found


def about(path: Path) -> dict[str, Any]:
    with uproot.open(path) as file:
        found: dict[str, Any] = json.loads(str(file[ABOUT]))
    return found


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[n], b[n]) for n in a)


class Killed(Exception):
    """Stands for kill -9 between two chunks."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of a run that was stopped after its second chunk of crossings, and a copy of it."""
    folder = tmp_path_factory.mktemp("l1")
    make, made = CrossingTask.make, []

    def stops(task: CrossingTask) -> Any:
        if len(made) == 2:
            raise Killed
        made.append(task.name)
        return make(task)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CrossingTask, "make", stops)
        with pytest.raises(Killed):
            generate(CONFIG, SEED, folder)
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    return folder, copy


@pytest.fixture(scope="module")
def whole(folders: tuple[Path, Path]) -> Path:
    """The file of a run that was resumed."""
    return generate(CONFIG, SEED, folders[0])


def test_the_file(whole: Path) -> None:
    found = crossings_of(whole)
    assert set(found) == set(BRANCHES)
    assert np.bincount(found["label"]).tolist() == [72, 6, 6]
    assert found["objects"].shape == (84, 19, 3) and found["regions"].shape == (84, 18, 14)
    for name, branch in BRANCHES.items():
        assert found[name].dtype == np.dtype(branch.type), name
    flat = found["objects"].reshape(84, 57)
    for i, name in enumerate(INPUTS):
        assert SCALES[name].low <= flat[:, i].min() and flat[:, i].max() <= SCALES[name].high
    for rows in SLOTS.values():
        assert (np.diff(found["objects"][:, rows, 0], axis=1) <= 0).all()
    assert not found["objects"][found["objects"][..., 0] == 0].any()
    assert sorted(p.name for p in whole.parent.iterdir()) == ["events.root", "record.json"]


def test_metadata_names_scales_classes_and_strata(whole: Path) -> None:
    found = about(whole)
    assert found["classes"] == ["background", "SUEP", "A_4l"]
    assert found["strata"][0] == "soft" and found["strata"][-1] == "WZ"
    assert found["inputs"] == list(INPUTS)
    assert found["scales"]["jet3_pt"] == {
        "lsb": 0.5,
        "unit": "GeV",
        "low": 0,
        "high": 2047,
        "bits": 11,
    }
    assert found["scales"]["mu0_phi"]["lsb"] == pytest.approx(2 * np.pi / 576)
    assert found["scales"]["eg0_eta"]["lsb"] == 0.0435
    assert found["pileup"] == 20


def test_weights_sum_to_the_crossings_represented(whole: Path) -> None:
    found = crossings_of(whole)
    background = found["label"] == 0
    total = found["weight"][background].sum()
    assert total == pytest.approx(about(whole)["crossings"])
    record = json.loads((whole.parent / "record.json").read_text())["data"]["generator"]
    assert total == pytest.approx(record["crossings_represented"])
    for part, stratum in enumerate(record["strata"].values()):
        weight = found["weight"][background & (found["stratum"] == part)]
        assert len(weight) == shares(72)[part]
        assert weight.sum() / total == pytest.approx(stratum["part_of_crossings"])
    assert (found["weight"][~background] == 1).all()
    assert (found["stratum"][~background] == -1).all()


def test_the_split_by_the_same_seed_does_not_undo_the_mixing(whole: Path) -> None:
    found = crossings_of(whole)
    events = np.arange(len(found["label"]))[:, None]
    train, _, test = split_indices(events, (0.5, 0.1, 0.4), SEED)
    for part in (train, test):
        assert len(np.unique(found["label"][part])) == 3
        assert len(np.unique(found["weight"][part])) > 5


def test_reuse_is_reported(whole: Path) -> None:
    record = json.loads((whole.parent / "record.json").read_text())["data"]["generator"]
    soft = record["strata"]["soft"]
    assert soft["pool"] == 30
    # 84 crossings of 20 collisions out of a pool of 30
    assert soft["reuse_factor"] == pytest.approx(84 * 20 / 30, rel=0.15)


def test_hard_strata_are_hard_and_soft_ones_soft(whole: Path) -> None:
    found = crossings_of(whole)
    part, pthat = found["stratum"], found["pthat"]
    assert (pthat[part == 0] < 20).all()
    assert (pthat[part == 7] >= 250).all()
    assert found["et"][part == 7].mean() > found["et"][part == 0].mean()


def test_two_workers_and_no_resuming_give_the_same_bits(whole: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"workers": 2})
    assert same(crossings_of(whole), crossings_of(generate(config, SEED, tmp_path)))


def test_finished_chunks_are_not_made_again(
    whole: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PoolTask, "make", lambda task: pytest.fail("a pool is made twice"))
    made, make = [], CrossingTask.make
    monkeypatch.setattr(CrossingTask, "make", lambda task: (made.append(task), make(task))[1])
    again = generate(CONFIG, SEED, folders[1])
    assert same(crossings_of(whole), crossings_of(again))
    tasks = len(STRATA) + len(SETTINGS["signals"])  # a chunk of each
    assert len(made) == tasks - 2


@pytest.mark.parametrize("process", [STRATA[2], SIGNALS[6]], ids=lambda p: p.name)
def test_pools_have_seeds_of_their_own(process: Any) -> None:
    chunks = [
        PoolTask(process, 13_600.0, i, 3, seed).make() for i, seed in ((0, 1), (0, 1), (1, 1))
    ]
    assert same(chunks[0], chunks[1])
    assert not np.array_equal(chunks[0]["tower_et"], chunks[2]["tower_et"])
    assert len(chunks[0]["pthat"]) == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"l1": {"pileup": 0}}, "pileup"),
        ({"l1": {"background": -1}}, "background"),
        ({"l1": {"energy": 13.6}}, "energy"),
        ({"l1": {"pool": 3}}, "pool"),
        ({"jets": 10}, "jets does not apply to the recipe 'l1'; leave it out: the section l1"),
        ({"detector": "CMS"}, "detector does not apply"),
        ({"recipe": "jets5", "l1": {"pileup": 30}}, "l1 does not apply to the recipe 'jets5'"),
    ],
)
def test_config_that_cannot_work(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GenerateConfig.model_validate({"recipe": "l1"} | values)


def test_the_resolved_configuration_can_be_read_again() -> None:
    for config in (CONFIG, GenerateConfig()):
        assert GenerateConfig.model_validate(config.model_dump()) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"signals": ["SUEPP"]}, "no 'SUEPP'; did you mean 'SUEP'"),
        ({"signals": ["SUEP", "SUEP"]}, "names a signal twice"),
        ({"background": 17}, "17 background crossings for 10 strata; give .* >= 50"),
    ],
)
def test_recipe_that_cannot_run(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    config = GenerateConfig.model_validate({"recipe": "l1", "l1": values})
    with pytest.raises(ConfigError, match=message):
        generate(config, 1, tmp_path)
