"""`triggerforge inspect`: what a file or a run holds, in words, before anything is made of it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triggerforge.errors import ArtifactError

if TYPE_CHECKING:
    from triggerforge.data.inspect_events import EventsDescription

_MANY = 40
"""columns, branches or layers that are shown; the rest is counted"""


def inspect_path(path: Path, tree: str | None = None, objects: str | None = None) -> str:
    """A text on the run, model file or event file at `path`.

    `tree` and `objects` are those of `data.mapping`, for ROOT files.

    Raises DataError, ModelError or ArtifactError if it cannot be read as any of them.
    """
    if path.is_dir():
        return "\n".join(_run(path))
    from triggerforge.data.inspect_events import inspect_events

    return "\n".join(_events(inspect_events(path, tree=tree, objects=objects)))


def _events(found: "EventsDescription") -> Iterator[str]:
    tree = f", tree {found.tree}" if found.tree else ""
    yield f"{found.path}: events, format {found.format}{tree}, {found.entries:,} entries"
    if len(found.trees) > 1:
        yield from _listed("trees (--tree)", (f"{n} ({e:,})" for n, e in found.trees.items()))
    for name, members in found.collections.items():
        if members:
            yield f"collection {name} (--objects): {_names(members, 12)}"
    if found.classes:
        yield f"classes in the file: {', '.join(found.classes)}"
    objects = found.suggestion.get("mapping", {}).get("objects")
    numbers = sorted(
        (c for c in found.columns if c.kind != "other"), key=lambda c: c.collection != objects
    )
    rows = [(c.name, c.type, c.kind, _range(c.low, c.high)) for c in numbers[:_MANY]]
    yield from _table(("column", "type", "", "in the first entries"), rows)
    if len(numbers) > _MANY:
        yield f"  … and {len(numbers) - _MANY} more: {_names([c.name for c in numbers[_MANY:]])}"
    others = [f"{c.name} ({c.type})" for c in found.columns if c.kind == "other"]
    yield from _listed("no numbers, left alone", others)
    for label in found.labels[:5]:
        yield f"could be the label: {label}"
    yield from (f"note: {note}" for note in found.notes)
    yield "\na section that reads it (`triggerforge init` writes a whole file):\n"
    yield yaml_text({"data": found.suggestion})


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:g} … {high:g}"


def _run(path: Path) -> Iterator[str]:
    from triggerforge.result import RECORD_FILE, read_result

    stages = sorted(seal.parent.name for seal in path.glob("*/.stage.json"))
    if not stages:
        raise ArtifactError(
            f"{path} is a folder and no run: no stage in it is finished; name a file, or a folder below "
            "runs/"
        )
    yield f"{path}: a run; finished stages: {', '.join(stages)}"
    if (path / "result.json").is_file():
        yield from _figures(read_result(path / "result.json"))
    else:
        yield f"  no result.json: a stage was interrupted ({RECORD_FILE} of each is in its folder)"


def _figures(result: dict[str, Any]) -> Iterator[str]:
    if data := result.get("data"):
        yield f"  classes: {', '.join(data.get('classes', ()))}; events: {data.get('events')}"
    for name, metrics in result.get("metrics", {}).items():
        if isinstance(accuracy := metrics.get("accuracy"), float):
            yield f"  accuracy, {name}: {100 * accuracy:.2f} %"
    if compression := result.get("compression"):
        yield f"  EBOPs: {compression.get('ebops', 0):.0f}"
    if parity := result.get("parity"):
        differ = sum(row["mismatches"] for row in parity)
        yield f"  parity: {differ} mismatches in {sum(r['outputs'] for r in parity):,} outputs"
    if found := result.get("resources"):
        yield (
            f"  {found['part']}: {found['lut']} LUT, {found['ff']} FF, {found['dsp']} DSP, "
            f"{found['latency_ns']} ns ({found['method']})"
        )
    for row in result.get("rates", ()):
        yield f"  rate, {row['model']}: score ≥ {row['threshold']:g} gives {row['rate_khz']:.3g} kHz"


def _listed(title: str, items: Iterable[str]) -> Iterator[str]:
    if found := list(items):
        yield f"{title}: {_names(found)}"


def _names(found: Sequence[str], most: int = _MANY) -> str:
    return ", ".join(found[:most]) + (f", … ({len(found)} in all)" if len(found) > most else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with columns as wide as their longest entry."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        yield ("  " + "  ".join(map(str.ljust, row, widths))).rstrip()


def yaml_text(section: dict[str, Any]) -> str:
    """Plain YAML in the order of the keys; the innermost lists and mappings stand on one line."""
    import yaml

    text: str = yaml.safe_dump(
        section, sort_keys=False, width=96, default_flow_style=None, allow_unicode=True
    )
    return text.rstrip()
