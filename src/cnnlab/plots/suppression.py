"""Non-maximum suppression on a photograph, round by round, and what soft suppression does to the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.figure import Figure

from cnnlab.plots.boxes import aspect, cutout, legend, show
from cnnlab.plots.detections import outline
from cnnlab.plots.style import BLUE, FLAME, GREEN, GREY, LIME, SKY, VERMILION, clean, new_figure

_METHODS = {"hard": (GREY, ":", "x"), "linear": (BLUE, "--", "s"), "gaussian": (VERMILION, "-", "^")}


def suppression_sheet(
    image: np.ndarray, boxes: np.ndarray, scores: np.ndarray, rounds: Sequence[tuple[int, np.ndarray, np.ndarray]],
    iou_threshold: float, score_threshold: float, most: int = 4, around: np.ndarray | None = None,
) -> Figure:  # fmt: skip
    """All boxes, the first rounds of the greedy selection, and what is left.

    Args:
        image: uint8 (H, W, 3).
        boxes: (N, 4) with `scores` (N,).
        rounds: of each round the selected box and the skipped and remaining ones, as indices.
        iou_threshold, score_threshold: of the suppression, for the titles.
        most: rounds shown.
        around: boxes (M, 4) to which the pictures are cut.
    """
    shown = list(rounds[:most])
    columns = {2: 2, 4: 2}.get(len(shown) + 2, 3)
    lines = ceil((len(shown) + 2) / columns)
    part = cutout(image, around)
    figure = new_figure(4.4 * columns, lines * (4.4 * aspect(part) + 0.4) + 0.5)
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in panels:
        axes.set_axis_off()
    low = scores < score_threshold
    kept = np.array([selected for selected, *_ in rounds], int)

    def panel(number: int, title: str):
        panels[number].set_axis_on()
        return show(panels[number], image, title, part)

    axes = panel(0, f"Sorted: {len(boxes)} boxes, {int(low.sum())} below {score_threshold:g}")
    outline(axes, boxes[low], GREY, 0.7, alpha=0.8, rim=False)
    outline(axes, boxes[~low], SKY, 0.9, alpha=0.9, rim=False)
    for number, (selected, skipped, remaining) in enumerate(shown, 1):
        axes = panel(
            number, f"Round {number}: best {scores[selected]:.2f}; {len(skipped)} skipped, {len(remaining)} remain"
        )
        outline(axes, boxes[remaining], SKY, 0.9, alpha=0.9, rim=False)
        outline(axes, boxes[skipped], FLAME, 0.8, alpha=0.8, rim=False)
        outline(axes, boxes[kept[: number - 1]], GREEN, 1.8)
        outline(axes, boxes[[selected]], LIME, 2.6)
    axes = panel(len(shown) + 1, f"After {len(rounds)} rounds: {len(kept)} boxes")
    outline(axes, boxes[kept], LIME, 2.4)
    legend(figure, {
        "selected": (LIME, "-"), "selected earlier": (GREEN, "-"),
        f"skipped: IoU above {iou_threshold:g}": (FLAME, "-"),
        "remaining": (SKY, "-"), "discarded: low score": (GREY, "-"),
    })  # fmt: skip
    return figure


def soft_sheet(
    image: np.ndarray, boxes: np.ndarray, scores: np.ndarray, results: Mapping[str, tuple[np.ndarray, np.ndarray]],
    factors: Mapping[str, np.ndarray], overlaps: np.ndarray, with_best: np.ndarray, around: np.ndarray | None = None,
    floor: float = 0.3,
) -> Figure:  # fmt: skip
    """Soft-NMS: the factor on a score by overlap, the scores before and after, and the boxes that are left.

    Args:
        image: uint8 (H, W, 3).
        boxes: (N, 4) with `scores` (N,).
        results: hard, linear or gaussian -> indices of the boxes left, and their scores.
        factors: the same names -> factor (T,) at each of `overlaps` (T,).
        overlaps: IoU (T,), rising.
        with_best: overlap (N,) of each box with the one of the highest score.
        around: boxes (M, 4) to which the pictures are cut.
        floor: boxes with at least this score are drawn.
    """
    part = cutout(image, around)
    below = 13.0 / len(results) * aspect(part) + 0.7
    figure = new_figure(13.0, 3.6 + below)
    top, bottom = figure.subfigures(2, 1, height_ratios=(3.6, below))
    left, right = top.subplots(1, 2)
    for name, values in factors.items():
        colour, line, _ = _METHODS[name]
        clean(left).plot(overlaps, values, color=colour, linestyle=line, linewidth=2, label=name)
    left.set(xlabel="IoU with the selected box", ylabel="factor on the score", ylim=(-0.03, 1.05))
    left.set_title("What an overlap costs", fontsize=11, loc="left")
    left.legend(frameon=False)
    near = with_best > 0
    clean(right).plot(with_best[near], scores[near], "o", color=GREEN, markersize=7, fillstyle="none", label="before")
    for name, (kept, after) in results.items():
        left_over = np.zeros(len(boxes))
        left_over[kept] = after
        colour, _, mark = _METHODS[name]
        right.plot(with_best[near], left_over[near], mark, color=colour, markersize=5, label=name)
    right.set(xlabel="IoU with the best box", ylabel="score", ylim=(-0.03, 1.05))
    right.set_title(f"Scores of the {int(near.sum())} boxes that touch the best one", fontsize=11, loc="left")
    right.legend(frameon=False)
    panels = bottom.subplots(1, len(results), squeeze=False)[0]
    for axes, (name, (kept, after)) in zip(panels, results.items(), strict=True):
        strong = after >= floor
        show(axes, image, f"{name}: {int(strong.sum())} boxes from {floor:g}", part)
        for box, score in zip(boxes[kept[strong]], after[strong], strict=True):
            outline(axes, box[None], LIME, 0.6 + 2.2 * float(score), alpha=float(np.clip(score, 0.3, 1)))
        axes.set_xlabel(f"{len(kept)} boxes are left in all; thicker is surer", fontsize=9)
    return figure
