"""The report opens in headless Chromium without one message on the console."""

import shutil
import subprocess
from pathlib import Path

import pytest

from triggerforge.config.report import ReportConfig
from triggerforge.report.write import write_report

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


def test_a_message_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<!doctype html><title>bad</title><script>nothing.here()</script>")
    _, console = open_page(page, tmp_path / "profile")
    assert len(console) == 1 and "nothing is not defined" in console[0]
