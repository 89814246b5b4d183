"""AlexNet as torchvision has it: Krizhevsky 2014, "One weird trick" (arXiv:1404.5997), five convolutions."""

from torch import nn

from cnnlab.models.backbone import Backbone, init_convolutions
from cnnlab.models.registry import register_model


class AlexNet(Backbone):
    """The network layer by layer; its keys are torchvision's, so that its weights load as they are.

    Maps of 224x224 pixels: stride 8 (192, 27, 27), stride 16 (256, 13, 13), stride 32 (256, 6, 6). Images of at least
    63 pixels. With `conv_only` the two layers of 4096 units are left out: a linear layer on the pooled 256x6x6 map, for
    weights that know the convolutions only.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5, conv_only: bool = False) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2),
        )  # fmt: skip
        self.pool = nn.AdaptiveAvgPool2d(6)
        if conv_only:
            self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(256 * 6 * 6, num_classes))
        else:
            self.classifier = nn.Sequential(
                nn.Dropout(dropout), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(),
                nn.Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU(),
                nn.Linear(4096, num_classes),
            )  # fmt: skip
        init_convolutions(self.features, "fan_in")
        self.embedding_dim = self.classifier_layer.in_features
        self._describe({8: (4, 192), 16: (11, 256), 32: (12, 256)}, [3, 6], () if conv_only else (3, 6))


@register_model
def alexnet(num_classes: int = 1000, dropout: float = 0.5, conv_only: bool = False) -> AlexNet:
    """AlexNet; 61.1 M parameters with 1000 classes, all but 2.5 M of them in its linear layers."""
    return AlexNet(num_classes, dropout, conv_only)
