"""DenseNet: Huang, Liu, van der Maaten and Weinberger 2016, "Densely Connected Convolutional Networks".

https://arxiv.org/abs/1608.06993. The networks of section 3, "Implementation details", for CIFAR, and of table 1 for
ImageNet. L is the depth, k the growth rate; B stands for bottlenecks, C for compression.

Motivation: As networks get deep, the input and the gradient fade on their way through them. ResNets, highway networks
and stochastic depth all shorten the way from early layers to late ones; a residual sum, though, mixes what it
carries on, and many of its layers add so little that they can be dropped at random. What if features are kept instead
of relearnt?

Method: Within a dense block, each layer sees the maps of all layers before it, joined and not added, and contributes k
maps of its own: L layers have L (L + 1) / 2 connections. A layer is batch normalisation, rectifier, 3x3 convolution;
with B, a 1x1 convolution to 4k maps comes before. Transitions between the blocks, a 1x1 convolution and a 2x2
average, halve the size and, with C, the number of maps. Narrow layers (k = 12) suffice, as all share what is known.

Claims: CIFAR-10 test error with the usual augmentation: 5.24 % (L = 40, k = 12, 1.0 M parameters), 4.51 % (BC, L = 100,
k = 12, 0.8 M: as good as a ResNet of 1001 layers and 10.2 M), 3.46 % (BC, L = 190, k = 40, 25.6 M; table 2). ImageNet,
one crop: 25.02 % top-1 and 7.71 % top-5 error with 121 layers (table 3); with 201 layers and 20 M parameters as good
as a ResNet of 101 layers and more than 40 M (section 4.4).

Drawbacks: Few parameters are not few multiply-adds nor little memory: all maps of a block are kept and copied again
at every layer, quadratically many unless recomputed (arXiv:1707.06990). The many narrow layers run one after another,
so that it is slower than its multiply-adds suggest, the more so on a GPU.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cnnlab.models.backbone import Backbone, init_convolutions
from cnnlab.models.layers import CIFAR10_MEAN, CIFAR10_STD, IMAGENET_MEAN, IMAGENET_STD, Stem, is_cifar
from cnnlab.models.layouts import Weights, rename
from cnnlab.models.registry import register_model


class DenseLayer(nn.Sequential):
    """H of section 3, and its input before it: (B, inputs, H, W) -> (B, inputs + growth, H, W).

    Args:
        inputs: channels.
        growth: maps it adds, k.
        bottleneck: reduce to 4k maps by a 1x1 convolution first.
        dropout: after each convolution.
    """

    def __init__(self, inputs: int, growth: int, bottleneck: bool, dropout: float) -> None:
        steps = [(4 * growth, 1), (growth, 3)] if bottleneck else [(growth, 3)]
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width = inputs
        for number, (outputs, kernel) in enumerate(steps, 1):
            layers[f"norm{number}"] = nn.BatchNorm2d(width)
            layers[f"relu{number}"] = nn.ReLU()
            layers[f"conv{number}"] = nn.Conv2d(width, outputs, kernel, padding=kernel // 2, bias=False)
            if dropout:
                layers[f"dropout{number}"] = nn.Dropout(dropout)
            width = outputs
        super().__init__(layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, super().forward(x)], 1)


def dense_block(inputs: int, layers: int, growth: int, bottleneck: bool, dropout: float) -> nn.Sequential:
    """`layers` dense layers: inputs + layers * growth channels."""
    return nn.Sequential(
        OrderedDict(
            (f"denselayer{index + 1}", DenseLayer(inputs + index * growth, growth, bottleneck, dropout))
            for index in range(layers)
        )
    )


def transition(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    """Batch normalisation, rectifier, 1x1 convolution, 2x2 average of stride 2."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        norm=nn.BatchNorm2d(inputs), relu=nn.ReLU(), conv=nn.Conv2d(inputs, outputs, 1, bias=False)
    )
    if dropout:
        layers["dropout"] = nn.Dropout(dropout)
    layers["pool"] = nn.AvgPool2d(2)
    return nn.Sequential(layers)


class DenseNet(Backbone):
    """Stem, dense blocks with transitions between them, normalisation and rectifier, average, linear layer.

    Pyramid: the end of each block before its transition, the last one normalised. Initial weights are He's. Layer
    groups: the stem, each block with the transition before it, the head. The names of the layers are torchvision's.

    Args:
        stem: layers before the first block, by name.
        stem_channels, stem_stride: of its output.
        blocks: layers in each dense block.
        growth: k.
        bottleneck: 1x1 convolutions in the layers (B).
        compression: share of the maps that a transition keeps, theta (C).
        num_classes: outputs.
        dropout: after each convolution but the first; the paper has 0.2 where it trains without augmentation.
        mean, std: of the images' channels.
    """

    def __init__(
        self, stem: dict[str, nn.Module], stem_channels: int, stem_stride: int, blocks: Sequence[int], growth: int,
        bottleneck: bool, compression: float, num_classes: int, dropout: float,
        mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD,
    ) -> None:  # fmt: skip
        super().__init__(mean, std)
        layers = OrderedDict(stem)
        channels, cuts, pyramid = stem_channels, [], {}
        for number, count in enumerate(blocks, 1):
            cuts.append(len(layers))
            if number > 1:
                kept = int(channels * compression)
                layers[f"transition{number - 1}"] = transition(channels, kept, dropout)
                channels = kept
            layers[f"denseblock{number}"] = dense_block(channels, count, growth, bottleneck, dropout)
            channels += count * growth
            pyramid[stem_stride * 2 ** (number - 1)] = (len(layers) - 1, channels)
        layers[f"norm{len(blocks) + 1}"] = nn.BatchNorm2d(channels)
        layers[f"relu{len(blocks) + 1}"] = nn.ReLU()
        pyramid[max(pyramid)] = (len(layers) - 1, channels)
        self.features = nn.Sequential(layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Linear(channels, num_classes))
        init_convolutions(self.features)
        nn.init.zeros_(self.classifier_layer.bias)
        self.embedding_dim = channels
        self._describe(pyramid, cuts, ())


def _for_cifar(depth: int, growth: int, bottleneck: bool, num_classes: int, dropout: float) -> DenseNet:
    # three equal blocks; the first convolution, two transitions and the linear layer are the other four layers
    count = (depth - 4) // (6 if bottleneck else 3)
    channels = 2 * growth if bottleneck else 16
    stem = {"conv0": nn.Conv2d(3, channels, 3, padding=1, bias=False)}
    compression = 0.5 if bottleneck else 1.0
    return DenseNet(
        stem, channels, 1, (count,) * 3, growth, bottleneck, compression, num_classes, dropout,
        CIFAR10_MEAN, CIFAR10_STD,
    )  # fmt: skip


@register_model
def densenet40_12(num_classes: int = 10, dropout: float = 0.0) -> DenseNet:
    """DenseNet of 40 layers with k = 12, for images of 32 pixels; 1.0 M parameters, no bottlenecks."""
    return _for_cifar(40, 12, False, num_classes, dropout)


@register_model
def densenet_bc_100_12(num_classes: int = 10, dropout: float = 0.0) -> DenseNet:
    """DenseNet-BC of 100 layers with k = 12, for images of 32 pixels; 0.8 M parameters."""
    return _for_cifar(100, 12, True, num_classes, dropout)


@register_model
def densenet121(num_classes: int = 1000, dropout: float = 0.0, stem: Stem = "imagenet") -> DenseNet:
    """DenseNet-121 of table 1 (DenseNet-BC, k = 32); 8.0 M parameters with 1000 classes.

    `stem="cifar"`: a 3x3 convolution of stride 1 in place of the 7x7 of stride 2, and no max pooling.
    """
    cifar = is_cifar(stem)
    first = nn.Conv2d(3, 64, 3, padding=1, bias=False) if cifar else nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    layers: dict[str, nn.Module] = {"conv0": first, "norm0": nn.BatchNorm2d(64), "relu0": nn.ReLU()}
    if not cifar:
        layers["pool0"] = nn.MaxPool2d(3, stride=2, padding=1)
    return DenseNet(layers, 64, 1 if cifar else 4, (6, 12, 24, 16), 32, True, 0.5, num_classes, dropout)


def rename_torchvision(state: Weights) -> Weights:
    """Names of torchvision's densenet121 -> ours: the linear layer's, and in its file `norm.1` for `norm1`."""
    return rename(state, [(r"^classifier\.", "classifier.0."), (r"\.(norm|conv)\.([12])\.", r".\1\2.")])
