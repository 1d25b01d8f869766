"""Numbers as they stand in the report: with a unit, with their error, and a dash where there is none.

A value and its error are rounded together, to two significant digits of the error.
"""

import math
from typing import Any

DASH = "–"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
"""for `str.translate` of an exponent"""
_SMALL = -4  # smaller powers of ten are written as such
_TIMES = ((1e6, "s"), (1e3, "ms"), (1.0, "µs"), (1e-3, "ns"))
_RATES = ((1e9, "GHz"), (1e6, "MHz"), (1e3, "kHz"), (1.0, "Hz"))


def finite(value: Any) -> float | None:
    """`value` as a float; None for None, NaN, infinities, and what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def number(value: Any, digits: int = 3) -> str:
    """`value` to `digits` significant digits, thousands set apart; whole numbers without zeros."""
    found = finite(value)
    if found is None:
        return DASH
    return f"{found:,.0f}" if found == round(found) else _significant(found, digits)


def count(value: Any) -> str:
    """A whole number, thousands set apart."""
    found = finite(value)
    return DASH if found is None else f"{round(found):,}"


def counted(value: Any, noun: str) -> str:
    """A whole number of things: "1 cycle", "5 cycles", "– cycles"."""
    return f"{count(value)} {noun}{'' if finite(value) == 1 else 's'}"


def with_error(value: Any, error: Any, unit: str = "", scale: float = 1.0) -> str:
    """`value ± error unit`, both times `scale`; without an error `value` to four digits."""
    found, spread = finite(value), finite(error)
    if found is None:
        return DASH
    space = f" {unit}" if unit else ""
    found *= scale
    if spread is None or spread <= 0:
        return f"{number(found, 4)}{space}"
    spread *= scale
    decimals = min(12, max(0, 1 - math.floor(math.log10(spread))))
    return f"{found:,.{decimals}f} ± {spread:,.{decimals}f}{space}"


def percent(value: Any, error: Any = None) -> str:
    """A fraction with its error, in percent."""
    return with_error(value, error, "%", 100.0)


def share(part: Any, whole: Any) -> str:
    """`part` in percent of `whole`; "<0.01 %" where it is that small."""
    above, below = finite(part), finite(whole)
    if above is None or not below:
        return DASH
    value = 100 * above / below
    return "<0.01 %" if 0 < value < 0.01 else f"{number(value)} %"


def microseconds(value: Any) -> str:
    """A time given in µs, in the unit that suits it."""
    return _in_unit(value, _TIMES)


def hertz(value: Any) -> str:
    """A rate given in Hz, in the unit that suits it."""
    return _in_unit(value, _RATES)


def _in_unit(value: Any, units: tuple[tuple[float, str], ...]) -> str:
    found = finite(value)
    if found is None:
        return DASH
    scale, unit = next(((s, u) for s, u in units if abs(found) >= s), units[-1])
    return f"{_significant(found / scale, 3)} {unit}"


def _significant(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)))
    if power < _SMALL:
        return f"{value / 10.0**power:.{digits - 1}f}·10{str(power).translate(SUPERSCRIPT)}"
    return f"{value:,.{max(0, digits - 1 - power)}f}"
