"""Augmentation of whole batches: what cameras, scanners and compression do to a picture."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnlab.data.resample import random_size, resize, resized_crops
from cnnlab.errors import ConfigError

STRENGTHS = ("shift", "rotate", "zoom", "brightness", "contrast", "gamma", "colour", "saturation")
RANGES = ("crop_scale", "crop_ratio")
MOVING = ("flip", "shift", "crop_scale", "crop_ratio", "multi_scale", "rotate", "zoom", "erase")
"""What moves or covers pixels, so that masks and boxes of the picture no longer fit."""
_WHOLE = (1.0, 1.0)


@dataclass(frozen=True)
class Augmentation:
    """Random changes to uint8 images (B, 3, H, W), drawn for each image alone; gives float32 in [0, 1].

    Probabilities are shares of images changed; strengths are the largest change. All are off by default.
    """

    flip: float = 0.0
    """probability of mirroring left and right; only where the targets do not say where something is"""
    shift: int = 0
    """largest shift in pixels, edges repeated; only where the targets do not say where something is"""
    crop_scale: tuple[float, float] = _WHOLE
    """random resized crops: share of the image's area that is cut out and enlarged, smallest and largest, at most 1"""
    crop_ratio: tuple[float, float] = _WHOLE
    """random resized crops: stretch of width against height, smallest and largest"""
    multi_scale: float = 0.0
    """each batch at another size, its sides times 1 - this to 1 + this; only for networks that take any size"""
    rotate: float = 0.0
    """largest turn in degrees either way, edges repeated"""
    zoom: float = 0.0
    """magnification about the centre, from e^-this to e^this, edges repeated"""
    erase: float = 0.0
    """probability of a rectangle of 2 to 20 % of the image filled with the image's mean colour"""
    grey: float = 0.0
    """probability of losing the colours"""
    saturation: float = 0.0
    """strength of the colours, from 1 - this (grey at 0) to 1 + this"""
    colour: float = 0.0
    """gain of each channel, up to 1 +- this"""
    gamma: float = 0.0
    """exponent from e^-this to e^this; above 0 mostly darker pictures, as at night"""
    contrast: float = 0.0
    """slope from 1 - this to 1 + this around the image's mean"""
    brightness: float = 0.0
    """added to all pixels, -this to this"""
    blur: float = 0.0
    """probability of a Gaussian blur, sigma 0.4 to 1.6 pixels"""
    coarse: float = 0.0
    """probability of a smaller size (0.4 to 0.9) and back"""
    noise: float = 0.0
    """probability of noise of standard deviation up to 0.1"""
    blocks: float = 0.0
    """probability of rounding the 8x8 cosine coefficients, as JPEG does"""
    invert: float = 0.0
    """probability of a negative"""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in RANGES:
                if len(value) != 2 or not 0 < value[0] <= value[1] or (field.name == "crop_scale" and value[1] > 1):
                    raise ConfigError(
                        f"Augmentation '{field.name}' is {value}; it must be the smallest and the largest, above 0"
                        f"{' and at most 1' if field.name == 'crop_scale' else ''}."
                    )
            elif value < 0 or (field.name not in STRENGTHS and value > 1):
                raise ConfigError(f"Augmentation '{field.name}' is {value}; it must be 0 (off) or above, a share to 1.")
        if self.multi_scale == 1:
            raise ConfigError("Augmentation 'multi_scale' is 1; it must be below 1, or a batch may have no size.")

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """uint8 (B, 3, H, W) -> float32 (B, 3, H, W) in [0, 1]; H and W differ under `multi_scale`."""
        size = tuple(images.shape[-2:])
        if self.multi_scale:
            size = random_size(size, self.multi_scale, generator)
        if self.crop_scale != _WHOLE or self.crop_ratio != _WHOLE:
            images = resized_crops(images, self.crop_scale, self.crop_ratio, size, generator)
        elif size != tuple(images.shape[-2:]):
            images = resize(images, size)
        x = images.float().div_(255)
        n = len(x)

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return torch.empty(shape or (n, 1, 1, 1)).uniform_(low, high, generator=generator).to(x.device)

        def some(share: float, change: Callable[[Tensor], Tensor]) -> None:
            if share > 0:
                picked = (uniform(0, 1, n) < share).nonzero()[:, 0]
                if len(picked):
                    x[picked] = change(x[picked])

        some(self.flip, lambda y: y.flip(-1))
        if self.shift:
            x = _shift(x, self.shift, generator)
        if self.rotate or self.zoom:
            degrees = uniform(-self.rotate, self.rotate, n) if self.rotate else torch.zeros(n, device=x.device)
            scale = uniform(-self.zoom, self.zoom, n).exp() if self.zoom else torch.ones(n, device=x.device)
            x = _rotate(x, degrees, scale)
        some(self.grey, _luminance)
        if self.saturation:
            x = torch.lerp(_luminance(x), x, uniform(1 - self.saturation, 1 + self.saturation))
        some(self.coarse, lambda y: _coarse(y, float(uniform(0.4, 0.9, 1))))
        some(self.blur, lambda y: _blur(y, float(uniform(0.4, 1.6, 1))))
        if self.colour or self.contrast or self.brightness:
            slope = uniform(1 - self.contrast, 1 + self.contrast)
            middle = x.mean((1, 2, 3), keepdim=True)
            gain = slope * uniform(1 - self.colour, 1 + self.colour, n, 3, 1, 1)
            x = (middle * (1 - slope) + uniform(-self.brightness, self.brightness)).addcmul(x, gain)
        if self.gamma:
            powers = uniform(-0.7 * self.gamma, self.gamma).exp()
            some(0.7, lambda y: y.clamp_(1e-4, 1).pow_(powers[: len(y)]))
        some(self.invert, lambda y: 1 - y)
        some(self.noise, lambda y: y + _noise(y, generator) * 0.1 * float(uniform(0, 1, 1)))
        some(self.blocks, lambda y: _blocks(y, float(uniform(0.02, 0.2, 1))))
        x = x.clamp_(0, 1)
        some(self.erase, lambda y: _erase(y, generator))
        return x


def _luminance(y: Tensor) -> Tensor:
    return (y * y.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _noise(y: Tensor, generator: torch.Generator | None) -> Tensor:
    # One value for the three channels: scanner and film grain are grey.
    return torch.empty(len(y), 1, *y.shape[2:]).normal_(generator=generator).to(y.device)


def _shift(x: Tensor, largest: int, generator: torch.Generator | None) -> Tensor:
    # One gather of whole maps: on a CPU up to five times as fast as slices of single images, on a GPU without a loop.
    height, width = x.shape[-2:]
    moved = (torch.randint(0, 2 * largest + 1, (len(x), 2), generator=generator) - largest).to(x.device)
    rows = (torch.arange(height, device=x.device) + moved[:, :1]).clamp_(0, height - 1)  # beyond the edge: the edge
    columns = (torch.arange(width, device=x.device) + moved[:, 1:]).clamp_(0, width - 1)
    places = (rows[:, :, None] * width + columns[:, None]).flatten(1)[:, None]
    return x.flatten(2).gather(2, places.expand(-1, x.shape[1], -1)).view(x.shape)


def _coarse(y: Tensor, scale: float) -> Tensor:
    small = [max(2, round(side * scale)) for side in y.shape[-2:]]
    y_small = F.interpolate(y, size=small, mode="bilinear", antialias=True)
    return F.interpolate(y_small, size=y.shape[-2:], mode="bilinear")


def _blur(y: Tensor, sigma: float) -> Tensor:
    # Sums of shifted copies: several times faster on a CPU than a convolution of single channels.
    weights = torch.exp(-(torch.arange(4.0) ** 2) / (2 * sigma**2))
    weights = (weights / (weights[0] + 2 * weights[1:].sum())).tolist()
    for axis in (-1, -2):
        side = y.shape[axis]
        padded = F.pad(y, (3, 3, 0, 0) if axis == -1 else (0, 0, 3, 3), mode="replicate")
        y = y * weights[0]
        for k in (1, 2, 3):
            y.add_(padded.narrow(axis, 3 - k, side), alpha=weights[k])
            y.add_(padded.narrow(axis, 3 + k, side), alpha=weights[k])
    return y


def _blocks(y: Tensor, step: float) -> Tensor:
    """Round the cosine coefficients of 8x8 blocks to multiples of `step`, coarser for finer detail."""
    height, width = y.shape[-2:]
    k = torch.arange(8, device=y.device, dtype=y.dtype)
    basis = torch.cos((2 * k[None, :] + 1) * k[:, None] * torch.pi / 16) / 2
    basis[0] /= 2**0.5
    steps = step * (1 + (k[:, None] + k[None, :]) / 2)
    padded = F.pad(y, (0, -width % 8, 0, -height % 8), mode="replicate")
    b, c, h, w = padded.shape
    blocks = padded.view(b, c, h // 8, 8, w // 8, 8).transpose(3, 4)
    coefficients = basis @ blocks @ basis.T
    blocks = basis.T @ (torch.round(coefficients / steps) * steps) @ basis
    return blocks.transpose(3, 4).reshape(b, c, h, w)[..., :height, :width]


def _rotate(x: Tensor, degrees: Tensor, scale: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    angles = degrees.view(-1, 1, 1) * torch.pi / 180
    rows = torch.linspace(1 - height, height - 1, height, device=x.device).view(1, -1, 1) / 2  # pixels from the centre
    columns = torch.linspace(1 - width, width - 1, width, device=x.device).view(1, 1, -1) / 2
    cos, sin = angles.cos() / scale.view(-1, 1, 1), angles.sin() / scale.view(-1, 1, 1)
    grid = x.new_empty(len(x), height, width, 2)  # cheaper than affine_grid, a product of matrices
    torch.add(columns * cos, rows * sin, out=grid[..., 0]).mul_(2 / width)
    torch.sub(rows * cos, columns * sin, out=grid[..., 1]).mul_(2 / height)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _erase(y: Tensor, generator: torch.Generator | None) -> Tensor:
    height, width = y.shape[-2:]
    means = y.mean((2, 3), keepdim=True)
    for image, mean, (area, stretch, v, u) in zip(y, means, _four(len(y), generator), strict=True):
        share, ratio = 0.02 + 0.18 * area, 3 ** (2 * stretch - 1)
        h, w = (max(1, min(side, round(side * s))) for side, s in
                ((height, (share / ratio) ** 0.5), (width, (share * ratio) ** 0.5)))  # fmt: skip
        top, left = round(v * (height - h)), round(u * (width - w))
        image[:, top : top + h, left : left + w] = mean
    return y


def _four(count: int, generator: torch.Generator | None) -> list[list[float]]:
    return torch.rand(count, 4, generator=generator).tolist()
