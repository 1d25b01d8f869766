"""The page: whole, self-contained, escaped, honest about what is missing."""

import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pytest

from triggerforge.config.report import ReportConfig
from triggerforge.data.scores import SCORES_FILE, write_logits
from triggerforge.data.splits import SPLITS_FILE
from triggerforge.errors import ArtifactError
from triggerforge.report.blocks import NotRun
from triggerforge.report.material import gather
from triggerforge.report.sections import SECTIONS
from triggerforge.report.write import write_report

EVIL = '<script>alert("x")</script>'


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def seen(self) -> str:
        return " ".join(" ".join(self.words).split())


def report(run: Any, path: Path, **settings: Any) -> Page:
    write_report(ReportConfig(**settings), run.result, run.folders, path)
    return Page(path.read_text())


def built(run: Any, title: str, **settings: Any) -> Any:
    """One block of the report, without the page."""
    material = gather(ReportConfig(**settings), run.result, run.folders)
    return next(b for s in SECTIONS for b in s.blocks if b.title == title).build(material)


@pytest.fixture(scope="module")
def page(session_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return report(session_run, tmp_path_factory.mktemp("page") / "report.html")


def test_every_section_and_block_is_there(page: Page) -> None:
    anchors = {a.get("id") for a in page.named("section")}
    for section in (s for s in SECTIONS if not s.only_with):
        assert section.anchor in anchors
        for block in section.blocks:
            assert block.title in page.seen
    assert "not run" not in page.seen.lower()


def test_the_key_figures_are_there(page: Page) -> None:
    for words in ("bit-exact", "800 EBOPs", "40×", "30 ns", "6 cycles", "5,184 LUT", "1.20 %"):
        assert words in page.seen
    assert "3 engines and the reference give the same numbers" in page.seen
    assert "within 0.500 LSB of hgq2" in page.seen
    assert "2 LSB + 2.00·10⁻⁶ of the output" in page.seen
    assert "firmware, 300 events" in page.seen
    assert "myrun" in page.seen


def test_nothing_comes_from_outside(page: Page) -> None:
    assert not page.named("script") and not page.named("iframe") and not page.named("img")
    links = [v for _, a in page.tags for k, v in a.items() if k in ("src", "href", "xlink:href")]
    assert links
    assert all(link and link.startswith(("#", "data:")) for link in links)
    assert all(u.startswith("#") for u in re.findall(r"url\(([^)]*)\)", page.text))
    assert "@import" not in page.text
    assert not [k for _, a in page.tags for k in a if k.startswith("on")]


def test_ids_are_unique_and_every_reference_has_its_target(page: Page) -> None:
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    used = [a["xlink:href"] for _, a in page.tags if "xlink:href" in a]
    used += [f"#{u}" for u in re.findall(r"url\(#([^)]*)\)", page.text)]
    assert {u for u in used if u and u.startswith("#")} <= {f"#{i}" for i in ids}


def test_every_picture_has_an_alternative_text_and_every_figure_a_caption(page: Page) -> None:
    pictures = page.named("svg")
    assert len(pictures) > 15
    assert all(p.get("role") == "img" and p.get("aria-label") for p in pictures)
    assert len(page.named("figure")) == len(page.named("figcaption"))


def test_a_second_report_is_the_same_and_leaves_no_trace(
    run: Any, page: Page, tmp_path: Path
) -> None:
    before = dict(matplotlib.rcParams)
    assert report(run, tmp_path / "report.html").text == page.text
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == []
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_names_from_files_are_escaped(make_run: Callable[..., Any], tmp_path: Path) -> None:
    run = make_run(classes=(EVIL, "a $\\frac$ b$", "クォーク --> x"))
    for rows, key in (("parity", "candidate"), ("latency", "engine"), ("input_audit", "name")):
        run.result[rows][0][key] = EVIL
    run.result["compression"]["layers"][0]["name"] = EVIL
    run.result["compression"]["target_missed"] = EVIL
    run.result["firmware"] = {"not_run": {"rtl": EVIL}}
    run.result["context"]["host"]["cpu"] = EVIL
    found = report(run, tmp_path / "report.html", title=EVIL, experiment=EVIL, label="Preliminary")
    assert f"{EVIL} Preliminary" in found.seen
    assert not found.named("script")
    assert "<script" not in found.text
    assert EVIL in found.seen
    assert "a $\\frac$ b$" in found.seen


def test_a_score_is_told_as_one(make_run: Callable[..., Any], tmp_path: Path) -> None:
    made = make_run(background=("g",))
    seen = report(made, tmp_path / "r.html").seen
    assert "that scores how unlike g an event is" in seen
    assert "AUC of the signals, test events" in seen and "Overlap: of the background events" in seen
    assert "an anomaly score predicts no class" in seen
    assert "overlap [%]" in built(made, "Accuracy against size").pictures[0].svg
    curves = built(made, "ROC: float, quantised and firmware")
    assert len(curves.pictures) == len(made.result["data"]["classes"]) - 1
    assert "background: g; discriminant: the anomaly score" in curves.caption
    rows = [row[0].text for row in built(made, "Accuracy, AUC and background rejection").rows]
    assert "accuracy" not in rows and "AUC, g" not in rows and "AUC, q" in rows


def test_the_summary_has_threshold_rate_and_efficiencies(run: Any, tmp_path: Path) -> None:
    point = {"target_khz": 10.0, "threshold": 1.25, "rate_khz": 9.5, "rate_err_khz": 0.5}
    point |= {"events": 99, "efficiency": {"t": 0.25}, "efficiency_err": {"t": 0.02}}
    rates = [point | {"model": "float", "threshold_lsb": None}]
    rates += [point | {"model": "firmware", "threshold_lsb": 160}]
    refused = {f"{model} at 1 kHz": "below 2 kHz" for model in ("float", "firmware")}
    run.result = {k: run.result[k] for k in ("version", "metrics")}
    run.result |= {"rates": rates, "trigger": {"signals": ["t"], "not_run": refused}}
    run.folders = {}
    text = report(run, tmp_path / "report.html").text
    summary = " ".join(Page(text[: text.index('class="tiles"')]).words)
    for words in ("10 kHz", "1.25 = 160 LSB", "9.50 ± 0.50 kHz", "efficiency, t", "25.0 ± 2.0 %"):
        assert words in summary
    assert summary.count("below 2 kHz") == 1 and "(firmware)" in summary
    assert "trigger.float at 1 kHz" not in text


def test_no_experiment_is_named_unless_set(page: Page) -> None:
    assert not re.search(r"\b(CMS|ATLAS|LHCb|ALICE)\b", page.seen)


@pytest.mark.parametrize("version", [None, 0, 2, "1"])
def test_a_result_of_another_version_is_refused(run: Any, tmp_path: Path, version: Any) -> None:
    run.result["version"] = version
    with pytest.raises(ArtifactError, match="version"):
        report(run, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_an_empty_run_says_what_was_not_run(run: Any, tmp_path: Path) -> None:
    run.result = {"version": run.result["version"]}
    run.folders = {}
    found = report(run, tmp_path / "report.html")
    blocks = [b for s in SECTIONS if not s.only_with for b in s.blocks]
    assert found.text.count('class="not-run-reason"') == len(blocks)
    assert "parity was not checked" in found.seen
    assert "bit-exact" not in found.seen


SECTIONS_OF = {
    "metrics": ["Accuracy, AUC and background rejection", "Confusion"],
    "compression": ["Accuracy against size", "Bits of every layer", "Layers"],
    "parity": ["Every engine against the reference"],
    "input_audit": ["Input ranges"],
    "resources": ["Share of the chip", "Resources and timing"],
    "latency": ["Time of a call", "Latency and throughput"],
    "training": ["Training"],
    "context": ["Run", "Tools"],
    "stages": ["Stages"],
    "data": ["Data"],
    "export": ["ONNX files"],
    "overflow_audit": ["Ranges inside the network"],
}


def test_a_missing_section_is_marked_and_no_other(run: Any) -> None:
    for name, titles in SECTIONS_OF.items():
        rest = {k: v for k, v in run.result.items() if k != name}
        material = gather(ReportConfig(), rest, {})
        for section in SECTIONS:
            for block in section.blocks:
                if block.title in titles:
                    made = block.build(material)
                    assert isinstance(made, NotRun) and name in made.reason


@pytest.mark.parametrize("stage", ["data", "train", "compress", "benchmark"])
def test_a_missing_folder_is_marked(run: Any, stage: str, tmp_path: Path) -> None:
    run.folders[stage] = tmp_path / "never"
    run.result = {"version": run.result["version"]}
    roc = built(run, "ROC: float, quantised and firmware")
    if stage == "data":
        assert isinstance(roc, NotRun)
        assert "splits.h5" in built(run, "Events").reason
        assert isinstance(built(run, "Inputs of the network"), NotRun)
    else:
        name = {"train": "float", "compress": "quantised", "benchmark": "firmware"}[stage]
        assert f"Not run: {name}" in roc.caption


def test_a_stage_tells_why_it_was_not_run(run: Any) -> None:
    del run.result["resources"]
    run.result["firmware"] = {"not_run": {"rtl": "no Verilator"}}
    run.result["not_run"] = {"resources": "yosys is missing; pip install pyosys"}
    reason = built(run, "Resources and timing").reason
    assert reason == "yosys is missing; pip install pyosys"


def test_a_stage_longer_than_the_clock_stands_out(run: Any) -> None:
    rows = {cells[0].text: cells for cells in built(run, "Resources and timing").rows}
    assert rows["longest stage, delay model"][1].tone == "bad"
    assert rows["carry chains"][1].text == "123 bits"


def test_none_and_nan_are_dashes(run: Any, tmp_path: Path) -> None:
    run.result["resources"] |= {"lut": None, "latency_ns": math.nan, "ii": None}
    run.result["metrics"]["firmware"] |= {"accuracy": None, "accuracy_err": None}
    run.result["latency"][0] |= {"p50_us": None, "p999_us": math.nan, "throughput_hz": None}
    run.result["latency"][1] |= {"p99_us": None}
    run.result["compression"] |= {"ebops": None, "ebops_uniform8": math.nan, "sparsity": None}
    run.result["compression"]["pareto"][0]["accuracy"] = math.nan
    run.result["parity"][0] |= {"max_lsb": None}
    run.result["training"]["history"][0]["train_loss"] = math.nan
    run.result["input_audit"][0] |= {"low": None, "saturated": None, "allowed": None}
    found = report(run, tmp_path / "report.html")
    assert "– EBOPs" in found.seen and "– LUT" in found.seen and "– ns" in found.seen
    assert not re.search(r"\b(nan|None|inf)\b", found.seen)


def test_a_mismatch_and_a_missed_budget_cannot_be_overlooked(run: Any, tmp_path: Path) -> None:
    run.result = {k: run.result[k] for k in ("version", "parity")}
    run.result["parity"][-1] |= {"mismatches": 2, "max_lsb": 3.0}
    run.result["compression"] = {"target_missed": "no epoch met the target"}
    run.folders = {}
    found = report(run, tmp_path / "report.html")
    assert "different numbers from rtl" in found.seen
    assert "2 mismatches" in found.seen
    assert "no epoch met the target" in found.seen
    assert "bit-exact" not in found.seen


def test_parity_without_a_count_is_not_called_exact(run: Any) -> None:
    run.result["parity"][0] |= {"mismatches": None}
    table = built(run, "Every engine against the reference")
    assert table.rows[0][1].tone == "bad" and table.rows[0][2].text == "– of 300"


def test_damaged_files_are_errors(make_run: Callable[..., Any]) -> None:
    run = make_run()
    scores = run.folders["train"] / SCORES_FILE
    whole = scores.read_bytes()
    scores.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match=SCORES_FILE):
        gather(ReportConfig(), run.result, run.folders)
    scores.write_bytes(whole)
    splits = run.folders["data"] / SPLITS_FILE
    splits.write_bytes(splits.read_bytes()[:1000])
    with pytest.raises(ArtifactError, match=SPLITS_FILE):
        gather(ReportConfig(), run.result, run.folders)


@pytest.mark.parametrize(("events", "outputs"), [(901, 3), (900, 2)])
def test_scores_of_other_events_are_refused(
    make_run: Callable[..., Any], events: int, outputs: int
) -> None:
    run = make_run()
    write_logits(run.folders["compress"], [[0.0] * outputs] * events)
    with pytest.raises(ArtifactError, match="quantized"):
        gather(ReportConfig(), run.result, run.folders)


@pytest.mark.parametrize(("shape", "pictures"), [((5, 3), 3), ((6, 6, 1), 2)])
def test_particles_and_images(
    make_run: Callable[..., Any], shape: tuple[int, ...], pictures: int
) -> None:
    run = make_run(shape=shape, classes=("qcd", "top"))
    found = built(run, "Inputs of the network")
    assert len(found.pictures) == pictures


def test_features_beyond_the_limit_are_counted(run: Any) -> None:
    found = built(run, "Inputs of the network", max_features=3)
    assert len(found.pictures) == 3 and "1 further inputs" in found.caption


def test_an_unknown_part_has_no_percentages(run: Any) -> None:
    run.result["resources"]["part"] = "xyz1"
    assert "xyz1" in built(run, "Share of the chip").reason
    assert built(run, "Resources and timing").rows[0][1].text == "5,184"
