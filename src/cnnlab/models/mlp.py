"""The multilayer perceptron of assignment D: every pixel to every hidden unit, no convolution."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnlab.errors import ConfigError
from cnnlab.models.layers import Normalize
from cnnlab.models.registry import register_model

Activation = Literal["relu", "tanh", "gelu", "leaky_relu"]
Init = Literal["he", "glorot", "torch"]
InputScaling = Literal["range", "contrast", "local", "both"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "leaky_relu": lambda: nn.LeakyReLU(0.1),
}  # fmt: skip
INITS = {
    "he": "normal with variance 2 / inputs (He et al. 2015), biases 0",
    "glorot": "uniform with variance 2 / (inputs + outputs) (Glorot and Bengio 2010), biases 0",
    "torch": "PyTorch's default, uniform within 1 / sqrt(inputs), weights and biases",
}
"""The ways of drawing initial weights, in words."""
SCALINGS = {
    "range": "pixel values are moved to the range from -1 to 1",
    "contrast": "from each image its own mean over all pixels and channels is subtracted, and it is divided by its own "
    "standard deviation, so that neither exposure nor contrast matters",
    "local": "from each pixel the mean of the 9x9 pixels around it is subtracted, channel by channel, and it is "
    "divided by the standard deviation of these pixels over all channels (at least 0.05): shade does not matter",
    "both": "each is given twice: once minus the mean of the 9x9 pixels around it, channel by channel, over the "
    "standard deviation of these pixels over all channels (at least 0.05), for the drawing; and once minus its image's "
    "mean over its image's standard deviation, halved, for the tones",
}
"""What happens to the pixels before the first layer, in words."""


class ContrastNorm(nn.Module):
    """Each image minus its own mean, over its own standard deviation: brightness and contrast are gone."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), mean 0 and variance 1 over each image's pixels and channels."""
        mean = images.mean((1, 2, 3), keepdim=True)
        std = images.std((1, 2, 3), keepdim=True)
        return (images - mean) / std.clamp(min=1e-3)  # a blank image stays blank


class LocalContrastNorm(nn.Module):
    """Each pixel minus the mean around it, over the standard deviation around it: light and shade are gone everywhere.

    Jarrett et al. 2009, "What is the best multi-stage architecture for object recognition?", with a flat window. The
    deviation is that of all channels together, so that colours stay; beyond the border the edge is repeated.

    Args:
        window: side of the square window in pixels, odd.
        floor: smallest deviation to divide by, of pixels in [0, 1]: flat parts stay flat.
    """

    def __init__(self, window: int = 9, floor: float = 0.05) -> None:
        super().__init__()
        self.window, self.floor = window, floor

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        centred = images - self._around(images)
        variance = self._around(centred.square().mean(1, keepdim=True))
        return centred / variance.sqrt().clamp(min=self.floor)

    def _around(self, maps: Tensor) -> Tensor:
        half = self.window // 2
        maps = functional.pad(maps, (half,) * 4, mode="replicate")
        rows = functional.avg_pool2d(maps, (self.window, 1), stride=1)  # one axis after the other: fewer additions
        return functional.avg_pool2d(rows, (1, self.window), stride=1)

    def extra_repr(self) -> str:
        return f"window={self.window}, floor={self.floor}"


class LocalAndGlobal(nn.Module):
    """An image twice: with local contrast, for the drawing, and with its own contrast, halved, for the tones."""

    def __init__(self) -> None:
        super().__init__()
        self.local, self.tones = LocalContrastNorm(), ContrastNorm()

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 2 C, H, W)."""
        return torch.cat([self.local(images), 0.5 * self.tones(images)], 1)


class MLP(nn.Module):
    """Scaled pixels, fully connected hidden layers with one activation, logits.

    Args:
        num_classes: number of logits.
        size: height and width of the images; others are refused.
        channels: 3 for colour.
        hidden: units of each hidden layer.
        activation: after each hidden layer.
        dropout: share of hidden units that a training step leaves out.
        input_dropout: share of pixel values that a training step leaves out.
        init: how the weights are drawn, see `INITS`.
        gain: factor on the initial weights of the hidden layers; below 1 what they learn soon outweighs the noise that
            they began as.
        scaling: what happens to the pixels first, see `SCALINGS`.

    Raises:
        ConfigError: no hidden layer or one without units, a gain of 0, an unknown activation, init or scaling.
    """

    def __init__(
        self, num_classes: int = 10, size: Sequence[int] = (28, 28), channels: int = 3, hidden: Sequence[int] = (300,),
        activation: Activation = "relu", dropout: float = 0.0, input_dropout: float = 0.0, init: Init = "he",
        gain: float = 1.0, scaling: InputScaling = "range",
    ) -> None:  # fmt: skip
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise ConfigError(f"hidden must name the units of one layer at least, such as (300,), not {tuple(hidden)}.")
        if gain <= 0:
            raise ConfigError(f"gain must be above 0, not {gain}: units that all begin alike stay alike.")
        for setting, value, known in (
            ("activation", activation, ACTIVATIONS), ("init", init, INITS), ("scaling", scaling, SCALINGS),
        ):  # fmt: skip
            if value not in known:
                raise ConfigError(f"{setting}={value} is unknown; choose {', '.join(known)}.")
        self.input_shape = (channels, *size)
        self.init, self.gain, self.scaling = init, gain, scaling
        half = (0.5,) * channels
        scalings = {
            "contrast": ContrastNorm, "local": LocalContrastNorm, "range": lambda: Normalize(half, half),
            "both": LocalAndGlobal,
        }  # fmt: skip
        self.scale = scalings[scaling]()
        layers: list[nn.Module] = [nn.Flatten(), nn.Dropout(input_dropout)]
        inputs = channels * size[0] * size[1] * (2 if scaling == "both" else 1)
        for units in hidden:
            layers += [nn.Linear(inputs, units), ACTIVATIONS[activation](), nn.Dropout(dropout)]
            inputs = units
        self.hidden = nn.Sequential(*layers)
        self.classifier = nn.Linear(inputs, num_classes)
        if init != "torch":
            self.apply(_draw(init, activation))
        with torch.no_grad():
            for layer in self.hidden:
                if isinstance(layer, nn.Linear):
                    layer.weight.mul_(gain)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] to logits (B, num_classes).

        Raises:
            ConfigError: the images have another size than the network was built for.
        """
        if tuple(images.shape[1:]) != self.input_shape:
            shape, wanted = (" x ".join(map(str, s)) for s in (images.shape[1:], self.input_shape))
            raise ConfigError(f"This network takes images of {wanted} (channels x height x width), not {shape}.")
        return self.classifier(self.hidden(self.scale(images)))

    @property
    def first_layer(self) -> nn.Linear:
        """The layer whose weights can be seen as pictures, (units, C * H * W)."""
        return next(layer for layer in self.hidden if isinstance(layer, nn.Linear))

    def unit_pictures(self) -> Tensor:
        """Weights of the first hidden layer as pictures, (units, C, H, W); with `scaling=both` those of the drawing."""
        channels, *size = self.input_shape
        weight = self.first_layer.weight.detach().cpu()
        return weight.reshape(len(weight), -1, *size)[:, :channels]


def _draw(init: str, activation: str) -> Callable[[nn.Module], None]:
    @torch.no_grad()
    def draw(module: nn.Module) -> None:
        if not isinstance(module, nn.Linear):
            return
        if init == "he":
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu" if activation != "tanh" else "linear")
        else:
            nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)

    return draw


@register_model
def mlp(
    num_classes: int = 10, size: Sequence[int] = (28, 28), channels: int = 3, hidden: Sequence[int] = (300,),
    activation: Activation = "relu", dropout: float = 0.0, input_dropout: float = 0.0, init: Init = "he",
    gain: float = 1.0, scaling: InputScaling = "range",
) -> MLP:  # fmt: skip
    """A multilayer perceptron; 707,706 parameters for 28x28 in colour, 300 hidden units and 6 classes."""
    return MLP(num_classes, size, channels, hidden, activation, dropout, input_dropout, init, gain, scaling)
