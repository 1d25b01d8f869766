"""How many events of each class train, validate and test the network."""

import numpy as np
from matplotlib.figure import Figure

from triggerforge.report.blocks import Plot
from triggerforge.report.figure import HALF, picture, plain, stamp
from triggerforge.report.material import Material
from triggerforge.report.style import COLORS


def class_counts(material: Material) -> Plot:
    """Bars of events per class, one part for each split."""
    splits = material.require_splits()
    classes = splits.classes
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    counts = {name: np.bincount(events.y, minlength=len(classes)) for name, events in parts.items()}

    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        left = np.zeros(len(classes))
        for color, (name, values) in zip(COLORS[0::3], counts.items(), strict=False):
            ax.barh(range(len(classes)), values, 0.66, left=left, label=name, color=color)
            left += values
        ax.set_yticks(range(len(classes)), [plain(c) for c in classes])
        ax.tick_params(axis="y", which="both", length=0)
        ax.invert_yaxis()
        ax.set_xlabel("events")
        ax.set_ylabel("class")
        ax.set_xlim(0, 1.05 * max(left.max(), 1))
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=3)
        stamp(ax, material.config)

    total = sum(int(v.sum()) for v in counts.values())
    words = "; ".join(
        f"{c}: " + ", ".join(f"{n} {v[i]:,}" for n, v in counts.items())
        for i, c in enumerate(classes)
    )
    size = (HALF, 1.6 + 0.42 * len(classes))
    return Plot(
        (picture("class-counts", paint, f"Bar chart of events per class. {words}.", size=size),),
        f"Unweighted number of events of each class in the three splits; {total:,} events in all.",
        columns=1,
    )
