"""What goes into the network: each input's distribution, and the range that its port can carry."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from triggerforge.data.contract import InputFeature
from triggerforge.data.dataset import Dataset
from triggerforge.report.blocks import Picture, Plot
from triggerforge.report.figure import QUARTER, THIRD, picture, plain, stamp
from triggerforge.report.material import Material
from triggerforge.report.plots.histograms import density_label, edges, outlines
from triggerforge.report.style import MUTED, class_color

_IMAGE_AXES = 3  # (height, width, channels)


def input_features(material: Material) -> Plot:
    """Distributions of the inputs in physical units; for images the mean image of each class."""
    test = material.sample()
    if len(test.contract.shape) == _IMAGE_AXES:
        return _mean_images(material, test)
    features = test.contract.features[: material.config.max_features]
    left_out = len(test.contract.features) - len(features)
    pictures = tuple(_distribution(material, test, i) for i in range(len(features)))
    more = f" {left_out} further inputs are not drawn (report.max_features)." if left_out else ""
    what = "test events" if len(test.contract.shape) == 1 else "test events, one entry a particle"
    return Plot(
        pictures,
        f"Inputs of the network for {len(test):,} {what}, in physical units before the offset and "
        "power-of-two shift of the input contract, each class normalised to unit area. Dashed grey "
        f"lines: ends of the port's fixed-point range, where they lie in the picture.{more}",
        legend=tuple((c, class_color(i)) for i, c in enumerate(test.classes)),
        columns=4,
    )


def _distribution(material: Material, test: Dataset, index: int) -> Picture:
    feature = test.contract.features[index]
    raw = test.x[..., index].astype(np.float64) * 2.0**feature.shift + feature.offset
    raw = raw.reshape(len(test), -1)
    there = np.ones(raw.shape, dtype=bool)
    if test.mask is not None and test.mask.shape == raw.shape:
        there = test.mask
    columns = []
    for label in range(len(test.classes)):
        of_class = there & (test.y == label)[:, None]
        weight = np.broadcast_to(test.weight[:, None], raw.shape)
        columns.append((raw[of_class], weight[of_class]))
    unit = f" [{feature.unit}]" if feature.unit not in ("", "1") else ""

    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        if there.any():
            outlines(ax, columns, test.classes, edges(raw[there]))
        _port_range(ax, feature)
        ax.set_xlabel(plain(feature.name + unit))
        ax.set_ylabel(density_label(feature.unit))
        stamp(ax, material.config)

    alt = f"Distribution of input {feature.name}{unit} for each class; port {feature.format}"
    caption = str(feature.format)
    return picture(f"input-{index}", paint, alt, caption, size=(QUARTER, 2.3))


def _port_range(ax: Axes, feature: InputFeature) -> None:
    low, high = ax.get_xlim()
    for end in feature.format.range:
        x = end * 2.0**feature.shift + feature.offset
        if low < x < high:
            ax.axvline(x, color=MUTED, linestyle="--", linewidth=1)


def _mean_images(material: Material, test: Dataset) -> Plot:
    means = [
        test.x[test.y == label].mean(axis=0).sum(axis=-1) if (test.y == label).any() else None
        for label in range(len(test.classes))
    ]
    top = max((float(m.max()) for m in means if m is not None), default=1.0)

    def painter(mean: np.ndarray | None) -> Callable[[Figure], None]:
        def paint(figure: Figure) -> None:
            ax = figure.add_subplot()
            if mean is not None:
                shown = np.where(mean > 0, mean, np.nan)
                mesh = ax.imshow(shown, norm="log", vmax=top, vmin=top * 1e-4, cmap="viridis")
                figure.colorbar(mesh, ax=ax, label="mean of x")
            ax.set_xlabel("column")
            ax.set_ylabel("row")
            stamp(ax, material.config)

        return paint

    pictures = tuple(
        picture(f"image-{i}", painter(m), f"Mean image of class {c}", c, size=(THIRD, 3.2))
        for i, (c, m) in enumerate(zip(test.classes, means, strict=True))
    )
    return Plot(
        pictures,
        f"Mean input image of each class over {len(test):,} test events, in units of the network's "
        "input x, logarithmic colour scale over four decades.",
    )
