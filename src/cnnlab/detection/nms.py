"""Many boxes on one object become one: non-maximum suppression step by step, what runs, and soft suppression."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torchvision
from torch import Tensor

from cnnlab.detection.iou import containment as shared_of_smaller
from cnnlab.detection.iou import iou
from cnnlab.errors import ConfigError


@dataclass(frozen=True)
class Step:
    """One round of the greedy selection; all are indices into the boxes given, best score first.

    Attributes:
        selected: the box kept in this round.
        skipped: the boxes dropped because they overlap it.
        remaining: what is left for the rounds to come.
    """

    selected: int
    skipped: Tensor
    remaining: Tensor


def nms_steps(
    boxes: Tensor, scores: Tensor, iou_threshold: float = 0.5, score_threshold: float = 0.0
) -> Iterator[Step]:
    """Non-maximum suppression as the lecture's slide tells it, one round at a time.

    Args:
        boxes: (N, 4), all of one category.
        scores: (N,), confidence.
        iou_threshold: a box that overlaps a selected one by more than this is taken for the same object.
        score_threshold: boxes with a lower score are discarded at once.
    """
    remaining = scores.argsort(descending=True, stable=True)  # sort by confidence
    remaining = remaining[scores[remaining] >= score_threshold]  # discard boxes with low confidence
    while len(remaining):  # while there is any remaining box:
        selected, others = remaining[0], remaining[1:]  # greedily select the one with the highest score,
        same = iou(boxes[selected][None], boxes[others])[0] > iou_threshold
        remaining = others[~same]  # skip the remaining boxes with high IoU
        yield Step(int(selected), others[same], remaining)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float = 0.5, score_threshold: float = 0.0) -> Tensor:
    """Indices, best score first, of the boxes that `nms_steps` selects; equal to torchvision's, which is faster."""
    steps = nms_steps(boxes, scores, iou_threshold, score_threshold)
    return torch.tensor([step.selected for step in steps], dtype=torch.int64, device=boxes.device)


def soft_nms(
    boxes: Tensor, scores: Tensor, method: Literal["linear", "gaussian", "hard"] = "gaussian",
    iou_threshold: float = 0.3, sigma: float = 0.5, score_threshold: float = 0.001,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Soft-NMS: a box that overlaps a selected one is not dropped, its score is lowered.

    Bodla et al. 2017 (arXiv:1704.04503). With the overlap o of the selected box, each remaining score is multiplied by
    1 - o where o is above `iou_threshold` (linear), by exp(-o^2 / sigma) everywhere (gaussian), or by 0 where o is
    above the threshold (hard, which is ordinary suppression).

    Args:
        boxes: (N, 4), all of one category.
        scores: (N,), 0 to 1.
        method: see above.
        iou_threshold: of linear and hard; the paper's 0.3.
        sigma: of gaussian; the paper's 0.5.
        score_threshold: boxes whose score falls below it are dropped.

    Returns:
        Indices int64 (K,) in the order of selection, and their lowered scores (K,), which fall.

    Raises:
        ConfigError: an unknown method, or sigma is not above 0.
    """
    if method not in ("linear", "gaussian", "hard"):
        raise ConfigError(f"Soft-NMS knows the methods linear, gaussian and hard, not {method}.")
    if sigma <= 0:
        raise ConfigError(f"Soft-NMS needs a sigma above 0, not {sigma}.")
    scores = scores.clone()
    remaining = torch.arange(len(boxes), device=boxes.device)
    remaining = remaining[scores >= score_threshold]
    kept = []
    while len(remaining):
        first = scores[remaining].argmax()
        selected = remaining[first]
        kept.append(selected)
        remaining = torch.cat((remaining[:first], remaining[first + 1 :]))
        overlap = iou(boxes[selected][None], boxes[remaining])[0]
        if method == "gaussian":
            factor = torch.exp(-(overlap**2) / sigma)
        else:
            lowered = 1 - overlap if method == "linear" else torch.zeros_like(overlap)
            factor = torch.where(overlap > iou_threshold, lowered, torch.ones_like(overlap))
        scores[remaining] *= factor.to(scores.dtype)
        remaining = remaining[scores[remaining] >= score_threshold]
    order = torch.stack(kept) if kept else remaining
    return order, scores[order]


def suppress(boxes: Tensor, scores: Tensor, iou: float, containment: float = 1.0) -> Tensor:
    """Indices, best score first, of the boxes kept by torchvision's non-maximum suppression: what detectors run.

    A box goes when a better one overlaps it by more than `iou` (intersection over union), or, with containment < 1,
    when more than that part of the smaller of the two lies inside the other: a window on a nose inside a found face.
    """
    kept = torchvision.ops.nms(boxes, scores, iou)
    if containment >= 1 or len(kept) < 2:
        return kept
    inside = (shared_of_smaller(boxes[kept], boxes[kept]) > containment).cpu().numpy()
    alive = np.ones(len(kept), dtype=bool)
    for i in np.flatnonzero(inside.sum(axis=1) > 1):  # each box lies inside itself
        if alive[i]:
            alive[i + 1 :] &= ~inside[i, i + 1 :]
    return kept[torch.from_numpy(alive).to(kept.device)]
