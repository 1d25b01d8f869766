"""How many bits the weights of each layer have."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from triggerforge.report.blocks import Plot
from triggerforge.report.figure import HALF, picture, plain, stamp
from triggerforge.report.material import Material, NotRunError
from triggerforge.report.numbers import finite, number
from triggerforge.report.style import GRID

HISTOGRAM = "weight_bits"
"""a layer's {bits: number of weights of so many bits}; 0 bits is a pruned weight"""


def bits(material: Material) -> Plot:
    """One bar a layer, divided by the width of its weights."""
    layers = [
        layer for layer in material.section("compression", "layers") if finite(layer.get("weights"))
    ]
    if not layers:
        raise NotRunError("no layer of the quantised network has weights")
    words = "; ".join(
        f"{layer.get('name')}: {number(layer.get('weight_bits_mean'))} bits on average"
        for layer in layers
    )
    size = (HALF, 1.9 + 0.38 * len(layers))
    return Plot(
        (
            picture(
                "bits",
                lambda figure: _paint(figure, material, layers),
                f"Bit widths of the weights by layer. {words}",
                size=size,
            ),
        ),
        "Share of each layer's weights by bit width (sign included); 0 bits: pruned. Right: mean "
        "bits of a weight, and the number of weights.",
        columns=1,
    )


def _paint(figure: Figure, material: Material, layers: list[Mapping[str, Any]]) -> None:
    ax = figure.add_subplot()
    shares = [_shares(layer) for layer in layers]
    widths = sorted({width for share in shares for width in share})
    shown = colormaps["viridis"]
    for width in widths:
        heights = np.array([share.get(width, 0.0) for share in shares])
        left = np.array([sum(s.get(w, 0.0) for w in widths if w < width) for s in shares])
        color = GRID if width == 0 else shown(min(0.95, width / 10))
        label = "pruned" if width == 0 else f"{width} bit"
        ax.barh(range(len(layers)), heights, 0.68, left=left, color=color, label=label)
    _names(ax, layers)
    ax.set_xlabel("share of the weights [%]")
    ax.set_ylabel("layer")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=6, handlelength=1.0)
    stamp(ax, material.config)


def _names(ax: Axes, layers: list[Mapping[str, Any]]) -> None:
    ax.set_yticks(range(len(layers)), [plain(layer.get("name", "?")) for layer in layers])
    ax.tick_params(which="both", axis="y", length=0)
    ax.tick_params(which="both", top=False)
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    for i, layer in enumerate(layers):
        mean, weights = number(layer.get("weight_bits_mean"), 2), int(layer["weights"])
        ax.annotate(
            f"{mean} b, {weights:,}",
            (1.0, i),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            annotation_clip=False,
        )


def _shares(layer: Mapping[str, Any]) -> dict[int, float]:
    """Share of the weights by width; without a histogram, pruned and the rounded mean."""
    weights = float(layer["weights"])
    histogram = layer.get(HISTOGRAM)
    if isinstance(histogram, Mapping):
        return {int(float(width)): float(n) / weights for width, n in histogram.items()}
    kept = finite(layer.get("nonzero_weights"))
    kept = weights if kept is None else kept
    mean = finite(layer.get("weight_bits_mean")) or 0.0
    width = max(1, round(mean * weights / kept)) if kept else 1
    return {0: 1 - kept / weights, width: kept / weights}
