"""Fully convolutional face networks with a 48-pixel window and a stride of 8 pixels.

Both map images (B, 3, H, W) in [0, 1] to a map (B, channels, h, w) without any reshaping: a 48x48 patch gives
h = w = 1, a larger image one cell per window position. Channels 0 and 1 are the logits of background and face; four
further channels, where a network has them, are box offsets (see `cnnlab.detection.boxes.decode`).

Attributes the detector reads: `window`, `stride`, `face_range` (smallest and largest face height in the window, in
pixels, that the network answers to), `margin` (padding that lets windows stand over the image's edge).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cnnlab.errors import ConfigError
from cnnlab.models.registry import register_model

WINDOW = 48
STRIDE = 8

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": lambda: nn.LeakyReLU(0.2, inplace=True),
    "relu": lambda: nn.ReLU(inplace=True),
    "silu": lambda: nn.SiLU(inplace=True),
    "elu": lambda: nn.ELU(inplace=True),
}
NORMS = ("none", "batch", "group")


class PlainFaceNet(nn.Sequential):
    """Assignment A's network, layer by layer."""

    window = WINDOW
    stride = STRIDE
    face_range = (40.0, 50.0)
    margin = 0

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__(
            nn.Conv2d(3, 32, 3),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 64, 3),
            nn.MaxPool2d(3, stride=2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 64, 3),
            nn.MaxPool2d(2, stride=2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(128, 256, 3),
            nn.LeakyReLU(0.2),
            nn.Conv2d(256, num_classes, 1),
        )


class FaceNet(nn.Module):
    """Tunable face network: valid convolutions, strides instead of pooling, normalisation after each convolution.

    widths: channels of the six convolutions, see the table in `__init__`.
    depth: 1x1 convolutions over the finished window vector, each added to its input.
    boxes: with four box offsets beside the class logits (then a face may be smaller than the window, 19 to 47 pixels).
    Raises ConfigError for settings it does not know.
    """

    window = WINDOW
    stride = STRIDE

    def __init__(
        self,
        num_classes: int = 2,
        widths: Sequence[int] = (16, 32, 32, 64, 96, 128),
        depth: int = 1,
        activation: str = "relu",
        norm: str = "batch",
        dropout: float = 0.0,
        boxes: bool = True,
    ) -> None:
        super().__init__()
        if len(widths) != 6 or min(widths) < 1:
            raise ConfigError(f"FaceNet takes six positive widths, not {tuple(widths)}.")
        if activation not in ACTIVATIONS:
            raise ConfigError(f"Unknown activation '{activation}'. Known: {', '.join(ACTIVATIONS)}.")
        if norm not in NORMS:
            raise ConfigError(f"Unknown norm '{norm}'. Known: {', '.join(NORMS)}.")
        self.boxes = boxes
        self.face_range = (19.0, 47.0) if boxes else PlainFaceNet.face_range
        self.margin = 16 if boxes else 0
        a, b, c, d, e, f = widths

        def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
            return _conv_norm_act(inputs, outputs, kernel, stride, norm, activation)

        # Side of the map for a 48-pixel window:  48
        self.features = nn.Sequential(
            conv(3, a, 4, stride=2),  # 23
            conv(a, b, 3, stride=2),  # 11
            conv(b, c, 3),  # 9
            conv(c, d, 3, stride=2),  # 4
            conv(d, e, 3),  # 2
            conv(e, f, 2),  # 1
        )
        self.extra = nn.ModuleList(conv(f, f, 1) for _ in range(depth))
        self.dropout = nn.Dropout2d(dropout)
        self.predict = nn.Conv2d(f, num_classes + 4 * boxes, 1)
        if boxes:
            # Few windows of a map show a face; starting from that belief keeps the first steps calm
            # (Lin et al. 2017, arXiv:1708.02002, section 3.3).
            nn.init.zeros_(self.predict.bias)
            self.predict.bias.data[0] = 4.0

    def to_bfloat16(self) -> "FaceNet":
        """Convolutions in bfloat16, in place, for processors that compute in it; the last layer stays as it is."""
        self.features.to(torch.bfloat16)
        self.extra.to(torch.bfloat16)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, classes [+ 4], h, w)."""
        x = self.features(images.to(self.features[0][0].weight.dtype))
        for block in self.extra:
            x = x + block(x)
        # The last layer keeps its own precision when the rest runs in bfloat16: scores near 1 need the digits.
        return self.predict(self.dropout(x).to(self.predict.weight.dtype))


def _conv_norm_act(inputs: int, outputs: int, kernel: int, stride: int, norm: str, activation: str) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, stride, bias=norm == "none")]
    if norm == "batch":
        layers.append(nn.BatchNorm2d(outputs))
    elif norm == "group":
        layers.append(nn.GroupNorm(max(1, outputs // 16), outputs))
    return nn.Sequential(*layers, ACTIVATIONS[activation]())


@torch.no_grad()
def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Merge every BatchNorm2d into the convolution before it, in place; same outputs in eval mode, less work."""
    model.eval()
    for block in list(model.modules()):
        if not isinstance(block, nn.Sequential):
            continue
        for i in range(len(block) - 1):
            if isinstance(block[i], nn.Conv2d) and isinstance(block[i + 1], nn.BatchNorm2d):
                block[i] = fuse_conv_bn_eval(block[i], block[i + 1])
                block[i + 1] = nn.Identity()
    return model


@register_model
def face_fcn(num_classes: int = 2) -> PlainFaceNet:
    """The network of assignment A: 3 pooled convolutions, then 2x2, 3x3 and 1x1 ones, LeakyReLU 0.2."""
    return PlainFaceNet(num_classes)


@register_model
def face_net(
    num_classes: int = 2,
    widths: Sequence[int] = (16, 32, 32, 64, 96, 128),
    depth: int = 1,
    activation: str = "relu",
    norm: str = "batch",
    dropout: float = 0.0,
    boxes: bool = True,
) -> FaceNet:
    """The tunable network, with box offsets unless `boxes=False`."""
    return FaceNet(num_classes, widths, depth, activation, norm, dropout, boxes)
