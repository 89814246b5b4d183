"""Mirror images by turns instead of by chance."""

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnnlab.data.imageset import ImageSet


class AlternatingFlips(Dataset):
    """An image set of which a random half is mirrored in the first epoch, the other half in the second, and so on.

    Of random mirroring, every second image shows the same side again in the next epoch and teaches less
    (Jordan 2024, https://arxiv.org/abs/2404.00498, section 3.6).

    Args:
        images: the image set.
        seed: which half begins.
    """

    def __init__(self, images: ImageSet, seed: int = 0) -> None:
        self.images = images
        self._begins = torch.rand(len(images), generator=torch.Generator().manual_seed(seed)) < 0.5
        self._odd = False

    def set_epoch(self, epoch: int) -> None:
        """Take the sides of an epoch (from 1)."""
        self._odd = epoch % 2 == 1

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """A whole batch: uint8 (B, C, H, W) and labels (B,)."""
        pixels, labels = self.images.__getitems__(indices)
        mirrored = self._begins[torch.as_tensor(indices)] == self._odd
        pixels[mirrored] = pixels[mirrored].flip(-1)
        return pixels, labels

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """One image (C, H, W) uint8 and its label ()."""
        pixels, labels = self.__getitems__([index])
        return pixels[0], labels[0]
