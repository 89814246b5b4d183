"""Bounding-box regression: the four functions that turn a proposal into the true box, and their inverse.

With a proposal P and a true box G, both by centre (x, y), width and height (Girshick et al. 2014, arXiv:1311.2524,
appendix C; the lecture's slide writes the second line of each pair):

    d_x = (G_x - P_x) / P_w        G_x = P_w d_x + P_x
    d_y = (G_y - P_y) / P_h        G_y = P_h d_y + P_y
    d_w = log(G_w / P_w)           G_w = P_w exp(d_w)
    d_h = log(G_h / P_h)           G_h = P_h exp(d_h)

Shifts in units of the proposal and logarithms of ratios do not depend on how large the object is in the picture.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

FAST_RCNN_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Weights that Fast R-CNN's code gives the four targets: good proposals need small corrections, and the targets of a
loss should have about unit variance."""


def encode(boxes: Tensor, proposals: Tensor, weights: Sequence[float] | None = None) -> Tensor:
    """d_x, d_y, d_w, d_h (..., 4) that turn `proposals` (..., 4) into `boxes` (..., 4), each times its weight.

    Args:
        boxes: true boxes as x1, y1, x2, y2 in pixels, with positive width and height.
        proposals: the same of the proposals (windows, anchors), one for each box.
        weights: of the four functions; 1 unless given.
    """
    size = proposals[..., 2:] - proposals[..., :2]
    true_size = boxes[..., 2:] - boxes[..., :2]
    shift = (boxes[..., :2] + boxes[..., 2:] - proposals[..., :2] - proposals[..., 2:]) / 2 / size
    offsets = torch.cat((shift, torch.log(true_size / size)), dim=-1)
    return offsets if weights is None else offsets * offsets.new_tensor(weights)


def decode(
    offsets: Tensor, proposals: Tensor, weights: Sequence[float] | None = None, max_log_ratio: float = 2.0
) -> Tensor:
    """The inverse of `encode`: boxes (..., 4) as x1, y1, x2, y2.

    Args:
        offsets: what a network predicted, (..., 4).
        proposals: the boxes it predicted them for, (..., 4).
        weights: those of `encode`.
        max_log_ratio: d_w and d_h are held below it (2: a box of at most e^2 times the proposal), so that no wild
            prediction overflows.
    """
    if weights is not None:
        offsets = offsets / offsets.new_tensor(weights)
    size = proposals[..., 2:] - proposals[..., :2]
    centre = (proposals[..., :2] + proposals[..., 2:]) / 2 + offsets[..., :2] * size
    half = size * offsets[..., 2:].clamp(max=max_log_ratio).exp() / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def clip(boxes: Tensor, height: float, width: float) -> Tensor:
    """Boxes (..., 4) cut off at the edges of an image of `height` x `width` pixels."""
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor((width, height, width, height)))
