"""SqueezeNet 1.1: Iandola et al. 2016 (arXiv:1602.07360), in the authors' later and cheaper version."""

import torch
from torch import Tensor, nn

from cnnlab.models.backbone import Backbone
from cnnlab.models.registry import register_model


class Fire(nn.Module):
    """A 1x1 squeeze, then 1x1 and 3x3 convolutions side by side: (B, inputs, H, W) -> (B, 2 * expand, H, W)."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.squeeze_activation = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_activation = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        narrow = self.expand1x1_activation(self.expand1x1(x))
        return torch.cat([narrow, self.expand3x3_activation(self.expand3x3(x))], 1)


class SqueezeNet(Backbone):
    """The network layer by layer; its keys are torchvision's. It has no stride 32: its last map has stride 16.

    Its classes are scored by a 1x1 convolution on the last map and averaged; `embed` is the average of that map.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), nn.MaxPool2d(3, stride=2, ceil_mode=True),
            Fire(64, 16, 64), Fire(128, 16, 64), nn.MaxPool2d(3, stride=2, ceil_mode=True),
            Fire(128, 32, 128), Fire(256, 32, 128), nn.MaxPool2d(3, stride=2, ceil_mode=True),
            Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
        )  # fmt: skip
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Conv2d(512, num_classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.classifier_layer.weight, 0, 0.01)
        self.embedding_dim = 512
        self._describe({8: (7, 256), 16: (12, 512)}, [3, 6, 9], ())

    def embed(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the averaged last map, (B, 512)."""
        return self.pool(self.forward_features(x)).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> logits (B, num_classes), none of them negative (a ReLU comes last)."""
        return self.classifier(self.forward_features(x)).flatten(1)


@register_model
def squeezenet1_1(num_classes: int = 1000, dropout: float = 0.5) -> SqueezeNet:
    """SqueezeNet 1.1; 1.24 M parameters with 1000 classes."""
    return SqueezeNet(num_classes, dropout)
