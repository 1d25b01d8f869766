"""The report in headless Chromium: no message on the console; on paper few pages, with nothing cut."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from triggerforge.config.report import ReportConfig
from triggerforge.errors import ArtifactError
from triggerforge.report.material import gather
from triggerforge.report.write import write_page, write_report
from triggerforge.result import read_result

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
FINISHED = sorted((Path(__file__).parents[2] / "runs").glob("*/report.html"))
"""reports of runs made in this checkout, such as `make demo`"""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason=f"no browser: install chromium (looked for {', '.join(NAMES)})"
)

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
)


def open_page(page: Path, profile: Path) -> tuple[str, list[str]]:
    """The page's DOM after loading, and what it wrote to the console."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_the_report_opens_without_a_message(session_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    page = tmp_path / "report.html"
    write_report(ReportConfig(), session_run.result, session_run.folders, page)
    dom, console = open_page(page, tmp_path / "profile")
    assert console == []
    assert dom.rstrip().endswith("</html>")
    assert dom.count("<svg") == page.read_text().count("<svg")


@pytest.mark.parametrize("page", FINISHED, ids=lambda page: page.parent.name)
def test_finished_runs_open_without_a_message(page: Path, tmp_path: Path) -> None:
    _, console = open_page(page, tmp_path / "profile")
    assert console == []


MOST_PAGES = 15
TOLERANCE = 1.0
"""points by which a word's box may reach past the paper's margin"""
paper = pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="no pdftotext: install poppler-utils"
)


def on_paper(page: Path, folder: Path) -> tuple[int, str, list[str]]:
    """Pages of the print, its text without white space, and words that leave the paper."""
    assert CHROMIUM is not None
    pdf = folder / "report.pdf"
    print_it = [f"--print-to-pdf={pdf}", "--no-pdf-header-footer", page.as_uri()]
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *print_it]
    subprocess.run(command, capture_output=True, timeout=300, check=True)
    raw = subprocess.run(["pdftotext", "-raw", pdf, "-"], capture_output=True, check=True)
    box = subprocess.run(["pdftotext", "-bbox", pdf, "-"], capture_output=True, check=True)
    sheets = box.stdout.decode().split("<page ")[1:]
    outside = []
    for sheet in sheets:
        width = float(re.search(r'width="([\d.]+)"', sheet)[1])  # type: ignore[index]
        words = re.findall(r'xMin="([\d.-]+)"[^>]*xMax="([\d.-]+)"[^>]*>([^<]*)<', sheet)
        outside += [w for a, b, w in words if float(a) < -TOLERANCE or float(b) > width + TOLERANCE]
    return len(sheets), "".join(raw.stdout.decode().split()), outside


class Words(HTMLParser):
    """Each text of the page that has to be found in print: cells of tables, words in pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("td", "th", "text", "figcaption", "h3", "li", "dd"):
            self._in = tag
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._in:
            self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in:
            self.found[-1] += "".join(data.split())


def large(run: Any) -> None:
    """Makes the run as large as the demo: sixteen inputs, ten engines, six kinds of input."""
    parity, latency = run.result["parity"], run.result["latency"]
    kinds = ("test", "extremes", "LSB", "past the range", "one input", "random bits")
    engines = [f"engine-number-{i}" for i in range(10)]
    run.result["parity"] = [
        parity[0] | {"candidate": e, "inputs": k} for e in engines for k in kinds
    ] + [parity[2]]
    run.result["latency"] = [
        row | {"engine": e, "network": "jedi_linear", "device": "cuda:0 (NVIDIA H100)"}
        for e in engines
        for row in latency[::3]
    ]
    run.result["input_audit"] = [
        run.result["input_audit"][0] | {"name": f"jet_constituent_{i} [GeV]"} for i in range(16)
    ]


@paper
def test_the_print_has_few_pages_nothing_cut_and_text_to_search(
    make_run: Any, tmp_path: Path
) -> None:
    made = make_run(classes=("light [b] quark", "gluon", "W", "Z", "top & <anti>top"))
    large(made)
    page = tmp_path / "report.html"
    write_report(ReportConfig(), made.result, made.folders, page)
    pages, text, outside = on_paper(page, tmp_path)
    assert pages <= MOST_PAGES
    assert outside == []
    words = [w for w in Words(page.read_text()).found if w]
    assert len(words) > 500
    assert [w for w in words if w not in text] == []


DEMOS = [page.parent for page in FINISHED if page.parent.name.startswith("demo")]


@paper
@pytest.mark.parametrize("run", DEMOS, ids=lambda run: run.name)
def test_a_finished_demo_has_few_pages(run: Path, tmp_path: Path) -> None:
    folders = {path.name: path for path in run.iterdir() if path.is_dir()}
    page = tmp_path / "report.html"
    try:
        material = gather(ReportConfig(), read_result(run / "result.json"), folders)
    except ArtifactError as error:
        pytest.skip(f"made by another version: {error}")
    write_page(material, page)
    pages, _, outside = on_paper(page, tmp_path)
    assert outside == [] and pages <= MOST_PAGES


def test_a_message_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<!doctype html><title>bad</title><script>nothing.here()</script>")
    _, console = open_page(page, tmp_path / "profile")
    assert len(console) == 1 and "nothing is not defined" in console[0]
