"""Fully convolutional networks for semantic segmentation: FCN-32s, FCN-16s and FCN-8s on any backbone.

Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015
(https://arxiv.org/abs/1411.4038). A 1x1 convolution scores every place of the deepest feature map (stride 32); the
scores are upsampled, and on the way the scores of the maps of stride 16 and 8 are added: the skip connections.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnlab.errors import ConfigError
from cnnlab.models.backbone import check_pyramid
from cnnlab.models.registry import build_model, model_settings, register_model

DEEPEST = 32
SMALLEST = 64  # pixels: below, AlexNet has no map of stride 32


class FCN(nn.Module):
    """Scores of every pixel: float32 (B, 3, H, W) in [0, 1] -> logits (B, num_classes, H, W), for any H and W.

    The input is padded inside to multiples of 32 by repeating its right and lower edge, and the logits are cut back.
    Scoring layers start small and random: from zeros, the skips of a network without pretrained weights never wake.

    Args:
        backbone: gives `pyramid(x) -> {stride: map}` and `pyramid_channels`.
        num_classes: number of classes.
        finest: stride of the finest map that is scored: 32, 16 or 8 (FCN-32s, FCN-16s, FCN-8s).
        head_channels: channels of a 3x3 convolution before the deepest scores (the place of fc6 and fc7); 0 is none.
        dropout: share of channels dropped before the deepest scores.
        learn_last: learn the last upsampling too. In the paper, and by default, it stays bilinear.
    """

    def __init__(
        self, backbone: nn.Module, num_classes: int, finest: int, head_channels: int = 0, dropout: float = 0.0,
        learn_last: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        check_pyramid(backbone, "An FCN")
        self.strides = [stride for stride in (32, 16, 8) if stride >= finest]
        missing = [stride for stride in self.strides if stride not in backbone.pyramid_channels]
        if missing:
            have = ", ".join(map(str, sorted(backbone.pyramid_channels)))
            raise ConfigError(f"This backbone has no feature map of stride {missing[0]} (it has {have}).")
        self.backbone = without_classifier(backbone)
        channels = {stride: backbone.pyramid_channels[stride] for stride in self.strides}
        self.head = nn.ModuleDict()
        self.head["context"] = _context(channels[DEEPEST], head_channels, dropout)
        channels[DEEPEST] = head_channels or channels[DEEPEST]
        for stride in self.strides:
            self.head[f"score{stride}"] = _score_layer(channels[stride], num_classes)
        for stride in self.strides[1:]:
            self.head[f"up{stride}"] = BilinearUpsample(num_classes, 2)
        self.head["last"] = BilinearUpsample(num_classes, finest, learn=learn_last)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        right, below = (max(-size % DEEPEST, SMALLEST - size) for size in (width, height))
        x = F.pad(x, (0, right, 0, below), mode="replicate")
        maps = self.backbone.pyramid(x)
        grid = {stride: (x.shape[-2] // stride, x.shape[-1] // stride) for stride in self.strides}
        scores = self.head["score32"](self.head["context"](fit_grid(maps[DEEPEST], grid[DEEPEST])))
        for stride in self.strides[1:]:
            skip = self.head[f"score{stride}"](fit_grid(maps[stride], grid[stride]))
            scores = self.head[f"up{stride}"](scores) + skip
        return self.head["last"](scores.float())[..., :height, :width]

    def groups(self) -> list[nn.Module]:
        """Layer groups from the input to the scores: those of the backbone, then the decoder."""
        return [group for group in self.backbone.groups() if any(True for _ in group.parameters())] + [self.head]


class BilinearUpsample(nn.Module):
    """Upsampling by an even factor: a transposed convolution that starts as bilinear interpolation, or stays it.

    The map is extended by one row and column on each side, so that borders too are interpolated and not faded out:
    as initialised, it gives exactly `F.interpolate(mode="bilinear", align_corners=False)`.
    """

    def __init__(self, channels: int, factor: int, learn: bool = True) -> None:
        super().__init__()
        self.factor = factor
        self.kernel = None
        if learn:
            self.kernel = nn.ConvTranspose2d(
                channels, channels, 2 * factor, stride=factor, padding=3 * factor // 2, bias=False
            )
            with torch.no_grad():
                self.kernel.weight.copy_(bilinear_kernel(channels, factor))

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel is None:  # the same as the fixed transposed convolution, many times faster
            return F.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)
        return self.kernel(F.pad(x, (1, 1, 1, 1), mode="replicate"))


def bilinear_kernel(channels: int, factor: int) -> Tensor:
    """Weights (channels, channels, 2 factor, 2 factor) of a transposed convolution that interpolates bilinearly."""
    line = 1 - (torch.arange(2 * factor) + 0.5 - factor).abs() / factor
    return torch.eye(channels)[:, :, None, None] * (line[:, None] * line[None, :])


def fit_grid(features: Tensor, size: tuple[int, int]) -> Tensor:
    """A feature map laid on the grid of its stride, (h, w) = padded image / stride.

    Networks whose layers do not pad lose cells, on all sides alike: the missing ones repeat the edges. Of an odd number
    (AlexNet loses one) half a cell is missing on either side, so that the mean of two neighbours sits right.
    """
    height, width = features.shape[-2:]
    if (height, width) == size:
        return features
    below, right = size[0] - height, size[1] - width
    if below >= 0 and right >= 0:
        top, left = (below + 1) // 2, (right + 1) // 2
        padded = F.pad(features, (left, left, top, top), mode="replicate")
        return F.avg_pool2d(padded, (1 + below % 2, 1 + right % 2), stride=1)
    return F.interpolate(features, size=size, mode="bilinear", align_corners=False)


def without_classifier(backbone: nn.Module) -> nn.Module:
    """The backbone without the layers behind its last feature map; they would only take room here."""
    if hasattr(backbone, "classifier"):
        backbone.pool, backbone.classifier = nn.Identity(), nn.Sequential()
    return backbone


def backbone_settings(backbone: str) -> dict[str, bool]:
    """Settings that spare AlexNet and VGG the making of 4096-unit layers that no FCN keeps."""
    return {"conv_only": True} if "conv_only" in model_settings(backbone) else {}


def _context(channels: int, head_channels: int, dropout: float) -> nn.Module:
    layers: list[nn.Module] = []
    if head_channels:
        layers += [
            nn.Conv2d(channels, head_channels, 3, padding=1, bias=False), nn.BatchNorm2d(head_channels), nn.ReLU()
        ]  # fmt: skip
    return nn.Sequential(*layers, *([nn.Dropout2d(dropout)] if dropout else []))


def _score_layer(channels: int, num_classes: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, num_classes, 1)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer


def _build(
    finest: int, num_classes: int, backbone: str, head_channels: int, dropout: float, learn_last: bool
) -> FCN:
    body = build_model(backbone, num_classes=1, **backbone_settings(backbone))
    return FCN(body, num_classes, finest, head_channels, dropout, learn_last)


@register_model
def fcn32s(
    num_classes: int = 11, backbone: str = "efficientnet_lite0", head_channels: int = 0, dropout: float = 0.0,
    learn_last: bool = False,
) -> FCN:  # fmt: skip
    """FCN-32s (https://arxiv.org/abs/1411.4038): the last map's scores upsampled 32 times, no skip connection."""
    return _build(32, num_classes, backbone, head_channels, dropout, learn_last)


@register_model
def fcn16s(
    num_classes: int = 11, backbone: str = "efficientnet_lite0", head_channels: int = 0, dropout: float = 0.0,
    learn_last: bool = False,
) -> FCN:  # fmt: skip
    """FCN-16s (https://arxiv.org/abs/1411.4038): one skip connection, from stride 16."""
    return _build(16, num_classes, backbone, head_channels, dropout, learn_last)


@register_model
def fcn8s(
    num_classes: int = 11, backbone: str = "efficientnet_lite0", head_channels: int = 0, dropout: float = 0.0,
    learn_last: bool = False,
) -> FCN:  # fmt: skip
    """FCN-8s (https://arxiv.org/abs/1411.4038): skip connections from strides 16 and 8."""
    return _build(8, num_classes, backbone, head_channels, dropout, learn_last)
