"""Boxes (x1, y1, x2, y2) in pixels: where a cell of the map looks, box offsets, non-maximum suppression."""

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms


def cell_boxes(map_size: tuple[int, int], image_size: tuple[int, int], window: int = 48) -> Tensor:
    """Image window of each cell of a (h, w) map over an (H, W) image: float (h, w, 4).

    Assignment A's mapping: the first cell stands for (0, 0, window, window), the last one for
    (W-1-window, H-1-window, W-1, H-1), the others lie proportionally between them. A map of one cell is the first.
    """
    (h, w), (height, width) = map_size, image_size
    y1 = torch.arange(h) * (max(height - 1 - window, 0) / max(h - 1, 1))
    x1 = torch.arange(w) * (max(width - 1 - window, 0) / max(w - 1, 1))
    y, x = torch.meshgrid(y1, x1, indexing="ij")
    return torch.stack((x, y, x + window, y + window), dim=-1)


def encode(boxes: Tensor, windows: Tensor) -> Tensor:
    """Offsets (..., 4) that turn `windows` (..., 4) into `boxes` (..., 4).

    Centre shifts in units of the window's side and logarithms of the size ratios, as in R-CNN
    (Girshick et al. 2014, arXiv:1311.2524, appendix C).
    """
    window_size = windows[..., 2:] - windows[..., :2]
    size = boxes[..., 2:] - boxes[..., :2]
    shift = (boxes[..., :2] + boxes[..., 2:] - windows[..., :2] - windows[..., 2:]) / 2 / window_size
    return torch.cat((shift, torch.log(size / window_size)), dim=-1)


def decode(offsets: Tensor, windows: Tensor) -> Tensor:
    """The inverse of `encode`; size offsets are held below e^2 window sides, so that no score map overflows."""
    window_size = windows[..., 2:] - windows[..., :2]
    centre = (windows[..., :2] + windows[..., 2:]) / 2 + offsets[..., :2] * window_size
    half = window_size * offsets[..., 2:].clamp(max=2.0).exp() / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def suppress(boxes: Tensor, scores: Tensor, iou: float, containment: float = 1.0) -> Tensor:
    """Indices, best score first, of the boxes kept by non-maximum suppression.

    A box goes when a better one overlaps it by more than `iou` (intersection over union), or, with containment < 1,
    when more than that part of the smaller of the two lies inside the other: a window on a nose inside a found face.
    """
    kept = nms(boxes, scores, iou)
    if containment >= 1 or len(kept) < 2:
        return kept
    candidates = boxes[kept]
    area = (candidates[:, 2:] - candidates[:, :2]).prod(dim=1)
    corner1 = torch.maximum(candidates[:, None, :2], candidates[None, :, :2])
    corner2 = torch.minimum(candidates[:, None, 2:], candidates[None, :, 2:])
    shared = (corner2 - corner1).clamp(min=0).prod(dim=2) / torch.minimum(area[:, None], area[None, :])
    inside = (shared > containment).cpu().numpy()
    alive = np.ones(len(kept), dtype=bool)
    for i in np.flatnonzero(inside.sum(axis=1) > 1):  # each box lies inside itself
        if alive[i]:
            alive[i + 1 :] &= ~inside[i, i + 1 :]
    return kept[torch.from_numpy(alive).to(kept.device)]
