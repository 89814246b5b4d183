"""Features of a box: a part of a map of any size becomes a grid of one size, by RoI pooling or RoI align.

RoI pooling (Girshick 2015, "Fast R-CNN", arXiv:1504.08083, section 2.1) rounds the box to whole cells and takes the
largest value of each bin. RoI align (He et al. 2017, "Mask R-CNN", arXiv:1703.06870, section 3) rounds nothing: it
interpolates between the cells and averages. Both run in torchvision; `pooling_bins` says where the bins lie.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torchvision.ops import roi_align, roi_pool

from cnnlab.errors import ConfigError

Method = Literal["align", "pool"]


def roi_features(
    maps: Mapping[int, Tensor], boxes: Sequence[Tensor], size: int = 7, method: Method = "align", samples: int = 2
) -> Tensor:
    """Features of boxes on one or more maps: (N, channels of all maps, size, size).

    Args:
        maps: stride -> map (B, C, h, w), as `Backbone.pyramid` gives them.
        boxes: for each of the B images its boxes (n, 4) as x1, y1, x2, y2 in pixels of the image; N is their number
            over all images, in this order.
        size: bins along both axes.
        method: `align` or `pool`.
        samples: of align, interpolated points per bin along both axes.

    Raises:
        ConfigError: an unknown method, or no map.
    """
    if method not in ("align", "pool"):
        raise ConfigError(f"Features of boxes are taken by align or pool, not {method}.")
    if not maps:
        raise ConfigError("Features of boxes need at least one map.")
    parts = []
    for stride, values in maps.items():
        own = [box.to(values) for box in boxes]
        if method == "align":
            parts.append(roi_align(values, own, size, 1 / stride, samples, aligned=True))
        else:
            parts.append(roi_pool(values, own, size, 1 / stride))
    return torch.cat(parts, dim=1)


def pooling_bins(box: Tensor, stride: float, size: int = 7, method: Method = "align") -> tuple[Tensor, Tensor]:
    """Where the bins of a box lie, in cells of the map, measured from the first cell's outer edge.

    Align divides the box evenly. Pooling rounds its corners to cells, of which the last one is still inside, divides
    that, and lets each bin take all cells that it touches, so that neighbours may share cells.

    Args:
        box: (4,) as x1, y1, x2, y2 in pixels of the image.
        stride: pixels per cell.
        size: bins along both axes.
        method: `align` or `pool`.

    Returns:
        Begin and end of each bin along x, (size, 2), and along y, (size, 2).
    """
    spans = []
    for begin, end in ((box[0], box[2]), (box[1], box[3])):
        begin, end = float(begin) / stride, float(end) / stride
        edges = torch.arange(size + 1, dtype=torch.float32)
        if method == "align":
            edges = begin + edges * (end - begin) / size
            spans.append(torch.stack((edges[:-1], edges[1:]), dim=1))
        else:
            first, last = _rounded(begin), _rounded(end)
            edges = edges * max(last - first + 1, 1) / size
            spans.append(torch.stack((edges[:-1].floor() + first, edges[1:].ceil() + first), dim=1))
    return spans[0], spans[1]


def _rounded(value: float) -> int:
    """To the nearest whole number, halves away from zero, as C++ rounds."""
    return int(value + 0.5) if value >= 0 else -int(-value + 0.5)
