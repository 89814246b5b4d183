"""Precision and recall of a detector, and where a threshold puts it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from cnnlab.plots.style import BLUE, GREEN, GREY, VERMILION, clean, new_figure

_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
_LOWEST, _HIGHEST = 1e-3, 1 - 1e-4  # the logit axis has no room for 0 and 1 themselves


class Curve(Protocol):
    """What `cnnlab.evaluation.detection.precision_recall` returns: four arrays (K,) of one length."""

    thresholds: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    false_alarms_per_image: np.ndarray


def precision_recall(curve: Curve, chosen: float | None = None, title: str = "") -> Figure:
    """Left: precision against recall. Right: both, and false alarms per image, against the threshold.

    Args:
        curve: see `Curve`; the order of the thresholds does not matter.
        chosen: the threshold to mark in both panels, with its figures in the legend.
        title: one line above the panels.

    An empty curve (the detector reported nothing at all) gives empty panels that say so.
    """
    thresholds = np.asarray(curve.thresholds, np.float64)
    if not len(thresholds):
        return _nothing(title)
    order = np.argsort(thresholds, kind="stable")
    thresholds = thresholds[order]
    precision, recall, alarms = (
        np.asarray(values, np.float64)[order]
        for values in (curve.precision, curve.recall, curve.false_alarms_per_image)
    )
    figure = new_figure(11.0, 4.4)
    left, right = figure.subplots(1, 2)
    figure.suptitle(title, fontsize=12)
    clean(left).plot(recall, precision, color=BLUE)
    left.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.03))
    clean(right)
    x = np.clip(thresholds, _LOWEST, _HIGHEST)
    lines = right.plot(x, precision, color=BLUE, label="precision")
    lines += right.plot(x, recall, color=GREEN, linestyle="--", label="recall")
    right.set(xlabel="threshold", ylabel="precision, recall", ylim=(0, 1.03))
    _threshold_axis(right, x if chosen is None else np.append(x, np.clip(chosen, _LOWEST, _HIGHEST)))
    twin = right.twinx()
    twin.spines["top"].set_visible(False)
    lines += twin.plot(x, alarms, color=VERMILION, linestyle=":", linewidth=2, label="false alarms per image")
    # linear up to one alarm in ten images (so that zero has a place), logarithmic above
    twin.set_yscale("symlog", linthresh=0.1, linscale=0.4)
    twin.set_ylim(0, max(float(alarms.max()) * 1.5, 1.0))
    twin.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    twin.yaxis.set_minor_locator(NullLocator())
    twin.set_ylabel("false alarms per image", color=VERMILION)
    twin.tick_params(axis="y", colors=VERMILION)
    if chosen is not None:
        lines.append(_mark(left, right, thresholds, precision, recall, alarms, chosen))
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), frameon=False, fontsize=9)
    return figure


def _nothing(title: str) -> Figure:
    figure = new_figure(11.0, 4.4)
    figure.suptitle(title, fontsize=12)
    for axes, label in zip(figure.subplots(1, 2), ("recall", "threshold"), strict=True):
        clean(axes).set(xlabel=label, ylabel="precision", xlim=(0, 1), ylim=(0, 1.03))
        axes.text(0.5, 0.5, "no detection at any threshold", ha="center", color=GREY)
    return figure


def _mark(left: Axes, right: Axes, thresholds, precision, recall, alarms, chosen: float):
    """Mark the chosen threshold: the counts are those of the lowest drawn threshold that is not below it."""
    index = min(int(np.searchsorted(thresholds, chosen, side="left")), len(thresholds) - 1)
    label = (
        f"threshold {chosen:.4g}: precision {precision[index]:.3f}, recall {recall[index]:.3f}, "
        f"{alarms[index]:.2g} false alarms per image"
    )
    left.plot(recall[index], precision[index], "*", color="black", markersize=15, markeredgecolor="white")
    right.axvline(float(np.clip(chosen, _LOWEST, _HIGHEST)), color=GREY, linewidth=1.2)
    return left.plot([], [], "*", color="black", linestyle="none", markersize=10, label=label)[0]


def _threshold_axis(axes: Axes, thresholds: np.ndarray) -> None:
    """A logit axis, wide where detectors' thresholds lie, near one; a linear one where they all lie close together."""
    logits = np.log(thresholds / (1 - thresholds))
    low, high = logits.min(), logits.max()
    if high - low < 2:
        axes.margins(x=0.05)
        return
    axes.set_xscale("logit")
    margin = 0.02 * (high - low)
    axes.set_xlim(*(1 / (1 + np.exp(-np.array([low - margin, high + margin])))))
    axes.xaxis.set_major_locator(FixedLocator(_TICKS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
