"""The working points: what a trigger menu is given."""

from collections.abc import Mapping
from typing import Any

from triggerforge.reasons import said_once
from triggerforge.report.blocks import Cell, Table, row
from triggerforge.report.material import MODELS, Material
from triggerforge.report.numbers import DASH, count, finite, number, percent, with_error
from triggerforge.report.quality import signed
from triggerforge.report.style import MODEL_NAMES

Entry = Mapping[str, Any]


def working_points(material: Material) -> Table:
    """One row a model and target rate, with the targets that were refused."""
    record = material.section("trigger")
    entries = material.get("rates") or ()
    signals = [str(name) for name in record.get("signals") or ()]
    rows = [
        row(
            f"{number(e['target_khz'])} kHz, {MODEL_NAMES.get(e['model'], e['model'])}",
            _value(e),
            count(e["threshold_lsb"]),
            with_error(e["rate_khz"], e["rate_err_khz"], "kHz"),
            count(e["events"]),
            *(_efficiency(e, name) for name in signals),
        )
        for e in entries
    ]
    return Table(
        (
            "target",
            "threshold",
            "threshold [LSB]",
            "rate",
            "events that pass",
            *(f"efficiency, {name}" for name in signals),
        ),
        tuple(rows),
        "An event passes where score ≥ threshold. Threshold: the lowest at which the rate does not "
        "exceed the target. LSB: the step of the score's fixed-point format. Errors are statistical; in "
        "brackets the difference from the float model's efficiency at its own threshold, on the same "
        "events. The stage's working_points.json is the record to hand over.",
        notes=tuple(f"refused: {what}: {why}" for what, why in refused(material.result)),
    )


def headline(material: Material) -> Table | None:
    """The working points of the model nearest to the hardware; None where there are no rates."""
    if material.get("trigger") is None:
        return None
    entries = nearest(material.result)
    signals = list(dict.fromkeys(name for e in entries for name in e.get("efficiency") or {}))
    names = list(dict.fromkeys(model_name(e) for e in entries))
    return Table(
        ("target rate", "threshold", "rate", *(f"efficiency, {name}" for name in signals)),
        tuple(
            row(
                f"{number(e.get('target_khz'))} kHz",
                _threshold(e),
                with_error(e.get("rate_khz"), e.get("rate_err_khz"), "kHz"),
                *(_share(e, name) for name in signals),
            )
            for e in entries
        ),
        f"Of the model nearest to the hardware that was run ({', '.join(names)}); an event passes where "
        "score ≥ threshold, and the rate never exceeds its target: a score in coarse steps stays below."
        if entries
        else "No working point: the sample supports none of the target rates.",
        notes=tuple(f"refused: {what}: {why}" for what, why in refused(material.result)),
    )


def nearest(result: Entry) -> list[Entry]:
    """The rows of `rates` of the model nearest to the hardware."""
    entries = list(result.get("rates") or ())
    last = next((m for m in reversed(MODELS) if any(e.get("model") == m for e in entries)), None)
    return [e for e in entries if e.get("model") == last]


def refused(result: Entry) -> list[tuple[str, str]]:
    """The working points that the sample does not support, each reason once."""
    reasons = (result.get("trigger") or {}).get("not_run") or {}
    return said_once((str(what), str(why)) for what, why in reasons.items())


def in_words(entry: Entry) -> str:
    """A working point as a line: "10 kHz: threshold 1.25 = 160 LSB, rate 9.5 ± 0.5 kHz, efficiency …"."""
    rate = with_error(entry.get("rate_khz"), entry.get("rate_err_khz"), "kHz")
    signals = (f"{name} {_share(entry, name)}" for name in entry.get("efficiency") or {})
    return (
        f"{number(entry.get('target_khz'))} kHz ({model_name(entry)}): threshold {_threshold(entry)}, "
        f"rate {rate}, efficiency {', '.join(signals) or DASH}"
    )


def model_name(entry: Entry) -> str:
    """Whose working point it is."""
    return MODEL_NAMES.get(str(entry.get("model")), str(entry.get("model")))


def _threshold(entry: Entry) -> str:
    lsb = finite(entry.get("threshold_lsb"))
    return _value(entry) + ("" if lsb is None else f" = {count(lsb)} LSB")


def _value(entry: Entry) -> str:
    """The threshold as the score's number, without zeros behind it."""
    value = finite(entry.get("threshold"))
    return DASH if value is None else f"{value:.6g}"


def _share(entry: Entry, name: str) -> str:
    values = (entry.get(key) or {} for key in ("efficiency", "efficiency_err"))
    return percent(*(value.get(name) for value in values))


def _efficiency(entry: Entry, name: str) -> Cell:
    found = percent(entry["efficiency"].get(name), entry["efficiency_err"].get(name))
    change = finite((entry.get("efficiency_minus_float") or {}).get(name))
    if change is None:
        return Cell(found)
    error = entry["efficiency_minus_float_err"].get(name)
    return Cell(f"{found} ({signed(change, error, '%', 100.0)})")
