"""Epochs of any length."""

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnnlab.data.imageset import ImageSet


class Portions(Dataset):
    """An image set in portions of `size` images: portion after portion every image is drawn once, then all again.

    What trains slowly is judged before it has seen everything, what trains fast sees the set several times an epoch.

    Args:
        images: the image set.
        size: images of a portion.
        seed: of their order.
    """

    def __init__(self, images: ImageSet, size: int, seed: int = 0) -> None:
        self.images, self.size, self.seed = images, size, seed
        self._first = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the portion of an epoch (from 1)."""
        self._first = (epoch - 1) * self.size

    def __len__(self) -> int:
        return self.size

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """A whole batch: uint8 (B, C, H, W) and labels (B,)."""
        rounds: dict[int, Tensor] = {}
        count, picked = len(self.images), []
        for place in indices:
            number, within = divmod(self._first + place, count)
            if number not in rounds:
                generator = torch.Generator().manual_seed(self.seed * 7919 + number)
                rounds[number] = torch.randperm(count, generator=generator)
            picked.append(int(rounds[number][within]))
        return self.images.__getitems__(picked)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """One image (C, H, W) uint8 and its label ()."""
        pixels, labels = self.__getitems__([index])
        return pixels[0], labels[0]
