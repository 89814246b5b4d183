"""Networks against each other: how right, at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import LogFormatter
from matplotlib.transforms import Bbox

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
    named: list[list[Annotation]] = []
    for axes, (cost, (label, factor)) in zip(panels, _COSTS.items(), strict=True):
        clean(axes)
        _logarithmic(axes)
        labels = []
        for row in rows:
            x, y = factor * row[cost], 100 * row["test_accuracy"]
            low, high = (100 * end for end in row["interval"])
            axes.errorbar(x, y, yerr=[[max(0.0, y - low)], [max(0.0, high - y)]], fmt="o", color=BLUE, ecolor=GREY)
            labels.append(axes.annotate(row["name"], (x, y), xytext=(6, 4), textcoords="offset points", fontsize=8))
        costs = [factor * row[cost] for row in rows]
        room = 1.3 * (max(costs) / min(costs)) ** 0.15  # for the names beside the outer points
        axes.set_xlim(min(costs) / room, max(costs) * room)
        axes.margins(y=0.08)
        axes.set_xlabel(label, fontsize=9)
        axes.set_ylabel("test accuracy, %", fontsize=9)
        named.append(labels)
    figure.draw_without_rendering()  # fixes the layout, by which names can be kept off each other
    for labels in named:
        _spread(labels)
    return figure


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(LogFormatter())  # 20 and not 2 x 10^1
    axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
    axes.tick_params(axis="x", which="both", labelsize=8)


def _spread(labels: Sequence[Annotation]) -> None:
    """Put each name beside its point, in the panel, where it covers no point and no earlier name, if there is room."""
    panel = labels[0].axes.get_window_extent()
    points = [label.axes.transData.transform(label.xy) for label in labels]
    placed = [Bbox([point - 4, point + 4]) for point in points]  # 4 pixels around each
    for label in labels:
        for align, x, y in (("left", 6, 4), ("right", -6, 4), ("left", 6, -10), ("right", -6, -10), ("center", 0, 14),
                            ("center", 0, -20), ("left", 6, 14), ("right", -6, -20)):  # fmt: skip
            label.set_horizontalalignment(align)
            label.set_position((x, y))
            box = label.get_window_extent()
            if panel.x0 <= box.x0 and box.x1 <= panel.x1 and not any(box.overlaps(other) for other in placed):
                break
        placed.append(box)


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
    _logarithmic(axes)
    axes.set_xlabel("seconds of training", fontsize=9)
    axes.set_ylabel("validation accuracy, %", fontsize=9)
    axes.legend(frameon=False)
    return figure
