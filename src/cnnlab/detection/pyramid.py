"""The sizes at which an image is searched, so that a window of one size meets faces of all sizes."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnlab.errors import ConfigError


def pyramid_scales(
    height: int,
    width: int,
    min_face: float,
    face_range: tuple[float, float] = (40.0, 50.0),
    factor: float = 1.25,
    smallest_side: int = 48,
) -> list[float]:
    """Factors by which to resize an image, largest first.

    The first makes a face of `min_face` pixels as high as the smallest that the network answers to
    (`face_range[0]`); each next is `factor` times smaller, until the image's shorter side would fall below
    `smallest_side` pixels or the largest possible face fits the window. There is always at least one.
    """
    if min_face <= 0:
        raise ConfigError(f"min_face is {min_face}; it is the height in pixels of the smallest face, so above 0.")
    if factor <= 1:
        raise ConfigError(f"The pyramid's factor is {factor}; it must be above 1.")
    # An image that is too small for a single window is enlarged.
    scale = max(face_range[0] / min_face, smallest_side / min(height, width))
    scales = [scale]
    while True:
        if scale * max(height, width) <= face_range[1]:
            break
        scale /= factor
        if scale * min(height, width) < smallest_side:
            break
        scales.append(scale)
    return scales


def levels(images: Tensor, scales: Sequence[float]) -> Iterator[tuple[Tensor, float, float]]:
    """`images` (B, C, H, W) at each of `scales`: the resized images in [0, 1], and the exact factors in x and in y.

    uint8 images are resized as such, antialiased and bilinear, which is several times faster than in floating point.
    Where a scale is half of the one before, 2x2 means are taken instead (an odd last row or column is left out).
    """
    height, width = images.shape[-2:]
    level, last, fx, fy = images, 0.0, 1.0, 1.0
    for scale in scales:
        if last and abs(scale / last - 0.5) < 1e-6 and min(level.shape[-2:]) >= 2:
            level, fx, fy = F.avg_pool2d(level, 2), fx / 2, fy / 2
        else:
            size = (max(1, round(height * scale)), max(1, round(width * scale)))
            level = images if size == (height, width) else _resize(images, size, antialias=scale < 1)
            level = level.float().mul_(1 / 255) if level.dtype == torch.uint8 else level
            fx, fy = size[1] / width, size[0] / height
        last = scale
        yield level, fx, fy


def _resize(images: Tensor, size: tuple[int, int], antialias: bool) -> Tensor:
    if images.dtype == torch.uint8 and images.device.type != "cpu":
        images = images.float().mul_(1 / 255)  # only the CPU resizes bytes
    return F.interpolate(images, size=size, mode="bilinear", antialias=antialias, align_corners=False)


def on_grid(
    images: Sequence[Tensor], margin: int, window: int, stride: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, list[tuple[int, int, int]]]:
    """Images (1, C, H, W) side by side on one grey canvas, each with `margin` around it and on the grid of the cells.

    With its margin each image takes window + k stride + 1 pixels, at which the assignment's proportional mapping places
    cell j exactly at j times the stride.

    Returns the canvas (1, C, H', W'), and for each image its first column, rows and columns in the network's map.
    """

    def cells(side: int) -> int:
        return max(0, -(-(side + 2 * margin - window - 1) // stride)) + 1

    places, start = [], 0
    for image in images:
        rows, columns = (cells(side) for side in image.shape[-2:])
        places.append((start, rows, columns))
        start += columns - 1 + -(-(window + 1) // stride)
    height = window + 1 + (max(rows for _, rows, _ in places) - 1) * stride
    width = window + 1 + (places[-1][0] + places[-1][2] - 1) * stride
    shape = (1, images[0].shape[1], height, width)
    canvas = torch.empty(shape, dtype=dtype, device=images[0].device, memory_format=torch.channels_last).fill_(0.5)
    for image, (start, _, _) in zip(images, places, strict=True):
        left, (rows, columns) = start * stride + margin, image.shape[-2:]
        canvas[..., margin : margin + rows, left : left + columns] = image
    return canvas, places


def as_images(image: torch.Tensor | object, device: torch.device) -> Tensor:
    """uint8 (H, W, 3) array or tensor -> uint8 (1, 3, H, W) on `device`."""
    tensor = torch.as_tensor(image)
    if tensor.ndim != 3 or tensor.shape[-1] != 3 or tensor.dtype != torch.uint8:
        raise ConfigError(f"An image is uint8 of shape (H, W, 3), not {tensor.dtype} of shape {tuple(tensor.shape)}.")
    return tensor.to(device).permute(2, 0, 1)[None]
