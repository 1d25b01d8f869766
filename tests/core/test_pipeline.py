"""What is made again: a stage follows what the stages below it left, not only what they were asked."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from triggerforge import pipeline
from triggerforge.config.load import load_config
from triggerforge.errors import DataError
from triggerforge.pipeline import Run, Stage
from triggerforge.runfolder import read_json, write_json

DEMO = Path(__file__).parents[2] / "configs" / "demo.yaml"
UPSTREAM: dict[str, tuple[str, ...]] = {
    "export": (),
    "firmware": ("export",),
    "scores": ("firmware",),
    "report": ("scores",),
}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages in the order of their making; their work is one line, the same unless changed."""
    order: list[str] = []

    def work(name: str, run: Run, folder: Path) -> None:
        order.append(name)
        (folder / "line").write_text(name)

    wanted = {"scores": lambda config: False}
    stages = tuple(
        Stage(name, below, partial(work, name), "data", wanted.get(name, lambda config: True))
        for name, below in UPSTREAM.items()
    )
    monkeypatch.setattr(pipeline, "STAGES", stages)
    monkeypatch.setattr(pipeline, "_BY_NAME", {stage.name: stage for stage in stages})
    monkeypatch.setattr(pipeline, "_publish", lambda run, done: {})
    return order


def leave(run: Run, text: str) -> None:
    """`export` as if its code had come to leave `text`: whole, and with the key that it had."""
    shutil.rmtree(run.path("export"))
    key = pipeline._key(run, pipeline.STAGES[0], {})
    run.folder.run("export", key, lambda folder: write_json(folder / "line", text))


def test_nothing_is_made_twice(made: list[str], tmp_path: Path) -> None:
    for _ in range(2):
        pipeline.execute(Run(load_config(DEMO), tmp_path), "report")
    assert made == ["export", "firmware", "report"]


@pytest.mark.parametrize("removed", ["export", "firmware", "report"])
def test_a_removed_stage_that_leaves_the_same_comes_back_alone(
    made: list[str], tmp_path: Path, removed: str
) -> None:
    run = Run(load_config(DEMO), tmp_path)
    pipeline.execute(run, "report")
    made.clear()
    shutil.rmtree(run.path(removed))
    pipeline.execute(run, "report")
    assert made == [removed]


def test_whatever_stands_on_a_stage_that_left_something_else_is_made_again(
    made: list[str], tmp_path: Path
) -> None:
    run = Run(load_config(DEMO), tmp_path)
    pipeline.execute(run, "report")
    made.clear()
    leave(run, "another")
    pipeline.execute(run, "report")
    assert made == ["firmware", "report"]


def test_score_looks_at_both_files_before_anything_is_made(made: list[str], tmp_path: Path) -> None:
    run = Run(load_config(DEMO), tmp_path / "runs")
    events = tmp_path / "events.root"
    with pytest.raises(DataError, match=r"no file .*events\.root"):
        pipeline.score(run, events, tmp_path / "out.root", "native-int")
    events.write_bytes(b"no events")
    for out, message in {
        tmp_path / "none" / "out.root": "no folder",
        tmp_path / "out.txt": "ending '.txt'",
        events: "is the input itself",
        tmp_path / "out.root": r"events\.root: begins with",
    }.items():
        with pytest.raises(DataError, match=message):
            pipeline.score(run, events, out, "native-int")
    assert made == [] and not list((tmp_path / "runs").glob("*/*"))


@pytest.mark.parametrize("quick", [False, True])
def test_the_record_says_whether_the_run_was_quick(tmp_path: Path, quick: bool) -> None:
    run = Run(load_config(DEMO, quick=quick), tmp_path)
    run.folder.path.mkdir()
    pipeline._publish(run, [])
    context = read_json(run.folder.path / "result.json")["context"]
    assert context["quick"] is quick
    assert ("quick_sizes" in context) is quick
    if quick:
        assert context["quick_sizes"]["generate.jets"] == {"quick": 1500, "whole": 120000}
