"""The course of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cnnlab.plots.style import BLUE, GREEN, GREY, VERMILION, clean, new_figure

_SPLITS = {"train": (BLUE, "o", "--"), "val": (VERMILION, "s", "-"), "test": (GREEN, "^", "-.")}


def learning_curves(
    history: Sequence[Mapping[str, float]],
    metrics: Sequence[str] = ("loss", "accuracy"),
    kept: int = 0,
    note: str = "",
) -> Figure:
    """One panel per metric with the curves of train, val and (where measured) test, the kept epoch marked in each.

    Args:
        history: one mapping per epoch, `{"epoch": 1, "train/loss": ..., "val/loss": ..., ...}`.
        metrics: the names after the slash; a metric that no epoch holds is left out.
        kept: number of the epoch whose weights were kept, `Fit.best_epoch`; 0 is the last one.
        note: a line below the panels.

    Raises:
        ValueError: the history is empty, or holds none of the metrics.
    """
    if not history:
        raise ValueError("the history holds no epoch yet, so there is no curve to draw")
    shown = [m for m in metrics if any(f"{split}/{m}" in row for row in history for split in _SPLITS)]
    if not shown:
        raise ValueError(f"the history holds none of {', '.join(metrics)}; its keys are {', '.join(history[0])}")
    best = next((row for row in history if row["epoch"] == kept), history[-1])
    figure = new_figure(5.2 * len(shown), 3.8)
    for axes, metric in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        _draw_splits(axes, history, metric)
        label = f"kept epoch {best['epoch']:.0f}"
        axes.axvline(best["epoch"], color=GREY, linewidth=1, linestyle=":", label=label)
        value = best.get(f"val/{metric}")
        if value is not None and isfinite(value):
            axes.plot(best["epoch"], value, "*", color=VERMILION, markersize=14, markeredgecolor="white")
            label = f"val {value:.4g} at epoch {best['epoch']:.0f}"
            axes.set_title(label, fontsize=10, color=GREY, loc="right")
        axes.set(xlabel="epoch", ylabel=metric)
        axes.legend(frameon=False, fontsize=9)
    if note:
        figure.supxlabel(note, fontsize=9, color=GREY)
    return figure


def compared_curves(histories: Mapping[str, Sequence[Mapping[str, float]]], metric: str = "accuracy") -> Figure:
    """The train and val curves of several trainings side by side on one scale, each under its name.

    Args:
        histories: name -> one mapping per epoch, as for `learning_curves`.
        metric: the name after the slash.

    Raises:
        ValueError: there is no history.
    """
    if not histories:
        raise ValueError("there is no history to draw")
    figure = new_figure(3.2 * len(histories) + 0.6, 3.4)
    row = figure.subplots(1, len(histories), squeeze=False, sharey=True)[0]
    for axes, (name, history) in zip(row, histories.items(), strict=True):
        _draw_splits(axes, history, metric)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("epoch")
    row[0].set_ylabel(metric)
    row[-1].legend(frameon=False, fontsize=9)
    return figure


def _draw_splits(axes: Axes, history: Sequence[Mapping[str, float]], metric: str) -> None:
    clean(axes)
    for split, (colour, marker, line) in _SPLITS.items():
        points = [(row["epoch"], row[f"{split}/{metric}"]) for row in history if f"{split}/{metric}" in row]
        if points:
            epochs, values = zip(*points, strict=True)
            sparse = marker if len(points) <= 40 else None
            axes.plot(epochs, values, line, color=colour, marker=sparse, markersize=4, label=split)
    axes.set_xlim(history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
