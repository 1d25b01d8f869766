"""The input contract from training events: offset, power-of-two shift and format of each input.

x = (raw - offset) * 2^-shift has a spread of about one; offset lies on the grid of the raw value
(an integer multiple of its LSB), so that hardware subtracts an integer and moves the binary point.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import PrecisionConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.features import PIXEL, InputBuilder
from triggerforge.data.kinematics import VALID
from triggerforge.data.l1.layout import SCALES
from triggerforge.data.l1.scales import Scale
from triggerforge.errors import DataError, did_you_mean
from triggerforge.fixedpoint import FixedFormat, Overflow, Rounding
from triggerforge.progress import say

_UNITS = {
    "rad": ("dphi", "phi", "jet_phi"),
    "GeV": (
        *("pt", "px", "py", "pz", "energy", "mass"),
        *("jet_pt", "jet_px", "jet_py", "jet_pz", "jet_energy", "jet_mass", "j_mass_mmdt"),
    ),
}
Column = Callable[[int], NDArray[np.float64]]
_FINEST = 30
_FLOAT_BITS = 53
_SMALL = 1
"""integers up to this magnitude are flags or charges: they keep their value"""


def derive_contract(
    builder: InputBuilder,
    column: Column,
    mask: NDArray[np.bool_] | None,
    config: PrecisionConfig,
) -> InputContract:
    """The contract for inputs like those of the training events; finite values only.

    `column` gives the raw values (N, *shape[:-1]) of input number i. `mask` (N, P) leaves missing particles out of the ranges; empty pixels are left out too.
    Hardware integers of Level-1 keep the range that their scale has, whatever the events hold.
    Raises DataError if `config.formats` or a padding names an input that is not there, and if a
    format cannot hold its padding.
    """
    _check_names(builder, config)
    center = builder.config.kind == "features" if config.center is None else config.center
    features = []
    for i, name in enumerate(builder.names):
        values = column(i)
        if mask is not None:
            values = values[mask]
        elif name == PIXEL or builder.config.kind.startswith("l1_"):
            values = values[values != 0]
        if builder.config.kind.startswith("l1_") and name not in config.formats:
            features.append(_hardware(name, values, SCALES[name], config))
        else:
            features.append(_padded(_feature(name, values, config, center), config))
    return InputContract(tuple(features), builder.shape, builder.order)


def _check_names(builder: InputBuilder, config: PrecisionConfig) -> None:
    for key in ("formats", "padding", "padding_scaled"):
        for name in getattr(config, key):
            if name not in builder.names:
                hint = did_you_mean(name, builder.names)
                raise DataError(f"data.precision.{key}: no input {name!r}; {hint}")
    for name in {**config.padding, **config.padding_scaled}:
        if builder.config.kind != "constituents":
            raise DataError(
                f"data.precision.padding of {name!r}: inputs of kind {builder.config.kind!r} have no "
                "missing particles; leave it out"
            )
        if name == VALID:
            raise DataError(f"data.precision.padding: {VALID!r} is 0 where there is no particle")
        if name in config.padding and name in config.padding_scaled:
            raise DataError(
                f"data.precision: {name!r} stands in padding and in padding_scaled; give one of them"
            )


def _padding(
    name: str, config: PrecisionConfig, offset: float = 0.0, shift: int = 0
) -> float | None:
    """x of a missing particle, not yet rounded; None where the configuration does not say."""
    if name in config.padding:
        return (config.padding[name] - offset) * 2.0**-shift
    return config.padding_scaled.get(name)


def _padded(feature: InputFeature, config: PrecisionConfig) -> InputFeature:
    """With the configured padding, rounded to the format; raises DataError if that does not hold it."""
    x = _padding(feature.name, config, feature.offset, feature.shift)
    if x is None:
        return feature
    fmt = feature.format
    low, high = fmt.range
    if not low - fmt.lsb < x < high + fmt.lsb:
        raise DataError(
            f"data.precision.padding of {feature.name!r}: {x:g} is outside {low:g}..{high:g}, the range "
            f"of {fmt}; give the input a format that holds it in data.precision.formats"
        )
    return replace(feature, padding=float(fmt.quantize(np.array(x))))


def _unit(name: str) -> str:
    return next((unit for unit, names in _UNITS.items() if name in names), "1")


def _feature(
    name: str, values: NDArray[Any], config: PrecisionConfig, center: bool
) -> InputFeature:
    unit = _unit(name)
    if name in config.formats:
        return InputFeature(name, unit, 0.0, 0, FixedFormat.parse(config.formats[name]))
    if name == VALID or not len(values):
        return InputFeature(name, unit, 0.0, 0, _exact(0, 1))
    low, high = float(values.min()), float(values.max())
    if max(abs(low), abs(high)) <= _SMALL and np.array_equal(values, np.floor(values)):
        padding = _padding(name, config)
        ends = [low, high] if padding is None else [low, high, padding]
        small = max(map(abs, ends)) <= _SMALL and all(end == int(end) for end in ends)
        made = _exact if small else partial(covering, width=config.width)
        return InputFeature(name, unit, 0.0, 0, made(min(ends), max(ends)))
    return _scaled(name, unit, values.astype(np.float64), config, center)


def _hardware(
    name: str, values: NDArray[Any], scale: Scale, config: PrecisionConfig
) -> InputFeature:
    """An input that is a hardware integer already: it keeps all its bits, if width allows.

    The shift brings the root mean square of the values that are not zero to about one. The unit is
    what one step of the integer means.
    """
    rms = float(np.sqrt(np.mean(values.astype(np.float64) ** 2))) if len(values) else scale.high / 2
    shift = round(math.log2(rms))
    width = min(config.width, scale.bits)
    integer = scale.bits - shift
    fmt = FixedFormat(width, integer, scale.signed, Rounding.RND, Overflow.SAT)
    return InputFeature(name, scale.text, 0.0, shift, fmt)


def _exact(low: float, high: float) -> FixedFormat:
    """The narrowest format that holds the integers low..high, |low|, |high| <= 1."""
    signed = low < 0
    width = 2 if signed else 1
    return FixedFormat(width, width, signed, Rounding.RND, Overflow.SAT)


def _scaled(
    name: str, unit: str, values: NDArray[np.float64], config: PrecisionConfig, center: bool
) -> InputFeature:
    tail = 50 * (1 - config.coverage)
    low, high = (float(q) for q in np.percentile(values, [tail, 100 - tail]))
    if low == high:  # what differs is in the tail
        low, high = float(values.min()), float(values.max())
    if low == high and (center or low == 0) and _padding(name, config) is None:
        # a constant carries nothing, and its bits must not widen its neighbours' port
        return InputFeature(name, unit, low, _magnitude(low, low), _exact(0, 1))
    core = np.clip(values, low, high)  # a single wild value must not set the scale
    offset = float(core.mean()) if center else 0.0
    spread = float(core.std()) if center else float(np.sqrt(np.mean(core**2)))
    shift = round(math.log2(spread)) if spread > 0 else _magnitude(low - offset, high - offset)
    # a step finer than that of the float64 numbers about the offset would hold their rounding
    finest = math.frexp(offset)[1] - _FLOAT_BITS if offset else -math.inf
    least = int(max(finest - shift + config.width, -_FINEST))
    first, last = math.ldexp(low - offset, -shift), math.ldexp(high - offset, -shift)
    fmt = covering(first, last, config.width, least)
    padding = _padding(name, config, offset, shift)
    if padding is not None and math.isfinite(padding):
        held = covering(min(first, padding), max(last, padding), config.width, least)
        _say_coarser(name, padding, fmt, held)
        fmt = held
    grid = math.ldexp(fmt.lsb, shift)
    return InputFeature(name, unit, round(offset / grid) * grid, shift, fmt)


def _say_coarser(name: str, padding: float, fmt: FixedFormat, held: FixedFormat) -> None:
    lost = held.integer - fmt.integer
    if lost > 1:
        say(
            f"warning: to hold its padding ({padding:g} after scaling), input {name!r} has {lost} bits "
            f"fewer below the point than its values need: {held} in the place of {fmt}; more bits: "
            "data.precision.width"
        )


def _magnitude(low: float, high: float) -> int:
    """Power of two next above both; 0 for values that are all zero."""
    largest = max(abs(low), abs(high))
    return math.ceil(math.log2(largest)) if largest > 0 else 0


def covering(low: float, high: float, width: int, least: int = -_FINEST) -> FixedFormat:
    """The finest format of `width` bits, RND and SAT, whose range holds low..high.

    It has at least `least` integer bits.
    """
    signed = low < 0
    for integer in range(least, 64):
        fmt = FixedFormat(width, integer, signed, Rounding.RND, Overflow.SAT)
        smallest, largest = fmt.range
        if smallest <= low + fmt.lsb / 2 and high - fmt.lsb / 2 <= largest:
            return fmt
    raise DataError(f"values {low:g}..{high:g} span too many powers of two for {width} bits")
