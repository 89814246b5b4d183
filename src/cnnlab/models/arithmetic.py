"""The lecture's arithmetic of one layer: output size, parameters, multiply-adds and receptive field.

Formulas as in https://cs231n.github.io/convolutional-networks/: a volume of W1 x H1 x D1 met by K filters of size F at
stride S with P zeros around it gives (W1 - F + 2P) / S + 1 columns, as many rows alike, and K channels; each filter has
F * F * D1 weights and a bias. trace.py applies them to every layer of a real network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from cnnlab.errors import ConfigError

Pair = tuple[int, int]
"""A number for the rows and one for the columns."""


def exact_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Fraction:
    """(size - kernel + 2 padding) / stride + 1, which need not be whole; a dilated kernel counts with its gaps.

    Raises:
        ConfigError: a setting makes no sense, or the kernel is larger than the padded input.
    """
    for name, value, least in (
        ("size", size, 1), ("filter", kernel, 1), ("stride", stride, 1), ("padding", padding, 0),
        ("dilation", dilation, 1),
    ):  # fmt: skip
        if value < least:
            raise ConfigError(f"The {name} is {value}; it must be at least {least}.")
    extent = dilation * (kernel - 1) + 1
    if extent > size + 2 * padding:
        raise ConfigError(
            f"A filter of {extent} pixels does not fit an input of {size} with {padding} of padding on each side; "
            "make the filter smaller, or the input or the padding larger."
        )
    return Fraction(size - extent + 2 * padding, stride) + 1


def output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, ceil: bool = False
) -> int:
    """Output of a convolution or pooling along one axis: the lecture's formula, rounded down as every framework does.

    With `ceil` (of a pooling) a last window that begins within the input or its first padding counts as well.
    """
    exact = exact_size(size, kernel, stride, padding, dilation)
    if not ceil:
        return exact.__floor__()
    rounded = exact.__ceil__()
    return rounded - ((rounded - 1) * stride >= size + padding)


def transposed_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, output_padding: int = 0
) -> int:
    """Output of a transposed convolution along one axis: the formula turned round."""
    return (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + output_padding


@dataclass(frozen=True)
class Convolution:
    """One convolution: the input volume and the four hyperparameters, with the lecture's letters for the square case.

    Attributes:
        inputs: (D1, H1, W1), channels, rows and columns.
        filters: K.
        kernel: F, rows and columns.
        stride: S.
        padding: P, on each side.
        dilation: distance of a filter's taps; 1 is the ordinary filter.
        groups: each filter sees D1 / groups channels; groups = D1 is a depthwise convolution.
        bias: K biases.
        transposed: the input's pixels are spread `stride` apart and the filters stamped on them.
        output_padding: further rows and columns at the end of a transposed convolution's output.
    """

    inputs: tuple[int, int, int]
    filters: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True
    transposed: bool = False
    output_padding: Pair = (0, 0)

    def __post_init__(self) -> None:
        if min(self.inputs[0], self.filters, self.groups) < 1:
            raise ConfigError("Channels, filters and groups are at least 1.")
        if self.inputs[0] % self.groups or self.filters % self.groups:
            raise ConfigError(
                f"{self.groups} groups do not divide both {self.inputs[0]} channels and {self.filters} filters; choose "
                "a divisor of both."
            )

    @property
    def exact(self) -> tuple[Fraction, Fraction]:
        """Rows and columns by the formula, before rounding down."""
        geometry = zip(self.inputs[1:], self.kernel, self.stride, self.padding, self.dilation, strict=True)
        rows, columns = (exact_size(*axis) for axis in geometry)
        return rows, columns

    @property
    def output(self) -> tuple[int, int, int]:
        """(D2, H2, W2)."""
        axes = list(zip(self.inputs[1:], self.kernel, self.stride, self.padding, self.dilation, strict=True))
        if self.transposed:
            rows, columns = (transposed_size(*a, extra) for a, extra in zip(axes, self.output_padding, strict=True))
        else:
            rows, columns = (output_size(*axis) for axis in axes)
        return self.filters, rows, columns

    @property
    def weights_per_filter(self) -> int:
        """F * F * D1, over the channels of one group."""
        return self.kernel[0] * self.kernel[1] * self.inputs[0] // self.groups

    @property
    def weights(self) -> int:
        """(F * F * D1) * K."""
        return self.weights_per_filter * self.filters

    @property
    def biases(self) -> int:
        """K, or none."""
        return self.filters * self.bias

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.weights + self.biases

    @property
    def multiply_adds(self) -> int:
        """One per weight and place: of the output, or of the input where that is spread. Biases are not counted."""
        _, rows, columns = self.inputs if self.transposed else self.output
        return self.weights * rows * columns


def receptive_field(layers: Sequence[Pair]) -> tuple[int, int]:
    """Side of the part of the input that a unit behind a chain of (extent, stride) layers sees, and its step.

    1 + sum over layers of (extent - 1) times the product of the strides before it; extent is the kernel with the gaps
    of its dilation. The step (or jump) is how far the parts of neighbouring units lie apart. 5x5 and then 3x3 give 7.
    """
    side, jump = 1, 1
    for extent, stride in layers:
        side += (extent - 1) * jump
        jump *= stride
    return side, jump
