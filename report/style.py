"""The look of the plots: mplhep's generic style, in a size that suits a page.

Ink, muted ink, grid and the ten data colours are constants here, so that the page can replace each by a
CSS variable and follow a reader's light or dark mode.
"""

from typing import Any

import mplhep

INK = "#16191d"
MUTED = "#6b7280"
GRID = "#d5d9df"
DEEP = "#1f5fa8"
"""end of a colour map, dark enough for white text in light and dark mode"""
# M. A. Petroff, "Accessible Color Sequences for Data Visualization", arXiv 2107.02270, Table 1
COLORS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
MODEL_COLORS = {"float": COLORS[0], "quantized": COLORS[6], "firmware": COLORS[4]}
DASHES = {"float": "-", "quantized": "--", "firmware": ":"}
MODEL_NAMES = {"float": "float", "quantized": "quantised", "firmware": "firmware"}

_RC: dict[str, Any] = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.labelsize": 11,
    "axes.linewidth": 0.9,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "errorbar.elinewidth": 0.7,
    "figure.facecolor": "none",
    "font.family": ["TeX Gyre Heros", "DejaVu Sans"],
    "font.size": 10.5,
    "legend.fontsize": 9.5,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.5,
    "svg.fonttype": "none",  # words stay words: they can be searched, copied and read aloud
    "svg.hashsalt": "triggerforge",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 9.5,
    "xtick.major.pad": 4,
    "xtick.major.size": 5,
    "xtick.major.width": 0.9,
    "xtick.minor.size": 2.5,
    "xtick.minor.width": 0.7,
    "ytick.color": INK,
    "ytick.labelsize": 9.5,
    "ytick.major.pad": 4,
    "ytick.major.size": 5,
    "ytick.major.width": 0.9,
    "ytick.minor.size": 2.5,
    "ytick.minor.width": 0.7,
}


def rc() -> Any:
    """Settings for `matplotlib.rc_context`: mplhep's ROOT style, made small."""
    return {**mplhep.style.ROOT, **_RC}


def class_color(index: int) -> str:
    """The colour of class `index`; they repeat after ten."""
    return COLORS[index % len(COLORS)]
