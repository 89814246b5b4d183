"""MobileNet v1 (Howard et al. 2017, arXiv:1704.04861) and v2 (Sandler et al. 2018, arXiv:1801.04381).

https://arxiv.org/abs/1704.04861, "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications";
https://arxiv.org/abs/1801.04381, "MobileNetV2: Inverted Residuals and Linear Bottlenecks".

Motivation: Networks became more accurate by growing, which robots, cars and phones cannot follow: recognition has to
answer in time on little computing power. Work on small networks looked at size only; latency counts as well, and a
designer wants a dial between both and accuracy.

Method: v1 factors each convolution into a depthwise one, which filters each channel by itself, and a pointwise (1x1)
one, which combines them: 1/N + 1/k² of the multiply-adds for N outputs and kernels of side k, about a ninth with 3x3
kernels. A width multiplier thins all layers, a resolution multiplier shrinks the image. v2 makes the block an inverted
residual: a 1x1 convolution expands a thin map six times, a depthwise one filters it, and a linear 1x1 convolution
projects it back; shortcuts join the thin ends. The projection is linear because a rectifier destroys information in
few channels.

Claims: v1 on ImageNet: 70.6 % with 569 M multiply-adds and 4.2 M parameters, against 71.7 % with 4866 M and 29.3 M of
the same network of full convolutions (table 4); 68.4, 63.7 and 50.6 % at width 0.75, 0.5 and 0.25 (table 6). v2: 72.0 %
with 300 M and 3.4 M in 75 ms on a Pixel 1, against 113 ms of v1; 74.7 % at width 1.4 with 585 M and 6.9 M (table 4).
Linear bottlenecks and shortcuts between the bottlenecks beat their alternatives (figure 6).

Drawbacks: Depthwise convolutions are 3 % of v1's multiply-adds (table 2) but much more of its time, because they
compute little for each number they fetch; speed depends on how well a library does them. They have few weights each,
and v1's authors put little or no weight decay on them, one more setting to get right. Thin networks underfit on large
data sets and lose accuracy quickly below half width. v2's wide inner maps need memory while training.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from cnnlab.models.backbone import Backbone, init_convolutions, init_linear
from cnnlab.models.layers import Stem, conv_norm, is_cifar, round_channels
from cnnlab.models.layouts import Weights, rename
from cnnlab.models.registry import register_model

# v1, table 1: stride and outputs of the depthwise separable convolutions
SEPARABLE = (
    (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), (1, 512), (1, 512), (1, 512), (1, 512), (1, 512),
    (2, 1024), (1, 1024),
)  # fmt: skip
# v2, table 2: expansion t, channels c, repeats n, stride s
BOTTLENECKS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
STEM, LAST = 32, 1280

conv_relu6 = partial(conv_norm, act=nn.ReLU6)


class SeparableConv(nn.Module):
    """Figure 3, right: a depthwise 3x3 and a pointwise convolution, each normalised and rectified."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = conv_norm(inputs, inputs, 3, stride, groups=inputs)
        self.pointwise = conv_norm(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class InvertedResidual(nn.Module):
    """Expand, filter, project linearly; added to the input where it fits (table 1 and figure 4 of v2).

    Args:
        inputs, outputs: channels of the thin ends.
        stride: of the depthwise convolution.
        expansion: inner channels per input; with 1 there is no expanding convolution.
        drop_path: share of the residuals dropped while training (stochastic depth, arXiv:1603.09382).
        kernel: of the depthwise convolution.
        layer: makes a convolution with its normalisation and ReLU6, as `layers.conv_norm`.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, expansion: int, drop_path: float = 0.0, kernel: int = 3,
        layer: Callable[..., nn.Module] = conv_relu6,
    ) -> None:  # fmt: skip
        super().__init__()
        inner = inputs * expansion
        if expansion > 1:
            self.expand = layer(inputs, inner, 1)
        self.depthwise = layer(inner, inner, kernel, stride, groups=inner)
        self.project = layer(inner, outputs, 1, act=None)
        self.adds = stride == 1 and inputs == outputs
        if self.adds:
            self.drop_path = StochasticDepth(drop_path, "row")

    def forward(self, x: Tensor) -> Tensor:
        out = self.expand(x) if hasattr(self, "expand") else x
        out = self.project(self.depthwise(out))
        return x + self.drop_path(out) if self.adds else out


class MobileNet(Backbone):
    """A list of blocks, average, linear layer.

    Pyramid: the deepest map of each stride. Layer groups: the network cut where the size is halved.

    Args:
        blocks: (stride, outputs, module), in order; `outputs` are the module's channels.
        num_classes: outputs.
        dropout: before the linear layer.
    """

    def __init__(self, blocks: list[tuple[int, int, nn.Module]], num_classes: int, dropout: float) -> None:
        super().__init__()
        self.features = nn.Sequential(*(module for _, _, module in blocks))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.embedding_dim = blocks[-1][1]
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.embedding_dim, num_classes))
        init_convolutions(self.features)
        init_linear(self.classifier)
        pyramid: dict[int, tuple[int, int]] = {}
        total = 1
        for index, (stride, outputs, _) in enumerate(blocks):
            total *= stride
            pyramid[total] = (index, outputs)
        cuts = [index for index, (stride, _, _) in enumerate(blocks) if stride > 1 and index > 0]
        self._describe(pyramid, cuts, ())


def rename_torchvision(state: Weights) -> Weights:
    """Names of torchvision's MobileNet v2 -> ours."""
    parts = {"0.0": "expand.conv", "0.1": "expand.norm", "1.0": "depthwise.conv", "1.1": "depthwise.norm"}
    parts |= {"2": "project.conv", "3": "project.norm"}
    first = {"0.0": "depthwise.conv", "0.1": "depthwise.norm", "1": "project.conv", "2": "project.norm"}
    return rename(state, [
        (r"^features\.(0|18)\.0\.", r"features.\1.conv."),
        (r"^features\.(0|18)\.1\.", r"features.\1.norm."),
        *((rf"^features\.1\.conv\.{key}\.([a-z_]+)$", rf"features.1.{part}.\1") for key, part in first.items()),
        *((rf"\.conv\.{key}\.([a-z_]+)$", rf".{part}.\1") for key, part in parts.items()),
    ])  # fmt: skip


@register_model
def mobilenet_v1(
    num_classes: int = 1000, width: float = 1.0, dropout: float = 0.0, stem: Stem = "imagenet"
) -> MobileNet:
    """MobileNet v1 of table 1; 4.2 M parameters with 1000 classes.

    `stem="cifar"`: stride 1 in place of 2 in the first convolution and in the first separable one that has it, so that
    an image of 32 pixels still has 4 at the end and not 1.

    Args:
        num_classes: outputs.
        width: multiplier of all channels; the paper's are 1, 0.75, 0.5 and 0.25.
        dropout: before the linear layer.
        stem: for ImageNet's sizes or CIFAR's.
    """
    cifar = is_cifar(stem)
    inputs = round_channels(STEM * width)
    blocks: list[tuple[int, int, nn.Module]] = [(1 if cifar else 2, inputs, conv_norm(3, inputs, 3, 1 if cifar else 2))]
    for stride, outputs in SEPARABLE:
        if cifar and outputs == 128:
            stride = 1
        outputs = round_channels(outputs * width)
        blocks.append((stride, outputs, SeparableConv(inputs, outputs, stride)))
        inputs = outputs
    return MobileNet(blocks, num_classes, dropout)


@register_model
def mobilenet_v2(
    num_classes: int = 1000, width: float = 1.0, dropout: float = 0.2, drop_path: float = 0.0, stem: Stem = "imagenet"
) -> MobileNet:
    """MobileNet v2 of table 2; 3.5 M parameters with 1000 classes.

    `stem="cifar"`: stride 1 in place of 2 in the first convolution and in the bottlenecks of 24 channels, so that an
    image of 32 pixels still has 4 at the end and not 1.

    Args:
        num_classes: outputs.
        width: multiplier of all channels, but of the last convolution's only above 1, as section 5 has it.
        dropout: before the linear layer.
        drop_path: share of the last bottleneck's residuals dropped while training; it grows from 0 with the depth.
        stem: for ImageNet's sizes or CIFAR's.
    """
    cifar = is_cifar(stem)
    first = 1 if cifar else 2
    inputs = round_channels(STEM * width)
    blocks: list[tuple[int, int, nn.Module]] = [(first, inputs, conv_relu6(3, inputs, 3, first))]
    total = sum(repeats for _, _, repeats, _ in BOTTLENECKS)
    for expansion, channels, repeats, stage_stride in BOTTLENECKS:
        outputs = round_channels(channels * width)
        for repeat in range(repeats):
            stride = stage_stride if repeat == 0 and not (cifar and channels == 24) else 1
            drop = drop_path * (len(blocks) - 1) / (total - 1)
            blocks.append((stride, outputs, InvertedResidual(inputs, outputs, stride, expansion, drop)))
            inputs = outputs
    last = round_channels(LAST * max(1.0, width))
    blocks.append((1, last, conv_relu6(inputs, last, 1)))
    return MobileNet(blocks, num_classes, dropout)
