"""Support vector machines on maps that remember places, and committees; both are saved and judged as networks.

Average pooling forgets where a feature was. On aligned images, such as faces, the place is what counts (lips, eyes),
and some hundred images are enough for a machine with a Gaussian kernel to use it. It errs elsewhere than a network that
was trained by gradients does, so the mean of both is better than each.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnlab.errors import ConfigError
from cnnlab.models.backbone import check_pyramid
from cnnlab.models.fcn import backbone_settings
from cnnlab.models.registry import build_model, register_model

COMPOSED = ("backbone_machine", "patch_machine", "committee")
"""Registered, so that they can be saved, but no networks of layers alone."""
WHOLE = (0.0, 0.0, 1.0, 1.0)
LIMIT = 4.0  # standard deviations at which a feature is cut: single bright spots do not rule the distances


class BackboneMaps(nn.Module):
    """The pyramid of a frozen backbone, every map averaged to a grid of places.

    Args:
        backbone: a network of backbone.py.
        size: height and width in pixels to which images are brought.
        grid: rows and columns to which a map is averaged, if it has more.
        part: left, top, right and bottom of what it looks at, as shares of the image's width and height.

    Raises:
        ConfigError: the backbone has no pyramid, or `part` is no part of an image.
    """

    def __init__(
        self, backbone: str, size: tuple[int, int], grid: tuple[int, int], part: tuple[float, ...] = WHOLE
    ) -> None:
        super().__init__()
        left, top, right, bottom = part
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise ConfigError(f"part must be left, top, right, bottom in growing shares from 0 to 1, not {part}.")
        self.part = tuple(part)
        self.backbone = build_model(backbone, num_classes=1000, **backbone_settings(backbone)).eval()
        check_pyramid(self.backbone, "A kernel machine")
        self.backbone.requires_grad_(False)
        self.size = tuple(size)
        with torch.no_grad():
            maps = self.backbone.pyramid(torch.zeros(1, 3, *size)).values()
        self.grids = [tuple(min(pair) for pair in zip(m.shape[-2:], grid, strict=True)) for m in maps]
        self.lengths = [m.shape[1] * rows * columns for m, (rows, columns) in zip(maps, self.grids, strict=True)]

    def train(self, mode: bool = True) -> "BackboneMaps":
        """The backbone stays in evaluation mode: its batch norms keep their averages."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> all maps, flat: float32 (B, sum of lengths)."""
        height, width = images.shape[-2:]
        left, top, right, bottom = self.part
        images = images[..., round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
        images = F.interpolate(images, self.size, mode="bicubic", align_corners=False).clamp(0, 1)
        maps = self.backbone.pyramid(images.contiguous(memory_format=torch.channels_last)).values()
        means = [F.adaptive_avg_pool2d(m.float(), grid) for m, grid in zip(maps, self.grids, strict=True)]
        return torch.cat([m.flatten(1) for m in means], 1)


class PatchMaps(nn.Module):
    """One layer that was never trained by gradients: how near each patch is to each of many typical patches.

    Coates, Ng and Lee 2011, "An analysis of single-layer networks in unsupervised feature learning": patches are
    whitened, k-means finds the typical ones (`training.kernel_machine` does both), and a patch is told by how much
    nearer than the mean each of them is. The maps are averaged to a grid of places. A histogram of colours can stand
    beside them (its square root, so that common colours do not rule).

    Args:
        patches: (side in pixels, number of typical patches) of each map.
        grid: rows and columns of places.
        colours: levels of red, green and blue in the histogram; 0 is none.
    """

    def __init__(self, patches: Sequence[tuple[int, int]], grid: tuple[int, int], colours: int = 0) -> None:
        super().__init__()
        self.patches, self.grid = [tuple(pair) for pair in patches], tuple(grid)
        self.colours = colours
        self.lengths = [count * grid[0] * grid[1] for _, count in self.patches] + [colours**3] * (colours > 0)
        for place, (side, count) in enumerate(self.patches):
            numbers = 3 * side * side
            self.register_buffer(f"mean_{place}", torch.zeros(numbers))
            self.register_buffer(f"whitening_{place}", torch.eye(numbers))
            self.register_buffer(f"typical_{place}", torch.zeros(count, numbers))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> all maps, flat: float32 (B, sum of lengths)."""
        with torch.autocast(images.device.type, enabled=False):
            images = images.float()
            maps = [self._map(images, place) for place in range(len(self.patches))]
            if self.colours:
                maps.append(self._histogram(images))
            return torch.cat(maps, 1)

    def _histogram(self, images: Tensor) -> Tensor:
        red, green, blue = (images * self.colours).long().clamp(max=self.colours - 1).flatten(2).unbind(1)
        bins = (red * self.colours + green) * self.colours + blue  # (B, pixels)
        counts = torch.zeros(len(images), self.colours**3, device=images.device)
        return (counts.scatter_add_(1, bins, torch.ones_like(bins, dtype=counts.dtype)) / bins.shape[1]).sqrt()

    def _map(self, images: Tensor, place: int) -> Tensor:
        mean, whitening, typical = (getattr(self, f"{name}_{place}") for name in ("mean", "whitening", "typical"))
        side, count = self.patches[place]
        white = F.conv2d(images, whitening.view(-1, 3, side, side), -(whitening @ mean))
        squares = white.square().sum(1, keepdim=True) + typical.square().sum(1).view(1, -1, 1, 1)
        distances = (squares - 2 * F.conv2d(white, typical.view(count, -1, 1, 1))).clamp(min=0).sqrt()
        nearness = (distances.mean(1, keepdim=True) - distances).relu()
        return F.adaptive_avg_pool2d(nearness, self.grid).flatten(1)


class KernelMachine(nn.Module):
    """Classes told apart by distances between maps; `training.kernel_machine` fits it.

    The maps of an image and its mirror image are averaged, standardised, brought to principal components and compared
    with those of the support vectors by a Gaussian kernel; one machine for each class against the others.

    Args:
        features: BackboneMaps or PatchMaps.
        num_classes: K.
        dims: principal components that are kept of the maps.
        vectors: number of support vectors.
    """

    def __init__(self, features: nn.Module, num_classes: int, dims: int, vectors: int) -> None:
        super().__init__()
        self.features = features
        numbers = sum(features.lengths)
        # every map counts the same, however many numbers it has
        self.register_buffer("weights", torch.cat([torch.full((n,), n**-0.5) for n in features.lengths]), False)
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("scale", torch.ones(numbers))
        self.register_buffer("components", torch.zeros(dims, numbers))
        self.register_buffer("vectors", torch.zeros(vectors, dims))
        self.register_buffer("coefficients", torch.zeros(num_classes, vectors))
        self.register_buffer("bias", torch.zeros(num_classes))
        self.register_buffer("gamma", torch.ones(()))
        self.register_buffer("slope", torch.ones(()))

    def maps(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> mean maps of image and mirror image, (B, numbers)."""
        return (self.features(images) + self.features(images.flip(-1))) / 2

    def standardise(self, maps: Tensor) -> Tensor:
        """(B, numbers), to zero mean and unit variance on the training images, cut at `LIMIT`."""
        return ((maps - self.mean) * self.scale).clamp(-LIMIT, LIMIT) * self.weights

    def margins(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> signed distance from each class's border, (B, K)."""
        maps = self.maps(images)
        with torch.autocast(images.device.type, enabled=False):  # differences of near points need the digits
            points = self.standardise(maps) @ self.components.T
            kernel = torch.exp(-self.gamma * torch.cdist(points, self.vectors) ** 2)
            return kernel @ self.coefficients.T + self.bias

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> logits (B, K)."""
        return self.slope * self.margins(images)


@register_model
def backbone_machine(
    num_classes: int = 2, backbone: str = "squeezenet1_1", size: tuple[int, int] = (160, 128),
    grid: tuple[int, int] = (10, 8), dims: int = 256, vectors: int = 2, part: tuple[float, ...] = WHOLE,
) -> KernelMachine:  # fmt: skip
    """A support vector machine on the maps of a frozen `backbone`: `part` of an image at `size`, averaged to `grid`."""
    return KernelMachine(BackboneMaps(backbone, size, grid, part), num_classes, dims, vectors)


@register_model
def patch_machine(
    num_classes: int = 2, patches: Sequence[tuple[int, int]] = ((8, 600),), grid: tuple[int, int] = (4, 4),
    colours: int = 0, dims: int = 256, vectors: int = 2,
) -> KernelMachine:  # fmt: skip
    """A support vector machine on typical patches (side, number of them), found without labels, and on colours."""
    return KernelMachine(PatchMaps(patches, grid, colours), num_classes, dims, vectors)


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


def trained_network(model: nn.Module) -> nn.Module:
    """The member of a committee that gradients trained, which can be explained and embeds; else the model itself."""
    if not isinstance(model, Committee):
        return model
    return next((m for m in model.members if not isinstance(m, KernelMachine)), model)


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
