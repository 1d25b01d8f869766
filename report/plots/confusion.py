"""Which class is taken for which."""

from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from triggerforge.data.weights import share
from triggerforge.report.blocks import Picture, Plot
from triggerforge.report.figure import THIRD, picture, plain, stamp
from triggerforge.report.material import MODELS, Material, NotRunError
from triggerforge.report.style import DEEP, INK, MODEL_NAMES

# from nothing to blue: an empty cell has the page's colour, in light mode and in dark
_SHADES = LinearSegmentedColormap.from_list("share", [to_rgba(DEEP, 0.02), to_rgba(DEEP, 1.0)])


def confusion(material: Material) -> Plot:
    """One matrix for each form of the network, each true class normalised to 100 %."""
    if material.background:
        raise NotRunError("an anomaly score predicts no class")
    pictures = []
    for model in MODELS:
        counts = material.get("metrics", model, "confusion")
        if counts is not None:
            pictures.append(_matrix(material, model, np.asarray(counts, dtype=np.float64)))
    if not pictures:
        raise NotRunError(material.why_missing(("metrics", "float", "confusion")))
    return Plot(
        tuple(pictures),
        "Test events by true class (rows) and predicted class (columns), in percent of the true "
        "class.",
    )


def _matrix(material: Material, model: str, counts: NDArray[Any]) -> Picture:
    classes = material.classes or tuple(str(i) for i in range(len(counts)))
    total = counts.sum(axis=1, keepdims=True)
    percent = 100 * share(counts, np.where(total > 0, total, 1))

    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        ax.imshow(percent, cmap=_SHADES, vmin=0, vmax=100)
        small = 10 if len(classes) <= 6 else 6.5
        for (i, j), value in np.ndenumerate(percent):
            ink = "white" if value > 55 else INK
            ax.text(j, i, f"{value:.1f}", ha="center", va="center", color=ink, fontsize=small)
        names = [plain(c, 10) for c in classes]
        tilt = 0 if max(map(len, classes)) <= 6 and len(classes) <= 6 else 45
        ax.set_xticks(range(len(classes)), names, rotation=tilt)
        ax.set_yticks(range(len(classes)), names)
        ax.tick_params(which="both", length=0)
        ax.set_xlabel("predicted class")
        ax.set_ylabel("true class")
        ax.set_title(MODEL_NAMES[model], color=INK, loc="left")
        stamp(ax, material.config)

    right = float(share(np.trace(counts), counts.sum())) if counts.sum() > 0 else 0.0
    alt = f"Confusion matrix of the {MODEL_NAMES[model]} model; {right:.1%} on the diagonal"
    return picture(f"confusion-{model}", paint, alt, size=(THIRD, 3.7))
