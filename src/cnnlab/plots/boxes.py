"""The lecture's box arithmetic on a photograph: overlap, anchors, regression; and precision by overlap asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cnnlab.plots.detections import outline
from cnnlab.plots.style import BLUE, FLAME, GREY, LIME, ORANGE, SKY, VERMILION, YELLOW, clean, new_figure, picture

COLOURS = (SKY, FLAME, YELLOW, "#FF8AD8")
_LINES = ("-", "--", ":")


def cutout(image: np.ndarray, around: np.ndarray | None = None, margin: float = 0.15) -> np.ndarray:
    """The part of `image` (x1, y1, x2, y2) around some boxes (N, 4), with `margin` of its sides more on each side."""
    height, width = image.shape[:2]
    if around is None or not len(around):
        return np.array((0.0, 0, width, height))
    corner1, corner2 = np.min(np.asarray(around)[:, :2], axis=0), np.max(np.asarray(around)[:, 2:], axis=0)
    more = margin * (corner2 - corner1)
    return np.concatenate((np.maximum(corner1 - more, 0), np.minimum(corner2 + more, (width, height))))


def aspect(part: np.ndarray) -> float:
    """Height over width of a part of an image (4,)."""
    return float((part[3] - part[1]) / (part[2] - part[0]))


def show(axes: Axes, image: np.ndarray, title: str = "", part: np.ndarray | None = None) -> Axes:
    """Draw a part of `image` (4,), or all of it, in a bare frame."""
    picture(axes).imshow(image, interpolation="antialiased")
    x1, y1, x2, y2 = cutout(image) if part is None else part
    axes.set(xlim=(x1, x2), ylim=(y2, y1))
    axes.set_title(title, fontsize=11, loc="left")
    return axes


def legend(figure: Figure, entries: Mapping[str, tuple[str, str]], columns: int = 5) -> None:
    """A dark legend below all panels, so that bright lines are seen: name -> (colour, line style)."""
    handles = [Line2D([], [], color=c, linestyle=s, linewidth=2, label=name) for name, (c, s) in entries.items()]
    box = figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=9)
    box.get_frame().set(facecolor="#333333", edgecolor="none")
    for text in box.get_texts():
        text.set_color("white")


def overlap_sheet(
    image: np.ndarray, truth: np.ndarray, boxes: np.ndarray, iou: np.ndarray, giou: np.ndarray,
    shifts: np.ndarray, shifted_iou: np.ndarray, shifted_giou: np.ndarray,
) -> Figure:  # fmt: skip
    """Left: boxes beside the true one, each with its IoU and GIoU. Right: both while a box is moved away.

    Args:
        image: uint8 (H, W, 3).
        truth: the true box (4,).
        boxes: a few boxes (N, 4), at most four.
        iou, giou: of these boxes with the true one, (N,).
        shifts: by how many widths of the true box a copy of it is moved to the right, (S,).
        shifted_iou, shifted_giou: of that copy with the true box, (S,).
    """
    figure = new_figure(12.0, 4.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    show(left, image, "How well does a box fit?", cutout(image, np.vstack((truth[None], boxes)), 0.08))
    outline(left, truth[None], LIME, 2.6)
    entries = {"true box": (LIME, "-")}
    for box, one, other, colour in zip(boxes, iou, giou, COLOURS, strict=False):
        outline(left, box[None], colour, 2.0, "--")
        entries[f"IoU {one:.2f}, GIoU {other:+.2f}"] = (colour, "--")
    clean(right).plot(shifts, shifted_iou, color=BLUE, linewidth=2, label="IoU")
    right.plot(shifts, shifted_giou, color=VERMILION, linewidth=2, linestyle="--", label="GIoU")
    right.axhline(0, color=GREY, linewidth=0.8)
    right.set(xlabel="shift to the right, in widths of the true box", ylabel="overlap", ylim=(-1, 1.03))
    right.set_title("Apart, IoU is 0 everywhere; GIoU still says how far", fontsize=11, loc="left")
    right.legend(frameon=False)
    legend(figure, entries)
    return figure


@dataclass(frozen=True)
class AnchorView:
    """What `anchor_sheet` draws; boxes (N, 4) all in pixels of the image."""

    image: np.ndarray
    truths: np.ndarray
    centres: np.ndarray
    """x and y of all anchors' centres (N, 2)"""
    cell: np.ndarray
    """the anchors of one cell, (ratios, sizes, 4)"""
    sizes: Sequence[float]
    ratios: Sequence[float]
    matched: np.ndarray
    """anchors that are to find a face"""
    best: np.ndarray
    """those of them that overlap it most"""
    counts: Mapping[str, int]
    """anchors of each kind"""


def anchor_sheet(view: AnchorView) -> Figure:
    """Left: the anchors of one cell, a colour for each size, a line for each ratio. Right: which ones are matched."""
    figure = new_figure(12.0, 12.0 / 2 * min(view.image.shape[0] / view.image.shape[1], 1.3) + 1.0)
    left, right = figure.subplots(1, 2)
    show(left, view.image, f"{view.cell.shape[0] * view.cell.shape[1]} anchors at one of {len(view.centres)} cells")
    left.plot(*view.centres.T, ".", color="white", markersize=2, alpha=0.7)
    entries = {}
    for row, line in zip(view.cell, _LINES, strict=False):
        for box, colour in zip(row, COLOURS, strict=False):
            outline(left, box[None], colour, 1.8, line)
    entries |= {f"size {size:g}": (colour, "-") for size, colour in zip(view.sizes, COLOURS, strict=False)}
    entries |= {f"width : height {r:g}": ("white", line) for r, line in zip(view.ratios, _LINES, strict=False)}
    middle = (view.cell[0, 0, :2] + view.cell[0, 0, 2:]) / 2
    left.plot(*middle, "o", color="white", markeredgecolor="black", markersize=6)
    told = ", ".join(f"{count} {name}" for name, count in view.counts.items())
    show(right, view.image, f"Of all anchors: {told}")
    outline(right, view.matched, SKY, 0.9, alpha=0.8, rim=False)
    outline(right, view.best, YELLOW, 2.0)
    outline(right, view.truths, LIME, 2.4)
    entries |= {"true box": (LIME, "-"), "best anchor": (YELLOW, "-"), "anchor that is to find it": (SKY, "-")}
    legend(figure, entries, columns=5)
    return figure


def regression_sheet(
    image: np.ndarray, truth: np.ndarray, windows: np.ndarray, boxes: np.ndarray, window_iou: float, box_iou: float,
    offsets: np.ndarray,
) -> Figure:  # fmt: skip
    """What box regression makes of the windows around one face, and the four numbers of the first of them.

    Args:
        image: uint8 (H, W, 3).
        truth: the true box (4,).
        windows: where the network looked (N, 4), best score first.
        boxes: what it made of them (N, 4).
        window_iou, box_iou: mean overlap with the true box before and after.
        offsets: d_x, d_y, d_w, d_h of the first window.
    """
    part = cutout(image, np.vstack((truth[None], windows, boxes)), 0.04)
    figure = new_figure(13.0, 13.0 / 3 * min(aspect(part), 1.4) + 1.3)
    panels = figure.subplots(1, 3)
    for axes, drawn, colour, name, overlap in (
        (panels[0], windows, FLAME, "windows", window_iou), (panels[1], boxes, SKY, "boxes after regression", box_iou),
    ):  # fmt: skip
        show(axes, image, f"{len(drawn)} {name}: mean IoU {overlap:.2f}", part)
        outline(axes, drawn, colour, 1.1, alpha=0.85, rim=False)
        outline(axes, truth[None], LIME, 2.4)
    dx, dy, dw, dh = offsets
    show(panels[2], image, "One of them, by four numbers", part)
    outline(panels[2], truth[None], LIME, 2.4)
    outline(panels[2], windows[:1], FLAME, 2.0)
    outline(panels[2], boxes[:1], SKY, 2.0)
    start, end = ((one[:2] + one[2:]) / 2 for one in (windows[0], boxes[0]))
    panels[2].annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "white", "linewidth": 2})
    width, height = windows[0, 2:] - windows[0, :2]
    after = (width * np.exp(dw), height * np.exp(dh))
    lines = [
        f"$d_x$ = {dx:+.2f}: {dx * width:+.0f} px      $d_w$ = {dw:+.2f}: {width:.0f} to {after[0]:.0f} px",
        f"$d_y$ = {dy:+.2f}: {dy * height:+.0f} px      $d_h$ = {dh:+.2f}: {height:.0f} to {after[1]:.0f} px",
    ]
    panels[2].set_xlabel("\n".join(lines), fontsize=9)
    legend(figure, {"window P": (FLAME, "-"), "predicted box": (SKY, "-"), "true box G": (LIME, "-")})
    return figure


def ap_by_overlap(overlaps: Sequence[float], curves: Mapping[str, np.ndarray], title: str = "") -> Figure:
    """Average precision of detectors against the overlap from which a detection counts as right.

    Args:
        overlaps: IoU thresholds (T,).
        curves: detector's name -> average precision (seeds, T); the line is the mean, the band runs from the lowest to
            the highest seed.
        title: a line above, such as the split and its size.
    """
    figure = new_figure(7.0, 4.2)
    axes = clean(figure.subplots())
    for (name, values), colour, line, mark in zip(
        curves.items(), (BLUE, VERMILION, ORANGE, GREY), ("--", "-", "-.", ":"), "osD^", strict=False
    ):
        values = np.atleast_2d(values)
        axes.plot(overlaps, values.mean(axis=0), color=colour, linestyle=line, marker=mark, linewidth=2, label=name)
        if len(values) > 1:
            axes.fill_between(overlaps, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)
    axes.set(xlabel="IoU from which a box is right", ylabel="average precision", ylim=(0, 1.03))
    axes.set_title(title, fontsize=11, loc="left")
    axes.legend(frameon=False, loc="lower left")
    return figure
