"""Small layers that several networks share."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnlab.models.depthwise import depthwise_conv2d

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


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
