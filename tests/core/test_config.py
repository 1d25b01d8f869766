"""YAML in, typed sections out; every error names the key and the nearest known one."""

from pathlib import Path

import pytest

from triggerforge.config.load import load_config
from triggerforge.config.show import as_yaml
from triggerforge.errors import ConfigError

ROOT = Path(__file__).parents[2]
CONFIGS = sorted([*(ROOT / "configs").glob("*.yaml"), *(ROOT / "examples").glob("*.yaml")])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_shipped_config_loads_in_both_sizes(path: Path) -> None:
    full, quick = load_config(path), load_config(path, quick=True)
    assert quick.name == f"{full.name}-quick"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_the_resolved_form_reads_back(path: Path, tmp_path: Path) -> None:
    config = load_config(path)
    shown = tmp_path / "shown.yaml"
    shown.write_text(as_yaml(config))
    assert load_config(shown) == config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text((ROOT / "configs/demo.yaml").read_text())
    return path


def test_a_setting_replaces_one_value(config: Path) -> None:
    assert load_config(config, ["seed=9", "train.epochs=3"]).train.epochs == 3


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("sed=9", "unknown key 'sed'; did you mean 'seed'"),
        ("train.epoch=3", r"unknown key 'train\.epoch'; did you mean 'epochs'"),
        ("seed=-1", "seed: .*greater than or equal to 0"),
        ("seed=many", "seed: .*valid integer"),
        ("name=../../etc", "name: .*pattern"),
        ("benchmark.parity.engines=[hls4m]", "hls4ml"),
        ("benchmark.parity.engine_events={hls4m: 1}", "hls4ml"),
        ("benchmark.latency.engines=[tourch]", "torch"),
        ("seed", "not of the form"),
        ("=3", "not of the form"),
        ("seed=[1", "not YAML"),
    ],
)
def test_a_bad_setting_is_explained(config: Path, setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(config, [setting])


def test_a_weight_for_each_class(config: Path) -> None:
    classes, weights = "data.classes=[q, g, t]", "train.class_weights=[1, 2]"
    with pytest.raises(ConfigError, match="has 2 numbers for the 3 classes .*; give 3"):
        load_config(config, [classes, weights])
    assert load_config(config, [weights]).train.class_weights == [1, 2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["trigger={target_rates: [1]}"], "trigger.background is empty"),
        (
            ["data.background=[q]", "trigger={signals: [q, t]}"],
            "'q'. cannot be background and signal",
        ),
        (["train.teacher={model: {name: conv_autoencoder}}"], "learned from data.background"),
        (["data.background=[q]", "compress.method=qkeras"], "use hgq or ptq"),
        (["data.classes=[q, t]", "data.background=[g]"], "no class 'g'"),
    ],
)
def test_a_score_needs_a_background(config: Path, settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(config, settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds NoneType"),
        ("- a", "holds list"),
        ("a: [", "is not YAML"),
        ("seed: 1\nseed: 2", "'seed' stands twice"),
        ("seed: !!python/object:os.system 1", "is not YAML"),
        ("seed: 1", "'data' is missing"),
    ],
)
def test_a_bad_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        load_config(tmp_path / "absent.yaml")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(10**9)
    with pytest.raises(ConfigError, match="at most 1000000"):
        load_config(path)


def test_quick_needs_its_section(config: Path) -> None:
    text = config.read_text().split("\nquick:")[0]
    config.write_text(text)
    with pytest.raises(ConfigError, match="no section `quick`"):
        load_config(config, quick=True)


def test_a_quick_run_knows_what_was_made_small(config: Path) -> None:
    assert load_config(config).quick is None
    quick = load_config(config, ["train.epochs=7"], quick=True)
    assert quick.quick is not None
    assert quick.quick["train.epochs"] == {"quick": 7, "whole": 30}
    assert quick.quick["firmware.vectors"] == {
        "quick": 64,
        "whole": load_config(config).firmware.vectors,
    }
    assert "train.model.name" not in quick.quick  # mlp in both
    assert all("{" not in key for key in quick.quick)
    assert quick.model_copy().quick == quick.quick
