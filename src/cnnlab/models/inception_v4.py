"""Inception-v4: Szegedy, Ioffe, Vanhoucke and Alemi 2016, "Inception-v4, Inception-ResNet …" (arXiv:1602.07261).

https://arxiv.org/abs/1602.07261. Figure 9 is the network, figures 3 to 8 its stem, modules and reductions, table 1 the
widths of the first reduction.

Motivation: Residual connections had just won ILSVRC 2015; do Inception networks gain from them too? To answer it, the
authors also needed the best network without: Inception-v3 still carried choices made to fit DistBelief's partitions
over several machines, so that each part had been kept as it was when another changed. What comes out if the choices
are made uniformly, for TensorFlow?

Method: One kind of module per grid, and more of them: four Inception-A on 35x35, seven Inception-B on 17x17 (1x7 and
7x1 convolutions), three Inception-C on 8x8 (1x3 and 3x1 side by side), with a reduction between the grids. The stem
branches as well: wherever it loses pixels, a convolution and a pooling, or two chains of convolutions, are joined.
The average of the last map is followed by dropout (0.2) and the linear layer.

Claims: ImageNet, one crop: 20.0 % top-1 and 5.0 % top-5 error, against 21.2 and 5.6 % of Inception-v3 and 19.9 and
4.9 % of Inception-ResNet-v2, which costs about as much (table 2); 144 crops: 17.7 and 3.8 % (table 4). Together with
three Inception-ResNet-v2, 3.08 % top-5 on the test images. Residual connections speed up training much, but are not
needed for the accuracy.

Drawbacks: Nearly twice the parameters and more than twice the multiply-adds of Inception-v3 for 1.2 points; the
residual sister of the same cost trains faster and is no worse. About 150 convolutions, most of them small: slow for
its arithmetic. No experiment says which of the uniform choices helped.
"""

from collections import OrderedDict

from torch import nn

from cnnlab.models.backbone import init_convolutions
from cnnlab.models.inception_blocks import (
    MEAN,
    STD,
    AuxiliaryBackbone,
    BatchNormAuxiliary,
    Branches,
    EnlargingNormalize,
    chain,
    init_output,
)
from cnnlab.models.layers import Stem, is_cifar
from cnnlab.models.registry import register_model

SMALLEST = 75  # pixels: below, nothing is left for the last module
ACROSS, DOWN = (1, 7), (7, 1)


def _average(inputs: int, outputs: int) -> nn.Sequential:
    # TensorFlow's average leaves the padding out
    pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return nn.Sequential(pool, *chain(inputs, (outputs, 1)))


def inception_a() -> Branches:
    """Figure 4, 35x35; 384 to 384 channels."""
    return Branches(
        average=_average(384, 96),
        conv1x1=chain(384, (96, 1)),
        conv3x3=chain(384, (64, 1), (96, 3)),
        double3x3=chain(384, (64, 1), (96, 3), (96, 3)),
    )


def reduction_a(padding: int) -> Branches:
    """Figure 7 with k, l, m, n = 192, 224, 256, 384 (table 1), 35x35 to 17x17; 384 to 1024 channels."""
    return Branches(
        pool=nn.MaxPool2d(3, stride=2, padding=padding),
        conv3x3=chain(384, (384, 3), stride=2, padding=padding),
        double3x3=chain(384, (192, 1), (224, 3), (256, 3), stride=2, padding=padding),
    )


def inception_b() -> Branches:
    """Figure 5, 17x17; 1024 to 1024 channels."""
    return Branches(
        average=_average(1024, 128),
        conv1x1=chain(1024, (384, 1)),
        conv7x7=chain(1024, (192, 1), (224, ACROSS), (256, DOWN)),
        double7x7=chain(1024, (192, 1), (192, DOWN), (224, ACROSS), (224, DOWN), (256, ACROSS)),
    )


def reduction_b(padding: int) -> Branches:
    """Figure 8, 17x17 to 8x8; 1024 to 1536 channels."""
    return Branches(
        pool=nn.MaxPool2d(3, stride=2, padding=padding),
        conv3x3=chain(1024, (192, 1), (192, 3), stride=2, padding=padding),
        conv7x7=chain(1024, (256, 1), (256, ACROSS), (320, DOWN), (320, 3), stride=2, padding=padding),
    )


def inception_c() -> Branches:
    """Figure 6, 8x8; 1536 to 1536 channels."""

    def wide(inputs: int) -> Branches:
        return Branches(across=chain(inputs, (256, (1, 3))), down=chain(inputs, (256, (3, 1))))

    return Branches(
        average=_average(1536, 256),
        conv1x1=chain(1536, (256, 1)),
        conv3x3=nn.Sequential(*chain(1536, (384, 1)), wide(384)),
        double3x3=nn.Sequential(*chain(1536, (384, 1), (448, (1, 3)), (512, (3, 1))), wide(512)),
    )


def _stem(cifar: bool) -> OrderedDict[str, nn.Module]:
    """Figure 3: to 35x35 (16x16 of 32 pixels with CIFAR's) and 384 channels."""
    stride, some = (1, 1) if cifar else (2, 0)
    keep = None if cifar else 0  # None keeps the size
    return OrderedDict(
        conv1=chain(3, (32, 3), stride=stride, padding=keep),
        conv2=chain(32, (32, 3), padding=keep),
        conv3=chain(32, (64, 3)),
        mixed1=Branches(pool=nn.MaxPool2d(3, stride, some), conv=chain(64, (96, 3), stride=stride, padding=some)),
        mixed2=Branches(
            conv3x3=chain(160, (64, 1), (96, 3), padding=keep),
            conv7x7=chain(160, (64, 1), (64, DOWN), (64, ACROSS), (96, 3), padding=keep),
        ),
        mixed3=Branches(conv=chain(192, (192, 3), stride=2, padding=some), pool=nn.MaxPool2d(3, 2, some)),
    )


class InceptionV4(AuxiliaryBackbone):
    """Stem, 4 Inception-A, reduction, 7 Inception-B, reduction, 3 Inception-C, average, dropout, linear layer.

    Maps of 299x299 pixels: the last Inception-A (384, 35, 35), B (1024, 17, 17) and C (1536, 8, 8), the pyramid of
    strides 8, 16, 32. What lies at the border has no cell of its own in them, since the stem and the reductions pad
    nothing. With the CIFAR stem: strides 2, 4, 8. Initial weights as in the authors' code: He's (fan-in), the output
    0.001.

    Args:
        num_classes: outputs, of the auxiliary head too.
        dropout: before the last layer.
        aux_logits: whether there is an auxiliary head, that of Inception-v3, on the last Inception-B. The paper draws
            none; the authors' code has it.
        stem: `imagenet` (images of fewer than 75 pixels are enlarged to 75), or `cifar`: the first convolution and the
            first branching have stride 1, and all of stem and reductions pad, so that 32 pixels give grids of 16, 8
            and 4.
    """

    def __init__(
        self, num_classes: int = 1000, dropout: float = 0.2, aux_logits: bool = False, stem: Stem = "imagenet"
    ) -> None:
        super().__init__(MEAN, STD)
        cifar = is_cifar(stem)
        if not cifar:
            self.normalize = EnlargingNormalize(MEAN, STD, SMALLEST)
        padding = int(cifar)
        layers = _stem(cifar)
        stem_length = len(layers)
        layers |= {f"inception_a{number}": inception_a() for number in range(1, 5)}
        layers["reduction_a"] = reduction_a(padding)
        layers |= {f"inception_b{number}": inception_b() for number in range(1, 8)}
        layers["reduction_b"] = reduction_b(padding)
        layers |= {f"inception_c{number}": inception_c() for number in range(1, 4)}
        self.features = nn.Sequential(layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.aux = nn.ModuleDict({"inception_b7": BatchNormAuxiliary(1024, num_classes)} if aux_logits else {})
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(1536, num_classes))
        init_convolutions(self.features, "fan_in")
        init_output(self.classifier_layer)
        self.embedding_dim = 1536
        at = list(layers).index
        stride = 2 if cifar else 8
        self._describe(
            {
                stride: (at("inception_a4"), 384),
                2 * stride: (at("inception_b7"), 1024),
                4 * stride: (at("inception_c3"), 1536),
            },
            [stem_length, at("reduction_a"), at("reduction_b")], (),
        )  # fmt: skip


@register_model
def inception_v4(
    num_classes: int = 1000, dropout: float = 0.2, aux_logits: bool = False, stem: Stem = "imagenet"
) -> InceptionV4:
    """Inception-v4; 42.7 M parameters with 1000 classes.

    `stem="cifar"`: the first convolution and the first branching have stride 1, and all of stem and reductions are
    padded. With the other stem, images of fewer than 75 pixels are enlarged to 75.
    """
    return InceptionV4(num_classes, dropout, aux_logits, stem)
