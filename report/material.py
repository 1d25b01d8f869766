"""What the report is made from: the result, the test events, the scores of the three models."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.report import ReportConfig
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.data.scores import read_logits
from triggerforge.data.splits import SPLITS_FILE, load_splits
from triggerforge.errors import ArtifactError, TriggerForgeError
from triggerforge.result import check_version
from triggerforge.training.task import Task

MODELS = {"float": "train", "quantized": "compress", "firmware": "benchmark"}
"""The three forms of the network, and the stage whose folder holds each one's scores."""


class NotRunError(TriggerForgeError):
    """A plot or table cannot be made since its stage was not run; the message is the reason."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns what a result of the wrong shape does to its reader into an ArtifactError that names `what`."""
    try:
        yield
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"the result is damaged where {what} is read from it ({type(error).__name__}: {error}); "
            "run the stages again"
        ) from error


@dataclass(frozen=True)
class Material:
    """All that the plots and tables draw from."""

    config: ReportConfig
    result: Mapping[str, Any]
    name: str
    """the run's"""
    splits: Splits | None
    """None where the stage `data` was not run"""
    scores: Mapping[str, NDArray[np.float32]]
    """outputs (M, O) of the first M test events, by model; without those that were not run"""

    def section(self, *keys: str) -> Any:
        """The entry of the result at `keys`; raises NotRunError where it is missing or empty."""
        entry: Any = self.result
        for key in keys:
            entry = entry.get(key) if isinstance(entry, Mapping) else None
        if entry is None or entry == {} or entry == []:
            raise NotRunError(self.why_missing(keys))
        return entry

    def get(self, *keys: str) -> Any:
        """The entry of the result at `keys`, or None."""
        try:
            return self.section(*keys)
        except NotRunError:
            return None

    def why_missing(self, keys: tuple[str, ...]) -> str:
        """The reason that a stage left under "not_run", or that the result has no such entry."""
        reasons = dict(not_run(self.result))
        told = reasons.get(".".join(keys)) or reasons.get(keys[0])
        return told or f"the result has no {'.'.join(keys)!r}"

    def require_splits(self) -> Splits:
        """The events; raises NotRunError where the stage `data` left none."""
        if self.splits is None:
            raise NotRunError("the stage 'data' left no splits.h5")
        return self.splits

    def test(self) -> Dataset:
        """The test events; raises NotRunError where there are none."""
        test = self.require_splits().test
        if not len(test):
            raise NotRunError("the test split holds no event")
        return test

    def sample(self) -> Dataset:
        """The first `report.plot_events` test events."""
        return self.test().take(slice(0, self.config.plot_events))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by label; empty where neither events nor result name them."""
        if self.splits is not None:
            return self.splits.classes
        named = self.get("data", "classes") or ()
        return tuple(str(name) for name in named)

    @property
    def background(self) -> tuple[str, ...]:
        """Classes that an anomaly score was learned from; empty where classes are told apart."""
        if self.splits is not None:
            return self.splits.background
        return tuple(str(name) for name in self.get("data", "background") or ())

    @property
    def measure(self) -> str:
        """What the quantised networks were chosen by: accuracy, or overlap with the float model."""
        return str(self.get("compression", "measure") or "accuracy")


def gather(
    config: ReportConfig, result: Mapping[str, Any], folders: Mapping[str, Path]
) -> Material:
    """Reads what the stages left in `folders` (stage name to stage folder).

    A stage that was not run is left out. Raises ArtifactError if the result is of another version,
    if a file is damaged, or if scores do not belong to the test events.
    """
    check_version(result)
    splits = _splits(folders.get("data"))
    scores = {m: s for m, f in MODELS.items() if (s := _scores(folders.get(f))) is not None}
    for model, logits in scores.items():
        _require_same_events(model, logits, splits)
    return Material(config, result, _run_name(config, result, folders), splits, scores)


def not_run(result: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Every (what, why) under a key "not_run" or "not run", however deep in the result."""
    found: list[tuple[str, str]] = []
    for key, value in result.items():
        if str(key).replace(" ", "_") == "not_run":
            found += _reasons(value, path)
        elif isinstance(value, Mapping):
            found += not_run(value, (*path, str(key)))
        elif isinstance(value, list):
            for entry in (e for e in value if isinstance(e, Mapping)):
                found += not_run(entry, (*path, str(key), *_entry_name(entry)))
    return found


def _reasons(value: Any, path: tuple[str, ...]) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [(".".join((*path, str(what))), str(why)) for what, why in value.items()]
    if isinstance(value, list):
        return [(".".join(path), str(why)) for why in value]
    return [(".".join(path), str(value))] if value else []


def _entry_name(entry: Mapping[str, Any]) -> tuple[str, ...]:
    name = entry.get("candidate") or entry.get("engine") or entry.get("name")
    return () if name is None else (str(name),)


def _splits(folder: Path | None) -> Splits | None:
    if folder is None or not (folder / SPLITS_FILE).is_file():
        return None
    return load_splits(folder)


def _scores(folder: Path | None) -> NDArray[np.float32] | None:
    return None if folder is None else read_logits(folder)


def _require_same_events(model: str, logits: NDArray[Any], splits: Splits | None) -> None:
    if splits is None:
        return
    events, outputs = logits.shape
    wanted = len(Task.of(splits).outputs)
    if events > len(splits.test) or outputs != wanted:
        raise ArtifactError(
            f"scores of the {model} model have shape {logits.shape}, the test split has "
            f"{len(splits.test)} events for {wanted} outputs; run the stages again"
        )


def _run_name(config: ReportConfig, result: Mapping[str, Any], folders: Mapping[str, Path]) -> str:
    if config.title:
        return config.title
    parents = [str(folder.resolve().parent.name) for folder in folders.values()]
    return str(result.get("name") or next(iter(parents), "run"))
