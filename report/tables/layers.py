"""Bits and pruning, layer by layer."""

from collections.abc import Mapping
from typing import Any

from triggerforge.report.blocks import Table, row
from triggerforge.report.material import Material
from triggerforge.report.numbers import DASH, count, finite, number, share


def layers(material: Material) -> Table:
    """One row a layer, as `triggerforge.compression.bitmap.layer_bits` recorded it."""
    rows = [
        row(
            str(layer.get("name", DASH)),
            str(layer.get("kind", DASH)),
            " × ".join(map(str, layer.get("shape") or [DASH])),
            count(layer.get("weights")),
            share(_pruned(layer), layer.get("weights")),
            number(layer.get("weight_bits_mean")),
            count(layer.get("weight_bits_max")),
            number(layer.get("activation_bits_mean")),
            count(layer.get("activation_bits_max")),
            count(layer.get("ebops")),
        )
        for layer in material.section("compression", "layers")
    ]
    return Table(
        (
            "layer",
            "kind",
            "output shape",
            "weights",
            "pruned",
            "bits a weight, mean",
            "largest",
            "bits an input, mean",
            "largest",
            "EBOPs",
        ),
        tuple(rows),
        "Layers of the quantised network; kernel and bias count as weights. Bits include the sign; "
        "a weight of 0 bits is pruned and counts in the mean.",
    )


def _pruned(layer: Mapping[str, Any]) -> float | None:
    weights, kept = finite(layer.get("weights")), finite(layer.get("nonzero_weights"))
    return None if weights is None or kept is None else weights - kept
