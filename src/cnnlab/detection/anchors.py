"""Anchors: reference boxes of several sizes and shapes at every cell of a map, and which object each is to find.

Ren et al. 2015, "Faster R-CNN" (arXiv:1506.01497), section 3.1.1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from cnnlab.detection.iou import iou
from cnnlab.errors import ConfigError

BACKGROUND, UNDECIDED = -1, -2


def base_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """The anchors of one cell, around (0, 0): float (len(ratios) * len(sizes), 4), all sizes of the first ratio first.

    Args:
        sizes: square roots of the areas, in pixels.
        ratios: width over height, as on the lecture's slide. (torchvision's `aspect_ratios` are height over width.)

    Raises:
        ConfigError: there is none, or one is not above 0.
    """
    for name, values in (("sizes", sizes), ("ratios", ratios)):
        if not len(values) or min(values) <= 0:
            raise ConfigError(f"Anchors need {name} above 0, not {list(values)}.")
    root = torch.tensor(ratios, dtype=torch.float32).sqrt()[:, None]
    size = torch.tensor(sizes, dtype=torch.float32)[None, :]
    half = torch.stack(((root * size).flatten(), (size / root).flatten()), dim=1) / 2
    return torch.cat((-half, half), dim=1)


def anchor_grid(
    map_size: tuple[int, int], stride: float, sizes: Sequence[float], ratios: Sequence[float], centre: float = 0.5
) -> Tensor:
    """The anchors of all cells of an (h, w) map: float (h, w, A, 4) as x1, y1, x2, y2 in pixels of the image.

    Args:
        map_size: rows and columns of the map.
        stride: pixels of the image between two cells.
        sizes, ratios: see `base_anchors`.
        centre: where within its cell an anchor's centre lies, in strides. The middle, 0.5, is right for padded
            convolutions; torchvision's generator takes the upper left corner, 0, and rounds the base anchors.
    """
    y, x = (stride * (torch.arange(cells) + centre) for cells in map_size)
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((x, y, x, y), dim=-1)[:, :, None] + base_anchors(sizes, ratios)


def assign(
    boxes: Tensor, truths: Tensor, high: float = 0.7, low: float = 0.3, best_of_each: bool = False
) -> tuple[Tensor, Tensor]:
    """Which true box each anchor or proposal is to find.

    Args:
        boxes: (N, 4), anchors or proposals.
        truths: (M, 4), M may be 0.
        high: overlap (IoU) from which on a box belongs to the true box that it overlaps most.
        low: overlap below which it is background; between the two it is undecided, and counts in no loss.
        best_of_each: also take the boxes that overlap some true box more than any other box does, be it by less than
            `high`; otherwise a true box to which no anchor fits well would never be learnt. Such a box, too, is to find
            the true box that it overlaps most itself, which with crowded ones may be another (as in torchvision).

    Returns:
        Indices into `truths` int64 (N,), BACKGROUND (-1) or UNDECIDED (-2) where there is none; and each box's largest
        overlap, float (N,).

    Raises:
        ConfigError: `low` lies above `high`.
    """
    if low > high:
        raise ConfigError(f"Overlaps below {low} cannot be background while those from {high} on are objects.")
    if len(truths) == 0:
        return torch.full((len(boxes),), BACKGROUND), boxes.new_zeros(len(boxes))
    overlaps = iou(boxes, truths)
    best, index = overlaps.max(dim=1)
    target = index.where(best >= high, UNDECIDED).where(best >= low, BACKGROUND)
    if best_of_each and len(boxes):
        most = overlaps.max(dim=0).values
        rescued = ((overlaps == most) & (most > 0)).any(dim=1)
        target = index.where(rescued, target)
    return target, best
