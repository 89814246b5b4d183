"""ResNet: He, Zhang, Ren and Sun 2015, "Deep Residual Learning for Image Recognition" (arXiv:1512.03385).

https://arxiv.org/abs/1512.03385. The networks of section 4.1 for ImageNet (18 to 101 layers) and those of section 4.2
for CIFAR-10 (20 to 110 layers).

Motivation: A deeper plain network should be no worse than a shallower one, since its extra layers could be identities;
yet with depth the training error itself rises (figure 1), although batch normalisation keeps gradients healthy.
Solvers find identities hard to learn through stacked nonlinear layers: the degradation problem.

Method: Let a few stacked layers learn a residual function F(x) = H(x) - x in place of H(x), and add the input back by
a shortcut: y = ReLU(F(x) + x). An identity then costs nothing but weights near zero, and the shortcut has no
parameters. Two blocks (figure 5): two 3x3 convolutions, or, for 50 layers and more, a bottleneck of 1x1, 3x3 and 1x1
whose ends are four times as wide. Where the size changes, the shortcut pads new channels with zeros (option A) or
projects with a 1x1 convolution (option B). No hidden linear layers, no dropout.

Claims: ImageNet top-1 error, 10 crops: plain 18 and 34 layers 27.94 and 28.54 %, ResNet-18 and -34 27.88 and 25.03 %
(table 2); ResNet-50 22.85 %, ResNet-101 21.75 %, ResNet-152 21.43 % (table 3); an ensemble won ILSVRC 2015 with 3.57 %
top-5 (table 5). The networks of 18, 34, 50 and 101 layers cost 1.8, 3.6, 3.8 and 7.6 billion multiply-adds (table 1),
the last two with the stride of a stage in the first 1x1 convolution, which is `stride_in_1x1` here. CIFAR-10 test
error: 8.75, 7.51, 7.17, 6.97 and 6.43 % with 20, 32, 44, 56 and 110 layers, of 0.27, 0.46, 0.66, 0.85 and 1.7 M
parameters (table 6).

Drawbacks: Depth still has an end: 1202 layers train to 0.1 % error and test at 7.93 %, worse than 110 (section 4.2,
"overfitting"). The rectifier after the addition keeps the shortcut from being a pure identity (corrected by the same
authors in arXiv:1603.05027). Maps of all blocks are kept for the gradient, and many thin layers run one after another:
a ResNet is slower than its multiply-adds suggest, and wider, shallower ones do as well on CIFAR (arXiv:1605.07146).
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from cnnlab.models.backbone import Backbone, init_convolutions, init_linear
from cnnlab.models.layers import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Stem,
    conv_norm,
    is_cifar,
)
from cnnlab.models.layouts import Weights, rename
from cnnlab.models.registry import register_model

# table 1: blocks in conv2_x, conv3_x, conv4_x, conv5_x
IMAGENET_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
IMAGENET_WIDTHS = (64, 128, 256, 512)
# section 4.2: 6n + 2 layers
CIFAR_DEPTHS = (20, 32, 44, 56, 110)
CIFAR_WIDTHS = (16, 32, 64)

Shortcut = Literal["A", "B"]


class ZeroPadShortcut(nn.Module):
    """Option A: every stride-th pixel, and zeros for the new channels; no parameters."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.added, self.stride = outputs - inputs, stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, ceil(H / stride), ceil(W / stride))."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))

    def extra_repr(self) -> str:
        return f"added={self.added}, stride={self.stride}"


class ResidualBlock(nn.Module):
    """y = ReLU(F(x) + x): the residual function F, and a shortcut which is the identity where the shapes agree.

    Args:
        residual: F, ending in a batch normalisation.
        inputs, outputs: channels.
        stride: of F.
        shortcut: what stands in for the identity where the shapes differ: A pads with zeros, B projects.
        drop_path: share of F(x) dropped per image while training (stochastic depth, arXiv:1603.09382).
    """

    def __init__(
        self, residual: nn.Sequential, inputs: int, outputs: int, stride: int, shortcut: Shortcut, drop_path: float
    ) -> None:
        super().__init__()
        self.residual = residual
        self.drop_path = StochasticDepth(drop_path, "row")
        self.outputs = outputs
        if stride == 1 and inputs == outputs:
            self.shortcut = nn.Identity()
        elif shortcut == "A":
            self.shortcut = ZeroPadShortcut(inputs, outputs, stride)
        else:
            self.shortcut = conv_norm(inputs, outputs, 1, stride, act=None)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop_path(self.residual(x)) + self.shortcut(x))


class BasicBlock(ResidualBlock):
    """Figure 5, left: two 3x3 convolutions."""

    def __init__(
        self, inputs: int, width: int, stride: int, shortcut: Shortcut = "B", drop_path: float = 0.0
    ) -> None:  # fmt: skip
        residual = nn.Sequential(
            conv_norm(inputs, width, 3, stride),
            conv_norm(width, width, 3, act=None),
        )
        super().__init__(residual, inputs, width, stride, shortcut, drop_path)


class Bottleneck(ResidualBlock):
    """Figure 5, right: 1x1 to `width` channels, 3x3, 1x1 to 4 * `width`."""

    expansion = 4

    def __init__(
        self, inputs: int, width: int, stride: int, drop_path: float = 0.0, stride_in_1x1: bool = False
    ) -> None:  # fmt: skip
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        outputs = width * self.expansion
        residual = nn.Sequential(
            conv_norm(inputs, width, 1, first),
            conv_norm(width, width, 3, second),
            conv_norm(width, outputs, 1, act=None),
        )
        super().__init__(residual, inputs, outputs, stride, "B", drop_path)


class ResNet(Backbone):
    """Stem, stages conv2_x, conv3_x, … of residual blocks, each at half the size of the one before, average, linear.

    Pyramid: the end of each stage; strides 4, 8, 16, 32 with ImageNet's stem, 1, 2, 4(, 8) without it. Layer groups:
    the stem, each stage, the head. Images of any size.

    Args:
        stem: layers before the first stage, by name.
        stem_channels, stem_stride: of its output.
        blocks: residual blocks in each stage.
        widths: of each stage's blocks.
        block: makes one from (inputs, width, stride, drop_path=…).
        num_classes: outputs.
        dropout: before the linear layer; the paper has none.
        drop_path: share of the last block's residuals dropped while training; it grows from 0 with the depth.
        mean, std: of the images' channels.
    """

    def __init__(
        self, stem: dict[str, nn.Module], stem_channels: int, stem_stride: int, blocks: Sequence[int],
        widths: Sequence[int], block: Callable[..., ResidualBlock], num_classes: int,
        dropout: float, drop_path: float, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD,
    ) -> None:  # fmt: skip
        super().__init__(mean, std)
        layers = OrderedDict(stem)
        pyramid: dict[int, tuple[int, int]] = {}
        inputs, done = stem_channels, 0
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            stage_blocks = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                drop = drop_path * done / (sum(blocks) - 1)
                stage_blocks.append(block(inputs, width, stride, drop_path=drop))
                inputs, done = stage_blocks[-1].outputs, done + 1
            pyramid[stem_stride * 2**stage] = (len(layers), inputs)
            layers[f"conv{stage + 2}_x"] = nn.Sequential(*stage_blocks)
        self.features = nn.Sequential(layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, num_classes))
        init_convolutions(self.features)
        init_linear(self.classifier)
        self.embedding_dim = inputs
        self._describe(pyramid, range(len(stem), len(layers)), ())


def _imagenet_stem(stem: Stem) -> dict:
    """The layers before conv2_x, as arguments of ResNet.

    ImageNet: a 7x7 convolution and a 3x3 max pooling, both of stride 2 (table 1). CIFAR: a 3x3 convolution of stride 1
    and no pooling, so that an image of 32 pixels still has 4 at the end and not 1.
    """
    if is_cifar(stem):
        return {"stem": {"conv1": conv_norm(3, 64, 3)}, "stem_channels": 64, "stem_stride": 1}
    layers = {"conv1": conv_norm(3, 64, 7, stride=2), "pool1": nn.MaxPool2d(3, stride=2, padding=1)}
    return {"stem": layers, "stem_channels": 64, "stem_stride": 4}


def cifar_resnet(
    width: int, count: int, widths: Sequence[int], block: Callable[..., ResidualBlock], **settings: float
) -> ResNet:
    """For CIFAR: a 3x3 convolution to `width` channels, three stages of `count` blocks, CIFAR-10's mean and spread."""
    stem = {"conv1": conv_norm(3, width, 3)}
    return ResNet(stem, width, 1, (count,) * 3, widths, block, mean=CIFAR10_MEAN, std=CIFAR10_STD, **settings)


def imagenet_resnet(depth: int, block: Callable[..., ResidualBlock], stem: Stem, **settings: float) -> ResNet:
    """For ImageNet: the stem, and the four stages of table 1 with as many blocks as ResNet of this depth."""
    return ResNet(
        **_imagenet_stem(stem), blocks=IMAGENET_BLOCKS[depth], widths=IMAGENET_WIDTHS, block=block, **settings
    )


def rename_torchvision(state: Weights) -> Weights:
    """Names of torchvision's ResNets and ResNeXts -> ours."""
    return rename(state, [
        (r"^conv1\.", "features.conv1.conv."),
        (r"^bn1\.", "features.conv1.norm."),
        *((rf"^layer{stage}\.", f"features.conv{stage + 1}_x.") for stage in (1, 2, 3, 4)),
        *((rf"\.conv{n}\.(\w+)$", rf".residual.{n - 1}.conv.\1") for n in (1, 2, 3)),
        *((rf"\.bn{n}\.(\w+)$", rf".residual.{n - 1}.norm.\1") for n in (1, 2, 3)),
        (r"\.downsample\.0\.", ".shortcut.conv."),
        (r"\.downsample\.1\.", ".shortcut.norm."),
        (r"^fc\.", "classifier.1."),
    ])  # fmt: skip


def _register_basic(depth: int) -> None:
    def builder(
        num_classes: int = 1000, dropout: float = 0.0, drop_path: float = 0.0, stem: Stem = "imagenet"
    ) -> ResNet:
        return imagenet_resnet(depth, BasicBlock, stem, num_classes=num_classes, dropout=dropout, drop_path=drop_path)

    builder.__name__ = f"resnet{depth}"
    builder.__doc__ = f"""ResNet-{depth} of table 1, projection shortcuts (option B).

    `stem="cifar"`: a 3x3 convolution of stride 1 in place of the 7x7 of stride 2, and no max pooling.
    """
    register_model(builder)


def _register_bottleneck(depth: int) -> None:
    def builder(
        num_classes: int = 1000, dropout: float = 0.0, drop_path: float = 0.0, stem: Stem = "imagenet",
        stride_in_1x1: bool = False,
    ) -> ResNet:  # fmt: skip
        block = partial(Bottleneck, stride_in_1x1=stride_in_1x1)
        return imagenet_resnet(depth, block, stem, num_classes=num_classes, dropout=dropout, drop_path=drop_path)

    builder.__name__ = f"resnet{depth}"
    builder.__doc__ = f"""ResNet-{depth} of table 1, bottleneck blocks, projection shortcuts (option B).

    A stage halves the size in the 3x3 convolution of its first bottleneck, as torchvision and its weights do; with
    `stride_in_1x1` in the first 1x1 convolution, as in the paper. `stem="cifar"`: a 3x3 convolution of stride 1 in
    place of the 7x7 of stride 2, and no max pooling.
    """
    register_model(builder)


def _register_cifar(depth: int) -> None:
    def builder(
        num_classes: int = 10, dropout: float = 0.0, drop_path: float = 0.0, shortcut: Shortcut = "A"
    ) -> ResNet:
        return cifar_resnet(
            16, (depth - 2) // 6, CIFAR_WIDTHS, partial(BasicBlock, shortcut=shortcut),
            num_classes=num_classes, dropout=dropout, drop_path=drop_path,
        )  # fmt: skip

    builder.__name__ = f"resnet{depth}"
    builder.__doc__ = f"""ResNet-{depth} of section 4.2, for images of 32 pixels.

    `shortcut`: A pads new channels with zeros, as the paper's; B projects. The images' mean colour is taken off and
    divided by its spread; the paper takes off a mean image.
    """
    register_model(builder)


for _depth in IMAGENET_BLOCKS:
    (_register_basic if _depth < 50 else _register_bottleneck)(_depth)
for _depth in CIFAR_DEPTHS:
    _register_cifar(_depth)
