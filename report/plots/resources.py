"""How much of the chip the design takes."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from triggerforge.firmware.parts import Part, find_part
from triggerforge.report.blocks import Plot
from triggerforge.report.figure import HALF, picture, stamp
from triggerforge.report.material import Material, NotRunError
from triggerforge.report.numbers import finite, share
from triggerforge.report.style import COLORS

KINDS = (("lut", "LUT"), ("ff", "FF"), ("dsp", "DSP"), ("bram", "BRAM"))


def resources(material: Material) -> Plot:
    """Bars of each resource in percent of the part and of one SLR."""
    record = material.section("resources")
    part = find_part(str(record.get("part", "")))
    if part is None:
        raise NotRunError(f"what {record.get('part')!r} holds is not known here; no percentages")
    words = ", ".join(f"{label} {share(record.get(k), getattr(part, k))}" for k, label in KINDS)
    return Plot(
        (
            picture(
                "resources",
                lambda figure: _paint(figure, material, part),
                f"Resources in percent of the part: {words}",
                size=(HALF, 3.2),
            ),
        ),
        f"Resources of the design in percent of the whole {record.get('part')} and of one of its "
        f"{part.slr} SLR(s), as found by {record.get('method', 'an unnamed method')}.",
        columns=1,
    )


def draw_resources(ax: Axes, material: Material, part: Part) -> None:
    """Draws two bars a resource on `ax`, in percent, on a logarithmic axis."""
    record = material.section("resources")
    known = [(k, label) for k, label in KINDS if finite(record.get(k)) is not None]
    for offset, slrs, color, label in (
        (-0.19, 1, COLORS[0], "of the part"),
        (0.19, part.slr, COLORS[1], "of one SLR"),
    ):
        values = [100 * slrs * float(record[k]) / getattr(part, k) for k, _ in known]
        places = [i + offset for i in range(len(known))]
        ax.barh(places, [max(v, 1e-4) for v in values], 0.36, color=color, label=label)
        for place, value in zip(places, values, strict=True):
            text = "0" if value == 0 else f"{value:.2g} %"
            ax.annotate(
                text,
                (max(value, 1e-3), place),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
    ax.set_yticks(range(len(known)), [label for _, label in known])
    ax.tick_params(axis="y", which="both", length=0)
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.set_xlim(1e-3, 300)
    ax.axvline(100, color=COLORS[2], linewidth=1, linestyle=":")
    ax.set_xlabel("used [%]")
    ax.set_ylabel("resource")


def _paint(figure: Figure, material: Material, part: Part) -> None:
    ax = figure.add_subplot()
    draw_resources(ax, material, part)
    ax.legend(loc="lower right")
    stamp(ax, material.config)
