"""VGG: Simonyan and Zisserman 2014, "Very deep convolutional networks" (arXiv:1409.1556), configurations A, B, D, E."""

from torch import nn

from cnnlab.models.backbone import Backbone, init_convolutions, init_linear
from cnnlab.models.registry import register_model

# convolutions in each of the five blocks
BLOCKS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


class VGG(Backbone):
    """Five blocks of 3x3 convolutions, each halved by a pooling; its keys are torchvision's.

    The pyramid holds pool3, pool4 and pool5 (strides 8, 16, 32), as the paper on FCN counts them. With `conv_only` the
    two layers of 4096 units are left out: a linear layer on the 512x7x7 map, for weights that know the convolutions
    only.
    """

    def __init__(
        self, depth: int, num_classes: int = 1000, dropout: float = 0.5, norm: bool = False, conv_only: bool = False
    ) -> None:
        super().__init__()
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
        self.pool = nn.AdaptiveAvgPool2d(7)
        if conv_only:
            self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(512 * 7 * 7, num_classes))
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
    def builder(num_classes: int = 1000, dropout: float = 0.5, conv_only: bool = False) -> VGG:
        return VGG(depth, num_classes, dropout, norm, conv_only)

    builder.__name__ = f"vgg{depth}" + "_bn" * norm
    builder.__doc__ = f"VGG with {depth} layers with weights" + ", batch-normalised." * norm
    register_model(builder)


for _depth in BLOCKS:
    _register(_depth, norm=False)
    _register(_depth, norm=True)
