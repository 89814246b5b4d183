"""Accuracy against the strength of a change, and what the changes do to a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from cnnlab.evaluation.robustness import Change
from cnnlab.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, clean, new_figure, picture

_COLOURS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE)


def strength_curves(
    changes: Mapping[str, Change], accuracies: Mapping[str, Mapping[str, np.ndarray]], chance: float
) -> Figure:
    """One panel for each change: mean of the folds and a band of one standard deviation, the unchanged picture first.

    Args:
        changes: by name.
        accuracies: network -> change -> (1 + strengths, folds), the first row that of the unchanged pictures.
        chance: accuracy of always naming the most frequent class, drawn as a line.
    """
    columns = 4
    rows = -(-len(changes) // columns)
    figure = new_figure(3.6 * columns, 3.1 * rows)
    panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for axes, (name, change) in zip(panels, changes.items(), strict=False):
        clean(axes)
        places = np.arange(1 + len(change.strengths))
        for (network, found), colour in zip(accuracies.items(), _COLOURS, strict=False):
            mean, spread = 100 * found[name].mean(1), 100 * found[name].std(1, ddof=1)
            axes.plot(places, mean, "o-", color=colour, markersize=4, label=network)
            axes.fill_between(places, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
        axes.axhline(100 * chance, color=GREY, linestyle=":", linewidth=1)
        axes.set_title(f"{name}{f', {change.unit}' if change.unit else ''}", fontsize=9)
        axes.set_xticks(places, ["none", *map(change.label, change.strengths)], fontsize=8)
        axes.set_ylim(0, 100)
    for axes in panels[len(changes) :]:
        axes.set_axis_off()
    first = figure.axes[0]
    first.set_ylabel("test accuracy, %", fontsize=9)
    first.legend(frameon=False, fontsize=8)
    return figure


def change_sheet(image: torch.Tensor, changes: Mapping[str, Change]) -> Figure:
    """A picture under every change (lines) and strength (columns), as it was at the left.

    Args:
        image: uint8 (3, H, W).
        changes: by name.
    """
    columns = 1 + max(len(change.strengths) for change in changes.values())
    figure = new_figure(1.25 * columns + 1, 1.45 * len(changes))
    grid = figure.subplots(len(changes), columns, squeeze=False)
    for line, (name, change) in zip(grid, changes.items(), strict=True):
        shown: Sequence = [(None, image)] + [(s, change(image[None], s)[0]) for s in change.strengths]
        for axes in line:
            picture(axes)
        for axes, (strength, pixels) in zip(line, shown, strict=False):
            axes.imshow(pixels.permute(1, 2, 0).numpy(), interpolation="nearest")
            axes.set_title("" if strength is None else change.label(strength), fontsize=8)
        line[0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
    return figure
