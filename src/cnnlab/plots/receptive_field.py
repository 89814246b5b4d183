"""Receptive fields drawn on pictures, and what layers cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnlab.plots import style
from cnnlab.plots.style import BLUE, FLAME, GREEN, GREY, LIGHT, LIME, ORANGE, clean, new_figure, picture, shorten

Box = tuple[int, int, int, int]
_COLOURS = (BLUE, style.VERMILION, GREEN, ORANGE, style.PURPLE, style.SKY, GREY)
_MOST_BARS = 60  # layers of a bar chart that can still be read


@dataclass(frozen=True)
class SeenField:
    """One layer's field on a picture.

    Attributes:
        title: the layer, in a line or two.
        box: (x1, y1, x2, y2) that its middle unit can see.
        effective: the box that holds most of the gradient, or None.
        strength: float (H, W), how strongly each pixel moves the unit, or None.
    """

    title: str
    box: Box
    effective: Box | None = None
    strength: np.ndarray | None = None


def fields_on_picture(image: np.ndarray, fields: Sequence[SeenField], title: str = "") -> Figure:
    """The same picture for each layer, with what a unit can see (solid) and what moves it (dashed, and the glow).

    Args:
        image: uint8 (H, W, 3).
        fields: one for each panel.
        title: a line above all.

    Raises:
        ValueError: there is no field to draw.
    """
    if not fields:
        raise ValueError("there is no field to draw")
    columns = min(4, len(fields))
    lines = -(-len(fields) // columns)
    height = 2.9 * image.shape[0] / image.shape[1] + 0.75
    figure = new_figure(2.9 * columns + 0.2, height * lines + 0.6)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    if title:
        figure.suptitle(title, fontsize=12)
    for axes in grid:
        picture(axes)
    for axes, field in zip(grid, fields, strict=False):
        axes.imshow(_glow(image, field.strength), interpolation="nearest")
        _frame(axes, field.box, LIME, "-")
        if field.effective:
            _frame(axes, field.effective, FLAME, (0, (3, 2)))
        axes.set_title(field.title, fontsize=9, loc="left")
        axes.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    marks = [Rectangle((0, 0), 1, 1, fill=False, edgecolor=c, linestyle=s) for c, s in ((LIME, "-"), (FLAME, "--"))]
    names = ["what the middle unit can see", "square with 95 % of the gradient"]
    figure.legend(marks, names, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def chain_on_picture(maps: Sequence[np.ndarray], boxes: Sequence[Box], titles: Sequence[str], title: str) -> Figure:
    """A picture and the maps computed from it, on each the part that one unit of the last map sees.

    Args:
        maps: the picture, uint8 (H, W, 3), then maps, float (h, w).
        boxes: (x1, y1, x2, y2) on each.
        titles: a line or two above each.
        title: a line above all.
    """
    figure = new_figure(3.4 * len(maps), 4.1)
    figure.suptitle(title, fontsize=12)
    for axes, pixels, box, text in zip(figure.subplots(1, len(maps)), maps, boxes, titles, strict=True):
        picture(axes).imshow(pixels, interpolation="nearest", cmap="gray")
        height, width = pixels.shape[:2]
        for step in range(1, max(height, width)):  # the grid of pixels, so that they can be counted
            axes.plot([-0.5, width - 0.5], [step - 0.5] * 2, color="white", linewidth=0.25, alpha=0.5)
            axes.plot([step - 0.5] * 2, [-0.5, height - 0.5], color="white", linewidth=0.25, alpha=0.5)
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        _frame(axes, box, FLAME, "-", 2.5)
        axes.set_title(text, fontsize=10, loc="left")
    return figure


def growth(curves: Mapping[str, Sequence[tuple[str, float, float | None]]], title: str = "") -> Figure:
    """Side of the field against the layer, for several networks: by the formula (line) and effective (circles).

    Args:
        curves: `{network: [(layer, side by the formula, effective side or None)]}`.
        title: a line above.
    """
    figure = new_figure(8.2, 4.4)
    axes = clean(figure.subplots())
    for colour, (name, layers) in zip(_COLOURS * 9, curves.items(), strict=False):
        places = np.arange(1, len(layers) + 1)
        axes.plot(places, [side for _, side, _ in layers], color=colour, marker=".", label=name)
        measured = [(place, side) for place, (_, _, side) in zip(places, layers, strict=True) if side is not None]
        if measured:
            axes.plot(*zip(*measured, strict=True), color=colour, linestyle="", marker="o", markerfacecolor="none")
    axes.set_yscale("log", base=2)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(xlabel="convolutions and poolings, in order", ylabel="side of the field, pixels")
    axes.set_title(title or "Receptive fields grow with depth (circles: the effective ones)", fontsize=11, loc="left")
    axes.legend(frameon=False, fontsize=9)
    return figure


def layer_costs(names: Sequence[str], parameters: Sequence[int], multiply_adds: Sequence[int], title: str) -> Figure:
    """Two bars for each layer: its share of the network's parameters and of its multiply-adds.

    Of more than 60 layers the costliest 60 are shown, in the network's order.
    """
    totals = max(sum(parameters), 1), max(sum(multiply_adds), 1)
    shares = np.array([parameters, multiply_adds], float) / np.array(totals)[:, None]
    kept = np.sort(np.argsort(-shares.max(0), kind="stable")[:_MOST_BARS])
    figure = new_figure(8.2, 1.6 + 0.22 * len(kept))
    axes = clean(figure.subplots(), grid="x")
    rows = np.arange(len(kept))
    axes.barh(rows - 0.2, shares[0, kept], 0.4, color=BLUE, label=f"of {totals[0]:,} parameters")
    axes.barh(rows + 0.2, shares[1, kept], 0.4, color=ORANGE, label=f"of {totals[1]:,} multiply-adds")
    axes.set_yticks(rows, [shorten(names[i], 44) for i in kept], fontsize=8)
    axes.set_ylim(len(kept) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_title(title, fontsize=11, loc="left")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def filter_places(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int],
    output: tuple[int, int], title: str = "",
) -> Figure:  # fmt: skip
    """Where a layer's filter stands: the input with its border of zeros, the first two places and the last one.

    All arguments are rows and columns; `kernel` counts the gaps of a dilated filter.
    """
    (height, width), (down, right) = size, padding
    figure = new_figure(6.4, 6.4 * (height + 2 * down) / (width + 2 * right) + 0.7)
    axes = picture(figure.subplots())
    axes.add_patch(Rectangle((-right, -down), width + 2 * right, height + 2 * down, facecolor=LIGHT, edgecolor=GREY))
    axes.add_patch(Rectangle((0, 0), width, height, facecolor="white", edgecolor="black"))
    last = ((output[0] - 1), (output[1] - 1))
    for (row, column), colour in zip(((0, 0), (0, min(1, last[1])), last), (BLUE, ORANGE, GREEN), strict=True):
        corner = (column * stride[1] - right, row * stride[0] - down)
        axes.add_patch(Rectangle(corner, kernel[1], kernel[0], facecolor=colour, alpha=0.35))
        axes.add_patch(Rectangle(corner, kernel[1], kernel[0], fill=False, edgecolor=colour, linewidth=1.5))
    axes.set(xlim=(-right - 1, width + right + 1), ylim=(height + down + 1, -down - 1), aspect="equal")
    axes.set_title(title, fontsize=10, loc="left")
    return figure


def cost_plane(networks: Mapping[str, tuple[int, int]], title: str = "") -> Figure:
    """Networks by parameters (across) and multiply-adds (up), both on logarithmic axes."""
    figure = new_figure(8.2, 5.6)
    axes = clean(figure.subplots())
    for colour, (name, (parameters, multiply_adds)) in zip(_COLOURS * 20, networks.items(), strict=False):
        axes.scatter(parameters, multiply_adds, color=colour, s=36)
        axes.annotate(name, (parameters, multiply_adds), xytext=(5, 3), textcoords="offset points", fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="multiply-adds for one picture")
    axes.set_title(title, fontsize=11, loc="left")
    return figure


def _frame(axes, box: Box, colour: str, style, width: float = 1.8) -> None:
    x1, y1, x2, y2 = box
    axes.add_patch(Rectangle(
        (x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linestyle=style, linewidth=width,
        clip_on=False,
    ))  # fmt: skip


def _glow(image: np.ndarray, strength: np.ndarray | None) -> np.ndarray:
    if strength is None:
        return image
    grey = np.repeat(image.mean(2, keepdims=True) / 255, 3, axis=2)
    top = np.percentile(strength[strength > 0], 99.5) if (strength > 0).any() else 1.0
    amount = np.sqrt(np.clip(strength / top, 0, 1))[..., None]  # the field's faint outer part shows as well
    return grey * (1 - 0.85 * amount) * 0.75 + 0.85 * amount * colormaps["inferno"](amount[..., 0])[..., :3]
