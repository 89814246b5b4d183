"""A small network that learns CIFAR-10 in seconds: whitened input, three stages of two convolutions.

The shape and the ideas are those of Keller Jordan's airbench (https://arxiv.org/abs/2404.00498), which builds on David
Page's and Tysam&'s speed records: the first layer decorrelates 2x2 patches and is never trained, convolutions begin as
the identity, so that a deep network starts as a shallow one, and batch norms have no scale.
"""

import torch
from torch import Tensor, nn

from cnnlab.models.backbone import Backbone
from cnnlab.models.layers import CIFAR10_MEAN, CIFAR10_STD
from cnnlab.models.registry import register_model

PATCH = 2
WHITENED = 5000  # images, or somewhat more, from which a first layer is computed


class Scale(nn.Module):
    """Multiplies by a constant: small logits at the start, so that the first steps do not overshoot."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, eps=1e-5, momentum=0.4)  # of few steps the last ones count
    norm.weight.requires_grad_(False)
    return norm


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight.data[:inputs])  # passes its input on; channels beyond keep their random filters
    return conv


def _stage(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    layers = [_conv(inputs, outputs), nn.MaxPool2d(2), _norm(outputs), nn.GELU()]
    for _ in range(depth - 1):
        layers += [_conv(outputs, outputs), _norm(outputs), nn.GELU()]
    return nn.Sequential(*layers)


class SpeedNet(Backbone):
    """Input [0, 1], any size from 24 pixels on. `whiten` is to be called with training images before training.

    Pyramid: stages at strides 2, 4 and 8.
    """

    def __init__(self, num_classes: int, widths: tuple[int, int, int], depth: int, scale: float) -> None:
        super().__init__(CIFAR10_MEAN, CIFAR10_STD)
        whitened = 2 * 3 * PATCH**2
        first = nn.Conv2d(3, whitened, PATCH, bias=True)
        first.weight.requires_grad_(False)
        nn.init.zeros_(first.bias)
        stages = [_stage(i, o, depth) for i, o in zip((whitened, *widths[:-1]), widths, strict=True)]
        self.features = nn.Sequential(nn.Sequential(first, nn.GELU()), *stages)
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.classifier = nn.Sequential(Scale(scale), nn.Linear(widths[-1], num_classes, bias=False))
        self.embedding_dim = widths[-1]
        self._describe({2: (1, widths[0]), 4: (2, widths[1]), 8: (3, widths[2])}, cuts=(1, 2, 3), head_cuts=())

    @torch.no_grad()
    def whiten(self, images: Tensor, eps: float = 5e-4) -> "SpeedNet":
        """Set the first layer to decorrelate 2x2 patches of training images and give them unit variance.

        Args:
            images: uint8 (N, 3, H, W); a few thousand do.
            eps: added to the variances, so that the faintest directions are not blown up.
        """
        first = self.features[0][0]
        x = self.normalize(images.to(first.weight.device).float() / 255)
        patches = x.unfold(2, PATCH, 1).unfold(3, PATCH, 1)  # (N, 3, h, w, 2, 2)
        vectors = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * PATCH**2).double()
        variances, directions = torch.linalg.eigh(vectors.T @ vectors / len(vectors))
        filters = (directions / (variances + eps).sqrt()).T.flip(0).reshape(-1, 3, PATCH, PATCH).float()
        first.weight.copy_(torch.cat([filters, -filters]))  # both signs: the activation lets only one pass
        return self


def whitened(model: nn.Module, images: Tensor, count: int = WHITENED) -> nn.Module:
    """A network that is about to be trained; if it begins by whitening, with that layer computed.

    Args:
        model: any network; only one with `whiten` is changed, in place.
        images: all training images, uint8 (N, 3, H, W).
        count: how many of them, or somewhat more, are looked at, from all over the set: folders come class by class.
    """
    return model.whiten(images[:: max(1, len(images) // count)]) if hasattr(model, "whiten") else model


@register_model
def speednet(
    num_classes: int = 10, widths: tuple[int, int, int] = (64, 256, 256), depth: int = 2, scale: float = 1 / 9
) -> SpeedNet:
    """The network of the CIFAR-10 speed run: `widths` of the three stages, `depth` convolutions in each.

    The defaults are airbench's; the speed run's own are what a quarter of an hour on two cores holds.
    """
    return SpeedNet(num_classes, widths, depth, scale)
