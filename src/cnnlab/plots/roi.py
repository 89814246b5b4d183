"""RoI pooling beside RoI align: which cells of the map each bin reads, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnlab.plots.boxes import cutout, show
from cnnlab.plots.detections import outline
from cnnlab.plots.style import FLAME, LIME, SKY, new_figure, picture


@dataclass(frozen=True)
class RoIView:
    """One box on one map.

    Attributes:
        stride: pixels of the image per cell.
        values: the map that is shown, (h, w).
        bins: `pool` and `align` -> begin and end of each bin along x (s, 2) and along y (s, 2), in cells.
        results: `pool` and `align` -> what the bins give, (s, s).
        shift: mean distance of the pooled box's edges from the true ones, in pixels of the image.
    """

    stride: int
    values: np.ndarray
    bins: Mapping[str, tuple[np.ndarray, np.ndarray]]
    results: Mapping[str, np.ndarray]
    shift: float


_STYLES = {"pool": (FLAME, "RoI pooling: rounded, largest value"), "align": (SKY, "RoI align: not rounded, mean")}


def roi_sheet(image: np.ndarray, box: np.ndarray, views: list[RoIView]) -> Figure:
    """A row for each map: the photograph, the map with both ways to divide the box, and both grids of features.

    Args:
        image: uint8 (H, W, 3).
        box: the box (4,) in pixels.
        views: the box on each map.
    """
    figure = new_figure(14.0, 3.7 * len(views) + 0.5)
    for row, view in zip(figure.subplots(len(views), 5, squeeze=False), views, strict=True):
        title = f"stride {view.stride}: cells of {view.stride} pixels"
        show(row[0], image, title, cutout(image, box[None], 0.5))
        lines = {"color": "white", "linewidth": 0.4, "alpha": 0.7}
        for x in np.arange(0, image.shape[1], view.stride):
            row[0].axvline(x, **lines)
        for y in np.arange(0, image.shape[0], view.stride):
            row[0].axhline(y, **lines)
        outline(row[0], box[None], LIME, 2.2)
        exact = np.asarray(box) / view.stride
        shades = Normalize(*_range(view))
        for axes, method in zip(row[1:3], ("pool", "align"), strict=True):
            colour, name = _STYLES[method]
            picture(axes).imshow(
                view.values, cmap="viridis", norm=shades, extent=(0, view.values.shape[1], view.values.shape[0], 0)
            )
            _grid(axes, *view.bins[method], colour, sampled=method == "align")
            outline(axes, exact[None], LIME, 1.8)
            reach = max(1.6, 0.25 * float(exact[2] - exact[0]))
            axes.set(xlim=(exact[0] - reach, exact[2] + reach), ylim=(exact[3] + reach, exact[1] - reach))
            axes.set_title(name, fontsize=10, loc="left")
            if method == "pool":
                axes.set_xlabel(f"edges moved by {view.shift:.1f} pixels on average", fontsize=9)
        for axes, method in zip(row[3:], ("pool", "align"), strict=True):
            result = view.results[method]
            picture(axes).imshow(result, cmap="viridis", norm=shades)
            axes.set_title(f"{method}: {result.shape[0]}x{result.shape[1]} features", fontsize=10, loc="left")
    return figure


def _range(view: RoIView) -> tuple[float, float]:
    every = np.concatenate([result.ravel() for result in view.results.values()])
    return float(every.min()), float(every.max())


def _grid(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str, sampled: bool) -> None:
    """The bins; those of pooling may share cells, and each is drawn. Of align, four points are read in each."""
    for y1, y2 in y:
        for x1, x2 in x:
            axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=0.9))
    if sampled:
        points = [(x1 + a * (x2 - x1), y1 + b * (y2 - y1)) for x1, x2 in x for y1, y2 in y
                  for a in (0.25, 0.75) for b in (0.25, 0.75)]  # fmt: skip
        axes.plot(*np.transpose(points), ".", color="white", markersize=1.6)
