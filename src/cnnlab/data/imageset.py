"""Images decoded once into memory: the data set that every classification experiment trains on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnnlab.errors import DataError


@dataclass(frozen=True)
class ImageSet(Dataset):
    """Labelled images of one size, held as uint8.

    Attributes:
        images: uint8 (N, C, H, W).
        labels: int64 (N,), indices into `classes`.
        classes: names of the classes.
        name: name of the data set.
        split: `train`, `val` or `test`.
        names: where each image came from, or None.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    name: str
    split: str
    names: list[str] | None = None

    def __post_init__(self) -> None:
        if len(self.images) == 0:
            raise DataError(f"The {self.split} split of {self.name} holds no image.")
        if len(self.images) != len(self.labels):
            raise DataError(f"{self.name}/{self.split}: {len(self.images)} images but {len(self.labels)} labels.")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """One image (C, H, W) uint8 and its label ()."""
        return self.images[index], self.labels[index]

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """A whole batch (B, C, H, W) uint8 and labels (B,) in one indexing, which the DataLoader prefers."""
        picked = torch.as_tensor(indices)
        return self.images[picked], self.labels[picked]

    def subset(self, count: int, seed: int = 0) -> "ImageSet":
        """A random subset of at most `count` images with every class in it as often as before."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        keep: list[int] = []
        for label in range(len(self.classes)):
            of_class = order[self.labels[order] == label]
            share = max(1, round(count * len(of_class) / len(self)))
            keep += of_class[:share].tolist()
        return self.take(sorted(keep))

    def take(self, indices: Sequence[int], split: str = "") -> "ImageSet":
        """The images with these indices, in this order; perhaps as another split."""
        picked = torch.as_tensor(indices, dtype=torch.long)
        names = [self.names[i] for i in picked.tolist()] if self.names else None
        return replace(
            self, images=self.images[picked], labels=self.labels[picked], names=names, split=split or self.split
        )

    @cached_property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 over shapes, pixels, labels and class names."""
        sha = hashlib.sha256(repr((tuple(self.images.shape), self.classes)).encode())
        sha.update(self.images.contiguous().numpy())
        sha.update(self.labels.contiguous().numpy())
        return sha.hexdigest()[:16]
