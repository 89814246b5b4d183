"""EfficientNet: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks".

https://arxiv.org/abs/1905.11946. Table 1 is B0, whose rows efficientnet_lite.py lists; B1 to B3 are scaled from it.

Motivation: Networks are made larger by depth, by width or by the size of their images, mostly one of the three, by
hand. Each alone soon saturates. They depend on each other: larger images want more layers, to see as far, and more
channels, for finer patterns. Is there a rule for scaling all three that gains more per multiply-add?

Method: Compound scaling: depth 1.2^phi, width 1.1^phi, image size 1.15^phi, where the constants are the best of a
small grid under 1.2 * 1.1^2 * 1.15^2 = about 2, so that each step of phi doubles the multiply-adds. The network to
begin with, B0, was found by a search over accuracy and multiply-adds: inverted bottlenecks (MBConv: 1x1 expansion by 6,
3x3 or 5x5 depthwise convolution, 1x1 projection) with squeeze-and-excitation, which weighs the channels by a look at
the whole map, and the activation SiLU (Swish).

Claims: ImageNet top-1 accuracy: B0 77.1 % with 5.3 M parameters and 0.39 billion multiply-adds, B1 79.1 %, B2 80.1 %,
B3 81.6 % with 12 M and 1.8 billion, B7 84.3 % with 66 M (table 2): the best then known, 8.4 times smaller and 6.1
times faster than the best before. Scaling by the rule also helps MobileNets and ResNet-50 (table 3). Transferred:
98.9 % on CIFAR-10 with B7 (table 5).

Drawbacks: Few multiply-adds are not little time: depthwise convolutions and squeeze-and-excitation are bound by memory,
and the large images make training slow, as the authors' EfficientNetV2 says (arXiv:2104.00298), where uniform scaling
of all stages is found wanting too. The figures owe much to the recipe (350 epochs, AutoAugment, stochastic depth), and
B0 comes from a search that cannot be repeated cheaply. Images of 32 pixels were never in its mind.
"""

from collections import OrderedDict
from functools import partial
from math import ceil

from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from cnnlab.models.backbone import Backbone, init_convolutions
from cnnlab.models.efficientnet_lite import STAGES
from cnnlab.models.layers import Stem, conv_norm, is_cifar, round_channels
from cnnlab.models.layouts import Weights
from cnnlab.models.registry import register_model

# width and depth factors, size in pixels (authors' code, efficientnet_builder.py)
SIZES = {0: (1.0, 1.0, 224), 1: (1.0, 1.1, 240), 2: (1.1, 1.2, 260), 3: (1.2, 1.4, 300)}
STEM, LAST = 32, 1280

_conv = partial(conv_norm, act=nn.SiLU)


class SqueezeExcitation(nn.Module):
    """Hu et al. 2017 (arXiv:1709.01507): each channel times a weight in (0, 1) that the average of all maps decides."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.act = nn.SiLU()
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same shape."""
        return x * self.gate(self.fc2(self.act(self.fc1(self.pool(x)))))


class MBConv(nn.Module):
    """1x1 expansion, depthwise convolution, squeeze-and-excitation, 1x1 projection; added to the input where it fits.

    Squeezed to a quarter of the block's input channels, not of the expanded ones.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, drop_path: float) -> None:
        super().__init__()
        middle = inputs * expansion
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion > 1:
            layers["expand"] = _conv(inputs, middle, 1)
        layers["depthwise"] = _conv(middle, middle, kernel, stride, groups=middle)
        layers["excite"] = SqueezeExcitation(middle, max(1, inputs // 4))
        layers["project"] = _conv(middle, outputs, 1, act=None)
        self.block = nn.Sequential(layers)
        self.adds = stride == 1 and inputs == outputs
        if self.adds:
            self.drop_path = StochasticDepth(drop_path, "row")

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, ceil(H / stride), ceil(W / stride))."""
        return x + self.drop_path(self.block(x)) if self.adds else self.block(x)


class EfficientNet(Backbone):
    """Stem, seven stages of MBConv blocks, a 1x1 convolution, average, dropout, linear layer.

    Pyramid: stages 3 and 5 and the end (strides 8, 16, 32; with the CIFAR stem 2, 4, 8). Images of any size;
    `trained_at` is the side that the published weights saw. Padding is symmetric, and batch normalisation has PyTorch's
    epsilon, as in torchvision; the authors' code has TensorFlow's "same" padding and 0.001. Initial weights are those
    of the authors' code, except for the linear layer, uniform in 1 / sqrt(inputs): theirs goes by the number of
    classes, and with ten of them would start with logits of several units.

    Args:
        size: 0 to 3.
        num_classes: outputs.
        dropout: before the last layer; by default the paper's, which grows with the size.
        drop_path: share of the last block's residuals dropped while training (stochastic depth), growing from 0 with
            the depth; the paper's 0.2.
        stem: `imagenet`, or `cifar`: the first convolution and the first block of stage 2 have stride 1, so that 32
            pixels give 4 at the end.
    """

    def __init__(
        self, size: int, num_classes: int = 1000, dropout: float = 0.2, drop_path: float = 0.2, stem: Stem = "imagenet"
    ) -> None:
        super().__init__()
        cifar = is_cifar(stem)
        width, depth, self.trained_at = SIZES[size]
        counts = [ceil(blocks * depth) for blocks, *_ in STAGES]
        channels = round_channels(STEM * width)
        layers: OrderedDict[str, nn.Module] = OrderedDict(stem=_conv(3, channels, 3, 1 if cifar else 2))
        pyramid, done = {}, 0
        for number, (count, (_, kernel, stride, expansion, outputs)) in enumerate(zip(counts, STAGES, strict=True), 1):
            outputs = round_channels(outputs * width)
            stride = 1 if cifar and number == 2 else stride
            blocks = []
            for index in range(count):
                drop = drop_path * done / sum(counts)
                blocks.append(MBConv(channels, outputs, kernel, 1 if index else stride, expansion, drop))
                channels, done = outputs, done + 1
            layers[f"stage{number}"] = nn.Sequential(*blocks)
            pyramid[number] = (number, channels)
        last = round_channels(LAST * width)
        layers["last"] = _conv(channels, last, 1)
        self.features = nn.Sequential(layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        init_convolutions(self.features)
        nn.init.uniform_(self.classifier_layer.weight, -(last**-0.5), last**-0.5)
        nn.init.zeros_(self.classifier_layer.bias)
        self.embedding_dim = last
        stride = 2 if cifar else 8
        self._describe(
            {stride: pyramid[3], 2 * stride: pyramid[5], 4 * stride: (len(layers) - 1, last)}, [2, 3, 4, 6], ()
        )


def rename_torchvision(state: Weights) -> Weights:
    """Names of torchvision's efficientnet_b0 to b7 -> ours: `features.2.0.block.1.0` is stage 2's first depthwise."""
    parts = ("expand", "depthwise", "excite", "project")
    layer = {"0": "conv", "1": "norm"}
    end = max(int(key.split(".")[1]) for key in state if key.startswith("features."))
    renamed = {}
    for key, value in state.items():
        names = key.split(".")
        if names[1] in ("0", str(end)):
            names = ["features", "stem" if names[1] == "0" else "last", layer[names[2]], names[3]]
        elif names[0] == "features":  # features, stage, block, "block", part, layer, kind
            part = parts[int(names[4]) + (names[1] == "1")]  # stage 1 does not expand
            names = ["features", f"stage{names[1]}", *names[2:4], part, layer.get(names[5], names[5]), names[6]]
        renamed[".".join(names)] = value
    return renamed


def _register(size: int, dropout: float, parameters: str, accuracy: str) -> None:
    default = dropout

    def builder(
        num_classes: int = 1000, dropout: float = default, drop_path: float = 0.2, stem: Stem = "imagenet"
    ) -> EfficientNet:
        return EfficientNet(size, num_classes, dropout, drop_path, stem)

    builder.__name__ = f"efficientnet_b{size}"
    builder.__doc__ = f"""EfficientNet-B{size}; {parameters} parameters with 1000 classes, {SIZES[size][2]} pixels.

    `stem="cifar"`: the first convolution and stage 2 have stride 1. The paper's top-1 on ImageNet is {accuracy} %.
    """
    register_model(builder)


_register(0, 0.2, "5.3 M", "77.1")
_register(1, 0.2, "7.8 M", "79.1")
_register(2, 0.3, "9.1 M", "80.1")
_register(3, 0.3, "12.2 M", "81.6")
