"""ShuffleNet v1 (Zhang et al. 2017, arXiv:1707.01083) and v2 (Ma et al. 2018, arXiv:1807.11164).

https://arxiv.org/abs/1707.01083, "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices";
https://arxiv.org/abs/1807.11164, "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design".

Motivation: At 10 to 150 M multiply-adds, the 1x1 convolutions of Xception or ResNeXt take nearly all of the budget and
leave few channels. v2 adds that multiply-adds are the wrong measure: memory traffic and parallelism make networks of
equal count differ in speed on a GPU or phone.

Method: v1 gives the 1x1 convolutions groups as well, and shuffles the channels between two of them, so that groups
exchange information: a residual unit of 1x1 grouped convolution, shuffle, 3x3 depthwise and 1x1 grouped convolution,
with addition, or at stride 2 with concatenation to an average-pooled input. What it saves buys channels. v2 follows
four guidelines (section 2: equal widths in and out, few groups, few fragments, few element-wise operations): a unit
splits the channels in two halves, leaves one alone, sends the other through 1x1, 3x3 depthwise and 1x1 convolutions
without groups, concatenates and shuffles.

Claims: v1, top-1 error on ImageNet at about 140 M multiply-adds: 33.6, 32.7, 32.6, 32.8 and 32.4 % with 1, 2, 3, 4 and
8 groups (table 2); without the shuffle 34.5 in place of 32.6 % with 3 groups, 37.6 in place of 32.4 % with 8 (table 3);
at about 40 M 7.8 points better than MobileNet (table 5); 13 times the speed of AlexNet on a phone at like accuracy
(table 8). v2: 39.7, 30.6, 27.4 and 25.1 % with 41, 146, 299 and 591 M (table 8); at 500 M on a GPU 58 % faster than
MobileNet v2 and 63 % faster than v1 (section 4).

Drawbacks: v1 goes against what v2's authors find fast: groups and narrow bottlenecks cost memory traffic, so its time
is worse than its multiply-adds. Many groups thin what each filter sees: the best number depends on the width. Shuffles
and splits move data without computing and need care in a library. At equal accuracy larger networks remain easier to
train; these are for small budgets.
"""

from collections import OrderedDict
from collections.abc import Callable
from math import floor, log2

import torch
from torch import Tensor, nn

from cnnlab.errors import ConfigError
from cnnlab.models.backbone import Backbone, init_convolutions, init_linear
from cnnlab.models.layers import ChannelShuffle, Stem, conv_norm, is_cifar
from cnnlab.models.layouts import Weights, rename
from cnnlab.models.registry import register_model

STEM = 24
REPEATS = (4, 8, 4)  # units in stages 2, 3, 4
# v1, table 1: groups -> outputs of stage 2; they double in each stage
V1_OUTPUTS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
# v2, table 5: outputs of stage 2, 3, 4 and of conv5
V2_OUTPUTS = {
    "0_5": (48, 96, 192, 1024), "1_0": (116, 232, 464, 1024), "1_5": (176, 352, 704, 1024),
    "2_0": (244, 488, 976, 2048),
}  # fmt: skip
V2_MILLIONS = {"0_5": 1.4, "1_0": 2.3, "1_5": 3.5, "2_0": 7.4}


class ShuffleUnit(nn.Module):
    """v1, figure 2 (b) and, at stride 2, (c): a bottleneck of grouped 1x1 convolutions with a shuffle between them.

    Args:
        inputs, outputs: channels; at stride 2 the unit makes outputs - inputs of them, and the input is the rest.
        stride: of the depthwise convolution.
        groups: of the 1x1 convolutions.
        first_groups: of the first 1x1 convolution (1 in the network's first unit, whose input is thin).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int, first_groups: int) -> None:
        super().__init__()
        self.stride, inner = stride, outputs // 4
        made = outputs - inputs if stride == 2 else outputs
        self.reduce = conv_norm(inputs, inner, 1, groups=first_groups)
        self.shuffle = ChannelShuffle(groups)
        self.depthwise = conv_norm(inner, inner, 3, stride, groups=inner, act=None)
        self.expand = conv_norm(inner, made, 1, groups=groups, act=None)
        if stride == 2:
            self.shortcut = nn.AvgPool2d(3, stride=2, padding=1)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        residual = self.expand(self.depthwise(self.shuffle(self.reduce(x))))
        if self.stride == 2:
            return self.act(torch.cat([self.shortcut(x), residual], 1))
        return self.act(x + residual)


class SplitUnit(nn.Module):
    """v2, figure 3 (c): half of the channels pass, the other half is transformed; concatenated and shuffled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.right = _right_branch(channels // 2, channels // 2, stride=1)
        self.shuffle = ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, 1)
        return self.shuffle(torch.cat([left, self.right(right)], 1))


class DownUnit(nn.Module):
    """v2, figure 3 (d): no split; both branches see all channels and halve the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.left = nn.Sequential(
            conv_norm(inputs, inputs, 3, 2, groups=inputs, act=None),
            conv_norm(inputs, half, 1),
        )
        self.right = _right_branch(inputs, half, stride=2)
        self.shuffle = ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.shuffle(torch.cat([self.left(x), self.right(x)], 1))


def _right_branch(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        conv_norm(inputs, outputs, 1),
        conv_norm(outputs, outputs, 3, stride, groups=outputs, act=None),
        conv_norm(outputs, outputs, 1),
    )


class ShuffleNet(Backbone):
    """Stem, stages 2, 3, 4 (each begins with a unit of stride 2), in v2 a 1x1 convolution, average, linear layer.

    Pyramid: the ends of the stages (strides 8, 16, 32; 2, 4, 8 with the CIFAR stem). Layer groups: the stem, each
    stage, the head; conv5 belongs to the last stage.

    Args:
        stem_channels: of the first convolution.
        outputs: channels of stages 2, 3 and 4.
        unit: makes one from (inputs, outputs, stride).
        num_classes: outputs.
        dropout: before the linear layer.
        stem: ImageNet's has a convolution and a max pooling of stride 2; CIFAR's has stride 1 and no pooling.
        last: channels of conv5; 0 leaves it out.
    """

    def __init__(
        self, stem_channels: int, outputs: tuple[int, ...], unit: Callable[[int, int, int], nn.Module],
        num_classes: int, dropout: float, stem: Stem, last: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        layers = OrderedDict(conv1=conv_norm(3, stem_channels, 3, 1 if is_cifar(stem) else 2))
        stride = 1
        if not is_cifar(stem):
            layers["pool1"] = nn.MaxPool2d(3, stride=2, padding=1)
            stride = 4
        start, inputs = len(layers), stem_channels
        pyramid = {}
        for number, (repeats, channels) in enumerate(zip(REPEATS, outputs, strict=True), 2):
            stage = [unit(inputs, channels, 2), *(unit(channels, channels, 1) for _ in range(repeats - 1))]
            stride, inputs = 2 * stride, channels
            pyramid[stride] = (len(layers), channels)
            layers[f"stage{number}"] = nn.Sequential(*stage)
        cuts = [*range(start, len(layers))]
        if last:
            pyramid[stride] = (len(layers), last)
            layers["conv5"] = conv_norm(inputs, last, 1)
        self.features = nn.Sequential(layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.embedding_dim = last or inputs
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.embedding_dim, num_classes))
        init_convolutions(self.features)
        init_linear(self.classifier)
        self._describe(pyramid, cuts, ())


def rename_torchvision(state: Weights) -> Weights:
    """Names of torchvision's ShuffleNet v2 -> ours."""
    left = {0: "0.conv", 1: "0.norm", 2: "1.conv", 3: "1.norm"}
    right = {0: "0.conv", 1: "0.norm", 3: "1.conv", 4: "1.norm", 5: "2.conv", 6: "2.norm"}
    return rename(state, [
        (r"^conv(1|5)\.0\.", r"features.conv\1.conv."),
        (r"^conv(1|5)\.1\.", r"features.conv\1.norm."),
        (r"^stage", "features.stage"),
        *((rf"\.branch1\.{theirs}\.", f".left.{ours}.") for theirs, ours in left.items()),
        *((rf"\.branch2\.{theirs}\.", f".right.{ours}.") for theirs, ours in right.items()),
        (r"^fc\.", "classifier.1."),
    ])  # fmt: skip


def _v1(groups: int, width: float, num_classes: int, dropout: float, stem: Stem) -> ShuffleNet:
    if width < 0.25:
        raise ConfigError(f"width={width} must be at least 0.25, the paper's smallest.")
    # ShuffleNet 1.5× has the 24 channels of 1×, 0.25× the 12 of 0.5×: that gives tables 2's and 5's multiply-adds
    stem_channels = _multiple(STEM * max(0.5, 2 ** floor(log2(width))), groups)
    first = _multiple(V1_OUTPUTS[groups] * width, 4 * groups)

    def unit(inputs: int, outputs: int, stride: int) -> ShuffleUnit:
        # "we do not apply group convolution on the first pointwise layer because the number of input channels is small"
        return ShuffleUnit(inputs, outputs, stride, groups, 1 if inputs == stem_channels else groups)

    return ShuffleNet(stem_channels, (first, 2 * first, 4 * first), unit, num_classes, dropout, stem)


def _multiple(channels: float, divisor: int) -> int:
    return max(1, round(channels / divisor)) * divisor


def _v2_unit(inputs: int, outputs: int, stride: int) -> nn.Module:
    return DownUnit(inputs, outputs) if stride == 2 else SplitUnit(outputs)


def _register_v1(groups: int) -> None:
    def builder(
        num_classes: int = 1000, width: float = 1.0, dropout: float = 0.0, stem: Stem = "imagenet"
    ) -> ShuffleNet:
        return _v1(groups, width, num_classes, dropout, stem)

    builder.__name__ = f"shufflenet_v1_g{groups}"
    builder.__doc__ = f"""ShuffleNet v1 of table 1 with {groups} group{"s" * (groups > 1)}.

    `width` is the s of "ShuffleNet s×": the stages' channels, rounded to what the groups divide; the first convolution
    follows in powers of two. `stem="cifar"`: stride 1 in place of 2 in the first convolution and no max pooling, so
    that an image of 32 pixels still has 4 at the end and not 1.
    """
    register_model(builder)


def _register_v2(size: str) -> None:
    def builder(num_classes: int = 1000, dropout: float = 0.0, stem: Stem = "imagenet") -> ShuffleNet:
        *outputs, last = V2_OUTPUTS[size]
        return ShuffleNet(STEM, tuple(outputs), _v2_unit, num_classes, dropout, stem, last)

    builder.__name__ = f"shufflenet_v2_x{size}"
    builder.__doc__ = f"""ShuffleNet v2 {size.replace("_", ".")}× of table 5; {V2_MILLIONS[size]} M parameters.

    `stem="cifar"`: stride 1 in place of 2 in the first convolution and no max pooling, so that an image of 32 pixels
    still has 4 at the end and not 1.
    """
    register_model(builder)


for _groups in V1_OUTPUTS:
    _register_v1(_groups)
for _size in V2_OUTPUTS:
    _register_v2(_size)
