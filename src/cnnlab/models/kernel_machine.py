"""A support vector machine on the maps of a frozen backbone, and committees: both saved and judged as networks are.

Average pooling forgets where a feature was. On aligned images, such as faces, the place is what counts (lips, eyes),
and a few thousand images are enough for a machine with a Gaussian kernel to use it. It errs elsewhere than a fine-tuned
network does, so the mean of both is better than each.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnlab.errors import ConfigError
from cnnlab.models.registry import build_model, register_model

LIMIT = 4.0  # standard deviations at which a feature is cut: single bright spots do not rule the distances


class KernelMachine(nn.Module):
    """Two classes told apart by distances between the maps of a frozen backbone; `training.kernel_machine` fits it.

    Args:
        backbone: a network of backbone.py.
        size: height and width in pixels to which images are brought.
        grid: rows and columns to which each map of the backbone's pyramid is averaged, if it has more.
        dims: principal components that are kept of the maps.
        vectors: number of support vectors.

    Raises:
        ConfigError: the backbone has no pyramid.
    """

    def __init__(self, backbone: str, size: tuple[int, int], grid: tuple[int, int], dims: int, vectors: int) -> None:
        super().__init__()
        self.backbone = build_model(backbone, num_classes=1000)
        if not hasattr(self.backbone, "pyramid_channels"):
            raise ConfigError(f"A kernel machine needs a backbone with a pyramid of maps, which {backbone} has not.")
        self.backbone.requires_grad_(False)
        self.size = tuple(size)
        with torch.no_grad():
            maps = self.backbone.eval().pyramid(torch.zeros(1, 3, *size)).values()
        self.grids = [tuple(min(pair) for pair in zip(m.shape[-2:], grid, strict=True)) for m in maps]
        lengths = [m.shape[1] * rows * columns for m, (rows, columns) in zip(maps, self.grids, strict=True)]
        numbers = sum(lengths)
        self.register_buffer("weights", torch.cat([torch.full((n,), n**-0.5) for n in lengths]), persistent=False)
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("scale", torch.ones(numbers))
        self.register_buffer("components", torch.zeros(dims, numbers))
        self.register_buffer("vectors", torch.zeros(vectors, dims))
        self.register_buffer("coefficients", torch.zeros(vectors))
        self.register_buffer("bias", torch.zeros(()))
        self.register_buffer("gamma", torch.ones(()))
        self.register_buffer("line", torch.tensor([1.0, 0.0]))  # margin -> log-odds: slope and offset

    def train(self, mode: bool = True) -> "KernelMachine":
        """The backbone stays in evaluation mode: its batch norms keep their averages."""
        super().train(mode)
        self.backbone.eval()
        return self

    def maps(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> mean maps of image and mirror image, flat: float32 (B, numbers)."""
        images = F.interpolate(images, self.size, mode="bicubic", align_corners=False).clamp(0, 1)
        images = images.contiguous(memory_format=torch.channels_last)
        sides = []
        for side in (images, images.flip(-1)):
            maps = self.backbone.pyramid(side).values()
            means = [F.adaptive_avg_pool2d(m.float(), grid) for m, grid in zip(maps, self.grids, strict=True)]
            sides.append(torch.cat([m.flatten(1) for m in means], 1))
        return (sides[0] + sides[1]) / 2

    def standardise(self, maps: Tensor) -> Tensor:
        """Zero mean and unit variance on the training images, cut at `LIMIT`; every map counts the same."""
        return ((maps - self.mean) * self.scale).clamp(-LIMIT, LIMIT) * self.weights

    def margin(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> signed distance from the border between the classes, (B,)."""
        maps = self.maps(images)
        with torch.autocast(images.device.type, enabled=False):  # differences of near points need the digits
            points = self.standardise(maps) @ self.components.T
            kernel = torch.exp(-self.gamma * torch.cdist(points, self.vectors) ** 2)
            return kernel @ self.coefficients + self.bias

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> logits (B, 2)."""
        odds = self.line[0] * self.margin(images) + self.line[1]
        return torch.stack([-odds / 2, odds / 2], 1)


@register_model
def kernel_machine(
    num_classes: int = 2, backbone: str = "squeezenet1_1", size: tuple[int, int] = (160, 128),
    grid: tuple[int, int] = (10, 8), dims: int = 256, vectors: int = 2,
) -> KernelMachine:  # fmt: skip
    """A support vector machine on the maps of `backbone`, of `size` and averaged to `grid`; for two classes."""
    if num_classes != 2:
        raise ConfigError(f"kernel_machine tells two classes apart, not {num_classes}.")
    return KernelMachine(backbone, size, grid, dims, vectors)


class Committee(nn.Module):
    """The mean probability of several classifiers, as log-probabilities.

    Args:
        members: networks that take the same images (B, 3, H, W) in [0, 1] and have the same classes.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> log-probabilities (B, num_classes)."""
        shares = torch.stack([member(images).float().flatten(1).softmax(1) for member in self.members])
        return shares.mean(0).clamp(min=1e-12).log()


@register_model
def committee(num_classes: int, members: Sequence[tuple[str, Mapping[str, Any]]] = (("simple_cnn", {}),)) -> Committee:
    """Networks by name and settings, whose probabilities are averaged."""
    return Committee([build_model(name, **{"num_classes": num_classes, **settings}) for name, settings in members])


def committee_of(members: Sequence[nn.Module]) -> Committee:
    """A committee of networks that `build_model` made, which can be saved as they can."""
    together = Committee(members)
    known = [member.architecture for member in members]
    together.architecture = ("committee", {"num_classes": known[0][1]["num_classes"], "members": known})
    return together
