"""What the Inception networks share: branches side by side, auxiliary heads on the way, a smallest image."""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnlab.models.backbone import Backbone, init_convolutions
from cnnlab.models.layers import Normalize, conv_norm

MEAN = STD = (0.5, 0.5, 0.5)  # images from -1 to 1, as the authors' code and torchvision's weights have them
EPS = 1e-3  # of every batch normalisation in the authors' code

Step = tuple[int, int | tuple[int, int]]  # output channels and kernel of a convolution


class Join(nn.Module):
    """Maps of one height and width, joined along the channels: a module, so that its output has a name."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return torch.cat(tuple(maps), 1)


class Branches(nn.Module):
    """Modules that see the same map, and the join of their outputs, which have one height and width."""

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        self.names = tuple(branches)
        for name, branch in branches.items():
            self.add_module(name, branch)
        self.join = Join()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, sum of the branches' channels, h, w)."""
        return self.join([self.get_submodule(name)(x) for name in self.names])


def chain(inputs: int, *steps: Step, stride: int = 1, padding: int | None = None) -> nn.Sequential:
    """Convolutions one after another, each normalised and rectified: (channels, kernel), (channels, kernel), …

    All keep the size, but the last has `stride` and, unless it is None, `padding`.
    """
    layers = []
    for number, (outputs, kernel) in enumerate(steps, 1):
        last = {"stride": stride, "padding": padding} if number == len(steps) else {}
        layers.append(conv_norm(inputs, outputs, kernel, eps=EPS, **last))
        inputs = outputs
    return nn.Sequential(*layers)


class EnlargingNormalize(Normalize):
    """Normalises images, after enlarging (bilinearly, in proportion) those with a side of fewer than `smallest` pixels.

    For networks whose unpadded convolutions leave nothing of smaller ones.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], smallest: int) -> None:
        super().__init__(mean, std)
        self.smallest = smallest

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 3, h, w), h and w at least `smallest`."""
        height, width = images.shape[-2:]
        short = min(height, width)
        if short < self.smallest:
            size = [-(-side * self.smallest // short) for side in (height, width)]
            images = F.interpolate(images, size, mode="bilinear", align_corners=False)
        return super().forward(images)


class AuxiliaryBackbone(Backbone):
    """A backbone with auxiliary heads: classifiers on maps in the middle, which only train.

    In training mode, and if it has such heads, its output is a tuple (logits, logits of the first head, …), which
    `training.Classification` knows how to add up; in evaluation mode it is the logits alone. A subclass fills `aux`,
    between `pool` and `classifier`.

    Attributes:
        aux: name of a layer of `features` -> the head that sees what this layer gives.
    """

    aux: nn.ModuleDict

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(B, 3, H, W) in [0, 1] -> logits (B, num_classes); with auxiliary heads in training, a tuple of such."""
        if not (self.training and len(self.aux)):
            return super().forward(x)
        x, side = self.normalize(x), []
        for name, layer in self.features.named_children():
            x = layer(x)
            if name in self.aux:
                side.append(self.aux[name](x))
        return self.classifier(self.pool(x).flatten(1)), *side

    def groups(self) -> list[nn.Module]:
        """Layer groups from the input to the output; the auxiliary heads are with the head, as new as it is."""
        parts = super().groups()
        return [*parts[:-1], nn.ModuleList([self.aux, parts[-1]])] if len(self.aux) else parts


class BatchNormAuxiliary(nn.Module):
    """The "BN-auxiliary" head of Inception-v3 (figure 8): average, 1x1 and 5x5 convolutions, linear layer.

    A 17x17 map becomes 5x5 by averages over 5x5 places, three apart, and 1x1 by the second convolution, which has no
    padding. Maps of fewer than 17 places, from small images, are averaged or repeated to 5x5; of more, the last map is
    averaged.
    """

    def __init__(self, inputs: int, num_classes: int) -> None:
        super().__init__()
        conv = partial(conv_norm, eps=EPS)
        self.average = nn.AvgPool2d(5, stride=3)
        self.conv0 = conv(inputs, 128, 1)
        self.conv1 = conv(128, 768, 5, padding=0)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(768, num_classes)
        init_convolutions(self.conv0, "fan_in")
        nn.init.trunc_normal_(self.conv1.conv.weight, std=0.01)
        init_output(self.fc)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> logits (B, num_classes)."""
        x = self.average(x) if min(x.shape[-2:]) >= 17 else F.adaptive_avg_pool2d(x, 5)
        return self.fc(self.pool(self.conv1(self.conv0(x))).flatten(1))


def init_output(layer: nn.Linear) -> None:
    """A truncated normal distribution of standard deviation 0.001, as in the authors' code; zero bias."""
    nn.init.trunc_normal_(layer.weight, std=0.001)
    nn.init.zeros_(layer.bias)
