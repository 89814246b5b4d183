"""Hidden units of a perceptron as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.figure import Figure

from cnnlab.explain.units import Unit
from cnnlab.plots.explain import scaled
from cnnlab.plots.style import BLUE, GREY, VERMILION, clean, new_figure, picture, shorten

_ACROSS = 6


def unit_sheet(units: Sequence[Unit], faces: np.ndarray, classes: Sequence[str], title: str = "") -> Figure:
    """One row for each unit: its weights in colour, their lightness, whom it speaks for, and what excites it most.

    Args:
        units: see `explain.units.telling_units`.
        faces: uint8 (N, 3, H, W), what `Unit.exciting` counts.
        classes: the people.
        title: a line above all.

    Raises:
        ValueError: there is no unit.
    """
    if not units:
        raise ValueError("there is no unit to show")
    shown = max(len(unit.exciting) for unit in units)
    figure = new_figure(2.0 * 2 + 2.6 + 1.15 * shown, 2.3 * len(units) + 0.5)
    if title:
        figure.suptitle(title, fontsize=11)
    grid = figure.subplots(len(units), 3 + shown, squeeze=False, width_ratios=[2.0, 2.0, 2.6, *[1.15] * shown])
    for row, unit in zip(grid, units, strict=True):
        picture(row[0]).imshow(_grey_is_zero(unit.picture), interpolation="nearest")
        row[0].set_title(f"unit {unit.index}: {unit.say:.1f} × average say", fontsize=8, loc="left")
        lightness = scaled(unit.picture.mean(0))
        picture(row[1]).imshow(lightness, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        row[1].set_title("red: wants light, blue: dark", fontsize=8, loc="left", color=GREY)
        bars = clean(row[2], grid="none")
        bars.barh(range(len(classes)), unit.speaks, color=[BLUE if v > 0 else VERMILION for v in unit.speaks])
        bars.set_yticks(range(len(classes)), [shorten(name, 14) for name in classes], fontsize=8)
        bars.axvline(0, color=GREY, linewidth=0.8)
        bars.invert_yaxis()
        bars.set_title("speaks for (right), against (left)", fontsize=8, loc="left", color=GREY)
        bars.tick_params(axis="x", labelsize=7)
        for place in row[3:]:
            picture(place)
        for place, index in zip(row[3:], unit.exciting, strict=False):
            place.imshow(faces[index].transpose(1, 2, 0), interpolation="nearest")
        row[3].set_title("excited most by", fontsize=8, loc="left", color=GREY)
    return figure


def unit_grids(networks: Mapping[str, np.ndarray], title: str = "") -> Figure:
    """The pictures of many units of several networks side by side, each scaled to its own largest weights.

    Args:
        networks: name -> float (units, C, H, W).
        title: a line above all.

    Raises:
        ValueError: there is no network.
    """
    if not networks:
        raise ValueError("there is no network to show")
    lines = max(ceil(len(pictures) / _ACROSS) for pictures in networks.values())
    across = min(2, len(networks))
    down = ceil(len(networks) / across)
    figure = new_figure(5.0 * across, down * (5.0 * lines / _ACROSS + 0.5) + 0.4)
    if title:
        figure.suptitle(title, fontsize=11)
    panels = figure.subplots(down, across, squeeze=False).flat
    for axes in panels:
        picture(axes)
    for axes, (name, pictures) in zip(figure.axes, networks.items(), strict=False):
        axes.set_title(name, fontsize=10, loc="left")
        axes.imshow(_tiles([_grey_is_zero(weights) for weights in pictures], lines), interpolation="nearest")
    return figure


def _grey_is_zero(weights: np.ndarray) -> np.ndarray:
    shown = 0.5 + 0.5 * scaled(weights).transpose(1, 2, 0)
    return np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown


def _tiles(pictures: Sequence[np.ndarray], lines: int) -> np.ndarray:
    height, width = (side + 2 for side in pictures[0].shape[:2])
    canvas = np.ones((lines * height, _ACROSS * width, 3))
    for place, pixels in enumerate(pictures):
        top, left = place // _ACROSS * height, place % _ACROSS * width
        canvas[top : top + height - 2, left : left + width - 2] = pixels
    return canvas
