"""hls4ml's own sizes of a quantiser, made to hold what the quantiser gives at its ends.

Both ends: the largest value, at which it saturates, and 0, which is all that is left of a number whose
highest bit lies below half of the quantiser's step.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def ends_are_kept() -> Iterator[None]:
    """While it lasts, hls4ml leaves a quantiser the bits of its largest value, and of none where it gives 0.

    hls4ml 1.3 (`bit_exact.py`) gives a quantiser that saturates no more fraction bits than its input has.
    That is enough for what lies inside its range; the end of the range, 2^i − 2^−f, then moves, or becomes
    0: an input of 0 or 1 into a ufixed<3,−1> gives 0.4375, and gave 0. For one that wraps hls4ml keeps
    the bits wherever the input may pass the range: the same rule is used here for both.

    Where an input rounds to 0 whatever it is (an `ap_fixed<8,4>` into steps of 32), the bit that decides on
    the rounding lies above the input's highest one, and the C simulation ends at an assertion of its
    types: such an element is 0 by name. And hls4ml makes one bit of 0.5 of a quantiser all of whose
    elements are 0, where it puts it into the layer before.

    A number that goes into an unsigned quantiser that wraps keeps its sign: hls4ml leaves it out together
    with all bits above the highest, and −0.5 in a type of three integer bits is 7.5, in four it is 15.5.
    """
    from hls4ml.model.optimizer.passes import bit_exact
    from hls4ml.model.optimizer.passes.hgq_proxy_model import (
        FixedPointQuantizer,
        FuseFixedPointQuantizer,
    )

    sizes, wanted = bit_exact._produce_kif, bit_exact._request_kif
    shrinking, asking = sizes.dispatch(FixedPointQuantizer), wanted.dispatch(FixedPointQuantizer)
    fuses = FuseFixedPointQuantizer.match

    def keeping(layer: Any) -> Any:
        _name_zeros(layer, bit_exact)
        overflow, layer.SAT = layer.SAT, "WRAP"
        try:
            return shrinking(layer)
        finally:
            layer.SAT = overflow

    def signed(layer: Any) -> Any:
        ((sign, above, below),) = asking(layer)
        return ((np.maximum(sign, _given(layer, bit_exact)[0]), above, below),)

    def alive(optimizer: Any, node: Any) -> bool:
        dead = isinstance(node, FixedPointQuantizer) and not np.any(node.mask_kbi[1])
        return not dead and bool(fuses(optimizer, node))

    sizes.register(FixedPointQuantizer, keeping)
    wanted.register(FixedPointQuantizer, signed)
    FuseFixedPointQuantizer.match = alive
    try:
        yield
    finally:
        sizes.register(FixedPointQuantizer, shrinking)
        wanted.register(FixedPointQuantizer, asking)
        FuseFixedPointQuantizer.match = fuses


def _name_zeros(layer: Any, bit_exact: Any) -> None:
    """No bits for the elements of a rounding quantiser that are 0 for every input they can have."""
    if layer.RND == "TRN":
        return
    signed, bits, integers = layer.mask_kbi
    _, above, _ = _given(layer, bit_exact)
    zero = np.asarray(above)[None] < integers - bits  # one quantiser may serve a whole tensor
    if zero.any():
        layer.mask_kbi = tuple(np.where(zero, 0, part) for part in (signed, bits, integers))


def _given(layer: Any, bit_exact: Any) -> Any:
    """Sign, integer and fraction bits of every element of what the layer is given."""
    return bit_exact.produce_kif(bit_exact.get_input_layers(layer)[0])
