"""The stage and the verb, on the folders that the stages before leave."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.report.figures import figures_drawn, require_labels
from tests.trigger.conftest import SCORE, dataset
from triggerforge import cli
from triggerforge.config.report import ReportConfig
from triggerforge.config.trigger import TriggerConfig
from triggerforge.data.load import load_splits
from triggerforge.errors import ArtifactError, ConfigError, DataError
from triggerforge.report.blocks import NotRun
from triggerforge.report.material import gather
from triggerforge.report.sections import SECTIONS
from triggerforge.result import collect
from triggerforge.runfolder import read_json
from triggerforge.trigger.command import parse_rate
from triggerforge.trigger.handover import HANDOVER_FILE, write_handover
from triggerforge.trigger.run import rates

MakeRun = Callable[..., Path]
FULL = {
    "background": ["minbias"],
    "target_rates": [0.1, 100, 1000],
    "menu": {"J80": {"jet": {"pt": [80]}}, "J150": {"jet": {"pt": [150], "abs_eta_max": 2.5}}},
    "pileup": "npv",
    "time": "lumi",
}
ROOT = Path(__file__).parents[2]


def stage(run: Path, config: TriggerConfig) -> Path:
    folder = run / "trigger"
    rates(config, load_splits(run / "data"), run, [SCORE], {"run": "fake"}, folder)
    return folder


@pytest.fixture
def finished(make_run: MakeRun) -> Path:
    run = make_run()
    stage(run, TriggerConfig.model_validate(FULL))
    return run


def test_the_record_has_rates_and_the_reasons_for_what_was_refused(finished: Path) -> None:
    result = collect([finished / "trigger"], seed=1)
    assert len(result["rates"]) == 6
    assert {row["model"] for row in result["rates"]} == {"float", "quantized", "firmware"}
    record = result["trigger"]
    assert set(record["not_run"]) == {f"{m} at 0.1 kHz" for m in ("float", "quantized", "firmware")}
    assert record["background_events"]["firmware"] == record["background_events"]["float"] // 2
    assert record["smallest_rate_khz"]["firmware"] > record["smallest_rate_khz"]["float"]
    assert record["crossings_khz"] == pytest.approx(11.2455 * 2340)
    for curve in record["curves"].values():
        assert np.all(np.diff(curve["rate_khz"]) < 0) and np.all(np.diff(curve["threshold"]) > 0)


def test_the_hand_over_says_what_a_menu_needs(finished: Path) -> None:
    record = read_json(finished / "trigger" / HANDOVER_FILE)
    assert len(record["sample"]["sha256"]) == 64
    hardware = [e for e in record["working_points"] if e["model"] == "firmware"]
    assert len(hardware) == 2
    for entry in hardware:
        assert entry["threshold"] == entry["threshold_lsb"] * entry["lsb"]
        assert entry["prescale"] == 1 and entry["format"] == "ap_fixed<12,5,TRN,SAT>"
        assert 0 <= entry["pure_rate_khz"]["value"] <= entry["rate_khz"]["value"]
        assert set(entry["efficiency"]) == {"a4l", "dark"}


def test_every_block_of_the_report_is_made(finished: Path) -> None:
    result = collect([finished / "trigger"], seed=1)
    material = gather(ReportConfig(), result, {})
    (section,) = (s for s in SECTIONS if s.only_with == "trigger")
    assert section.wanted(result) and not section.wanted({"metrics": {}})
    with figures_drawn() as figures:
        for block in section.blocks:
            assert not isinstance(block.build(material), NotRun), block.title
    require_labels(figures, ("npv", "lumi"))


def test_without_a_menu_the_report_says_so(make_run: MakeRun, config: TriggerConfig) -> None:
    result = collect([stage(make_run(), config)], seed=1)
    material = gather(ReportConfig(), result, {})
    (section,) = (s for s in SECTIONS if s.only_with == "trigger")
    built = {block.title: block.build(material) for block in section.blocks}
    for title, words in (("Menu", "no cut triggers"), ("Pile-up and stability", "trigger.pileup")):
        found = built[title]
        assert isinstance(found, NotRun) and words in found.reason
    assert not isinstance(built["Working points"], NotRun)


def test_a_menu_naming_a_missing_object_stops_the_stage(make_run: MakeRun) -> None:
    menu = {"EG20": {"jte": {"pt": [20]}}}
    config = TriggerConfig.model_validate({"background": ["minbias"], "menu": menu})
    with pytest.raises(DataError, match="no object 'jte'; did you mean 'jet'"):
        stage(make_run(), config)


def test_scores_that_do_not_belong_to_the_run_are_refused(
    make_run: MakeRun, config: TriggerConfig, tmp_path: Path
) -> None:
    run = make_run()
    with pytest.raises(ArtifactError, match="1 outputs, the quantised network has 2"):
        rates(config, load_splits(run / "data"), run, [SCORE] * 2, {}, run / "trigger")
    with pytest.raises(ArtifactError, match="no stage in .* left scores"):
        rates(config, load_splits(run / "data"), tmp_path, [SCORE], {}, run / "trigger")
    splits = load_splits(run / "data")
    object.__setattr__(splits, "test", dataset(600))
    with pytest.raises(ArtifactError, match="scores of 9000 events, the test part has 600"):
        rates(config, splits, run, [SCORE], {}, run / "trigger")


def test_the_verb_prints_and_hands_over(
    finished: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "points.yaml"
    assert cli.main(["rates", str(finished), "--target", "0.5MHz", "-o", str(out)]) == 0
    text = capsys.readouterr().out
    assert text.count("500 kHz: rate") == 3 and "LSB" in text and "a4l" in text
    assert [e["target_rate_khz"] for e in yaml.safe_load(out.read_text())["working_points"]] == [
        500
    ] * 3
    assert cli.main(["rates", str(finished)]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("refused: ")]
    assert line.startswith(
        "refused: float at 0.1 kHz, quantized at 0.1 kHz, firmware at 0.1 kHz: below 43.86 / "
    )
    targets = ["--target", "0.5MHz", "--target", "100MHz"]
    assert cli.main(["rates", str(finished), *targets]) == 0
    (refused,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("refused")]
    assert refused.startswith("refused: float at 100000 kHz, quantized at 100000 kHz, firmware at")
    assert cli.main(["rates", str(finished), "--threshold", "3"]) == 0
    assert "= 384 LSB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--target", "1Hz"], "the smallest that"),
        (["--target", "fast"], "no rate; write a number"),
        (["--target", "1GHz"], "Hz, kHz or MHz"),
        (["--threshold", "99999"], "outside"),
        (["--threshold", "1", "--target", "1kHz"], "--threshold goes without"),
        (["--set", "seed=3"], "is a run"),
        (["--target", "1MHz", "-o", "points.txt"], "*.json or *.yaml"),
    ],
)
def test_the_verb_refuses_in_one_line(
    finished: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    assert cli.main(["rates", str(finished), *more]) == 1
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_a_configuration_or_run_without_the_section_says_what_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["rates", str(ROOT / "configs/demo.yaml")]) == 1
    assert "no section `trigger`" in capsys.readouterr().err
    assert cli.main(["rates", str(tmp_path)]) == 1
    assert "no stage `trigger`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "khz"), [("1kHz", 1), ("500 Hz", 0.5), ("0.1", 0.1), ("2e-3 MHz", 2), ("1KHZ", 1)]
)
def test_rates_have_units(text: str, khz: float) -> None:
    assert parse_rate(text) == pytest.approx(khz)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rename it"):
        write_handover({}, tmp_path / "points.csv")
