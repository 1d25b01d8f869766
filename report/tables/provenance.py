"""Which commit and which tools made each stage, and whether they were the same."""

from collections.abc import Mapping
from typing import Any

from triggerforge.report.blocks import Cell, Table, row
from triggerforge.report.material import Material
from triggerforge.report.numbers import DASH

_SHOWN = 12
"""characters of a commit"""


def provenance(material: Material) -> Table:
    """One row a stage: its commit, and the tools of which not all stages had the same version."""
    stages = _stages(material.section("stages"))
    mixed = mixed_tools(stages)
    return Table(
        ("stage", "commit", *mixed),
        tuple(_line(name, record, mixed, stages) for name, record in stages.items()),
        "What made each stage; a stage that was there already keeps its own. Tools that all stages "
        "share are listed under Tools.",
        notes=(mixture(material) or "All stages were made by one commit, with the same tools.",),
    )


def mixture(material: Material) -> str:
    """What differs between the stages, in a sentence; empty where all were made alike."""
    stages = _stages(material.get("stages") or {})
    commits = {_commit(record) for record in stages.values()}
    parts = [f"{len(commits)} commits ({', '.join(sorted(commits))})"] if len(commits) > 1 else []
    for tool in mixed_tools(stages):
        versions = dict.fromkeys(_version(r, tool) for r in stages.values() if _version(r, tool))
        parts.append(f"{tool} {' and '.join(versions)}")
    return f"The stages were made with different software: {'; '.join(parts)}." if parts else ""


def mixed_tools(stages: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Tools of which two stages had different versions."""
    names = dict.fromkeys(name for record in stages.values() for name in _tools(record))
    return tuple(
        name for name in names if len({v for r in stages.values() if (v := _version(r, name))}) > 1
    )


def _line(
    name: str,
    record: Mapping[str, Any],
    mixed: tuple[str, ...],
    stages: Mapping[str, Mapping[str, Any]],
) -> tuple[Cell, ...]:
    several = len({_commit(r) for r in stages.values()}) > 1
    tools = (Cell(_version(record, tool) or DASH, "warn") for tool in mixed)
    return row(name, Cell(_commit(record), "warn" if several else ""), *tools)


def _stages(found: Any) -> dict[str, Mapping[str, Any]]:
    if not isinstance(found, Mapping):
        return {}
    return {str(name): record for name, record in found.items() if isinstance(record, Mapping)}


def _commit(record: Mapping[str, Any]) -> str:
    """The commit in short, and whether there were changes beyond it."""
    git = record.get("git") or {}
    commit = git.get("commit")
    return f"{str(commit)[:_SHOWN]}{' + changes' if git.get('dirty') else ''}" if commit else DASH


def _tools(record: Mapping[str, Any]) -> Mapping[str, Any]:
    found = record.get("tools")
    return found if isinstance(found, Mapping) else {}


def _version(record: Mapping[str, Any], tool: str) -> str:
    return str(_tools(record).get(tool) or "")
