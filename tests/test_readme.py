"""What README.md and the pages in docs/ tell a reader to type is there to be typed."""

import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from triggerforge.cli import build_parser
from triggerforge.config.load import load_config
from triggerforge.pipeline import STAGES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_COMMAND = re.compile(r"(?:^    |`)(?:\.venv/bin/)?triggerforge ([^`#\n]+)", re.MULTILINE)
_MODULE = re.compile(r"python -m (triggerforge[\w.]+)")
_LINK = re.compile(r"\]\(([\w./]+\.(?:md|png))\)")


def commands(page: Path) -> list[list[str]]:
    """The arguments of every call of the command line."""
    return [shlex.split(match.rstrip("; ")) for match in _COMMAND.findall(page.read_text())]


def test_the_readme_shows_commands() -> None:
    assert len(commands(PAGES[0])) >= 8


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_can_be_typed(page: Path) -> None:
    for words in commands(page):
        if len(words) == 1:  # a verb that is spoken of
            with pytest.raises(SystemExit, match="0"):
                build_parser().parse_args([*words, "-h"])
            continue
        options = build_parser().parse_args(words)
        config = getattr(options, "config", Path())
        if config.parent.name in ("configs", "examples"):
            load_config(ROOT / config, options.set, options.quick)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_modules_and_links_exist(page: Path) -> None:
    text = page.read_text()
    for module in _MODULE.findall(text):
        assert find_spec(module), module
    for link in _LINK.findall(text):
        assert (page.parent / link).is_file(), link


def test_make_targets_exist() -> None:
    makefiles = [ROOT / "Makefile", ROOT / "firmware" / "templates" / "Makefile"]
    text = "".join(file.read_text() for file in makefiles)
    targets = set(re.findall(r"^([a-z]+):", text, re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"`make ([a-z]+)`", page.read_text())) <= targets


def test_each_verb_has_the_function_that_the_readme_names() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| `(triggerforge[\w.]+)` \|$", PAGES[0].read_text(), re.MULTILINE
    )
    verbs = {stage.name for stage in STAGES if stage.name != "scores"} | {"score", "verify"}
    assert {verb for verb, _ in rows} == verbs
    for _, path in rows:
        module, _, name = path.rpartition(".")
        assert callable(getattr(import_module(module), name))
