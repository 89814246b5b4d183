"""Examples of every class, what augmentation makes of them, and which class is taken for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from cnnlab.plots.style import BLUE, GREY, clean, new_figure, picture, shorten

_GUTTER = 2  # white pixels between two examples
_ANNOTATED_CLASSES = 20  # beyond this many classes the numbers in the cells are too small to read


def class_grid(
    images: torch.Tensor, labels: torch.Tensor, classes: Sequence[str], per_class: int = 16
) -> Figure:
    """A mosaic of examples for each class, spread evenly over the data set.

    Args:
        images: uint8 (N, C, H, W) with C = 1 or 3.
        labels: integers (N,), each an index into `classes`.
        classes: the names, in the labels' order.
        per_class: how many examples to show of a class.

    Raises:
        ValueError: `images` and `labels` differ in length, or an image has neither 1 nor 3 channels.
    """
    pixels, targets = _array(images), _array(labels)
    if len(pixels) != len(targets):
        raise ValueError(f"{len(pixels)} images but {len(targets)} labels; give one label per image")
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3):
        raise ValueError(f"images of shape {pixels.shape} cannot be shown; expected (N, 1 or 3, H, W)")
    largest = max(int(np.bincount(targets, minlength=1).max()) if len(targets) else 0, 1)
    per_class = min(per_class, largest)  # no empty places where every class is small
    columns = min(8 if len(classes) <= 3 else 16, per_class)
    rows = ceil(per_class / columns)
    aspect = (pixels.shape[2] * rows) / (pixels.shape[3] * columns)
    panels = 2 if 2 <= len(classes) <= 4 else 1
    width = 6.0 if panels == 2 else 10.0
    lines = ceil(len(classes) / panels)
    figure = new_figure(width * panels, lines * (width * aspect + 0.45))
    grid = figure.subplots(lines, panels, squeeze=False)
    for axes in grid.flat:
        picture(axes)
    for index, (axes, name) in enumerate(zip(grid.flat, classes, strict=False)):
        members = np.flatnonzero(targets == index)
        shown = members[np.linspace(0, len(members) - 1, min(per_class, len(members))).round().astype(int)]
        axes.set_title(f"{shorten(name)}: {len(shown)} of {len(members)}", fontsize=11, loc="left")
        axes.imshow(_mosaic(pixels[shown], rows, columns), interpolation="nearest")
    return figure


def confusion_matrix(matrix: np.ndarray, classes: Sequence[str]) -> Figure:
    """Counts and row shares: row = the true class, column = the predicted one, shade = share of the row.

    Args:
        matrix: counts (K, K).
        classes: K names.

    Raises:
        ValueError: the matrix is not square or does not fit the names.
    """
    return confusion_matrices({"": matrix}, classes)


def confusion_matrices(matrices: Mapping[str, np.ndarray], classes: Sequence[str]) -> Figure:
    """Several confusion matrices of the same classes side by side, each under its name; see `confusion_matrix`.

    Raises:
        ValueError: there is none, or one is not square or does not fit the names.
    """
    if not matrices:
        raise ValueError("there is no confusion matrix to draw")
    size = float(np.clip(0.75 * len(classes), 3.2, 14.0))
    figure = new_figure(len(matrices) * (size + 0.8) + 0.8, size + (1.4 if len(matrices) > 1 else 0.6))
    row = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axes, (name, matrix) in zip(row, matrices.items(), strict=True):
        shade = _draw_confusion(axes, _array(matrix), classes, name)
    figure.colorbar(shade, ax=row.tolist(), shrink=0.8, label="share of the true class")
    return figure


def _draw_confusion(axes: Axes, counts: np.ndarray, classes: Sequence[str], name: str) -> AxesImage:
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"a confusion matrix of shape {counts.shape} does not fit {len(classes)} classes")
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    clean(axes, grid="none")
    shade = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [shorten(name, 18) for name in classes]
    crowded = len(classes) > 6 or max(map(len, names)) > 12
    axes.set_xticks(range(len(names)), names, rotation=90 if crowded else 0, fontsize=9)
    counted = [f"{name}\n(n={int(total)})" for name, total in zip(names, totals[:, 0], strict=True)]
    axes.set_yticks(range(len(names)), counted, fontsize=9)
    axes.set(xlabel="predicted class", ylabel="true class")
    title = f"{np.trace(counts) / max(counts.sum(), 1):.1%} of {int(counts.sum())} right"
    axes.set_title(f"{name}\n{title}" if name else title, fontsize=11)
    if len(classes) <= _ANNOTATED_CLASSES:
        small = 11 if len(classes) <= 6 else 7
        for row, column in np.ndindex(counts.shape):
            colour = "white" if shares[row, column] > 0.55 else "black"
            text = f"{int(counts[row, column])}\n{shares[row, column]:.1%}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=small)
    return shade


def augmentation_sheet(images: torch.Tensor, strategies: Mapping[str, Sequence[torch.Tensor]]) -> Figure:
    """Pictures as they are (left) and what training sees of them under each strategy, one picture per line.

    Args:
        images: uint8 (N, 3, H, W).
        strategies: name -> draws of the augmentation on these images, each float (N, 3, H, W) in [0, 1]; a draw of
            another size (multi-scale) is shown at the pictures' own.
    """
    columns = [1, *(len(draws) for draws in strategies.values())]
    aspect = images.shape[2] * len(images) / images.shape[3]
    width = 0.95
    figure = new_figure(width * sum(columns) + 0.5, width * aspect + 0.5)
    row = figure.subplots(1, len(columns), width_ratios=columns, squeeze=False)[0]
    panels = {"as it is": _array(images)}
    for name, draws in strategies.items():
        same = [draw if draw.shape == images.shape else F.interpolate(draw, images.shape[-2:]) for draw in draws]
        seen = torch.stack(same, 1).flatten(0, 1)
        panels[name] = _array((seen * 255).round().clamp(0, 255).byte())
    for axes, (name, pixels), count in zip(row, panels.items(), columns, strict=True):
        picture(axes)
        axes.set_title(name, fontsize=11, loc="left")
        axes.imshow(_mosaic(pixels, len(images), count), interpolation="antialiased")
    return figure


def accuracies(rows: Sequence[Mapping[str, Any]], metric: str = "accuracy") -> Figure:
    """One line per result: the mean over seeds, its 95 % interval and each seed's own value.

    Args:
        rows: mappings with `name`, `values` (of each seed, or none), `mean` and `interval` (low, high), shares all.
        metric: the axis label, with the number of samples.

    Raises:
        ValueError: there is no row.
    """
    if not rows:
        raise ValueError("there is no result to draw")
    figure = new_figure(8.5, 0.55 * len(rows) + 1.1)
    axes = clean(figure.subplots(), grid="x")
    for place, row in enumerate(rows):
        low, high = row["interval"]
        mean = row["mean"]
        ends = [[max(0.0, mean - low)], [max(0.0, high - mean)]]
        axes.errorbar(mean, place, xerr=ends, fmt="o", color=BLUE, capsize=4, linewidth=2, markersize=7)
        axes.plot(row["values"], [place + 0.22] * len(row["values"]), "|", color=GREY, markersize=8)
        axes.text(high, place, f"  {100 * mean:.1f} %", va="center", fontsize=9)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.margins(x=0.12)
    axes.set_xlabel(f"{metric}: mean and 95 % interval of so many samples; | is one seed", fontsize=9)
    return figure


def _array(values: object) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def _mosaic(images: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Images (n, C, H, W) laid out row by row on white; places without an image stay white."""
    height, width = images.shape[2] + _GUTTER, images.shape[3] + _GUTTER
    canvas = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * height, place % columns * width
        canvas[top : top + height - _GUTTER, left : left + width - _GUTTER] = image.transpose(1, 2, 0)
    return canvas
