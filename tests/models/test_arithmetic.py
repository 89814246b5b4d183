"""The lecture's formulas, against its own examples and against what PyTorch does."""

import itertools
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

from cnnlab.errors import ConfigError
from cnnlab.models.arithmetic import Convolution, exact_size, output_size, receptive_field, transposed_size


def square(W, D, K, F, S, P, **more):
    return Convolution((D, W, W), K, (F, F), (S, S), (P, P), **more)


def test_the_lectures_examples():
    """https://cs231n.github.io/convolutional-networks/: AlexNet's first layer, and ten 5x5 filters on 32x32x3."""
    alexnet = square(W=227, D=3, K=96, F=11, S=4, P=0)
    assert alexnet.output == (96, 55, 55)
    assert (alexnet.weights_per_filter, alexnet.weights, alexnet.biases) == (363, 34_848, 96)
    assert alexnet.parameters == 34_944 and alexnet.multiply_adds == 55 * 55 * 96 * 363
    small = square(W=32, D=3, K=10, F=5, S=1, P=2)
    assert small.output == (10, 32, 32) and small.parameters == 760


def test_a_size_that_does_not_divide_is_told_and_rounded_down():
    assert exact_size(10, 3, 2) == Fraction(9, 2)
    assert output_size(10, 3, 2) == 4 and output_size(10, 3, 2, ceil=True) == 5


SETTINGS = list(itertools.product((9, 12), (1, 3, 4), (1, 2, 3), (0, 1), (1, 2)))


@pytest.mark.parametrize(("size", "kernel", "stride", "padding", "dilation"), SETTINGS)
def test_sizes_are_pytorchs(size, kernel, stride, padding, dilation):
    x, weight = torch.zeros(1, 1, size, size), torch.zeros(1, 1, kernel, kernel)
    out = F.conv2d(x, weight, stride=stride, padding=padding, dilation=dilation)
    assert output_size(size, kernel, stride, padding, dilation) == out.shape[-1]
    if 2 * padding <= kernel:
        for ceil in (False, True):
            out = F.max_pool2d(x, kernel, stride, padding, dilation, ceil)
            assert output_size(size, kernel, stride, padding, dilation, ceil) == out.shape[-1]
    out = F.conv_transpose2d(x, weight, stride=stride, padding=padding, dilation=dilation, output_padding=stride - 1)
    assert transposed_size(size, kernel, stride, padding, dilation, stride - 1) == out.shape[-1]


def test_grouped_and_transposed_layers():
    depthwise = square(W=16, D=32, K=32, F=3, S=1, P=1, groups=32, bias=False)
    assert depthwise.parameters == 32 * 9 and depthwise.multiply_adds == 16 * 16 * 32 * 9
    layer = torch.nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1, groups=2)
    up = square(W=5, D=6, K=4, F=4, S=2, P=1, groups=2, transposed=True)
    assert up.output == tuple(layer(torch.zeros(1, 6, 5, 5)).shape[1:])
    assert up.parameters == sum(p.numel() for p in layer.parameters())
    assert up.multiply_adds == 5 * 5 * 6 * (4 // 2) * 16


@pytest.mark.parametrize(("layers", "side", "jump"), [
    ([(5, 1), (3, 1)], 7, 1),  # question 1.1 of assignment D
    ([(3, 1)] * 3, 7, 1),
    ([(5, 2), (5, 2)], 13, 4),  # SimpleCNN
    ([(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)], 195, 32),  # AlexNet's features
    ([(3, 1), (3, 1), (2, 2)] * 2 + [(3, 1), (3, 1), (3, 1), (2, 2)] * 3, 212, 32),  # VGG-16's
    ([], 1, 1),
])  # fmt: skip
def test_receptive_field_of_a_chain(layers, side, jump):
    assert receptive_field(layers) == (side, jump)


@pytest.mark.parametrize(("settings", "words"), [
    ({"F": 9}, "A filter of 9 pixels does not fit an input of 7 with 0 of padding"),
    ({"S": 0}, "The stride is 0; it must be at least 1"),
    ({"P": -1}, "The padding is -1; it must be at least 0"),
])  # fmt: skip
def test_layers_that_cannot_be_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        assert square(**({"W": 7, "D": 3, "K": 2, "F": 3, "S": 1, "P": 0} | settings)).output
    with pytest.raises(ConfigError, match="4 groups do not divide both 3 channels and 8 filters"):
        square(W=7, D=3, K=8, F=3, S=1, P=0, groups=4)
