"""EfficientNet-Lite: Tan and Le 2019 (arXiv:1905.11946) without squeeze-and-excitation, with ReLU6.

The table and the rounding are those of tensorflow/tpu, models/official/efficientnet/lite; stem and last 1x1 convolution
keep their widths in all sizes.
"""

from collections import OrderedDict
from collections.abc import Callable
from math import ceil

from torch import nn

from cnnlab.models.backbone import Backbone, init_convolutions
from cnnlab.models.layers import SameConv2d, round_channels
from cnnlab.models.mobilenet import InvertedResidual
from cnnlab.models.registry import register_model

# blocks, kernel, stride, expansion, channels
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# width and depth factors, size in pixels it was trained at
SIZES = {0: (1.0, 1.0, 224), 1: (1.0, 1.1, 240), 2: (1.1, 1.2, 260)}
STEM, LAST = 32, 1280
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3


def _conv_norm(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1,
    act: Callable[[], nn.Module] | None = nn.ReLU6,
) -> nn.Sequential:  # fmt: skip
    layers = OrderedDict(
        conv=SameConv2d(inputs, outputs, kernel, stride, groups),
        norm=nn.BatchNorm2d(outputs, eps=1e-3),
    )
    if act is not None:
        layers["act"] = act()
    return nn.Sequential(layers)


class EfficientNetLite(Backbone):
    """Stem, 16 to 23 blocks in seven stages, a 1x1 convolution to 1280 channels, average, linear layer.

    Pyramid: the ends of the stages with 40, 112 and, after the 1x1 convolution, 1280 channels (strides 8, 16, 32; the
    widths differ in Lite2). `drop_path` is the share of blocks left out at the deep end while training (stochastic
    depth, arXiv:1603.09382). Images of any size; `trained_at` is the side that the published weights saw.

    "Same" padding has its odd pixel at the lower right, so that by geometry a cell of stride s lies (s - 1) / 2 pixels
    lower right of its block's centre. The published weights have learnt to make up for most of that, so maps are laid
    on the centres, and fine-tuning does the rest.
    """

    def __init__(self, size: int, num_classes: int = 1000, dropout: float = 0.2, drop_path: float = 0.0) -> None:
        super().__init__(MEAN, STD)
        width, depth, self.trained_at = SIZES[size]
        plan = []
        for index, (blocks, kernel, stride, expansion, channels) in enumerate(STAGES):
            if 0 < index < len(STAGES) - 1:
                blocks = ceil(blocks * depth)
            for block in range(blocks):
                plan.append((index, kernel, stride if block == 0 else 1, expansion, round_channels(channels * width)))
        layers: list[nn.Module] = [_conv_norm(3, STEM, 3, 2)]
        inputs = STEM
        for number, (_, kernel, stride, expansion, channels) in enumerate(plan):
            drop = drop_path * number / len(plan)
            layers.append(InvertedResidual(inputs, channels, stride, expansion, drop, kernel, _conv_norm))
            inputs = channels
        layers.append(_conv_norm(inputs, LAST, 1))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(LAST, num_classes))
        init_convolutions(self.features)
        nn.init.uniform_(self.classifier_layer.weight, -(LAST**-0.5), LAST**-0.5)
        nn.init.zeros_(self.classifier_layer.bias)
        self.embedding_dim = LAST
        starts = [1 + [stage for stage, *_ in plan].index(stage) for stage in range(len(STAGES))]
        ends = {8: starts[3] - 1, 16: starts[5] - 1}
        self._describe(
            {stride: (end, plan[end - 1][-1]) for stride, end in ends.items()} | {32: (len(layers) - 1, LAST)},
            [starts[1], starts[2], starts[3], starts[5]], (),
        )  # fmt: skip


@register_model
def efficientnet_lite0(num_classes: int = 1000, dropout: float = 0.2, drop_path: float = 0.0) -> EfficientNetLite:
    """EfficientNet-Lite0; 4.65 M parameters with 1000 classes, trained at 224 pixels."""
    return EfficientNetLite(0, num_classes, dropout, drop_path)


@register_model
def efficientnet_lite1(num_classes: int = 1000, dropout: float = 0.2, drop_path: float = 0.0) -> EfficientNetLite:
    """EfficientNet-Lite1; 5.42 M parameters with 1000 classes, trained at 240 pixels."""
    return EfficientNetLite(1, num_classes, dropout, drop_path)


@register_model
def efficientnet_lite2(num_classes: int = 1000, dropout: float = 0.3, drop_path: float = 0.0) -> EfficientNetLite:
    """EfficientNet-Lite2; 6.09 M parameters with 1000 classes, trained at 260 pixels."""
    return EfficientNetLite(2, num_classes, dropout, drop_path)
