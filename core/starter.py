"""`triggerforge init`: a commented configuration that runs, for a file of events."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triggerforge.errors import ConfigError
from triggerforge.inspection import yaml_text
from triggerforge.runfolder import write_atomic

if TYPE_CHECKING:
    from triggerforge.data.inspect_events import EventsDescription

_NETWORKS = {"features": "mlp", "constituents": "deepsets", "image": "cnn", "l1_objects": "mlp"}
"""kind of inputs -> the network to begin with"""
_COMMENTS = {
    "source": "files or patterns; `triggerforge inspect` shows what is in one",
    "mapping": "which tree, and which collection's elements are the events",
    "inputs": "what the network sees: columns, or expressions of them such as log(pt)",
    "classes": "in the order of the network's outputs",
    "label": "one condition for each class; events that meet none are left out",
    "split": "parts for training, validation and test",
}
_MOST_BATCH, _LEAST_BATCH, _BATCHES = 512, 16, 40


def write_starter(
    path: Path,
    output: Path,
    label: Sequence[str] = (),
    tree: str | None = None,
    objects: str | None = None,
) -> None:
    """Writes the configuration for the events in `path` to `output`, which must not be there yet.

    Args:
        path: A file of events, of any format that is read.
        output: The YAML file.
        label: CLASS=CONDITION each, in the place of what the file seems to offer.
        tree: As `data.mapping.tree`.
        objects: As `data.mapping.objects`.

    Raises ConfigError where something has to be said first, DataError where the file cannot be read.
    """
    if output.exists():
        raise ConfigError(
            f"{output} is there already and stays as it is; give another name with -o"
        )
    from triggerforge.data.inspect_events import inspect_events

    found = inspect_events(path, tree=tree, objects=objects)
    conditions = _conditions(label)
    data = dict(found.suggestion)
    if conditions:
        data["label"] = conditions
        names = _not_of(data["inputs"].get("names", ()), conditions)
        data["inputs"] = data["inputs"] | ({"names": names} if names else {})
    notes = [] if conditions else found.notes
    write_atomic(output, "\n".join(_lines(path, found, data, notes)) + "\n")


def _conditions(label: Sequence[str]) -> dict[str, str]:
    conditions = {}
    for text in label:
        name, equals, condition = (part.strip() for part in text.partition("="))
        if not (name and equals and condition):
            raise ConfigError(f"--label {text!r}: give CLASS=CONDITION, such as 'top=is_top == 1'")
        conditions[name] = condition
    if len(conditions) == 1 or len(conditions) < len(label):
        raise ConfigError("--label: give at least two classes, each once, one --label a class")
    return conditions


def _not_of(names: Sequence[str], conditions: Mapping[str, str]) -> list[str]:
    """Inputs without the columns that the label is made of: a network would only read them off."""
    from triggerforge.data.expressions import Expression

    used = frozenset().union(*(Expression(text).symbols for text in conditions.values()))
    return [name for name in names if not Expression(name).symbols & used]


def _lines(
    path: Path, found: "EventsDescription", data: Mapping[str, Any], notes: Sequence[str]
) -> Iterator[str]:
    yield f"# Written by `triggerforge init` for {path}: {found.entries:,} entries, format {found.format}."
    yield "# Every setting, explained: `triggerforge config` with this file's name."
    yield from (f"# Note: {note}" for note in notes)
    yield f"name: {_name(path)}"
    yield "seed: 1"
    for line in yaml_text({"data": dict(data)}).splitlines():
        key = line[2:].partition(":")[0]
        if key in _COMMENTS:  # keys of the section stand two spaces in
            yield f"  # {_COMMENTS[key]}"
        yield line
    yield "  # selection: (pt > 30) & (abs(eta) < 2.4)   # events to keep"
    yield from _training(str(data["inputs"]["kind"]), found.entries)


def _name(path: Path) -> str:
    """The file's name as that of a run and of firmware."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in path.stem).strip("_").lower()
    return plain if plain[:1].isalpha() else f"run_{plain}".rstrip("_")


def _training(kind: str, entries: int) -> Iterator[str]:
    wanted = max(entries // _BATCHES, _LEAST_BATCH)
    batch = min(2 ** (wanted.bit_length() - 1), _MOST_BATCH)
    network = _NETWORKS[kind]
    yield "train:"
    yield f"  model: {{name: {network}}}   # docs/training.md; your own: {{file: mine.py, class: Mine}}"
    yield "  epochs: 30"
    yield f"  batch_size: {batch}"
    yield "compress:"
    yield "  epochs: 100"
    yield f"  batch_size: {batch}"
    yield "  target: {max_accuracy_loss: 1.0}   # in percent; or {max_ebops: 5000}"
    yield "# what `--quick` makes smaller, for a first look"
    yield "quick:"
    yield "  train: {epochs: 3}"
    yield "  compress: {epochs: 6, beta_end: 0.1, target: {max_accuracy_loss: 100}}"
    yield "  firmware: {vectors: 64, synthesis: {tool: none}}"
    yield "  benchmark: {latency: {calls: 200, seconds: 1}}"
    yield "  report: {max_features: 6}"


def default_output(path: Path) -> Path:
    """Where the configuration of `path` goes unasked: beside the user, named as the file is."""
    return Path(f"{_name(Path(os.path.basename(path)))}.yaml")
