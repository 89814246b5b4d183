"""How much two boxes (x1, y1, x2, y2) overlap: intersection over union, its generalised form, and containment."""

import torch
from torch import Tensor


def area(boxes: Tensor) -> Tensor:
    """Areas of boxes (..., 4): (...)."""
    return (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """Area shared by each of boxes a (N, 4) and each of b (M, 4): (N, M)."""
    corner1 = torch.maximum(a[:, None, :2], b[None, :, :2])
    corner2 = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    return (corner2 - corner1).clamp(min=0).prod(dim=-1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes a (N, 4) and b (M, 4): (N, M), 0 (apart) to 1 (the same).

    Two boxes without any area overlap by 0.
    """
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    return torch.where(union > 0, shared / union, torch.zeros_like(shared))


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised intersection over union of boxes a (N, 4) and b (M, 4): (N, M), -1 to 1.

    From the IoU goes the empty share of the smallest box around both (Rezatofighi et al. 2019, arXiv:1902.09630), so
    that boxes that lie apart are worse the further apart they lie, and a loss made of it still says where to go.
    """
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    corner1 = torch.minimum(a[:, None, :2], b[None, :, :2])
    corner2 = torch.maximum(a[:, None, 2:], b[None, :, 2:])
    around = (corner2 - corner1).prod(dim=-1)
    zero = torch.zeros_like(shared)
    overlap = torch.where(union > 0, shared / union, zero)
    return overlap - torch.where(around > 0, (around - union) / around, zero)


def containment(a: Tensor, b: Tensor) -> Tensor:
    """Shared area of boxes a (N, 4) and b (M, 4) over the smaller one's: (N, M), 1 where one lies inside the other."""
    return intersection(a, b) / torch.minimum(area(a)[:, None], area(b)[None, :])
