"""hls4ml's own sizes of a quantiser that saturates, made to hold the value that it saturates at."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def ends_are_kept() -> Iterator[None]:
    """While it lasts, hls4ml leaves a saturating quantiser the bits of its largest value.

    hls4ml 1.3 (`bit_exact.py`) gives such a quantiser no more fraction bits than its input has. That
    is enough for what lies inside its range; the end of the range, 2^i − 2^−f, then moves, or becomes
    0: an input of 0 or 1 into a ufixed<3,−1> gives 0.4375, and gave 0. For one that wraps hls4ml keeps
    the bits wherever the input may pass the range: the same rule is used here for both.
    """
    from hls4ml.model.optimizer.passes import bit_exact
    from hls4ml.model.optimizer.passes.hgq_proxy_model import FixedPointQuantizer

    sizes = bit_exact._produce_kif
    shrinking = sizes.dispatch(FixedPointQuantizer)

    def keeping(layer: Any) -> Any:
        overflow, layer.SAT = layer.SAT, "WRAP"
        try:
            return shrinking(layer)
        finally:
            layer.SAT = overflow

    sizes.register(FixedPointQuantizer, keeping)
    try:
        yield
    finally:
        sizes.register(FixedPointQuantizer, shrinking)
