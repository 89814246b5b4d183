"""Measures of segmentation from counted pixels: pixel accuracy, IoU per class, mean IoU, and the same along borders.

With n_ij the pixels of class i predicted as class j, t_i = sum_j n_ij and N classes, as in the FCN paper (Long,
Shelhamer, Darrell, 2015, https://arxiv.org/abs/1411.4038):

    pixel accuracy = sum_i n_ii / sum_i t_i
    mean IoU       = 1/N sum_i n_ii / (t_i + sum_j n_ji - n_ii)

Counts are summed over a whole split before anything is divided. Pixels whose truth is `ignore_index` (void) are in
none of the counts, whatever was predicted there.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

Labels = Tensor | np.ndarray


def confusion(pred: Labels, target: Labels, num_classes: int, ignore_index: int = 255) -> Tensor:
    """Counted pixels, int64 (C, C): row = true class, column = predicted class.

    Args:
        pred: integers of any shape, 0 to num_classes - 1 wherever the truth is not ignored.
        target: integers of the same shape, 0 to num_classes - 1 or `ignore_index`.
        num_classes: C.
        ignore_index: truth of the pixels that are not counted.

    Raises:
        ValueError: the shapes differ, or a label is out of range.
    """
    pred, target = torch.as_tensor(pred), torch.as_tensor(target)
    if pred.ndim > 2 and pred.shape == target.shape and len(pred):
        # image by image: the 64-bit temporaries of a whole split would not stay in the processor's cache
        return torch.stack(
            [confusion(*pair, num_classes, ignore_index) for pair in zip(pred, target, strict=True)]
        ).sum(0)
    cells = _cells(pred, target, num_classes, ignore_index)
    counts = torch.bincount(cells.flatten(), minlength=num_classes**2 + 1)
    return counts[:-1].view(num_classes, num_classes)


def pixel_accuracy(counts: Labels) -> float:
    """Share of the counted pixels that are right; nan where nothing was counted."""
    counts = torch.as_tensor(counts).double()
    return (counts.diagonal().sum() / counts.sum()).item()


def iou_per_class(counts: Labels) -> Tensor:
    """Intersection over union of each class, float64 (C,); nan for a class in neither truth nor prediction."""
    counts = torch.as_tensor(counts).double()
    right = counts.diagonal()
    return right / (counts.sum(1) + counts.sum(0) - right)


def mean_iou(counts: Labels) -> float:
    """Mean IoU over the classes that occur in truth or prediction; nan where nothing was counted."""
    return iou_per_class(counts).nanmean().item()


def merge_counts(counts: Labels, mapping: Sequence[int] | np.ndarray) -> Tensor:
    """Counts (C, C) of coarser classes: `mapping[i]` is the coarse class of class i; int64 (K, K)."""
    counts = torch.as_tensor(counts)
    table = torch.as_tensor(np.asarray(mapping, dtype=np.int64)[: len(counts)])
    member = torch.zeros(int(table.max()) + 1, len(counts), dtype=counts.dtype)
    member[table, torch.arange(len(counts))] = 1
    return member @ counts @ member.T


def trimap_counts(
    pred: Labels, target: Labels, widths: Sequence[int], num_classes: int, ignore_index: int = 255
) -> Tensor:
    """Counts of the pixels near the true borders, int64 (len(widths), C, C).

    A band of width w holds the pixels on both sides of a border that lie less than w pixels from the nearest one
    that has a neighbour (above, below, left or right) of another class: width 1 is those pixels themselves. The
    border of a class with void is a border too, void's own pixels are not counted. After Kohli, Ladicky, Torr, 2009,
    https://doi.org/10.1007/s11263-008-0202-0.

    Args:
        pred: integers (H, W) or (B, H, W).
        target: the same shape.
        widths: widths of the bands in pixels, rising.
        num_classes: C.
        ignore_index: truth of the pixels that are not counted.

    Raises:
        ValueError: widths are not rising from at least 1, the shapes differ, or a label is out of range.
    """
    if not len(widths) or widths[0] < 1 or any(b <= a for a, b in zip(widths, widths[1:], strict=False)):
        raise ValueError(f"the widths of the bands must rise from at least 1 pixel; they are {list(widths)}")
    pred, target = torch.as_tensor(pred), torch.as_tensor(target)
    if pred.ndim > 2 and pred.shape == target.shape and len(pred):
        return torch.stack(
            [trimap_counts(*pair, widths, num_classes, ignore_index) for pair in zip(pred, target, strict=True)]
        ).sum(0)
    cells = _cells(pred, target, num_classes, ignore_index)
    # the narrowest band that holds each pixel; len(widths) where none does
    band = np.searchsorted(widths, _border_distance(target.cpu().numpy()), side="right")
    size = num_classes**2 + 1
    rings = torch.bincount(
        (torch.from_numpy(band).to(cells.device) * size + cells).flatten(), minlength=(len(widths) + 1) * size
    )
    rings = rings.view(len(widths) + 1, size)[:-1, :-1]
    return rings.view(len(widths), num_classes, num_classes).cumsum(0)


def _cells(pred: Tensor, target: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """For every pixel the place `truth * C + prediction` where it is counted, C * C where the truth is ignored."""
    if pred.shape != target.shape:
        raise ValueError(f"predictions of shape {tuple(pred.shape)} do not fit targets of {tuple(target.shape)}")
    pred, target = pred.long(), target.long()
    ignored = target == ignore_index
    for name, labels in (("prediction", pred), ("target", target)):
        wrong = ((labels < 0) | (labels >= num_classes)) & ~ignored
        if wrong.any():
            label = int(labels[wrong][0])
            raise ValueError(f"a {name} holds the label {label}; there are the classes 0 to {num_classes - 1}")
    return (target * num_classes + pred).masked_fill_(ignored, num_classes**2)


def _border_distance(mask: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest border pixel, float64 (H, W); infinite where there is no border."""
    border = np.zeros(mask.shape, bool)
    down, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return distance_transform_edt(~border) if border.any() else np.full(mask.shape, np.inf)
