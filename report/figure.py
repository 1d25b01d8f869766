"""From a drawing function to an inline SVG, with nothing left behind in matplotlib's global state."""

import html
import io
import re
import warnings
from collections.abc import Callable

import matplotlib
import mplhep
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from triggerforge.config.report import ReportConfig
from triggerforge.report import style
from triggerforge.report.blocks import Picture
from triggerforge.report.ticks import plain_ticks

FULL, HALF, THIRD, QUARTER = 11.8, 5.5, 3.85, 2.85
"""widths of a picture [inch] that fills that part of the page, so that all text is of one size"""

_VARIABLES = {style.INK: "--ink", style.MUTED: "--muted", style.GRID: "--grid"} | {
    color: f"--c{i}" for i, color in enumerate(style.COLORS)
}
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_PLACES = re.compile(r'(?<= )(?:d|x|y|x1|y1|x2|y2|transform|points)="[^"]*"')
_TAG = re.compile(r"<[^>]*>")
_COLOR = re.compile("|".join(_VARIABLES))
# "font: 700 11px 'TeX Gyre Heros', 'DejaVu Sans'": the page names the family, and its stand-ins
_FONT = re.compile(r"(\bfont(?:-family)?:[^;\"']*?)'[^;\"]*")


def picture(
    name: str,
    paint: Callable[[Figure], None],
    alt: str,
    caption: str = "",
    size: tuple[float, float] = (THIRD, 3.0),
) -> Picture:
    """Draws on an empty figure of `size` inches; `name` keeps its ids apart from others' on a page.

    The figure is none of pyplot's: it is freed with its last reference, and no style leaks.
    """
    with matplotlib.rc_context(style.rc()), warnings.catch_warnings():
        # a class may be named in a script that neither font has; the page's text still shows it
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing from font", category=UserWarning
        )
        figure = Figure(figsize=size, layout="constrained")
        paint(figure)
        plain_ticks(figure)
        svg = _svg(figure)
    return Picture(_inline(svg, name, alt), alt, caption)


def _svg(figure: Figure) -> str:
    """The figure as SVG text.

    The layout is found once and then kept: with an engine in place `savefig` draws every figure twice,
    the first time for its layout alone.
    """
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        engine.execute(figure)
        figure.set_layout_engine(None)
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=metadata, transparent=True)
    return buffer.getvalue()


def plain(text: str, most: int = 22) -> str:
    """`text` for a label in a plot: $…$ is no mathematics, beyond `most` characters stands "…"."""
    text = str(text)
    short = text if len(text) <= most else text[: most - 1] + "…"
    return short.replace("$", r"\$")


def stamp(ax: Axes, config: ReportConfig) -> None:
    """Writes the experiment's name above the axes, if the configuration gives one."""
    if config.experiment is not None:
        mplhep.label.exp_text(
            plain(config.experiment), plain(config.label), loc=0, ax=ax, fontsize=11
        )


def css_color(color: str) -> str:
    """`color` (a constant of triggerforge.report.style) as CSS that follows light and dark mode."""
    return f"var({_VARIABLES[color]}, {color})" if color in _VARIABLES else color


def _short(found: re.Match[str]) -> str:
    """A coordinate to a hundredth of a point: finer than any screen, and half the file's size."""
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")


def _inline(svg: str, name: str, alt: str) -> str:
    """The <svg> element alone: no comments, ids of its own, colours as CSS variables.

    Tags alone are rewritten: what stands between them are words, some of them out of files.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    prefix = re.sub(r"[^A-Za-z0-9]+", "-", name)
    svg = _TAG.sub(lambda tag: _own(tag[0], prefix), svg)
    label = html.escape(alt, quote=True)
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _own(tag: str, prefix: str) -> str:
    """One tag with the picture's prefix to its ids, the page's colours and font, and short numbers."""
    tag = re.sub(r'\bid="|href="#|url\(#', lambda found: f"{found[0]}{prefix}-", tag)
    tag = _COLOR.sub(lambda found: css_color(found[0]), tag)
    tag = _FONT.sub(r"\1inherit", tag)
    if tag.startswith("<svg"):
        tag = re.sub(r' (width|height)="[^"]*"', "", tag)
    return _PLACES.sub(lambda found: _NUMBER.sub(_short, found[0]), tag)
