"""Random crops of whole batches, resized to one size."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

STEP = 16  # sizes of batches are rounded to so many pixels: fewer sizes for the network's kernels to get ready for


def resized_crops(
    images: Tensor,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    size: tuple[int, int] | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """A window of each uint8 image (B, C, H, W), drawn for each alone and resized to `size` = (height, width).

    Inception's crops (Szegedy et al. 2015, https://arxiv.org/abs/1409.4842), relative to the image's own shape.

    Args:
        images: uint8 (B, C, H, W).
        scale: share of the area, smallest and largest, drawn uniformly.
        ratio: width against height relative to the image's, smallest and largest, drawn log-uniformly; what would
            stand out of the image is cut off.
        size: of the result; the images' own unless given.
        generator: where the numbers come from.
    """
    height, width = images.shape[-2:]
    size = size or (height, width)
    numbers = torch.rand(len(images), 4, generator=generator).tolist()
    out = images.new_empty(len(images), images.shape[1], *size)
    for index, (area, stretch, v, u) in enumerate(numbers):
        share = scale[0] + (scale[1] - scale[0]) * area
        across = ratio[0] * (ratio[1] / ratio[0]) ** stretch
        h = max(1, min(height, round(height * (share / across) ** 0.5)))
        w = max(1, min(width, round(width * (share * across) ** 0.5)))
        top, left = int(v * (height - h + 1)), int(u * (width - w + 1))
        out[index] = resize(images[index : index + 1, :, top : top + h, left : left + w], size)[0]
    return out


def resize(images: Tensor, size: Sequence[int]) -> Tensor:
    """uint8 (B, C, H, W) resized with antialiased bilinear interpolation; on a CPU twice as fast as in float."""
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    if images.device.type == "cpu":
        return F.interpolate(images, size=tuple(size), mode="bilinear", antialias=True)
    resized = F.interpolate(images.float(), size=tuple(size), mode="bilinear", antialias=True)
    return resized.round_().clamp_(0, 255).to(images.dtype)


def random_size(size: tuple[int, int], change: float, generator: torch.Generator | None = None) -> tuple[int, int]:
    """Height and width times one factor from 1 - change to 1 + change, in steps of 16 pixels, at least one step."""
    factor = 1 - change + 2 * change * torch.rand(1, generator=generator).item()
    height, width = (max(STEP, round(side * factor / STEP) * STEP) for side in size)
    return height, width
