"""YAML in, typed sections out; every error names the key and the nearest known one."""

from pathlib import Path
from typing import Any

import pytest

from triggerforge.config.load import load_config
from triggerforge.config.show import as_yaml
from triggerforge.config.yamlfile import parse_yaml
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
    with pytest.raises(ConfigError, match="at most 200000"):
        load_config(path)


def test_quick_needs_its_section(config: Path) -> None:
    text = config.read_text().split("\nquick:")[0]
    config.write_text(text)
    with pytest.raises(ConfigError, match="no section `quick`"):
        load_config(config, quick=True)


def test_a_quick_run_of_a_file_without_a_name_knows_the_whole_runs_sizes(config: Path) -> None:
    config.write_text(config.read_text().replace("\nname: demo\n", "\n"))
    quick = load_config(config, quick=True)
    assert quick.name == "mine-quick" and quick.quick is not None
    assert quick.quick["train.epochs"] == {"quick": 3, "whole": 30}


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


MULTIPLYING = "\n".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * 9)}]" for i in range(9)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: " + "9" * 5000, "a number of 5000 characters; at most 60"),
        ("seed: 0x" + "f" * 5000, "a number of 5002 characters"),
        ("seed: 1e-" + "9" * 5000, "a number of 5003 characters"),
        ("a: " + "[" * 5000, "nested more than 40 deep, line 1"),
        ("a: " + "{b: " * 5000, "nested more than 40 deep"),
        ("\n".join(" " * i + "a:" for i in range(600)), "nested more than 40 deep"),
        ("? [a]\n: 1", "a key is a plain word"),
        ("? {a: 1}\n: 1", "a key is a plain word"),
        ("seed: !!int abc", "'abc' is no number, line 1, column 7"),
        ("seed: !!float abc", "'abc' is no number"),
        ("seed: !!bool perhaps", "'perhaps' is no boolean"),
        ("data: !!binary aGk=", "the tag .* is not read here"),
        ("data: !!timestamp 2020-13-45", "the tag .* is not read here"),
        ("data: !mine 1", "the tag '!mine' is not read here"),
        ('data: {source: "a\\0b"}', "holds the character NUL"),
        (MULTIPLYING, "aliases repeat more than 100000 values"),
        ("a: &a [*a]", "an alias that refers to what it is in"),
        ("a: &a {b: {c: *a}}", "an alias that refers to what it is in"),
        ("a: *nowhere", "undefined alias"),
        ("a: 1\n---\nb: 2", "a single document"),
        ("quick: 5\ndata: {}", "quick: 5 is no section"),
        ("quick: [1]\ndata: {}", r"quick: \[1\] is no section"),
        ("name: 2020\ndata: {}", "name: Input should be a valid string; it is 2020"),
        ("x: {y: 1, y: 2}", "'y' stands twice"),
        ("x: {1: 1, 1: 2}", "'1' stands twice"),
    ],
    ids=lambda x: x[:24],
)
def test_hostile_yaml_is_one_short_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        load_config(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400 + len(str(path))


def test_yaml_means_what_people_write() -> None:
    """The core schema of YAML 1.2; what YAML 1.1 made of each stands beside it."""
    text = """
    words: [yes, no, on, off, y, n]        # booleans
    truths: [true, True, FALSE]
    numbers: [010, 0o10, 0x10, 1_000_000]  # 8, text, 16, 1000000
    floats: [1e-3, 1E5, 1., .5, -.inf]     # text, text, 1.0, 0.5, -inf
    text: [1:30, 2020-01-31, 2020-13-45, 1.2.3, 2024_01, "010", '1e-3']  # 90, dates, an error, …
    nothing: [null, ~, ]
    """
    assert parse_yaml(text, "") == {
        "words": ["yes", "no", "on", "off", "y", "n"],
        "truths": [True, True, False],
        "numbers": [10, 8, 16, 1_000_000],
        "floats": [1e-3, 1e5, 1.0, 0.5, float("-inf")],
        "text": ["1:30", "2020-01-31", "2020-13-45", "1.2.3", "2024_01", "010", "1e-3"],
        "nothing": [None, None],
    }


def test_merge_keys_merge() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 4}]}"
    tree = parse_yaml(text, "")
    assert tree["b"] == {"x": 1, "y": 3} and tree["c"] == {"x": 1, "y": 2, "z": 4}


@pytest.mark.parametrize(
    ("setting", "read"),
    [
        ("seed=010", lambda c: c.seed == 10),
        ("name=no", lambda c: c.name == "no"),
        ("name=2020-01-31", lambda c: c.name == "2020-01-31"),
        ("train.model.kwargs={dropout: 1e-3}", lambda c: c.train.model.kwargs["dropout"] == 1e-3),
        ("data.source=x.root", lambda c: c.data.source == ("x.root",)),
        ("data.observables=jet_pt", lambda c: c.data.observables == ("jet_pt",)),
        ("benchmark.latency.batches=1", lambda c: c.benchmark.latency.batches == (1,)),
        ("benchmark.latency.engines=triton", lambda c: c.benchmark.latency.engines == ("triton",)),
        (
            "benchmark.parity.engines=cuda-int",
            lambda c: c.benchmark.parity.engines == ("cuda-int",),
        ),
        ("export.qonnx=no", lambda c: c.export.qonnx is False),
    ],
)
def test_values_arrive_as_they_were_meant(config: Path, setting: str, read: Any) -> None:
    assert read(load_config(config, [setting]))


def test_a_byte_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: é".encode("latin-1"))
    with pytest.raises(ConfigError, match="can't decode byte 0xe9"):
        load_config(path)
    path.write_bytes("data: {}".encode("utf-8-sig"))
    assert load_config(path).name == "latin"
