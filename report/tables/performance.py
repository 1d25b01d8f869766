"""How well float, quantised and firmware network tell the classes apart."""

from collections.abc import Mapping
from typing import Any

from triggerforge.report.blocks import Cell, Table, row
from triggerforge.report.material import MODELS, Material, NotRunError
from triggerforge.report.numbers import DASH, count, finite, number, percent, with_error
from triggerforge.report.style import MODEL_NAMES


def performance(material: Material) -> Table:
    """Accuracy, AUC and background rejection with their statistical errors, one column a model."""
    metrics = material.section("metrics")
    if not any(metrics.get(model) for model in MODELS):
        raise NotRunError("no model has metrics")
    columns = [metrics.get(model) or {} for model in MODELS]
    by_model = tuple(zip(MODELS, columns, strict=True))
    rows = [
        row("engine", *(_engine(model, found) for model, found in by_model)),
        row("test events", *(count(_events(material, m, found)) for m, found in by_model)),
    ]
    if not material.background:
        found = (percent(c.get("accuracy"), c.get("accuracy_err")) for c in columns)
        rows.append(row("accuracy", *found))
    names = list(dict.fromkeys(n for c in columns for n in _mapping(c, "auc")))
    rows += [row(f"AUC, {name}", *(_auc(c, name) for c in columns)) for name in names]
    for point, name in _points(columns):
        title = f"1/εB at εS = {point}, {name}"
        rows.append(row(title, *(_rejection(c, name, point) for c in columns)))
    return Table(
        ("", *(MODEL_NAMES[m] for m in MODELS)),
        tuple(rows),
        f"{_against(material)} Errors are statistical, one standard deviation.",
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


def _auc(metrics: Mapping[str, Any], name: str) -> Cell:
    value, error = _mapping(metrics, "auc").get(name), _mapping(metrics, "auc_err").get(name)
    return Cell(with_error(value, error))


def _rejection(metrics: Mapping[str, Any], name: str, point: str) -> Cell:
    entry = _mapping(_mapping(metrics, "rejection"), name).get(point)
    found = entry if isinstance(entry, Mapping) else {}
    limit = finite(found.get("lower_limit_95"))
    if finite(found.get("value")) is None and limit is not None:
        return Cell(f"> {number(limit)} (95 % CL)")
    return Cell(with_error(found.get("value"), found.get("err")))
