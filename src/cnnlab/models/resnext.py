"""ResNeXt: Xie, Girshick, Dollár, Tu and He 2016, "Aggregated Residual Transformations" (arXiv:1611.05431).

https://arxiv.org/abs/1611.05431, "Aggregated Residual Transformations for Deep Neural Networks". The notation CxDd is
cardinality C, the number of paths, and D, the width of each in the first stage.

Motivation: Inception networks are accurate at little cost because they split, transform and merge; but every branch
has its own filter numbers and sizes, tailored stage by stage, which is hard to carry over to new data. VGG and ResNet
show the opposite virtue: one block, repeated. Can a simple repeated block also split, transform and merge?

Method: Aggregate C transformations of the same topology in each residual block, y = x + sum over i of T_i(x), where
each T_i is a thin bottleneck of width D. Their number, the cardinality, is a dimension beside depth and width. The sum
equals one bottleneck whose 3x3 convolution has C groups (figure 3, c), and that is how it is written. Two rules give
all blocks: blocks of one map size share widths, and when the size is halved the width doubles.

Claims: ImageNet top-1 error at the complexity of ResNet-50: 23.9 % with 1x64d, 22.2 % with 32x4d (table 3); at twice
that of ResNet-101: deeper 21.7 %, wider 21.3 %, 64x4d 20.4 % (table 4); second place in ILSVRC 2016. CIFAR-10 and
CIFAR-100 test error of 29 layers: 3.65 and 17.77 % with 8x64d, 3.58 and 17.31 % with 16x64d (table 7).

Drawbacks: Grouped convolutions save multiply-adds but not memory traffic: on GPUs and CPUs they run slower than the
same number of multiply-adds in one dense convolution, so that equal complexity is not equal time. The CIFAR networks
are large (34.4 and 68.1 M parameters) for what they gain. Residual shortcuts remain necessary: without them ResNeXt-50
falls to 26.1 % error (section 5.1).
"""

from functools import partial

from torch import nn

from cnnlab.models.layers import Stem, conv_norm
from cnnlab.models.registry import register_model
from cnnlab.models.resnet import ResidualBlock, ResNet, cifar_resnet, imagenet_resnet


class AggregatedBlock(ResidualBlock):
    """Figure 3 (c): 1x1 to all paths, a 3x3 convolution in as many groups as there are paths, 1x1 to 4 * `width`.

    Args:
        inputs: channels.
        width: of the stage (64, 128, …), a quarter of the block's outputs.
        stride: of the 3x3 convolution.
        cardinality: number of paths, C.
        path_width: channels of a path where `width` is 64, D; it grows with `width`.
        drop_path: share of residuals dropped while training.
    """

    expansion = 4

    def __init__(
        self, inputs: int, width: int, stride: int, cardinality: int, path_width: int, drop_path: float = 0.0
    ) -> None:
        paths = cardinality * (width * path_width // 64)
        outputs = width * self.expansion
        residual = nn.Sequential(
            conv_norm(inputs, paths, 1),
            conv_norm(paths, paths, 3, stride, groups=cardinality),
            conv_norm(paths, outputs, 1, act=None),
        )
        super().__init__(residual, inputs, outputs, stride, "B", drop_path)


def _resnext29(cardinality: int, **settings: float) -> ResNet:
    block = partial(AggregatedBlock, cardinality=cardinality, path_width=64)
    return cifar_resnet(64, 3, (64, 128, 256), block, **settings)


@register_model
def resnext29_8x64d(num_classes: int = 10, dropout: float = 0.0, drop_path: float = 0.0) -> ResNet:
    """ResNeXt-29 (8x64d) of section 5.3, for images of 32 pixels; 34.4 M parameters with 10 classes.

    The blocks normalise and rectify after their convolutions. The paper's CIFAR runs had them before; its authors
    found the form used here better (README of facebookresearch/ResNeXt).
    """
    return _resnext29(8, num_classes=num_classes, dropout=dropout, drop_path=drop_path)


@register_model
def resnext29_16x64d(num_classes: int = 10, dropout: float = 0.0, drop_path: float = 0.0) -> ResNet:
    """ResNeXt-29 (16x64d) of section 5.3, for images of 32 pixels; 68.1 M parameters with 10 classes.

    Blocks as in `resnext29_8x64d`.
    """
    return _resnext29(16, num_classes=num_classes, dropout=dropout, drop_path=drop_path)


@register_model
def resnext50_32x4d(
    num_classes: int = 1000, dropout: float = 0.0, drop_path: float = 0.0, stem: Stem = "imagenet"
) -> ResNet:
    """ResNeXt-50 (32x4d) of table 1; 25.0 M parameters with 1000 classes.

    `stem="cifar"`: a 3x3 convolution of stride 1 in place of the 7x7 of stride 2, and no max pooling.
    """
    block = partial(AggregatedBlock, cardinality=32, path_width=4)
    return imagenet_resnet(50, block, stem, num_classes=num_classes, dropout=dropout, drop_path=drop_path)
