"""SimpleCNN of assignment D, after the starter code of MIT 6.867 homework 3: a few convolutions, one hidden layer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from cnnlab.errors import ConfigError
from cnnlab.models.local_response import LocalResponseNorm
from cnnlab.models.registry import register_model

Norm = Literal["none", "batch", "lrn", "weight"]
Padding = Literal["same", "valid"]
Head = Literal["flatten", "average"]


@dataclass(frozen=True)
class Layout:
    """The settings of SimpleCNN; the defaults are the assignment's network."""

    kernels: tuple[int, ...] = (5, 5)
    """height and width of the filters of each convolution; there are as many convolutions as numbers"""
    strides: tuple[int, ...] = (2, 2)
    """of each convolution"""
    depths: tuple[int, ...] = (16, 16)
    """number of filters of each convolution"""
    hidden: int = 64
    """units of the fully connected hidden layer"""
    pool: int = 0
    """height and width of the max pooling behind each convolution; 0 is none"""
    pool_stride: int = 2
    """of that pooling"""
    dropout: float = 0.0
    """share of the hidden units dropped in training"""
    norm: Norm = "none"
    """batch norm or local response norm behind each convolution, weight norm of its kernels, or none"""
    padding: Padding = "same"
    """same: half a filter of zeros all round, so that of odd filters only strides make maps smaller; valid: none"""
    head: Head = "flatten"
    """the hidden layer sees the whole last map, or its average over all places"""

    def __post_init__(self) -> None:
        lists = (self.kernels, self.strides, self.depths)
        if len({len(numbers) for numbers in lists}) > 1 or not self.kernels:
            raise ConfigError(
                "simple_cnn needs a filter size, a stride and a depth for each convolution, but there are "
                f"{len(self.kernels)} kernels, {len(self.strides)} strides and {len(self.depths)} depths."
            )
        if min(number for numbers in lists for number in numbers) < 1 or min(self.hidden, self.pool_stride) < 1:
            raise ConfigError("simple_cnn: filter sizes, strides, depths and hidden units must all be at least 1.")
        if self.pool < 0:
            raise ConfigError(f"simple_cnn: pool must be at least 0, not {self.pool}.")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"simple_cnn: dropout must be in [0, 1), not {self.dropout}.")

    @property
    def settings(self) -> dict[str, Any]:
        """As `build_model("simple_cnn", …)` takes them."""
        return asdict(self)


_DEFAULT = Layout()


class WeightNormConv2d(nn.Conv2d):
    """A convolution whose kernels are w = g·v/‖v‖, length and direction learned apart.

    Salimans and Kingma 2016, "Weight normalization" (https://arxiv.org/abs/1602.07868). It begins with the lengths that
    the ordinary initialisation gives. Written out, since torch's parametrised modules cannot be pickled.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding)
        self.length = nn.Parameter(self.weight.detach().flatten(1).norm(dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H', W')."""
        directions = F.normalize(self.weight.flatten(1), dim=1)
        kernels = (directions * self.length[:, None]).view(self.weight.shape)
        return F.conv2d(x, kernels, self.bias, self.stride, self.padding)


class SimpleCNN(nn.Module):
    """Convolutions with ReLU (and perhaps a norm and max pooling), a hidden layer with ReLU, the output layer.

    Args:
        num_classes: outputs.
        layout: everything between.
        size: height and width of the images in pixels; with `head="flatten"` the network takes no other.

    Raises:
        ConfigError: nothing is left of the image behind one of the convolutions.
    """

    def __init__(self, num_classes: int, layout: Layout, size: int = 50) -> None:
        super().__init__()
        stages, channels, side = [], 3, size
        for place, (kernel, stride, depth) in enumerate(
            zip(layout.kernels, layout.strides, layout.depths, strict=True), 1
        ):
            padding = (kernel - 1) // 2 if layout.padding == "same" else 0
            stages.append(_stage(channels, depth, kernel, stride, padding, layout))
            side = (side + 2 * padding - kernel) // stride + 1
            if layout.pool:
                side = (side - layout.pool) // layout.pool_stride + 1
            if side < 1:
                raise ConfigError(
                    f"simple_cnn: nothing is left of an image of {size}x{size} pixels behind convolution {place}; take "
                    "smaller strides, smaller or fewer poolings, or padding=same."
                )
            channels = depth
        self.features = nn.Sequential(*stages)
        flat = layout.head == "flatten"
        self.flatten = nn.Flatten() if flat else nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Sequential(
            nn.Linear(channels * (side * side if flat else 1), layout.hidden), nn.ReLU(), nn.Dropout(layout.dropout),
            nn.Linear(layout.hidden, num_classes),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, size, size) in [0, 1] -> logits (B, num_classes); shifts to the assignment's [-0.5, 0.5] itself."""
        return self.classifier(self.flatten(self.features(images - 0.5)))


def _stage(inputs: int, outputs: int, kernel: int, stride: int, padding: int, layout: Layout) -> nn.Sequential:
    """One convolution and what follows it."""
    layers: list[nn.Module] = []
    if layout.norm == "weight":
        layers.append(WeightNormConv2d(inputs, outputs, kernel, stride, padding))
    else:  # batch norm would take a bias away again
        layers.append(nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=layout.norm != "batch"))
    if layout.norm == "batch":
        layers.append(nn.BatchNorm2d(outputs))
    layers.append(nn.ReLU())
    if layout.norm == "lrn":  # behind the ReLU, with the constants of Krizhevsky et al. 2012, section 3.3
        layers.append(LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0))
    if layout.pool:
        layers.append(nn.MaxPool2d(layout.pool, layout.pool_stride))
    return nn.Sequential(*layers)


@register_model
def simple_cnn(
    num_classes: int = 11, kernels: Sequence[int] = _DEFAULT.kernels, strides: Sequence[int] = _DEFAULT.strides,
    depths: Sequence[int] = _DEFAULT.depths, hidden: int = _DEFAULT.hidden, pool: int = _DEFAULT.pool,
    pool_stride: int = _DEFAULT.pool_stride, dropout: float = _DEFAULT.dropout, norm: Norm = _DEFAULT.norm,
    padding: Padding = _DEFAULT.padding, head: Head = _DEFAULT.head, size: int = 50,
) -> SimpleCNN:  # fmt: skip
    """SimpleCNN of `Layout` for images of `size` pixels square: 181,467 parameters with 11 classes unless changed.

    Raises:
        ConfigError: the lists differ in length, a number is too small, or nothing is left of the image.
    """
    layout = Layout(
        tuple(kernels), tuple(strides), tuple(depths), hidden, pool, pool_stride, dropout, norm, padding, head
    )
    return SimpleCNN(num_classes, layout, size)
