"""How good the network is in a line: accuracy beside chance, and what quantisation costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triggerforge.report.material import MODELS
from triggerforge.report.minus_float import MINUS_FLOAT
from triggerforge.report.numbers import finite, number, percent, with_error
from triggerforge.report.style import MODEL_NAMES

Record = Mapping[str, Any]
_SURE = 2.0
"""standard deviations above chance from which on a network is called better than that"""


@dataclass(frozen=True)
class Chance:
    """Accuracies that need no network."""

    blind: float
    """of a guess among the classes, each as likely"""
    frequent: float
    """of always naming the most frequent class of the test events"""

    @property
    def words(self) -> str:
        """ "chance is 20 % (always the most frequent class: 25 %)"; once where they are the same."""
        blind, frequent = percent(self.blind), percent(self.frequent)
        more = "" if blind == frequent else f" (always the most frequent class: {frequent})"
        return f"chance is {blind}{more}"


def chance(metrics: Record) -> Chance | None:
    """What chance gives, from the sums of the confusion matrix's rows; None without a matrix."""
    rows = metrics.get("confusion")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        return None
    sums = [sum(finite(cell) or 0.0 for cell in row) for row in rows]
    total = sum(sums)
    return Chance(1 / len(sums), max(sums) / total) if total > 0 else None


def no_better_than_chance(metrics: Record) -> bool:
    """Whether the accuracy is not above both chances by two of its standard deviations."""
    value, error = finite(metrics.get("accuracy")), finite(metrics.get("accuracy_err"))
    base = chance(metrics)
    if value is None or base is None:
        return False
    return value - _SURE * (error or 0.0) <= max(base.blind, base.frequent)


def minus_float(result: Record, model: str) -> Record:
    """The record of `triggerforge.training.differences` for a model; empty where there is none."""
    found = (result.get(MINUS_FLOAT) or {}).get(model)
    return found if isinstance(found, Mapping) else {}


def signed(value: Any, error: Any, unit: str = "", scale: float = 1.0) -> str:
    """A difference with its sign and error."""
    found = finite(value)
    sign = "+" if found is not None and found > 0 else ""
    return sign + with_error(value, error, unit, scale).replace("-", "−")


def quality_line(result: Record) -> str:
    """The accuracies beside chance; of a score the signals' AUC; empty where there is neither."""
    return accuracy_line(result) or _auc_line(result)


def _auc_line(result: Record) -> str:
    metrics = {m: (result.get("metrics") or {}).get(m) or {} for m in MODELS}
    parts = [f"{MODEL_NAMES[m]} {words}" for m, one in metrics.items() if (words := auc_range(one))]
    return f"AUC of the signals: {', '.join(parts)}; chance is 0.5" if parts else ""


def auc_range(metrics: Record) -> str:
    """The smallest and the largest AUC; empty where there is none."""
    areas = (metrics.get("auc") or {}).values()
    found = [value for area in areas if (value := finite(area)) is not None]
    return f"{number(min(found), 3)} to {number(max(found), 3)}" if found else ""


def accuracy_line(result: Record) -> str:
    """ "accuracy: float 15.3 ± 2.1 %, quantised …; chance is 20 %"; empty without accuracies."""
    metrics = {m: (result.get("metrics") or {}).get(m) or {} for m in MODELS}
    known = {m: found for m, found in metrics.items() if finite(found.get("accuracy")) is not None}
    if not known:
        return ""
    parts = [f"{MODEL_NAMES[m]} {_accuracy(result, m, found)}" for m, found in known.items()]
    told = [f"accuracy: {', '.join(parts)}"]
    if any("(" in part for part in parts):
        told.append("in brackets: less float, on the same events")
    base = next((b for found in known.values() if (b := chance(found)) is not None), None)
    return "; ".join([*told, base.words] if base is not None else told)


def _accuracy(result: Record, model: str, metrics: Record) -> str:
    change = minus_float(result, model)
    found = percent(metrics.get("accuracy"), metrics.get("accuracy_err"))
    if finite(change.get("accuracy")) is None:
        return found
    return f"{found} ({signed(change.get('accuracy'), change.get('accuracy_err'), '%', 100.0)})"
