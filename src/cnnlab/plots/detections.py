"""Detected boxes beside the true ones: what was found, what is a false alarm, what was missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from cnnlab.evaluation.detection import box_iou
from cnnlab.plots.style import FLAME, LIME, SKY, YELLOW, new_figure, picture

_MOST_SCORES = 30  # more labels than this cover the image
_TALLEST = 1.0  # height over width of a place; taller images are drawn narrower


@dataclass(frozen=True)
class _Style:
    label: str
    colour: str
    line: str
    width: float


_STYLES = {
    "truth": _Style("true face, found", LIME, "-", 2.4),
    "missed": _Style("true face, missed", YELLOW, "--", 2.4),
    "repeat": _Style("further window on a found face", SKY, "-", 0.6),
    "found": _Style("detection, right", SKY, "-", 1.6),
    "false": _Style("detection, false alarm", FLAME, "--", 1.8),
    "plain": _Style("detection", SKY, "-", 1.6),
}


def detections(
    image: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    truths: np.ndarray | None = None,
    title: str = "",
    iou_threshold: float = 0.5,
) -> Figure:
    """One image with its detections and scores and, where known, the true boxes.

    Args:
        image: uint8 (H, W, 3).
        boxes: (N, 4) as x1, y1, x2, y2 in pixels.
        scores: (N,).
        truths: (M, 4), or None where nobody annotated the image: then right and wrong are not told apart.
        title: a line above the image; the counts are put below it.
        iou_threshold: a detection is right when it overlaps a free true box by at least this much.
    """
    item = {"image": image, "boxes": boxes, "scores": scores, "truths": truths, "title": title}
    return detection_sheet([item], columns=1, iou_threshold=iou_threshold, width=9.0)


def detection_sheet(
    items: Sequence[Mapping[str, Any]],
    columns: int = 2,
    iou_threshold: float = 0.5,
    width: float = 5.5,
    title: str = "",
) -> Figure:
    """Several images with their detections under one legend.

    Args:
        items: mappings with the arguments of `detections`: image, boxes, scores and, if known, truths, title.
        columns: images beside each other.
        iou_threshold: see `detections`.
        width: inches per image.
        title: one line above all images.

    Raises:
        ValueError: there is no item.
    """
    if not items:
        raise ValueError("there is no image to draw detections on")
    columns = min(columns, len(items))
    lines = [items[start : start + columns] for start in range(0, len(items), columns)]
    heights = [max(width * min(_aspect(item["image"]), _TALLEST) for item in line) for line in lines]
    figure = new_figure(width * columns, sum(heights) + 0.55 * len(lines) + 0.45)
    grid = figure.subplots(ceil(len(items) / columns), columns, squeeze=False, height_ratios=heights)
    if title:
        figure.suptitle(title, fontsize=13)
    used: set[str] = set()
    for axes in grid.flat:
        picture(axes).set_anchor("N")
    for axes, item in zip(grid.flat, items, strict=False):
        used |= _draw(axes, item, iou_threshold)
    handles = [
        Line2D([], [], color=s.colour, linestyle=s.line, linewidth=max(s.width, 1.6), label=s.label)
        for kind, s in _STYLES.items()
        if kind in used
    ]
    if handles:
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 2 * columns + 1))
        legend.get_frame().set(facecolor="#333333", edgecolor="none")
        for text in legend.get_texts():
            text.set_color("white")
    return figure


def match(
    boxes: np.ndarray, scores: np.ndarray, truths: np.ndarray, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which detection takes which truth: by falling score, each truth at most once.

    Returns:
        `taken` (N,): the index of the truth a detection takes, -1 for a false alarm, -2 for a further window on a
        truth that a better one took; `found` (M,): whether a truth was taken.
    """
    taken = np.full(len(boxes), -1)
    found = np.zeros(len(truths), bool)
    if not len(truths) or not len(boxes):
        return taken, found
    overlaps = box_iou(boxes, truths)
    for index in np.argsort(-np.asarray(scores), kind="stable"):
        free = np.where(found, -1.0, overlaps[index])
        best = int(free.argmax())
        if free[best] >= iou_threshold:
            taken[index], found[best] = best, True
        elif overlaps[index].max() >= iou_threshold:
            taken[index] = -2
    return taken, found


def _draw(axes: Axes, item: Mapping[str, Any], iou_threshold: float) -> set[str]:
    """Draw one item and say which kinds of boxes it showed."""
    image = item["image"]
    boxes = np.asarray(item["boxes"], np.float64).reshape(-1, 4)
    scores = np.asarray(item["scores"], np.float64).reshape(-1)
    truths = item.get("truths")
    axes.imshow(image, interpolation="antialiased")
    axes.set(xlim=(0, image.shape[1]), ylim=(image.shape[0], 0))
    axes.set_title(item.get("title", ""), fontsize=11, loc="left")
    if truths is None:
        groups = {"plain": boxes}
        caption = f"{len(boxes)} detections"
        kinds = np.full(len(boxes), "plain", object)
    else:
        truths = np.asarray(truths, np.float64).reshape(-1, 4)
        taken, found = match(boxes, scores, truths, iou_threshold)
        kinds = np.where(taken >= 0, "found", np.where(taken == -2, "repeat", "false")).astype(object)
        groups = {"truth": truths[found], "missed": truths[~found]}
        groups |= {kind: boxes[kinds == kind] for kind in ("repeat", "found", "false")}
        caption = f"{found.sum()} of {len(truths)} faces found, {(kinds == 'false').sum()} false alarms"
        if len(groups["repeat"]):
            caption += f", {len(groups['repeat'])} further windows"
    axes.set_xlabel(caption, fontsize=10)
    crowded = len(boxes) > _MOST_SCORES
    # among hundreds of windows the true boxes go on top, else the detections do
    for kind, members in reversed(groups.items()) if crowded else groups.items():
        _outline(axes, members, _STYLES[kind], crowded and kind not in ("truth", "missed", "found"))
    if not crowded:
        for box, score, kind in zip(boxes, scores, kinds, strict=True):
            if kind != "repeat":
                _score_label(axes, box, score, _STYLES[kind].colour, image.shape[:2])
    return {kind for kind, members in groups.items() if len(members)}


def outline(
    axes: Axes, boxes: np.ndarray, colour: str, width: float = 1.6, line: str = "-", alpha: float = 1.0,
    rim: bool = True,
) -> None:  # fmt: skip
    """Draw boxes (N, 4) as x1, y1, x2, y2; a dark rim keeps them visible on skin, sky and grey scans alike."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    if not len(boxes):
        return
    x1, y1, x2, y2 = boxes.T
    corners = np.stack([np.stack(p, axis=1) for p in ((x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1))], axis=1)
    lines = LineCollection(list(corners), colors=colour, linewidths=width, linestyles=line, alpha=alpha)
    if rim:
        lines.set_path_effects([withStroke(linewidth=width + 1.2, foreground="black", alpha=0.55)])
    axes.add_collection(lines)


def _outline(axes: Axes, boxes: np.ndarray, style: _Style, thin: bool) -> None:
    if thin:
        outline(axes, boxes, style.colour, min(style.width, 0.7), alpha=0.6, rim=False)
    else:
        outline(axes, boxes, style.colour, style.width, style.line)


def _score_label(axes: Axes, box: np.ndarray, score: float, colour: str, size: tuple[int, int]) -> None:
    """The score above its box, or inside of it where the box touches the upper edge."""
    inside = box[1] < 0.04 * size[0]
    frame = {"facecolor": colour, "alpha": 0.85, "pad": 0.6, "edgecolor": "none"}
    axes.annotate(
        f"{score:.3f}", (float(np.clip(box[0], 0, size[1])), max(float(box[1]), 0.0)),
        xytext=(1, -2 if inside else 2), textcoords="offset points", va="top" if inside else "bottom",
        color="black", fontsize=7, bbox=frame, clip_on=True,
    )  # fmt: skip


def _aspect(image: np.ndarray) -> float:
    return image.shape[0] / image.shape[1]
