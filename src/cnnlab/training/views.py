"""Several looks at one image, their probabilities averaged: test-time augmentation of classifiers."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from cnnlab.devices import native_bf16
from cnnlab.errors import ConfigError
from cnnlab.models.layers import device_of
from cnnlab.training.batches import batches, to_float
from cnnlab.training.inference import batch_size_for
from cnnlab.training.memory import keep_memory


@dataclass(frozen=True)
class Views:
    """How a trained classifier looks at an image."""

    mirror: bool = True
    """look at the mirror image too"""
    zooms: tuple[float, ...] = (1.0,)
    """magnifications about the centre; below 1 the edges are repeated"""
    shift: int = 0
    """look at the image moved by so many pixels up and left, and down and right, too; edges repeated"""

    def __post_init__(self) -> None:
        if not self.zooms or min(self.zooms) <= 0:
            raise ConfigError(f"zooms must be magnifications above 0, not {self.zooms}.")
        if self.shift < 0:
            raise ConfigError(f"shift must be 0 pixels or more, not {self.shift}.")

    @classmethod
    def of(cls, meta: Mapping[str, Any], mirror: bool = False) -> "Views":
        """What a model's file says, in whose meta the fields of such views are; one look where it says nothing.

        Args:
            meta: of `cnnlab.models.saved.load_model`.
            mirror: whether a network whose file says nothing looks at the mirror image too.
        """
        zooms = tuple(float(zoom) for zoom in meta.get("zooms", (1.0,)))
        return cls(bool(meta.get("mirror", mirror)), zooms, int(meta.get("shift", 0)))

    def __len__(self) -> int:
        return len(self.zooms) * len(self.shifts) * (2 if self.mirror else 1)

    @property
    def shifts(self) -> tuple[int, ...]:
        """Pixels by which the image is moved down and right."""
        return (0, -self.shift, self.shift) if self.shift else (0,)


SINGLE_VIEW = Views(mirror=False)


@keep_memory()
@torch.no_grad()
def predict_views(model: nn.Module, dataset: Dataset, views: Views = SINGLE_VIEW) -> tuple[Tensor, Tensor]:
    """Mean probabilities over the views, float32 (N, C), and the labels (N,), in the data set's order.

    Computed in bfloat16 where the processor multiplies in it.
    """
    model.eval()
    device = device_of(model)
    found, labels = [], []
    for images, targets in batches(dataset, batch_size_for(dataset)):
        pixels = to_float(images.to(device))
        total = torch.zeros(())
        for zoom in views.zooms:
            for mirrored, shift in product((False, True) if views.mirror else (False,), views.shifts):
                view = look(pixels, zoom, mirrored, shift).contiguous(memory_format=torch.channels_last)
                with torch.autocast(device.type, torch.bfloat16, enabled=native_bf16(device.type)):
                    logits = model(view)
                total = total + logits.float().flatten(1).softmax(1).cpu()
        found.append(total / len(views))
        labels.append(targets)
    return torch.cat(found), torch.cat(labels)


def look(pixels: Tensor, zoom: float, mirrored: bool, shift: int = 0) -> Tensor:
    """Float images (B, C, H, W), magnified about the centre, mirrored and moved down and right, at the same size."""
    pixels = pixels.flip(-1) if mirrored else pixels
    if shift:
        before, after = max(shift, 0), max(-shift, 0)
        height, width = pixels.shape[-2:]
        pixels = F.pad(pixels, (before, after) * 2, mode="replicate")[
            ..., after : after + height, after : after + width
        ]
    if zoom == 1:
        return pixels
    theta = torch.tensor([[1 / zoom, 0, 0], [0, 1 / zoom, 0]], device=pixels.device)
    grid = F.affine_grid(theta.expand(len(pixels), 2, 3), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
