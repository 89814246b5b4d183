"""Segmented scenes beside their truth in the colour code of the classes, IoU per class, and mean IoU along borders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from cnnlab.plots.style import BLUE, DPI, GREEN, ORANGE, PURPLE, SKY, VERMILION, clean, new_figure, picture, shorten

_NARROWEST = 320  # pixels of a figure that a scene takes at least; smaller scenes are enlarged a whole number of times
_GUTTER, _TITLE, _LEGEND_LINE = 6, 22, 24  # pixels
_ENTRY = 118  # pixels that one class takes in the legend
_SERIES = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
_MARKS = "osD^vP"

Pixels = torch.Tensor | np.ndarray


def colourise(mask: Pixels, colours: np.ndarray) -> np.ndarray:
    """A mask in the colours of its classes.

    Args:
        mask: integers (..., H, W), 0 to classes - 1; everything else (255 = ignored) gets the last colour.
        colours: uint8 (classes + 1, 3), the last for ignored pixels.

    Returns:
        uint8 (..., H, W, 3).
    """
    mask = np.asarray(mask)
    last = len(colours) - 1
    return np.asarray(colours, np.uint8)[np.where((mask >= 0) & (mask < last), mask, last).astype(np.int64)]


def scene_sheet(
    images: Sequence[Pixels] | Pixels,
    truths: Sequence[Pixels] | Pixels | None,
    predictions: Sequence[Pixels] | Pixels | None,
    classes: Sequence[str],
    colours: np.ndarray,
    names: Sequence[str] | None = None,
) -> Figure:
    """One row per scene: the image, the truth and the prediction, with the colour code below.

    Every pixel of a scene is one pixel of the figure, or a whole square of them: at the figure's own resolution
    nothing is blurred or left out.

    Args:
        images: uint8, each (3, H, W); the scenes may differ in size.
        truths: integers, each (H, W), 255 = ignored; None where nobody labelled the scenes.
        predictions: integers, each (H, W); None to show the truth only.
        classes: names of the classes.
        colours: uint8 (classes + 1, 3), the last for ignored pixels.
        names: a name for each scene.

    Raises:
        ValueError: there is no scene, or the numbers or sizes of images, truths, predictions, colours and names
            do not fit each other.
    """
    columns: list[tuple[str, list[np.ndarray]]] = [("image", [np.moveaxis(np.asarray(x), 0, -1) for x in images])]
    columns += [
        (title, [np.asarray(mask) for mask in masks])
        for title, masks in (("truth", truths), ("prediction", predictions))
        if masks is not None
    ]
    _check(columns, classes, colours, names)
    sizes = [image.shape[:2] for image in columns[0][1]]
    widest = max(width for _, width in sizes)
    zoom = ceil(_NARROWEST / widest)
    shows_void = any((mask >= len(classes)).any() for _, masks in columns[1:] for mask in masks)
    entries = [*classes, "not labelled"] if shows_void else list(classes)
    across = len(columns) * (zoom * widest + _GUTTER) + _GUTTER
    legend_columns = max(1, min(len(entries), across // _ENTRY))
    legend = ceil(len(entries) / legend_columns) * _LEGEND_LINE + 2 * _GUTTER
    down = sum(_TITLE + zoom * height + _GUTTER for height, _ in sizes) + legend
    figure = Figure(figsize=(across / DPI, down / DPI), dpi=DPI)  # no layout: it would move panels off the pixels
    top = 0
    for row, (height, width) in enumerate(sizes):
        top += _TITLE
        for place, (title, items) in enumerate(columns):
            shown = items[row] if place == 0 else colourise(items[row], colours)
            left = _GUTTER + place * (zoom * widest + _GUTTER)
            rectangle = (left / across, 1 - (top + zoom * height) / down, zoom * width / across, zoom * height / down)
            axes = picture(figure.add_axes(rectangle))
            axes.imshow(shown, interpolation="nearest", aspect="auto")
            axes.set_title(_title(title, place, row, columns, names), fontsize=9, loc="left", pad=4)
        top += zoom * height + _GUTTER
    handles = [
        Patch(facecolor=colour / 255, edgecolor="#555555", linewidth=0.6, label=shorten(name, 16))
        for name, colour in zip(entries, np.asarray(colours, np.uint8), strict=False)
    ]
    figure.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 0), ncols=legend_columns, frameon=False,
        fontsize=9, handlelength=1.4, handleheight=1.1, columnspacing=1.2, borderaxespad=0.3,
    )  # fmt: skip
    return figure


def iou_bars(ious: Mapping[str, Pixels], classes: Sequence[str], colours: np.ndarray | None = None) -> Figure:
    """IoU per class and their mean: one group of bars per class, one bar per network.

    Args:
        ious: name of a network -> IoU per class (C,), or (S, C) of S seeds: then the bar is the mean and its line
            the standard deviation. Nan (a class that does not occur) leaves a gap.
        classes: C names.
        colours: uint8 (C or C + 1, 3): paint the bars of a single network in the classes' own colours.

    Raises:
        ValueError: there is no network, or its IoUs do not fit the classes.
    """
    tables = _tables(ious, len(classes), "classes")
    figure = new_figure(max(6.0, 0.95 * (len(classes) + 1)), 4.4)
    axes = clean(figure.subplots(), grid="y")
    width = 0.8 / len(tables)
    for place, (name, table) in enumerate(tables.items()):
        height, error = _mean(np.column_stack([table, _mean(table.T)[0]]))
        x = np.arange(len(height)) + (place - (len(tables) - 1) / 2) * width
        paint = _SERIES[place % len(_SERIES)]
        own = len(tables) == 1 and colours is not None
        faces = [*(np.asarray(colours)[: len(classes)] / 255), (0.2, 0.2, 0.2)] if own else paint
        axes.bar(x, height, width * 0.92, color=faces, edgecolor="#444444" if own else "none", linewidth=0.6,
                 label=_label(name, table))  # fmt: skip
        if error is not None:
            axes.errorbar(x, height, yerr=error, fmt="none", ecolor="black", elinewidth=1, capsize=2)
        for at, value, spread in zip(x, height, error if error is not None else np.zeros(len(x)), strict=True):
            if np.isfinite(value):
                axes.text(at, value + spread + 0.012, f"{value:.2f}", ha="center", fontsize=7 if width > 0.3 else 6)
    axes.axvline(len(classes) - 0.5, color="#999999", linewidth=0.8)
    counted = [*(shorten(name, 14) for name in classes), "mean"]
    axes.set_xticks(range(len(counted)), counted, rotation=30 if len(classes) > 5 else 0, ha="right" if
                    len(classes) > 5 else "center", fontsize=9)  # fmt: skip
    axes.set(ylabel="intersection over union", ylim=(0, 1.06))
    _legend(axes, len(tables), any(len(table) > 1 for table in tables.values()))
    return figure


def trimap_curves(widths: Sequence[int], curves: Mapping[str, Pixels]) -> Figure:
    """Mean IoU of the pixels near the true borders, against the width of the band.

    Args:
        widths: W widths in pixels.
        curves: name of a network -> mean IoU (W,), or (S, W) of S seeds: then the line is the mean and the shade the
            standard deviation.

    Raises:
        ValueError: there is no network, or its values do not fit the widths.
    """
    tables = _tables(curves, len(widths), "widths")
    figure = new_figure(6.4, 4.2)
    axes = clean(figure.subplots())
    for place, (name, table) in enumerate(tables.items()):
        paint, (middle, spread) = _SERIES[place % len(_SERIES)], _mean(table)
        axes.plot(widths, middle, color=paint, marker=_MARKS[place % len(_MARKS)], markersize=4,
                  label=_label(name, table))  # fmt: skip
        if spread is not None:
            axes.fill_between(widths, middle - spread, middle + spread, color=paint, alpha=0.2, linewidth=0)
    axes.set(xlabel="pixels to the nearest border of the truth, less than", ylabel="mean IoU inside of the band")
    axes.set_xlim(0, max(widths) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(axes, 2, any(len(table) > 1 for table in tables.values()))
    return figure


def _check(columns: list[tuple[str, list[np.ndarray]]], classes: Sequence[str], colours: np.ndarray,
           names: Sequence[str] | None) -> None:  # fmt: skip
    images = columns[0][1]
    if not images:
        raise ValueError("there is no scene to show")
    if len(colours) != len(classes) + 1:
        raise ValueError(f"{len(colours)} colours do not fit {len(classes)} classes; one more than classes is needed")
    for title, masks in columns[1:]:
        if [mask.shape for mask in masks] != [image.shape[:2] for image in images]:
            raise ValueError(f"{title}: the masks do not fit the {len(images)} images in number and size")
    if names is not None and len(names) != len(images):
        raise ValueError(f"{len(names)} names do not fit {len(images)} images")


def _title(title: str, place: int, row: int, columns: list[tuple[str, list[np.ndarray]]],
           names: Sequence[str] | None) -> str:  # fmt: skip
    """What stands above a panel: the scene's name, `truth`, or `prediction` and how much of it is right."""
    if place == 0:
        return shorten(names[row], 60) if names else title
    if title == "prediction" and len(columns) == 3:
        truth, prediction = columns[1][1][row], columns[2][1][row]
        counted = truth != 255
        if counted.any():
            return f"prediction: {100 * (truth == prediction)[counted].mean():.1f} % of the labelled pixels right"
    return title


def _tables(values: Mapping[str, Pixels], length: int, what: str) -> dict[str, np.ndarray]:
    """Every entry as float64 (seeds, length)."""
    if not values:
        raise ValueError("there is no network to draw")
    tables = {name: np.atleast_2d(np.asarray(table, np.float64)) for name, table in values.items()}
    for name, table in tables.items():
        if table.ndim != 2 or table.shape[1] != length or not len(table):
            raise ValueError(f"{name}: values of shape {table.shape} do not fit {length} {what}")
    return tables


def _mean(table: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Mean and standard deviation of the finite values of each column; no deviation where there is one row."""
    finite = np.ma.masked_invalid(table)
    spread = np.ma.filled(finite.std(axis=0, ddof=1), 0.0) if len(table) > 1 else None
    return np.ma.filled(finite.mean(axis=0), np.nan), spread


def _label(name: str, table: np.ndarray) -> str:
    return f"{name} ({len(table)} seeds)" if len(table) > 1 else name


def _legend(axes: Axes, networks: int, spread: bool) -> None:
    if networks > 1 or spread:
        title = "mean ± standard deviation over seeds" if spread else None
        axes.legend(
            frameon=False, fontsize=9, title=title, title_fontsize=8, ncols=3, loc="lower right", bbox_to_anchor=(1, 1)
        )
