"""QKeras' quantisers as fixed-point formats.

Rules of google/qkeras 0.9.0, `quantizers.py`: both round halves to even and clip to their range.
"""

import ast
import re
from collections.abc import Mapping
from typing import Any

from triggerforge.errors import ModelError, UnsupportedOperationError
from triggerforge.fixedpoint import FixedFormat, Overflow, Rounding

_CALL = re.compile(r"(\w+)\((.*)\)", re.DOTALL)
_MAX_SPEC = 1000
_ORDER = {
    "quantized_bits": ("bits", "integer", "symmetric", "keep_negative", "alpha"),
    "quantized_relu": ("bits", "integer"),
}
_PLAIN: dict[str, dict[str, tuple[Any, ...]]] = {
    "quantized_bits": {"alpha": (None, 1, 1.0), "use_stochastic_rounding": (False, 0)},
    "quantized_relu": {
        "use_sigmoid": (0, False),
        "negative_slope": (0, 0.0),
        "use_stochastic_rounding": (False, 0),
        "relu_upper_bound": (None,),
    },
}


def parse_quantizer(spec: Any, where: str) -> tuple[str, FixedFormat]:
    """The name of a quantiser and its format; `spec` is QKeras' text or record of it.

    Raises UnsupportedOperationError for one without a fixed-point format of its own (binary,
    ternary, po2, scales found from the data), ModelError for one that cannot be read.
    """
    name, options = _call(spec, where)
    if name not in _ORDER:
        raise UnsupportedOperationError(
            f"{where}: quantiser {name[:80]!r}; nearest supported form: quantized_bits(…, alpha=1)"
        )
    for option, plain in _PLAIN[name].items():
        if options.get(option, plain[0]) not in plain:
            raise UnsupportedOperationError(
                f"{where}: {name} with {option}={options[option]!r}; nearest supported form: "
                f"{option}={plain[0]!r}"
            )
    bits = _whole(options.get("bits", 8), 1, 32, f"{where}: {name} of bits")
    integer = _whole(options.get("integer", 0), -32, 32, f"{where}: {name} of integer")
    signed = name == "quantized_bits" and bool(options.get("keep_negative", True))
    symmetric = name == "quantized_bits" and bool(options.get("symmetric", 0))
    if bits - signed < 1:
        raise UnsupportedOperationError(
            f"{where}: {name} of {bits} bits; nearest supported form: {1 + signed} bits or more"
        )
    overflow = Overflow.SAT_SYM if symmetric else Overflow.SAT
    return name, FixedFormat(bits, integer + signed, signed, Rounding.RND_CONV, overflow)


def _whole(value: Any, low: int, high: int, what: str) -> int:
    if not isinstance(value, int | float) or value not in range(low, high + 1):
        raise ModelError(
            f"{what}={str(value)[:40]}; a whole number from {low} to {high} is possible"
        )
    return int(value)


def _call(spec: Any, where: str) -> tuple[str, Mapping[str, Any]]:
    if isinstance(spec, Mapping) and isinstance(spec.get("config"), Mapping):
        return str(spec.get("class_name")), spec["config"]
    if len(str(spec)) > _MAX_SPEC:
        raise ModelError(f"{where}: a quantiser of {len(str(spec))} characters cannot be read")
    match = _CALL.fullmatch(str(spec).strip())
    if match is None:
        return str(spec), {}
    name, arguments = match.groups()
    try:
        call = ast.parse(f"f({arguments})", mode="eval").body
        assert isinstance(call, ast.Call)
        values = [ast.literal_eval(a) for a in call.args]
        named = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, TypeError, AssertionError, RecursionError) as error:
        raise ModelError(f"{where}: quantiser {str(spec)[:200]!r} cannot be read") from error
    return name, dict(zip(_ORDER.get(name, ()), values, strict=False)) | named
