"""A result of the wrong shape, at whatever place, is one ArtifactError or is read as far as it goes."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.figures import figures_drawn
from triggerforge.config.report import ReportConfig
from triggerforge.errors import ArtifactError
from triggerforge.report import anomaly, compare, ending
from triggerforge.report.write import write_report

WRONG: tuple[Any, ...] = (None, "x", 7, -1.5, True, [], [3], {}, {"a": []}, [["b"]], 10**400)
FORMS = 60


def places(record: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to everything in a record."""
    if path:
        yield path
    entries = record.items() if isinstance(record, dict) else ()
    entries = enumerate(record[:1]) if isinstance(record, list) else entries
    for key, value in entries:
        yield from places(value, (*path, key))


def damaged(record: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(record))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


def test_damage_anywhere_is_one_error(run: Any, tmp_path: Path) -> None:
    whole = json.loads(json.dumps(run.result))
    every = [path for path in places(whole) if path[0] != "version"]
    choose = random.Random(5)
    refused = 0
    with figures_drawn():
        for path in choose.sample(every, FORMS):
            alone = {key: whole[key] for key in ("version", path[0])}  # the rest need not be drawn
            result = damaged(alone, path, choose.choice(WRONG))
            try:
                write_report(ReportConfig(), result, {}, tmp_path / "report.html")
            except ArtifactError as error:
                refused += 1
                assert "\n" not in str(error) and "run the stages again" in str(error)
    assert 0 < refused < FORMS


@pytest.mark.parametrize("section", ["metrics", "compression", "resources", "parity", "training"])
@pytest.mark.parametrize("main", [compare.main, anomaly.main])
def test_the_tables_of_runs_give_one_line(
    main: Any, section: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"version": 1, section: 7, "rates": [{}]}))
    assert main([str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: the result is damaged") and error.count("\n") == 1


def test_the_ending_of_a_damaged_run_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"version": 1, "parity": 7}))
    with pytest.raises(ArtifactError, match="the run's ending"):
        ending.ending(tmp_path)
