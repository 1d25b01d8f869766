"""How well float, quantised and firmware network tell the classes apart."""

from collections.abc import Mapping
from typing import Any

from triggerforge.report.blocks import Cell, Table, row
from triggerforge.report.material import MODELS, Material, NotRunError
from triggerforge.report.numbers import DASH, count, finite, number, percent, with_error
from triggerforge.report.quality import chance, minus_float, signed
from triggerforge.report.style import MODEL_NAMES


def performance(material: Material) -> Table:
    """Accuracy, AUC and background rejection with their statistical errors, one column a model."""
    metrics = material.section("metrics")
    if not any(metrics.get(model) for model in MODELS):
        raise NotRunError("no model has metrics")
    columns = [metrics.get(model) or {} for model in MODELS]
    less = [minus_float(material.result, model) for model in MODELS]
    by_model = tuple(zip(MODELS, columns, strict=True))
    rows = [
        row("engine", *(_engine(model, found) for model, found in by_model)),
        row("test events", *(count(_events(material, m, found)) for m, found in by_model)),
    ]
    if not material.background:
        rows.append(row("accuracy", *map(_accuracy, columns, less)))
        rows += _chances(columns)
    names = list(dict.fromkeys(n for c in columns for n in _mapping(c, "auc")))
    rows += [
        row(f"AUC, {name}", *(_auc(c, d, name) for c, d in zip(columns, less, strict=True)))
        for name in names
    ]
    for point, name in _points(columns):
        title = f"1/εB at εS = {point}, {name}"
        found = (_rejection(c, d, name, point) for c, d in zip(columns, less, strict=True))
        rows.append(row(title, *found))
    return Table(
        ("", *(MODEL_NAMES[m] for m in MODELS)),
        tuple(rows),
        f"{_against(material)} Errors are statistical, one standard deviation.{_paired(less)}",
    )


def _against(material: Material) -> str:
    if material.background:
        names = ", ".join(material.background)
        return f"Each signal against {names} by the anomaly score; εS, εB: their efficiencies."
    return "Each class against all others; εS, εB: efficiency of the class and of all others."


def _engine(model: str, metrics: Mapping[str, Any]) -> str:
    """Whose outputs the metrics are from."""
    usual = {"float": "torch", "quantized": "alir"}.get(model, DASH) if metrics else DASH
    return str(metrics.get("engine", usual))


def _events(material: Material, model: str, metrics: Mapping[str, Any]) -> Any:
    """How many test events the metrics are from: as they say, or as the scores have rows."""
    stated = finite(metrics.get("events"))
    if stated is not None or not metrics:
        return stated
    return len(material.scores[model]) if model in material.scores else None


def _points(columns: list[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Every (signal efficiency, class) with a rejection, one efficiency after the other."""
    found = {
        (str(point), str(name)): None
        for metrics in columns
        for name in _mapping(metrics, "rejection")
        for point in _mapping(_mapping(metrics, "rejection"), name)
    }
    return sorted(found, key=lambda pair: pair[0])


def _mapping(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = record.get(key)
    return value if isinstance(value, Mapping) else {}


def _paired(less: list[Mapping[str, Any]]) -> str:
    """What stands in brackets, and on how many events."""
    events = {count(found.get("events")) for found in less if found}
    if not events:
        return ""
    return (
        f" In brackets: less the float model's on the same {' or '.join(sorted(events))} events, with "
        "the paired error, in which what both have in common cancels; of a rejection it holds the "
        "signal's statistics too, which the errors of the rejections themselves leave out."
    )


def _chances(columns: list[Mapping[str, Any]]) -> list[tuple[Cell, ...]]:
    """What needs no network, beside the accuracies."""
    found = [chance(c) for c in columns]
    blind = (percent(c.blind if c else None) for c in found)
    frequent = (percent(c.frequent if c else None) for c in found)
    return [
        row("accuracy of a blind guess", *blind),
        row("accuracy of always naming the most frequent class", *frequent),
    ]


def _with_change(text: str, change: str) -> Cell:
    return Cell(text if change == DASH else f"{text} ({change})")


def _accuracy(metrics: Mapping[str, Any], less: Mapping[str, Any]) -> Cell:
    found = percent(metrics.get("accuracy"), metrics.get("accuracy_err"))
    return _with_change(found, signed(less.get("accuracy"), less.get("accuracy_err"), "%", 100.0))


def _auc(metrics: Mapping[str, Any], less: Mapping[str, Any], name: str) -> Cell:
    value, error = (_mapping(metrics, key).get(name) for key in ("auc", "auc_err"))
    change, change_err = (_mapping(less, key).get(name) for key in ("auc", "auc_err"))
    return _with_change(with_error(value, error), signed(change, change_err))


def _rejection(metrics: Mapping[str, Any], less: Mapping[str, Any], name: str, point: str) -> Cell:
    entry = _mapping(_mapping(metrics, "rejection"), name).get(point)
    found = entry if isinstance(entry, Mapping) else {}
    limit = finite(found.get("lower_limit_95"))
    if finite(found.get("value")) is None and limit is not None:
        return Cell(f"> {number(limit)} (95 % CL)")
    change = _mapping(_mapping(_mapping(less, "rejection"), name), point)
    text = with_error(found.get("value"), found.get("err"))
    return _with_change(text, signed(change.get("value"), change.get("err")))
