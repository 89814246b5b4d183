"""SimpleCNN: the assignment's network to the parameter, its settings, and what it refuses."""

import pickle

import pytest
import torch
from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.models import build_model
from cnnlab.models.local_response import LocalResponseNorm
from cnnlab.models.simple_cnn import Layout, WeightNormConv2d


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_defaults_are_the_assignments_network():
    model = build_model("simple_cnn", 11)
    by_hand = (5 * 5 * 3 + 1) * 16 + (5 * 5 * 16 + 1) * 16 + (13 * 13 * 16 + 1) * 64 + (64 + 1) * 11
    assert count(model) == by_hand == 181_467
    assert model(torch.rand(2, 3, 50, 50)).shape == (2, 11)


def test_it_shifts_the_pixels_to_minus_a_half_to_a_half():
    model = build_model("simple_cnn").eval()
    for module in model.modules():
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(module.bias)
    assert model(torch.full((1, 3, 50, 50), 0.5)).abs().max() == 0


@pytest.mark.parametrize(
    "settings, inputs",
    [
        ({"pool": 2}, 3 * 3 * 16),
        ({"pool": 3, "pool_stride": 1}, 10 * 10 * 16),
        ({"padding": "valid"}, 10 * 10 * 16),
        ({"head": "average"}, 16),
        ({"kernels": (4, 4)}, 12 * 12 * 16),
        ({"kernels": (3,), "strides": (1,), "depths": (8,)}, 50 * 50 * 8),
        ({"kernels": (5, 3, 3), "strides": (2, 2, 2), "depths": (16, 32, 64)}, 7 * 7 * 64),
    ],
)
def test_every_setting_gives_a_network_that_fits_itself(settings, inputs):
    model = build_model("simple_cnn", num_classes=4, **settings)
    assert model.classifier[0].in_features == inputs
    assert model(torch.rand(1, 3, 50, 50)).shape == (1, 4)


@pytest.mark.parametrize("norm, kind", [("batch", nn.BatchNorm2d), ("lrn", LocalResponseNorm), ("weight", None)])
def test_norms(norm, kind):
    model = build_model("simple_cnn", norm=norm)
    kinds = [type(module) for module in model.modules()]
    assert kinds.count(kind or WeightNormConv2d) == 2
    model(torch.rand(2, 3, 50, 50)).sum().backward()
    copy = pickle.loads(pickle.dumps(model.eval()))
    images = torch.rand(1, 3, 50, 50)
    assert torch.equal(copy(images), model(images))


def test_weight_norm_begins_as_the_ordinary_convolution_and_learns_length_and_direction_apart():
    layer, images = WeightNormConv2d(3, 4, 3, padding=1), torch.rand(1, 3, 6, 6)
    assert torch.allclose(layer(images), nn.functional.conv2d(images, layer.weight, layer.bias, padding=1), atol=1e-6)
    before = layer(images) - layer.bias.view(-1, 1, 1)
    with torch.no_grad():
        layer.weight *= 7  # the direction is the same
        assert torch.allclose(layer(images) - layer.bias.view(-1, 1, 1), before, atol=1e-5)
        layer.length *= 2
        assert torch.allclose(layer(images) - layer.bias.view(-1, 1, 1), 2 * before, atol=1e-5)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"strides": (2, 2, 2)}, "2 kernels, 3 strides and 2 depths"),
        ({"depths": (16, 0)}, "must all be at least 1"),
        ({"pool": -1}, "pool must be at least 0, not -1"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), not 1.0"),
        ({"strides": (9, 9), "pool": 4}, "nothing is left of an image of 50x50 pixels behind convolution 2"),
    ],
)
def test_what_cannot_be_built_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        build_model("simple_cnn", **settings)


def test_a_layout_is_the_settings_of_the_registered_network():
    model = build_model("simple_cnn", 5, size=32, **Layout(norm="batch").settings)
    assert model.architecture == ("simple_cnn", {"num_classes": 5, "size": 32, **Layout(norm="batch").settings})
