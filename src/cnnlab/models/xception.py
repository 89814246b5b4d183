"""Xception: Chollet 2016, "Xception: Deep Learning with Depthwise Separable Convolutions" (arXiv:1610.02357).

https://arxiv.org/abs/1610.02357. Figure 5 is the network.

Motivation: An Inception module looks at correlations across channels (1x1 convolutions) and in space (the larger
ones) more or less apart from each other. If that is why it works, then a stronger hypothesis suggests itself: the two
can be decoupled entirely. An Inception module with one spatial convolution per output channel, the extreme case, is
almost a depthwise separable convolution.

Method: Replace the modules by depthwise separable convolutions (3x3 on each channel by itself, then 1x1), each
followed by batch normalisation, without a rectifier between the two, in blocks of two or three with residual
connections around them: 36 convolutional layers in 14 blocks. Entry flow: a stem and three blocks that halve the map;
middle flow: eight equal blocks of 728 channels; exit flow: one more halving and two separable convolutions.

Claims: ImageNet, one crop: 79.0 % top-1 and 94.5 % top-5 accuracy, against 78.2 and 94.1 % of Inception-v3 with as many
parameters (22.9 and 23.6 M; tables 1, 3), so that the gain comes from their better use. On JFT, with 350 million
images and 17,000 classes, the lead is larger: 6.70 against 6.36 FastEval14k MAP@100 (table 2). A rectifier between
depthwise and pointwise convolution hurts (figure 10), and the residual connections are essential (figure 9).

Drawbacks: Slower than Inception-v3 at the same size: 28 against 31 steps per second (table 3), since a depthwise
convolution moves much memory for little arithmetic. The author grants that nothing shows the extreme case to be the
best point between a plain and a depthwise convolution. The optimiser was tuned for Inception-v3 and kept, only the
weight decay was set anew: what Xception reaches at its own best is not shown.
"""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from cnnlab.models.backbone import Backbone, init_convolutions, init_linear
from cnnlab.models.inception_blocks import EPS, MEAN, STD
from cnnlab.models.layers import DepthwiseConv2d, Stem, conv_norm, is_cifar
from cnnlab.models.registry import register_model

MIDDLE = 8  # equal blocks in the middle flow


def separable_conv(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution of each channel, a 1x1 across them, batch normalisation."""
    return nn.Sequential(
        OrderedDict(
            depthwise=DepthwiseConv2d(inputs, 3),
            pointwise=nn.Conv2d(inputs, outputs, 1, bias=False),
            norm=nn.BatchNorm2d(outputs, eps=EPS),
        )
    )


class Block(nn.Module):
    """Rectifiers and separable convolutions in turn, a max pooling if `stride` is 2, and a shortcut around all.

    Args:
        inputs: channels.
        widths: channels after each separable convolution.
        stride: 1 or 2; with 2, or where the channels change, the shortcut is a 1x1 convolution.
        starts_with_relu: the first block of all follows a rectifier already.
        drop_path: share of images for which the block is left out while training (arXiv:1603.09382).
    """

    def __init__(
        self, inputs: int, widths: Sequence[int], stride: int = 1, starts_with_relu: bool = True, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        outputs = widths[-1]
        if stride > 1 or inputs != outputs:
            self.shortcut = conv_norm(inputs, outputs, 1, stride, act=None, eps=EPS)
        else:
            self.shortcut = nn.Identity()
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.ReLU(), separable_conv(inputs, width)]
            inputs = width
        if stride > 1:
            layers.append(nn.MaxPool2d(3, stride, padding=1))
        self.residual = nn.Sequential(*layers[0 if starts_with_relu else 1 :])
        self.drop_path = StochasticDepth(drop_path, "row")

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, ceil(H / stride), ceil(W / stride))."""
        return self.drop_path(self.residual(x)) + self.shortcut(x)


class Xception(Backbone):
    """Entry, middle and exit flow, average, dropout, linear layer; the paper's network without its optional layers.

    Maps of 299x299 pixels: block 2 of the entry flow (256, 37, 37), the middle flow (728, 19, 19), the end
    (2048, 10, 10), the pyramid of strides 8, 16, 32; with the CIFAR stem 2, 4, 8. The paper gives no initial weights:
    they are He's. Images of any size from 8 pixels.

    Args:
        num_classes: outputs.
        dropout: before the last layer; the paper's on ImageNet is 0.5.
        drop_path: share of the last block's residuals dropped while training, growing from 0 with the depth; the paper
            has none.
        stem: `imagenet`, or `cifar`: both first convolutions are padded, the first has stride 1, and the first block
            does not halve its map, so that 32 pixels give 8 in the middle flow and 4 at the end.
    """

    def __init__(
        self, num_classes: int = 1000, dropout: float = 0.5, drop_path: float = 0.0, stem: Stem = "imagenet"
    ) -> None:
        super().__init__(MEAN, STD)
        cifar = is_cifar(stem)
        padding, stride = (1, 1) if cifar else (0, 2)
        number = iter(range(MIDDLE + 4))

        def block(inputs: int, widths: Sequence[int], stride: int = 2, starts_with_relu: bool = True) -> Block:
            return Block(inputs, widths, stride, starts_with_relu, drop_path * next(number) / (MIDDLE + 3))

        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=conv_norm(3, 32, 3, stride, padding=padding, eps=EPS),
            conv2=conv_norm(32, 64, 3, padding=padding, eps=EPS),
            entry1=block(64, (128, 128), stride, starts_with_relu=False),
            entry2=block(128, (256, 256)),
            entry3=block(256, (728, 728)),
        )
        layers |= {f"middle{i}": block(728, (728,) * 3, stride=1) for i in range(1, MIDDLE + 1)}
        layers |= OrderedDict(
            exit1=block(728, (728, 1024)),
            exit2=nn.Sequential(separable_conv(1024, 1536), nn.ReLU()),
            exit3=nn.Sequential(separable_conv(1536, 2048), nn.ReLU()),
        )
        self.features = nn.Sequential(layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(2048, num_classes))
        init_convolutions(self.features)
        init_linear(self.classifier)
        self.embedding_dim = 2048
        at = list(layers).index
        stride = 2 if cifar else 8
        self._describe(
            {
                stride: (at("entry2"), 256),
                2 * stride: (at(f"middle{MIDDLE}"), 728),
                4 * stride: (at("exit3"), 2048),
            },
            [at("entry1"), at("middle1"), at("middle5"), at("exit1")], (),
        )  # fmt: skip


@register_model
def xception(
    num_classes: int = 1000, dropout: float = 0.5, drop_path: float = 0.0, stem: Stem = "imagenet"
) -> Xception:
    """Xception; 22.9 M parameters with 1000 classes.

    `stem="cifar"`: both first convolutions are padded, the first has stride 1, and the first block halves nothing.
    """
    return Xception(num_classes, dropout, drop_path, stem)
