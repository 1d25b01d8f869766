"""Magnitude pruning while training: the smallest weights of each layer are held at 0, with 0 bits."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from triggerforge.compression.backend import keras
from triggerforge.compression.functional import State


@dataclass(frozen=True)
class Kernel:
    """Where a layer's weights and their bits stand among the trainable variables."""

    weight: int
    bits: tuple[int, ...]
    """variables of the weights' shape that make up their bits; held at 0 with the weight"""

    def mask(self, state: State, fraction: float) -> Array:
        """1 where a weight stays, 0 for `fraction` of the weights; what is out stays out."""
        weights = state.trainable[self.weight]
        size = jnp.abs(weights)
        if self.bits:
            bits = sum(jnp.round(state.trainable[i]) for i in self.bits)
            size = size * (bits > 0)
        ranked = jnp.where(state.masks[self.weight] > 0, size, -1.0).reshape(-1)
        out = jnp.argsort(ranked, stable=True)[: int(fraction * ranked.size)]
        return jnp.ones_like(ranked).at[out].set(0.0).reshape(weights.shape)


@dataclass(frozen=True)
class Kernels:
    """All weights of a model that pruning may take; biases are not among them."""

    kernels: tuple[Kernel, ...]

    def masks(self, state: State, fraction: float) -> list[Array]:
        """The masks of `state` with `fraction` of each layer's weights pruned."""
        masks = list(state.masks)
        if fraction == 0:
            return masks
        for kernel in self.kernels:
            mask = kernel.mask(state, fraction)
            for place in (kernel.weight, *kernel.bits):
                masks[place] = jnp.array(mask)  # one buffer each: the epoch takes them over
        return masks


def kernels(model: keras.Model) -> Kernels:
    """The kernels of a Keras HGQ2 model's layers (dense, einsum, convolution)."""
    trainable = {id(v): i for i, v in enumerate(model.trainable_variables)}
    found = {}
    for layer in model._flatten_layers():
        weight = getattr(layer, "_kernel", None)
        if weight is None or not hasattr(layer, "kq") or id(weight) not in trainable:
            continue
        variables: Sequence[keras.Variable] = layer.kq.quantizer.trainable_variables
        names = ("b",) if layer.kq.q_type == "kbi" else ("i", "f")
        bits = [v for v in variables if v.name in names and v.shape == weight.shape]
        found[id(weight)] = Kernel(trainable[id(weight)], tuple(trainable[id(v)] for v in bits))
    return Kernels(tuple(found.values()))
