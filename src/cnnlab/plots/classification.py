"""Examples of every class, and which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from matplotlib.figure import Figure

from cnnlab.plots.style import clean, new_figure, picture, shorten

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
    counts = _array(matrix)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"a confusion matrix of shape {counts.shape} does not fit {len(classes)} classes")
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    size = float(np.clip(0.75 * len(classes), 3.2, 14.0))
    figure = new_figure(size + 1.6, size + 0.6)
    axes = clean(figure.subplots(), grid="none")
    shade = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(shade, ax=axes, shrink=0.8, label="share of the true class")
    names = [shorten(name, 18) for name in classes]
    crowded = len(classes) > 6 or max(map(len, names)) > 12
    axes.set_xticks(range(len(names)), names, rotation=90 if crowded else 0, fontsize=9)
    counted = [f"{name}\n(n={int(total)})" for name, total in zip(names, totals[:, 0], strict=True)]
    axes.set_yticks(range(len(names)), counted, fontsize=9)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(f"{np.trace(counts) / max(counts.sum(), 1):.1%} of {int(counts.sum())} right", fontsize=11)
    if len(classes) <= _ANNOTATED_CLASSES:
        small = 11 if len(classes) <= 6 else 7
        for row, column in np.ndindex(counts.shape):
            colour = "white" if shares[row, column] > 0.55 else "black"
            text = f"{int(counts[row, column])}\n{shares[row, column]:.1%}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=small)
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
