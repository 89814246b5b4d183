"""Where a cell of the network's map looks: windows (x1, y1, x2, y2) in pixels."""

import torch
from torch import Tensor


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
