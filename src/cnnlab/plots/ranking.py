"""Networks against each other: how right, at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from cnnlab.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, clean, new_figure

_COSTS = {
    "parameters": ("parameters, millions", 1e-6),
    "multiply_adds": ("multiply-adds of one 32x32 image, millions", 1e-6),
    "latency_ms": ("time for one image, ms", 1.0),
    "train_images_per_second": ("training, images per second", 1.0),
}


def accuracy_against_cost(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Test accuracy against four costs, one panel each; up is better, and left too but for the training speed.

    Args:
        rows: mappings with `name`, `test_accuracy` (a share), `interval` (low, high) and the costs `parameters`,
            `multiply_adds`, `latency_ms` and `train_images_per_second`.

    Raises:
        ValueError: there is no row.
    """
    if not rows:
        raise ValueError("there is no network to draw")
    figure = new_figure(13, 10)
    panels = figure.subplots(2, 2, sharey=True).flat
    for axes, (cost, (label, factor)) in zip(panels, _COSTS.items(), strict=True):
        clean(axes)
        axes.set_xscale("log")
        for row in rows:
            x, y = factor * row[cost], 100 * row["test_accuracy"]
            low, high = (100 * end for end in row["interval"])
            axes.errorbar(x, y, yerr=[[max(0.0, y - low)], [max(0.0, high - y)]], fmt="o", color=BLUE, ecolor=GREY)
            axes.annotate(row["name"], (x, y), xytext=(6, 4), textcoords="offset points", fontsize=8)
        axes.margins(x=0.15, y=0.08)
        axes.set_xlabel(label, fontsize=9)
        axes.set_ylabel("test accuracy, %", fontsize=9)
    return figure


def accuracy_over_time(curves: Mapping[str, Sequence[tuple[float, float]]], target: float | None = None) -> Figure:
    """Validation accuracy against seconds of training, the time on a logarithmic axis.

    Args:
        curves: name -> (seconds, share of images right) in the order of time.
        target: a share, drawn as a line.
    """
    figure = new_figure(8, 4.5)
    axes = clean(figure.subplots())
    for (name, points), colour in zip(curves.items(), (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY), strict=False):
        seconds, shares = zip(*points, strict=True)
        axes.plot(seconds, [100 * share for share in shares], "o-", color=colour, markersize=4, label=name)
    if target is not None:
        axes.axhline(100 * target, color=GREY, linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("seconds of training", fontsize=9)
    axes.set_ylabel("validation accuracy, %", fontsize=9)
    axes.legend(frameon=False)
    return figure
