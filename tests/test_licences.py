"""docs/licences.md names every package that is installed, and every one whose licence binds a user."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")


def dependencies() -> set[str]:
    """Names of all packages that a user installs, with the optional ones."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *groups["bench"], *groups["gpu"]]
    return {re.split(r"[<>=!\[ ]", text)[0].lower() for text in wanted}


def stated(name: str) -> str:
    """What an installed package says of its licence."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return ""
    kinds = [c for c in about.get_all("Classifier") or [] if "License" in c]
    return " ".join(
        [about.get("License-Expression") or "", (about.get("License") or "")[:200], *kinds]
    )


def test_every_package_is_named() -> None:
    assert {name for name in dependencies() if name not in PAGE.lower()} == set()


def test_every_licence_that_binds_is_named_as_such() -> None:
    bound = {name for name in dependencies() if re.search(r"\bL?GPL|General Public", stated(name))}
    assert bound >= {"alkaid", "hgq2", "quantizers", "pythia8mc"}
    rows = {line.lower() for line in PAGE.splitlines() if line.startswith("|") and "GPL" in line}
    assert {name for name in bound if not any(name in row for row in rows)} == set()


def test_the_readme_leads_there() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "docs/licences.md" in readme and "LGPL" in readme
