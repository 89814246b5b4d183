"""Features of several views of each image, computed once and held in memory: the data set that a head trains on."""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnnlab.data.imageset import ImageSet
from cnnlab.devices import native_bf16
from cnnlab.training.memory import keep_memory
from cnnlab.training.views import Views, look

View = Callable[[Tensor], Tensor]
"""uint8 images (B, 3, H, W) -> float images in [0, 1]."""


def looks(views: Views) -> list[View]:
    """What `predict_views` looks at, as functions: the image as it is comes first, if it is among them."""
    sides = (False, True) if views.mirror else (False,)
    return [
        lambda images, zoom=zoom, mirrored=mirrored, shift=shift: look(images.float() / 255, zoom, mirrored, shift)
        for zoom, mirrored, shift in product(views.zooms, sides, views.shifts)
    ]


@keep_memory()
@torch.inference_mode()
def features_of(images: Tensor, view: View, features: Callable[[Tensor], Tensor], batch_size: int = 32) -> Tensor:
    """`features(view(images))` of all uint8 images (N, 3, H, W), batch by batch: float32 (N, D) on the CPU.

    Convolutions compute in bfloat16 where the processor multiplies in it.
    """
    views = (view(batch).contiguous(memory_format=torch.channels_last) for batch in images.split(batch_size))
    with torch.autocast(images.device.type, torch.bfloat16, enabled=native_bf16(images.device.type)):
        return torch.cat([features(batch).float().cpu() for batch in views])


class FeatureViews(Dataset):
    """Features (N, V, P) of V views of each image; each epoch sees one view of each, drawn anew.

    Batches are `(features, labels)`, (B, P, 1, 1) and times 255: the training loop divides by that, as it does with
    pixels.

    Args:
        views: (N, V, P).
        labels: (N,).
        seed: of the draws, together with the epoch.
    """

    def __init__(self, views: Tensor, labels: Tensor, seed: int = 0) -> None:
        self.views, self.labels, self.seed = views, labels, seed
        self.chosen = torch.zeros(len(labels), dtype=torch.long)

    @classmethod
    def of(cls, images: ImageSet, views: list[View], features: Callable[[Tensor], Tensor]) -> "FeatureViews":
        """Compute them all."""
        return cls(torch.stack([features_of(images.images, view, features) for view in views], 1), images.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def set_epoch(self, epoch: int) -> None:
        """Draw a view of each image."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        self.chosen = torch.randint(self.views.shape[1], (len(self),), generator=generator)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        picked = torch.as_tensor(indices)
        return self.views[picked, self.chosen[picked], :, None, None] * 255, self.labels[picked]
