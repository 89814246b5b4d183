"""Figures of the shortcut check: accuracy by cue, mean picture and border by class, pictures that are there twice."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from cnnlab.evaluation.shortcuts import CueResult
from cnnlab.plots.style import BLUE, GREY, LIGHT, VERMILION, clean, new_figure, picture, shorten

_MOST_CLASSES = 24
_COLOURS = {"file": VERMILION, "pixels": BLUE}


def cue_bars(results: Sequence[CueResult], title: str = "") -> Figure:
    """Balanced accuracy that a trivial classifier reaches on each cue alone, against chance; the most telling on top.

    Args:
        results: of `cnnlab.evaluation.shortcuts.judge_cues`, the most telling first.
        title: above the figure.

    Raises:
        ValueError: there is no result.
    """
    if not results:
        raise ValueError("there is no cue to draw")
    figure = new_figure(9.5, 0.36 * len(results) + 1.7)
    axes = clean(figure.subplots(), grid="x")
    ordered = list(reversed(results))
    for place, result in enumerate(ordered):
        colour = _COLOURS[result.cue.kind] if result.level else LIGHT
        axes.barh(place, result.accuracy, color=colour, height=0.66)
        if not result.constant:
            low, high = result.interval
            axes.plot([low, high], [place, place], color="black", linewidth=1.2)
            axes.plot(result.noticeable, place, "|", color="black", markersize=13, markeredgewidth=1.6)
        text = "the same in every picture" if result.constant else f"{100 * result.accuracy:.1f} %"
        end = max(result.accuracy, result.interval[1], result.noticeable)
        axes.text(end + 0.012, place, text, va="center", fontsize=9, color=GREY)
    axes.axvline(results[0].chance, color="black", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(ordered)), [result.cue.name.replace("_", " ") for result in ordered])
    axes.set(xlim=(0, 1.14), ylim=(-0.6, len(ordered) - 0.4))
    axes.set_xticks(np.linspace(0, 1, 6), [f"{share:.0%}" for share in np.linspace(0, 1, 6)])
    axes.set_xlabel("balanced accuracy of a shallow tree on this cue alone, held-out pictures")
    axes.set_title(title, fontsize=11, loc="left")
    handles = [
        Patch(color=VERMILION, label="comes from how the files were made"),
        Patch(color=BLUE, label="in the pixels: the subject may explain it"),
        Patch(color=LIGHT, label="no warning"),
        Line2D([], [], color="black", linestyle="--", linewidth=1, label=f"chance, {100 * results[0].chance:.1f} %"),
        Line2D([], [], color="black", linewidth=1.2, label="95 % interval"),
        Line2D([], [], color="black", marker="|", linestyle="none", markersize=11, label="luck reaches this at most"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def class_means(
    previews: np.ndarray, labels: np.ndarray, borders: np.ndarray, changes: np.ndarray, classes: Sequence[str]
) -> Figure:
    """The mean picture of each class, and the mean colour of its pictures' borders.

    Args:
        previews: uint8 (N, h, w, 3), all pictures at one small size.
        labels: (N,) indices into `classes`.
        borders: (N, 3) mean border colour of each picture, transparent ones on white.
        changes: (N, 3) what dropping the alpha channel adds to it; a second swatch is drawn where it is not zero.
        classes: the names.
    """
    shown = list(range(min(len(classes), _MOST_CLASSES)))
    columns = min(len(shown), 6)
    lines = ceil(len(shown) / columns)
    figure = new_figure(max(2.1 * columns, 6.0), 2.75 * lines + 0.7)
    grid = figure.subplots(lines, columns, squeeze=False)
    left_out = f" (the first {len(shown)} of {len(classes)} classes)" if len(shown) < len(classes) else ""
    figure.suptitle(f"Mean picture of each class{left_out}\nand below it the mean colour of the borders", fontsize=11)
    dropped = bool(np.abs(changes).max(initial=0) > 0)
    for axes in grid.flat:
        picture(axes)
    for axes, k in zip(grid.flat, shown, strict=False):
        mine = labels == k
        mean = previews[mine].astype(np.float64).mean(axis=0)
        axes.imshow(mean.round().astype(np.uint8), extent=(0, 1, 0, 1), interpolation="bilinear")
        colours = [borders[mine].mean(axis=0), (borders + changes)[mine].mean(axis=0)][: 2 if dropped else 1]
        for place, colour in enumerate(colours):
            box = (place / len(colours), -0.26), 1 / len(colours), 0.2
            axes.add_patch(Rectangle(*box, facecolor=np.clip(colour / 255, 0, 1), edgecolor=GREY, linewidth=0.8))
        axes.set(xlim=(0, 1), ylim=(-0.28, 1), aspect="equal")
        axes.set_title(f"{shorten(classes[k], 22)} ({int(mine.sum())})", fontsize=9)
        if dropped:
            axes.set_xlabel("on white  |  alpha dropped", fontsize=8)
    return figure


def duplicate_sheet(groups: Sequence[tuple[str, Sequence[tuple[np.ndarray, str]]]], title: str = "") -> Figure:
    """Pictures that look the same, group by group; small groups stand side by side.

    Args:
        groups: (heading, members), each member an image uint8 (H, W, 3) and its caption.
        title: above the sheet.

    Raises:
        ValueError: there is no group.
    """
    if not groups:
        raise ValueError("there is no group of near-duplicates to draw")
    columns = max(2, max(len(members) for _, members in groups))
    beside = min(len(groups), max(1, 6 // columns))
    lines = ceil(len(groups) / beside)
    figure = new_figure(2.1 * columns * beside, 2.8 * lines + 0.4)
    figure.suptitle(title, fontsize=11)
    for part, (heading, members) in zip(figure.subfigures(lines, beside, squeeze=False).flat, groups, strict=False):
        part.suptitle(heading, fontsize=10)
        for place, axes in enumerate(part.subplots(1, columns, squeeze=False)[0]):
            picture(axes)
            if place < len(members):
                image, caption = members[place]
                axes.imshow(image, interpolation="nearest" if max(image.shape) < 128 else "antialiased")
                axes.set_xlabel(caption, fontsize=8)
    return figure
