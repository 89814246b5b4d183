"""A frozen network's activations at one layer, and a fully connected network that learns from them.

`activation_layers` names the layers, `Activations` computes them, `Projection` turns so many of them into as few
numbers as the training images need; `alexnet_probe` is AlexNet up to one layer with a hidden layer and a new last one
on top: the network of assignment D, question 2.2, as one piece.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnlab.errors import ConfigError
from cnnlab.models.backbone import Backbone
from cnnlab.models.registry import build_model, register_model

SCALINGS = ("none", "l2", "root")


def activation_layers(backbone: Backbone) -> dict[str, int]:
    """Names of the layers whose activations can be taken, and where each ends in `trunk(backbone)`.

    `conv1`, `conv2`, … are convolutions with the activation behind them; `pool5` is the last, pooled map; `fc6`, `fc7`
    are the linear layers before the last one, where the network has some, with theirs. For networks whose `features`
    are plain convolutions, activations and poolings, such as alexnet and vgg16.
    """
    layers, maps = list(trunk(backbone)), len(backbone.features)
    ends: dict[str, int] = {}
    for index, layer in enumerate(layers[:maps]):
        if isinstance(layer, nn.Conv2d):
            after = index + 1 < maps and isinstance(layers[index + 1], nn.ReLU)
            ends[f"conv{len(ends) + 1}"] = index + after
    if not ends:
        raise ConfigError(f"{type(backbone).__name__} has no plain convolutions to take activations of.")
    convolutions = len(ends)
    if maps - 1 > max(ends.values()):
        ends[f"pool{convolutions}"] = maps - 1
    linear = [index for index, layer in enumerate(layers) if isinstance(layer, nn.Linear)]
    return ends | {f"fc{number}": index + 1 for number, index in enumerate(linear, convolutions + 1)}


def trunk(backbone: Backbone) -> nn.Sequential:
    """All layers before the one that a new task replaces, but dropout, which evaluation mode does without; shared."""
    hidden = list(takewhile(lambda layer: layer is not backbone.classifier_layer, backbone.classifier))
    hidden = [layer for layer in hidden if not isinstance(layer, nn.Dropout)]
    return nn.Sequential(*backbone.features, *([backbone.pool, nn.Flatten()] if hidden else []), *hidden)


class Activations(nn.Module):
    """The activations of one layer as a vector, in evaluation mode always; nothing in it is trained.

    Args:
        backbone: the network; its modules are shared, not copied.
        layer: see `activation_layers`.
        sizes: heights and widths in pixels at which each image is looked at, one vector behind the other; none is its
            own. A convolution knows patterns of one size only, and a face is made of small and large ones.
        scaling: `none`; `l2`, each image's vector over its length, so that contrast does not matter; or `root`, the
            square root before that, so that a few strong units do not decide alone (Arandjelović and Zisserman 2012,
            "Three things everyone should know to improve object retrieval").
    """

    def __init__(self, backbone: Backbone, layer: str, scaling: str = "l2", sizes: Sequence[int] = ()) -> None:
        super().__init__()
        ends = activation_layers(backbone)
        if layer not in ends:
            raise ConfigError(f"layer={layer} is unknown; there are {', '.join(ends)}.")
        if scaling not in SCALINGS:
            raise ConfigError(f"scaling={scaling} is unknown; there are {', '.join(SCALINGS)}.")
        self.normalize = backbone.normalize
        self.features = trunk(backbone)[: ends[layer] + 1]
        self.scaling, self.sizes = scaling, tuple(sizes)
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, D)."""
        if not self.sizes:
            return self._look(images)
        looks = []
        for size in self.sizes:
            fits = images.shape[-2:] == (size, size)
            looks.append(self._look(
                images if fits else F.interpolate(images, (size, size), mode="bilinear", antialias=True)
            ))  # fmt: skip
        return torch.cat(looks, 1) / len(looks) ** 0.5

    def _look(self, images: Tensor) -> Tensor:
        x = self.features(self.normalize(images)).flatten(1).float()  # sums over ten thousands of squares follow
        if self.scaling == "root":
            x = x.clamp(min=0).add(1e-12).sqrt()  # the root's slope at 0 is infinite, and explanations ask for it
        return x if self.scaling == "none" else F.normalize(x)

    def width(self, size: tuple[int, int]) -> int:
        """D for images of (height, width)."""
        with torch.no_grad():
            return self(torch.zeros(1, 3, *size)).shape[1]


@dataclass(frozen=True)
class Projection:
    """Principal components of a training set's activations: with all of them nothing of that set is lost.

    Attributes:
        mean: (D,), of the training set.
        matrix: (D, P), orthogonal columns, the strongest first; scaled so that a training vector's numbers have the
            mean square 1.
    """

    mean: Tensor
    matrix: Tensor

    @classmethod
    def of(cls, activations: Tensor, components: int = 0) -> "Projection":
        """The components of activations (N, D); at most `components`, or all that N vectors span."""
        mean = activations.mean(0)
        centred = activations - mean
        # of N vectors in D >> N dimensions: from their products with each other, N x N
        powers, vectors = torch.linalg.eigh((centred @ centred.T).double())
        kept = (powers > 1e-6 * powers[-1]).nonzero()[:, 0].flip(0)[: components or None]
        matrix = centred.T @ (vectors[:, kept] / powers[kept].sqrt()).to(centred.dtype)
        spread = (powers[kept].sum() / (len(activations) * len(kept))).sqrt()
        return cls(mean, matrix / float(spread))

    def __call__(self, activations: Tensor) -> Tensor:
        """(N, D) -> (N, P)."""
        with torch.autocast(activations.device.type, enabled=False):  # one small matrix product, and the head's input
            return (activations - self.mean) @ self.matrix


class Probe(nn.Module):
    """Frozen activations, a fully connected hidden layer, logits."""

    def __init__(self, activations: Activations, inputs: int, num_classes: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.activations = activations
        self.head = fully_connected(inputs, num_classes, hidden, dropout)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> logits (B, num_classes)."""
        return self.head(self.activations(images))

    @torch.no_grad()
    def set_head(self, head: nn.Sequential, projection: Projection) -> None:
        """Take a head that was trained on projected activations; the projection is folded into its first layer.

        Args:
            head: as `fully_connected` makes it, with as many inputs as the projection has components.
            projection: what its inputs were.
        """
        own, given = self.head, head
        own[1].weight.copy_(given[1].weight @ projection.matrix.T)
        own[1].bias.copy_(given[1].bias - own[1].weight @ projection.mean)
        own[4].load_state_dict(given[4].state_dict())


def fully_connected(inputs: int, num_classes: int, hidden: int = 300, dropout: float = 0.5) -> nn.Sequential:
    """One hidden layer with ReLU and dropout: (B, inputs, ...) -> (B, num_classes)."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, num_classes)
    )  # fmt: skip


@register_model
def alexnet_probe(
    num_classes: int = 6, layer: str = "conv4", scaling: str = "l2", sizes: Sequence[int] = (227,), hidden: int = 300,
    dropout: float = 0.5,
) -> Probe:  # fmt: skip
    """AlexNet up to `layer`, frozen, at one or several sizes, with a hidden layer and a new last one on top."""
    alexnet = build_model("alexnet", num_classes, conv_only=not layer.startswith("fc"))
    activations = Activations(alexnet, layer, scaling, sizes)
    return Probe(activations, activations.width((sizes[-1], sizes[-1])), num_classes, hidden, dropout)
