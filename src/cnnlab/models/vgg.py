"""VGG: Simonyan and Zisserman 2014, "Very deep convolutional networks" (arXiv:1409.1556), configurations A, B, D, E.

https://arxiv.org/abs/1409.1556, "Very Deep Convolutional Networks for Large-Scale Image Recognition".

Motivation: After AlexNet, others improved it with smaller windows and strides in the first layer, or by training on
several scales. What depth alone does had not been measured: keep everything else fixed and add layers.

Method: Use 3x3 convolutions only, of stride 1 and with padding, in five blocks that a 2x2 max pooling ends; the width
doubles from 64 to 512. Two of them see 5x5 pixels and three see 7x7, as one larger convolution would, with more
rectifiers in between and fewer weights (27 C² in place of 49 C²). Eleven to nineteen layers with weights (table 1);
three linear layers at the end. The deep ones started from the trained layers of the shallow one.

Claims: ImageNet top-1 and top-5 error on one scale: 29.6 and 10.4 % with 11 layers, 28.7 and 9.9 % with 13, 25.6 and
8.1 % with 16, 25.5 and 8.0 % with 19 (table 3, the best training each): depth helps, up to 16 or 19. Local response
normalisation does not help (A-LRN). Two networks together reach 6.8 % top-5 on the test set; second place in ILSVRC
2014 with 7.3 % (table 7). 133 to 144 M parameters (table 2).

Drawbacks: Nearly nine tenths of the parameters are in the linear layers, and 15.5 billion multiply-adds of VGG-16 make
it one of the slowest networks for its accuracy. Without batch normalisation, which came later (the `_bn` variants), or
pretraining of the shallow ones the deep ones hardly start to learn. Plain depth ends here: see ResNet.
"""

from torch import nn

from cnnlab.models.backbone import Backbone, init_convolutions, init_linear
from cnnlab.models.layers import Stem, is_cifar
from cnnlab.models.registry import register_model

# convolutions in each of the five blocks
BLOCKS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


class VGG(Backbone):
    """Five blocks of 3x3 convolutions, each halved by a pooling; its keys are torchvision's.

    The pyramid holds pool3, pool4 and pool5 (strides 8, 16, 32), as the paper on FCN counts them. With `conv_only` the
    two layers of 4096 units are left out: a linear layer on the 512x7x7 map, for weights that know the convolutions
    only. With `stem="cifar"` that layer sees the average over the map, which for an image of 32 pixels is one place.
    """

    def __init__(
        self, depth: int, num_classes: int = 1000, dropout: float = 0.5, norm: bool = False, conv_only: bool = False,
        stem: Stem = "imagenet",
    ) -> None:  # fmt: skip
        super().__init__()
        side = 1 if is_cifar(stem) else 7
        conv_only = conv_only or side == 1
        layers: list[nn.Module] = []
        ends = []
        inputs = 3
        for width, count in zip(WIDTHS, BLOCKS[depth], strict=True):
            for _ in range(count):
                layers.append(nn.Conv2d(inputs, width, 3, padding=1))
                layers += [nn.BatchNorm2d(width), nn.ReLU()] if norm else [nn.ReLU()]
                inputs = width
            ends.append(len(layers))
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(side)
        if conv_only:
            self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(512 * side * side, num_classes))
        else:
            self.classifier = nn.Sequential(
                nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(dropout),
                nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(dropout),
                nn.Linear(4096, num_classes),
            )  # fmt: skip
        init_convolutions(self.features)
        init_linear(self.classifier)
        self.embedding_dim = self.classifier_layer.in_features
        self._describe(
            {8: (ends[2], 256), 16: (ends[3], 512), 32: (ends[4], 512)}, [end + 1 for end in ends[:-1]],
            () if conv_only else (3, 5),
        )  # fmt: skip


def _register(depth: int, norm: bool) -> None:
    def builder(
        num_classes: int = 1000, dropout: float = 0.5, conv_only: bool = False, stem: Stem = "imagenet"
    ) -> VGG:
        return VGG(depth, num_classes, dropout, norm, conv_only, stem)

    builder.__name__ = f"vgg{depth}" + "_bn" * norm
    builder.__doc__ = f"VGG with {depth} layers with weights" + (", batch-normalised." if norm else ".")
    builder.__doc__ += """

    `stem="cifar"`: no layers of 4096 units, and the last one on the average over the 512 maps, for images of 32 pixels.
    """
    register_model(builder)


for _depth in BLOCKS:
    _register(_depth, norm=False)
    _register(_depth, norm=True)
