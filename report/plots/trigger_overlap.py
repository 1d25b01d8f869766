"""What two triggers have in common."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure

from triggerforge.report.blocks import Plot
from triggerforge.report.figure import FULL, picture, plain, stamp
from triggerforge.report.material import Material
from triggerforge.report.style import DEEP, INK
from triggerforge.report.tables.trigger_menu import menu

_SHADES = LinearSegmentedColormap.from_list("share", [to_rgba(DEEP, 0.02), to_rgba(DEEP, 1.0)])
_MOST_IN_WORDS = 14


def trigger_overlap(material: Material) -> Plot:
    """One matrix: the part of each row's rate that the column takes as well."""
    record = menu(material)["overlap"]
    names = [str(name) for name in record["names"]]
    cells = {
        key: 100 * np.array([[np.nan if v is None else v for v in row] for row in record[key]])
        for key in ("fraction", "low", "high")
    }

    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        ax.imshow(cells["fraction"], cmap=_SHADES, vmin=0, vmax=100, aspect="auto")
        for (i, j), value in np.ndenumerate(cells["fraction"]):
            if np.isfinite(value) and len(names) <= _MOST_IN_WORDS:
                half = (cells["high"][i, j] - cells["low"][i, j]) / 2
                text = f"{value:.0f}" if i == j else f"{value:.1f} ± {half:.1f}"
                ink = "white" if value > 55 else INK
                ax.text(j, i, text, ha="center", va="center", color=ink, fontsize=8)
        shown = [plain(name) for name in names]
        ax.set_xticks(range(len(names)), shown, rotation=35, ha="right")
        ax.set_yticks(range(len(names)), shown)
        ax.tick_params(which="both", length=0)
        ax.set_xlabel("also passes [%]")
        ax.set_ylabel("of the rate of")
        stamp(ax, material.config)

    alt = f"Overlap of {len(names)} triggers: {', '.join(names)}"
    height = min(9.0, 1.8 + 0.42 * len(names))
    return Plot(
        (picture("trigger-overlap", paint, alt, size=(FULL, height)),),
        "Part of the background rate of the row's trigger that passes the column's as well, in "
        "percent, with half of the width of the 68.3 % interval.",
        columns=1,
    )
