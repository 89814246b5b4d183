"""Street scenes with their masks in memory, and random crops of them for training."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from cnnlab.data.scene_classes import IGNORED
from cnnlab.errors import ConfigError, DataError

_OUTSIDE = (124, 116, 104)  # ImageNet's mean colour: after normalisation about 0, as padding inside the network is


@dataclass(frozen=True)
class SceneSet(Dataset):
    """Images of one size with a class for every pixel, held as uint8.

    Attributes:
        images: uint8 (N, 3, H, W), channels last in memory.
        masks: uint8 (N, H, W), indices into `classes`, 255 = ignored.
        classes: names of the classes.
        colours: uint8 (classes + 1, 3), the last for ignored pixels.
        name: name of the data set.
        split: `train`, `val` or `test`.
        names: where each image came from.
    """

    images: Tensor
    masks: Tensor
    classes: tuple[str, ...]
    colours: np.ndarray
    name: str
    split: str
    names: list[str]

    def __post_init__(self) -> None:
        if len(self.images) == 0:
            raise DataError(f"The {self.split} split of {self.name} holds no image.")
        if self.images.shape[:1] + self.images.shape[2:] != self.masks.shape:
            raise DataError(
                f"{self.name}/{self.split}: images {tuple(self.images.shape)} do not fit masks "
                f"{tuple(self.masks.shape)}."
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """One image (3, H, W) uint8 and its mask (H, W) int64."""
        return self.images[index], self.masks[index].long()

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """A batch (B, 3, H, W) uint8 and masks (B, H, W) int64."""
        picked = torch.as_tensor(indices)
        return self.images[picked], self.masks[picked].long()

    def take(self, indices: Sequence[int]) -> "SceneSet":
        """The scenes with these indices, in this order."""
        picked = torch.as_tensor(list(indices), dtype=torch.long)
        names = [self.names[i] for i in picked.tolist()]
        return replace(self, images=self.images[picked], masks=self.masks[picked], names=names)

    def pixel_counts(self) -> Tensor:
        """int64 (classes,): how many pixels each class has; ignored ones are in none."""
        counts = sum(torch.bincount(mask.flatten(), minlength=256) for mask in self.masks)
        return counts[: len(self.classes)]

    @cached_property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 over shape, class names, pixels and masks."""
        sha = hashlib.sha256(repr((tuple(self.images.shape), self.classes)).encode())
        sha.update(self.images.permute(0, 2, 3, 1).contiguous().numpy())
        sha.update(self.masks.contiguous().numpy())
        return sha.hexdigest()[:16]


class SceneCrops(Dataset):
    """Random crops: a window of a scene is cut out first and only then resized, mirrored or padded.

    Images are resized with antialiased bilinear interpolation, masks to the nearest pixel; what lies outside of the
    scene is ImageNet's mean colour and ignored in the mask.

    Args:
        scenes: the scenes.
        crop: height and width of a crop in pixels.
        scales: smallest and largest magnification, drawn log-uniformly; below 1 the crop shows more than its own
            size of the scene.
        flip: probability of mirroring left and right.
        length: crops in an epoch; by default one for each scene.
        seed: with the epoch's and the crop's number it decides everything random.
        rare: share of crops centred on a pixel of a class that is drawn with equal chances, so that small classes
            are seen as often as large ones; the other crops are taken anywhere.
        stretch: largest change of width against height, as a factor 1 + stretch.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        scenes: SceneSet,
        crop: tuple[int, int] = (240, 320),
        scales: tuple[float, float] = (0.6, 1.6),
        flip: float = 0.5,
        length: int | None = None,
        seed: int = 0,
        rare: float = 0.0,
        stretch: float = 0.0,
    ) -> None:
        if min(crop) < 1:
            raise ConfigError(f"crop is {crop}; height and width must be at least 1 pixel.")
        if not 0 < scales[0] <= scales[1]:
            raise ConfigError(f"scales are {scales}; give the smallest, above 0, and then the largest.")
        if not (0 <= flip <= 1 and 0 <= rare <= 1 and stretch >= 0):
            raise ConfigError(f"flip={flip} and rare={rare} are shares from 0 to 1, stretch={stretch} is 0 or above.")
        if length is not None and length < 1:
            raise ConfigError(f"length is {length}; an epoch needs at least 1 crop.")
        self.scenes, self.crop, self.scales, self.flip = scenes, tuple(crop), scales, flip
        self.length, self.seed, self.rare, self.stretch = length or len(scenes), seed, rare, stretch
        self.epoch = 0
        self._holders = self._scenes_by_class() if rare else []

    def __len__(self) -> int:
        return self.length

    def set_epoch(self, epoch: int) -> None:
        """Draw other crops than in the epochs before; the same epoch gives the same crops."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """One crop (3, h, w) uint8 and its mask (h, w) int64."""
        if not 0 <= index < self.length:
            raise IndexError(index)
        images, masks = self.__getitems__([index])
        return images[0], masks[0]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """A batch (B, 3, h, w) uint8, channels last in memory, and masks (B, h, w) int64."""
        height, width = self.crop
        images = torch.tensor(_OUTSIDE, dtype=torch.uint8).expand(len(indices), height, width, 3).contiguous()
        masks = torch.full((len(indices), height, width), IGNORED, dtype=torch.long)
        images = images.permute(0, 3, 1, 2)
        for place, index in enumerate(indices):
            self._draw(int(index), images[place], masks[place])
        return images, masks

    def _draw(self, index: int, image: Tensor, mask: Tensor) -> None:
        """Fill one crop: `image` (3, h, w) and `mask` (h, w), both already of the outside's value."""
        rng = np.random.default_rng((self.seed, self.epoch, index))
        scene = (index + self.epoch * self.length) % len(self.scenes)
        scale = np.exp(rng.uniform(*np.log(self.scales)))
        across = np.exp(rng.uniform(-1, 1) * np.log1p(self.stretch))
        window = [max(1, round(side / s)) for side, s in zip(self.crop, (scale, scale * across), strict=True)]
        centre = None
        if rng.random() < self.rare:
            scene, centre = self._rare_pixel(rng)
        whole = self.scenes.masks.shape[1:]
        spans = [
            _span(rng, *sides, None if centre is None else centre[axis])
            for axis, sides in enumerate(zip(window, whole, self.crop, strict=True))
        ]
        (v1, v2, y1, y2), (u1, u2, x1, x2) = spans
        part = self.scenes.images[scene, :, v1:v2, u1:u2]
        size = (y2 - y1, x2 - x1)
        if part.shape[1:] != size:
            part = F.interpolate(part[None], size=size, mode="bilinear", antialias=True)[0]
        rows, columns = _nearest(v1, v2, size[0]), _nearest(u1, u2, size[1])
        labels = self.scenes.masks[scene][rows[:, None], columns]
        if rng.random() < self.flip:
            part, labels = part.flip(-1), labels.flip(-1)
            x1, x2 = self.crop[1] - x2, self.crop[1] - x1
        image[:, y1:y2, x1:x2] = part
        mask[y1:y2, x1:x2] = labels

    def _scenes_by_class(self) -> list[tuple[int, list[int]]]:
        """(class, scenes that show it) for every class that occurs."""
        seen = torch.stack([torch.bincount(mask.flatten(), minlength=256) > 0 for mask in self.scenes.masks])
        holders = [(label, seen[:, label].nonzero()[:, 0].tolist()) for label in range(len(self.scenes.classes))]
        return [(label, scenes) for label, scenes in holders if scenes]

    def _rare_pixel(self, rng: np.random.Generator) -> tuple[int, tuple[int, int]]:
        """A scene and a pixel (row, column) of a class that is drawn with equal chances."""
        label, scenes = self._holders[rng.integers(len(self._holders))]
        scene = scenes[rng.integers(len(scenes))]
        mask = self.scenes.masks[scene].numpy()
        places = np.flatnonzero(mask == label)
        row, column = divmod(int(places[rng.integers(len(places))]), mask.shape[1])
        return scene, (row, column)


def _span(
    rng: np.random.Generator, window: int, whole: int, crop: int, centre: int | None
) -> tuple[int, int, int, int]:
    """Along one axis: first and last pixel of the scene that the window shows, and where they lie in the crop.

    A window larger than the scene holds the scene whole, somewhere; one around a centre stays inside where it can.
    """
    low, high = sorted((0, whole - window))
    start = int(rng.integers(low, high + 1))
    if centre is not None:
        start = min(max(centre - window // 2, low), high)
    first, last = max(start, 0), min(start + window, whole)
    begin = round((first - start) * crop / window)
    end = max(round((last - start) * crop / window), begin + 1)
    return first, last, min(begin, crop - 1), min(end, crop)


def _nearest(first: int, last: int, size: int) -> Tensor:
    """Indices of the `size` pixels of first..last whose centres lie nearest to those of the resized pixels."""
    span = last - first
    return first + ((torch.arange(size) + 0.5) * (span / size)).long().clamp_(max=span - 1)
