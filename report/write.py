"""The report: one self-contained HTML file, without scripts and without anything from outside."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from triggerforge import __version__
from triggerforge.config.report import ReportConfig
from triggerforge.report.blocks import NotRun
from triggerforge.report.figure import css_color
from triggerforge.report.material import Material, gather, reading
from triggerforge.report.sections import SECTIONS
from triggerforge.report.summary import reasons, summarize
from triggerforge.runfolder import write_atomic


def write_report(
    config: ReportConfig, result: Mapping[str, Any], folders: Mapping[str, Path], path: Path
) -> None:
    """Writes the report of `result` to `path`, whole or not at all.

    `folders` maps stage names to the folders of finished stages. What was not run is marked as such.
    Raises ArtifactError if the result is of another version, or if a stage's file is damaged.
    """
    write_page(gather(config, result, folders), path)


def write_page(material: Material, path: Path) -> None:
    """Writes the report of what was gathered to `path`, whole or not at all."""
    config, result = material.config, material.result
    sections = [
        (section, [(block, block.build(material)) for block in section.blocks])
        for section in SECTIONS
        if section.wanted(result)
    ]
    missing = [
        (block.title, built.reason)
        for _, blocks in sections
        for block, built in blocks
        if isinstance(built, NotRun)
    ]
    with reading("the summary"):
        summary, left_out = summarize(material), reasons(material, missing)
    page = (
        _environment()
        .get_template("report.html")
        .render(
            name=material.name,
            experiment=config.experiment,
            label=config.label,
            summary=summary,
            sections=sections,
            missing=left_out,
            git=material.get("context", "git") or {},
            seed=material.get("context", "seed"),
            version=__version__,
        )
    )
    write_atomic(path, page)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("triggerforge.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["css_color"] = css_color
    return environment
