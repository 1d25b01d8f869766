"""Quantities of the test jets that the network does not see: pT, mass, multiplicity."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from triggerforge.report.blocks import Picture, Plot
from triggerforge.report.figure import QUARTER, picture, plain, stamp
from triggerforge.report.material import Material, NotRunError
from triggerforge.report.plots.histograms import density_label, edges, outlines
from triggerforge.report.style import class_color

# word in an observable's name: (how it is written, its unit)
_QUANTITIES = {
    "pt": (r"$p_\mathrm{T}$", "GeV"),
    "mass": ("mass", "GeV"),
    "m": ("mass", "GeV"),
    "energy": ("energy", "GeV"),
    "e": ("energy", "GeV"),
    "ht": (r"$H_\mathrm{T}$", "GeV"),
    "met": (r"$p_\mathrm{T}^\mathrm{miss}$", "GeV"),
    "eta": (r"$\eta$", ""),
    "phi": (r"$\varphi$", "rad"),
}


def observables(material: Material) -> Plot:
    """One distribution for each observable of the data set."""
    test = material.sample()
    if not test.observables:
        raise NotRunError("the data set holds no observables such as jet pT or mass")
    names = list(test.observables)[: material.config.max_features]
    pictures = tuple(
        _one(material, n, np.asarray(test.observables[n]), test.y, test.weight) for n in names
    )
    return Plot(
        pictures,
        f"Distributions of {len(test):,} test events, each class normalised to unit area and drawn "
        "with its statistical errors. The network is not given these quantities.",
        legend=tuple((c, class_color(i)) for i, c in enumerate(test.classes)),
        columns=4,
    )


def axis_label(name: str) -> str:
    """`name` in words, with the unit where one of them is a known quantity: "jet pT [GeV]"."""
    words = name.split("_")
    unit = unit_of(name)
    shown = [_QUANTITIES.get(word.lower(), (plain(word), ""))[0] for word in words]
    return " ".join(shown) + (f" [{unit}]" if unit else "")


def unit_of(name: str) -> str:
    """The unit of the first known quantity in an observable's name; empty where it has none."""
    known = (_QUANTITIES[word] for word in name.lower().split("_") if word in _QUANTITIES)
    return next(known, ("", ""))[1]


def _one(
    material: Material,
    name: str,
    values: NDArray[np.float32],
    y: NDArray[np.int64],
    weight: NDArray[np.float32],
) -> Picture:
    finite = np.isfinite(values)
    if not finite.any():
        raise NotRunError(f"observable {name!r} has no finite value")

    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        columns = [
            (values[finite & (y == c)], weight[finite & (y == c)])
            for c in range(len(material.classes))
        ]
        outlines(ax, columns, material.classes, edges(values[finite]))
        ax.set_xlabel(axis_label(name))
        ax.set_ylabel(density_label(unit_of(name)))
        stamp(ax, material.config)

    alt = f"Distribution of {name} for each class"
    return picture(f"observable-{name}", paint, alt, size=(QUARTER, 2.3))
