"""What every image classifier here offers, so that fine-tuning, FCN decoders and explanations know none by name."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cnnlab.errors import ConfigError
from cnnlab.models.layers import IMAGENET_MEAN, IMAGENET_STD, Normalize


class Backbone(nn.Module):
    """A classifier of convolutional `features` and a `classifier`, which takes images in [0, 1] of (almost) any size.

    Submodules run in the order normalize, features, pool, classifier. A subclass sets the last three, and calls
    `_describe` at its end.

    Attributes:
        embedding_dim: D of `embed`.
        pyramid_channels: channels of each map of `pyramid`, by stride.
    """

    normalize: Normalize
    features: nn.Sequential
    pool: nn.Module
    classifier: nn.Sequential
    embedding_dim: int
    pyramid_channels: dict[int, int]

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        self.normalize = Normalize(mean, std)

    def _describe(self, pyramid: dict[int, tuple[int, int]], cuts: Sequence[int], head_cuts: Sequence[int]) -> None:
        """Say where the maps of each stride and the layer groups lie.

        Args:
            pyramid: stride -> (index in `features` of the last module of that stride, its channels).
            cuts: indices in `features` at which a new layer group starts, after the first.
            head_cuts: the same in `classifier`; the last group holds the layer that a new task replaces.
        """
        self._ends = {stride: end for stride, (end, _) in pyramid.items()}
        self.pyramid_channels = {stride: channels for stride, (_, channels) in pyramid.items()}
        self._cuts, self._head_cuts = tuple(cuts), tuple(head_cuts)

    @property
    def classifier_layer(self) -> nn.Linear | nn.Conv2d:
        """The last layer with weights: the one that a new task replaces."""
        return [m for m in self.classifier if isinstance(m, nn.Linear | nn.Conv2d)][-1]

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the last map (B, C, h, w)."""
        return self.features(self.normalize(x))

    def embed(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> what the last linear layer sees, (B, embedding_dim)."""
        x = self.pool(self.forward_features(x)).flatten(1)
        for layer in self.classifier:
            if layer is self.classifier_layer:
                break
            x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> logits (B, num_classes)."""
        return self.classifier_layer(self.embed(x))

    def pyramid(self, x: Tensor) -> dict[int, Tensor]:
        """(B, 3, H, W) in [0, 1] -> the deepest map of each stride, {8: (B, C, about H/8, about W/8), 16: …, 32: …}."""
        maps = {}
        x = self.normalize(x)
        for index, layer in enumerate(self.features):
            x = layer(x)
            maps |= {stride: x for stride, end in self._ends.items() if end == index}
        return maps

    def groups(self) -> list[nn.Module]:
        """Layer groups from the input to the output, for freezing and layer-wise learning rates; the head is last."""
        parts = []
        for layers, cuts in ((self.features, self._cuts), (self.classifier, self._head_cuts)):
            edges = [0, *cuts, len(layers)]
            parts += [layers[a:b] for a, b in zip(edges, edges[1:], strict=False)]
        return parts


def check_pyramid(backbone: nn.Module, who: str) -> None:
    """Refuse a backbone without a pyramid of maps; `who` needs it, "An FCN" for example.

    Raises:
        ConfigError: names the backbone.
    """
    if not hasattr(backbone, "pyramid_channels"):
        name = getattr(backbone, "architecture", [type(backbone).__name__])[0]
        raise ConfigError(f"{who} needs a backbone with a pyramid of maps, which {name} has not.")


def init_linear(module: nn.Module, std: float = 0.01) -> None:
    """Normal weights of the given spread and zero bias for every linear layer of `module`."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, std)
            nn.init.zeros_(layer.bias)


def init_convolutions(module: nn.Module, mode: str = "fan_out") -> None:
    """He et al. 2015 (arXiv:1502.01852) for every convolution of `module`; zero bias."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            # fan_out counts all channels: a grouped convolution's outputs each see a share of the inputs only
            fan = layer.kernel_size[0] * layer.kernel_size[1]
            fan *= layer.out_channels // layer.groups if mode == "fan_out" else layer.in_channels // layer.groups
            with torch.no_grad():
                layer.weight.normal_(0, (2 / fan) ** 0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
