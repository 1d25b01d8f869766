"""The quantisers of a Keras model through which the events' numbers pass, and what each of them sees."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.layer_tree import is_hgq, operations, with_inner
from triggerforge.fixedpoint import Overflow

_ROUNDING: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "TRN": np.floor,
    "RND": lambda x: np.floor(x + 0.5),
    "RND_CONV": np.rint,
}


@dataclass(frozen=True)
class Site:
    """A quantiser of a tensor of events: which layer's, and which of its tensors."""

    layer: str
    tensor: str
    """"input", "output", or a table inside the layer"""
    quantizer: Any
    """HGQ2's inner quantiser, with `kif` and the modes"""

    @property
    def wraps(self) -> bool:
        """Whether a number outside the range comes back from its other end."""
        return str(self.quantizer.overflow_mode).startswith(Overflow.WRAP)

    def bounds(self, shape: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Smallest and largest value, and step, of every element (1, *shape); 0, 0 without bits."""
        sign, whole, fraction = (
            np.broadcast_to(np.asarray(v), (1, *shape)).astype(int) for v in self.quantizer.kif
        )
        step = np.ldexp(1.0, -fraction)
        live = sign + whole + fraction > 0
        top = np.ldexp(1.0, whole)
        high = np.where(live, top - step, 0.0)
        symmetric = str(self.quantizer.overflow_mode) == Overflow.SAT_SYM
        return -np.where(live, sign * (high if symmetric else top), 0.0), high, step

    def outside(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Where `values` (N, …), once rounded, lie outside the range; an element without bits holds 0."""
        low, high, step = self.bounds(values.shape[1:])
        mode = str(self.quantizer.round_mode).removeprefix("S_")
        rounded = _ROUNDING[mode](np.asarray(values, np.float64) / step) * step
        return np.asarray((rounded < low) | (rounded > high))


def sites(model: keras.Model) -> Iterator[Site]:
    """The quantisers of tensors in `model`, in the order of its layers; those of weights are none."""
    for name, layer in operations(model):
        if isinstance(layer, hgq.quantizer.Quantizer):
            yield from _site(name, "value", layer)
        elif is_hgq(layer):
            for part in with_inner(layer):
                inside = part.name.removeprefix(f"{layer.name}_") + " " if part is not layer else ""
                yield from _sites_of(name, inside, part)


def _sites_of(name: str, inside: str, layer: Any) -> Iterator[Site]:
    if layer.enable_iq:
        many = list(layer.iq) if hasattr(layer.iq, "quantizers") else [layer.iq]
        for number, quantizer in enumerate(many, 1):
            word = "input" if len(many) == 1 else f"input {number}"
            yield from _site(name, inside + word, quantizer)
    if hasattr(layer, "toq"):
        yield from _site(name, f"{inside}table", layer.toq)
    if layer.enable_oq:
        yield from _site(name, f"{inside}output", layer.oq)


def _site(name: str, tensor: str, quantizer: Any) -> Iterator[Site]:
    inner = quantizer.quantizer
    if hasattr(type(inner), "kif"):
        yield Site(name, tensor, inner)


def watched(
    model: keras.Model, x: NDArray[Any]
) -> tuple[NDArray[np.float64], list[tuple[Site, NDArray[np.float64]]]]:
    """The outputs, and what every quantiser of a tensor is given, for events x (N, *shape), N > 0."""
    found = list(sites(model))
    with _recording([site.quantizer for site in found]) as seen:
        outputs = np.asarray(model(x, training=False), np.float64)
    return outputs, [(site, values) for site in found for values in seen[id(site.quantizer)]]


@contextmanager
def _recording(quantizers: list[Any]) -> Iterator[dict[int, list[NDArray[np.float64]]]]:
    """For a while, every call of each quantiser leaves what it was given under the quantiser's id."""
    seen: dict[int, list[NDArray[np.float64]]] = {id(q): [] for q in quantizers}

    def recorder(quantizer: Any) -> Any:
        compute = quantizer.call

        def call(inputs: Any, training: Any = None) -> Any:
            seen[id(quantizer)].append(np.asarray(inputs, np.float64))
            return compute(inputs, training=training)

        return call

    try:
        for quantizer in quantizers:
            vars(quantizer)["call"] = recorder(quantizer)
        yield seen
    finally:
        for quantizer in quantizers:
            vars(quantizer).pop("call", None)
