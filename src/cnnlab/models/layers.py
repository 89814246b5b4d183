"""Small layers that several networks share."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnlab.errors import ConfigError
from cnnlab.models.depthwise import depthwise_conv2d

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# of the 50,000 training images
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)

Stem = Literal["imagenet", "cifar"]


def is_cifar(stem: str) -> bool:
    """Whether a network begins without the early reductions of ImageNet's, for images of about 32 pixels.

    Raises ConfigError for a stem of another name.
    """
    if stem not in ("imagenet", "cifar"):
        raise ConfigError(f"stem='{stem}' is neither 'imagenet' nor 'cifar'.")
    return stem == "cifar"


class Normalize(nn.Module):
    """(x - mean) / std per channel: images in [0, 1] become what the weights were trained on.

    The constants belong to the architecture and are not stored with the weights.
    """

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 3, H, W), about zero mean and unit variance."""
        return (images - self.mean) / self.std

    def extra_repr(self) -> str:
        mean, std = ([round(value, 3) for value in buffer.flatten().tolist()] for buffer in (self.mean, self.std))
        return f"mean={mean}, std={std}"


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding: ceil(size / stride) outputs, the odd pixel at the lower right.

    With stride 1 that is the ordinary symmetric padding; with stride 2 it depends on the input's size, so weights that
    were trained in TensorFlow are off by a pixel under PyTorch's own padding. Depthwise ones take the fast gradients of
    depthwise.py.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, ceil(H / stride), ceil(W / stride))."""
        if self.stride[0] > 1:
            height, width = (
                max((-(-size // stride) - 1) * stride + kernel - size, 0)
                for size, stride, kernel in zip(x.shape[-2:], self.stride, self.kernel_size, strict=True)
            )
            x = functional.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        if self.groups > 1 and self.groups == self.in_channels == self.out_channels:
            return depthwise_conv2d(x, self.weight, self.stride[0], self.padding[0])
        return super().forward(x)


class DepthwiseConv2d(nn.Conv2d):
    """Convolution of each channel by itself, symmetric padding, no bias, with the fast gradients of depthwise.py."""

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, channels, ceil(H / stride), ceil(W / stride))."""
        return depthwise_conv2d(x, self.weight, self.stride[0], self.padding[0])


def conv_norm(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    groups: int = 1,
    act: Callable[[], nn.Module] | None = nn.ReLU,
    padding: int | None = None,
    eps: float = 1e-5,
) -> nn.Sequential:
    """Convolution without bias, batch normalisation, activation: `conv`, `norm` and (unless `act` is None) `act`.

    Args:
        inputs, outputs: channels.
        kernel: its side, or (height, width).
        stride: along both axes.
        groups: of channels; as many as inputs and outputs is a depthwise convolution.
        act: makes the activation.
        padding: on each side; None keeps the size at stride 1.
        eps: of the normalisation.
    """
    if groups == inputs == outputs and groups > 1 and isinstance(kernel, int) and padding in (None, kernel // 2):
        conv = DepthwiseConv2d(inputs, kernel, stride)
    else:
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        around = (height // 2, width // 2) if padding is None else (padding, padding)
        conv = nn.Conv2d(inputs, outputs, (height, width), stride, around, groups=groups, bias=False)
    layers = OrderedDict(conv=conv, norm=nn.BatchNorm2d(outputs, eps=eps))
    if act is not None:
        layers["act"] = act()
    return nn.Sequential(layers)


class ChannelShuffle(nn.Module):
    """Deal the channels of `groups` groups like cards, so that each next group sees all of them (arXiv:1707.01083).

    Channel j of group i becomes channel j * groups + i.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape and memory format, channels in another order."""
        if x.is_contiguous(memory_format=torch.channels_last):  # a reshape of (B, C, H, W) would lose the format
            x = x.permute(0, 2, 3, 1).unflatten(3, (self.groups, -1)).transpose(3, 4).flatten(3)
            return x.permute(0, 3, 1, 2)
        return x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"


def round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor` that does not lose more than a tenth: MobileNets' and EfficientNets' rule.

    Raises ConfigError where a width of 0 or less leaves none.
    """
    if channels <= 0:
        raise ConfigError(f"A layer would have {channels:g} channels; the width must be greater than 0.")
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def device_of(model: nn.Module) -> torch.device:
    """Where a network's parameters are, or its buffers if it has none of the former."""
    return next((tensor.device for tensor in chain(model.parameters(), model.buffers())), torch.device("cpu"))
