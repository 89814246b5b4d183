"""Inception-v3: Szegedy et al. 2015, "Rethinking the Inception Architecture for Computer Vision" (arXiv:1512.00567).

https://arxiv.org/abs/1512.00567. Figures 5, 6, 7 and 10 draw the modules, table 1 the network. The paper leaves the
modules' widths open; here they, the end of the stem and the names of the layers are those of the authors' published
code (TensorFlow-Slim), as torchvision has them.

Motivation: GoogLeNet is accurate for few parameters, but so intricate that nobody could say which of its choices
matter, or scale it: doubling all widths makes it four times as expensive. On what principles can convolutional
networks grow so that the added arithmetic is used well?

Method: Avoid bottlenecks early, keep many features, aggregate over space in few dimensions, balance width and depth.
Convolutions are factorised: a 5x5 becomes two 3x3 (modules on the 35x35 grid), an n x n becomes 1 x n and n x 1 (n = 7
on the 17x17 grid), and on the 8x8 grid 1x3 and 3x1 stand side by side. The grid shrinks by a convolution and a pooling
of stride 2 in parallel, and not one after the other. Batch normalisation throughout; one auxiliary head, batch
normalised too, as a regulariser. Targets are smoothed: 10 % of each label is spread over all classes.

Claims: ImageNet, one crop: 21.2 % top-1 and 5.6 % top-5 error at 5 billion multiply-adds and under 25 million
parameters; of the last steps on the way, the factorised 7x7 gains most (table 3: 22.8 to 21.6 % top-1). Four networks
with many crops: 17.3 and 3.5 % (abstract).

Drawbacks: As many hand-set widths as before, in five kinds of modules: hard to change and to port. Unpadded
convolutions make it useless below 75 pixels. 1x7 and 7x1 convolutions and many branches run below the speed that
their multiply-adds suggest. Residual networks reached as much in the same weeks with one simple block.
"""

import re
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
from cnnlab.models.layouts import Weights
from cnnlab.models.registry import register_model

SMALLEST = 75  # pixels: below, nothing is left for the last module
AUXILIARY = "Mixed_6e"  # the last module of the 17x17 grid


def _average(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), *chain(inputs, (outputs, 1)))


def module_a(inputs: int, pooled: int) -> Branches:
    """Figure 5, 35x35: 1x1, 5x5, two 3x3 (in place of a 5x5), average; 224 + `pooled` channels.

    The figure has a 3x3 convolution where the authors' code has the 5x5.
    """
    return Branches(
        branch1x1=chain(inputs, (64, 1)),
        branch5x5=chain(inputs, (48, 1), (64, 5)),
        branch3x3dbl=chain(inputs, (64, 1), (96, 3), (96, 3)),
        branch_pool=_average(inputs, pooled),
    )


def reduction_a(inputs: int, padding: int) -> Branches:
    """Figure 10, 35x35 to 17x17: two convolutions of stride 2 and a pooling side by side; 480 + `inputs` channels."""
    return Branches(
        branch3x3=chain(inputs, (384, 3), stride=2, padding=padding),
        branch3x3dbl=chain(inputs, (64, 1), (96, 3), (96, 3), stride=2, padding=padding),
        branch_pool=nn.MaxPool2d(3, stride=2, padding=padding),
    )


def module_b(width: int) -> Branches:
    """Figure 6, 17x17: 7x7 convolutions as 1x7 and 7x1, of `width` channels inside; 768 to 768 channels."""
    across, down = (1, 7), (7, 1)
    return Branches(
        branch1x1=chain(768, (192, 1)),
        branch7x7=chain(768, (width, 1), (width, across), (192, down)),
        branch7x7dbl=chain(768, (width, 1), (width, down), (width, across), (width, down), (192, across)),
        branch_pool=_average(768, 192),
    )


def reduction_b(padding: int) -> Branches:
    """17x17 to 8x8; 768 to 1280 channels."""
    return Branches(
        branch3x3=chain(768, (192, 1), (320, 3), stride=2, padding=padding),
        branch7x7x3=chain(768, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3), stride=2, padding=padding),
        branch_pool=nn.MaxPool2d(3, stride=2, padding=padding),
    )


def module_c(inputs: int) -> Branches:
    """Figure 7, 8x8: 1x3 and 3x1 convolutions side by side, for many features; 2048 channels."""

    def wide() -> Branches:
        return Branches(a=chain(384, (384, (1, 3))), b=chain(384, (384, (3, 1))))

    return Branches(
        branch1x1=chain(inputs, (320, 1)),
        branch3x3=nn.Sequential(*chain(inputs, (384, 1)), wide()),
        branch3x3dbl=nn.Sequential(*chain(inputs, (448, 1), (384, 3)), wide()),
        branch_pool=_average(inputs, 192),
    )


def _stem(cifar: bool) -> OrderedDict[str, nn.Module]:
    padding = None if cifar else 0  # None keeps the size
    layers = OrderedDict(
        Conv2d_1a_3x3=chain(3, (32, 3), stride=1 if cifar else 2, padding=padding),
        Conv2d_2a_3x3=chain(32, (32, 3), padding=padding),
        Conv2d_2b_3x3=chain(32, (64, 3)),
    )
    if not cifar:
        layers["maxpool1"] = nn.MaxPool2d(3, stride=2)
    layers["Conv2d_3b_1x1"] = chain(64, (80, 1))
    layers["Conv2d_4a_3x3"] = chain(80, (192, 3), padding=padding)
    layers["maxpool2"] = nn.MaxPool2d(3, stride=2, padding=int(cifar))
    return layers


class InceptionV3(AuxiliaryBackbone):
    """Stem, three modules on the 35x35 grid, five on 17x17, three on 8x8, average, linear layer.

    Maps of 299x299 pixels: Mixed_5d (288, 35, 35), Mixed_6e (768, 17, 17), Mixed_7c (2048, 8, 8), the pyramid of
    strides 8, 16, 32. What lies at the border has no cell of its own in them, since the stem and the reductions pad
    nothing. With the CIFAR stem: strides 2, 4, 8.

    Initial weights as in the authors' code: He's (fan-in), the output 0.001.

    Args:
        num_classes: outputs, of the auxiliary head too.
        dropout: before the last layer; the authors' code has 0.2, torchvision 0.5.
        aux_logits: whether there is an auxiliary head, on the last map of the 17x17 grid.
        stem: `imagenet` (images of fewer than 75 pixels are enlarged to 75), or `cifar`: the first convolution has
            stride 1, the first pooling is left out, and every convolution and pooling of stem and reductions pads a
            pixel, so that 32 pixels give grids of 16, 8 and 4.
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
        layers |= {"Mixed_5b": module_a(192, 32), "Mixed_5c": module_a(256, 64), "Mixed_5d": module_a(288, 64)}
        layers["Mixed_6a"] = reduction_a(288, padding)
        layers |= {f"Mixed_6{name}": module_b(width) for name, width in zip("bcde", (128, 160, 160, 192), strict=True)}
        layers["Mixed_7a"] = reduction_b(padding)
        layers |= {"Mixed_7b": module_c(1280), "Mixed_7c": module_c(2048)}
        self.features = nn.Sequential(layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.aux = nn.ModuleDict({AUXILIARY: BatchNormAuxiliary(768, num_classes)} if aux_logits else {})
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(2048, num_classes))
        init_convolutions(self.features, "fan_in")
        init_output(self.classifier_layer)
        self.embedding_dim = 2048
        at = list(layers).index
        stride = 2 if cifar else 8
        self._describe(
            {stride: (at("Mixed_5d"), 288), 2 * stride: (at("Mixed_6e"), 768), 4 * stride: (at("Mixed_7c"), 2048)},
            [stem_length, at("Mixed_6a"), at("Mixed_7a")], (),
        )  # fmt: skip


def rename_torchvision(state: Weights) -> Weights:
    """Names of torchvision's inception_v3 -> ours: its branches' convolutions are counted, ours are in sequence.

    Its weights want images from -1 to 1, as here; torchvision itself comes to that by `transform_input`.
    """
    outer = {"AuxLogits": f"aux.{AUXILIARY}", "fc": "classifier.1"}
    renamed = {}
    for key, value in state.items():
        first, *rest = key.replace(".bn.", ".norm.").split(".")
        if first.startswith("Conv2d"):
            rest = ["0", *rest]
        elif rest[0].startswith("branch"):
            branch, number, side = re.fullmatch(r"(branch_?\w+?)(?:_(\d)([ab]?))?", rest[0]).groups()
            # an average pooling comes before the convolution of its branch
            place = 1 if branch == "branch_pool" else int(number or 1) - 1
            rest = [branch, str(place), *([side, "0"] if side else []), *rest[1:]]
        renamed[".".join([outer.get(first, f"features.{first}"), *rest])] = value
    return renamed


@register_model
def inception_v3(
    num_classes: int = 1000, dropout: float = 0.2, aux_logits: bool = False, stem: Stem = "imagenet"
) -> InceptionV3:
    """Inception-v3; 23.8 M parameters with 1000 classes, and 3.3 M in the auxiliary head, off by default.

    `stem="cifar"`: the first convolution has stride 1, the first pooling is left out, and all of stem and reductions
    are padded. With the other stem, images of fewer than 75 pixels are enlarged to 75.
    """
    return InceptionV3(num_classes, dropout, aux_logits, stem)
