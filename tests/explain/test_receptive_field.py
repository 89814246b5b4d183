"""Measured fields: what a pixel reaches, where the gradient is, and the square that holds most of it."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.explain.receptive_field import effective_box, effective_fields, probe_pixels, units_that_see
from cnnlab.models.fields import Axis
from cnnlab.models.trace import trace


def averaging(*kernels):
    """Convolutions of one channel each that sum their window."""
    layers = [nn.Conv2d(3 if place == 0 else 1, 1, kernel, bias=False) for place, kernel in enumerate(kernels)]
    for layer in layers:
        nn.init.ones_(layer.weight)
    return nn.Sequential(*layers)


def test_one_pixel_reaches_the_units_that_see_it():
    reached = units_that_see(averaging(3, 3), (9, 9), (4, 5))
    assert [len(np.flatnonzero(reached[name].any(1))) for name in ("0", "1")] == [3, 5]
    assert reached["1"].sum() == 25 - 5 * 1 and not reached["0"][0].any(), "the map ends before the fifth column"


def test_the_effective_field_of_a_sum_is_its_window_and_of_two_a_pyramid():
    torch.manual_seed(0)
    fields = effective_fields(averaging(5, 3), torch.rand(3, 3, 11, 11), ["0", "1"])
    assert (fields["0"] > 0).sum() == 25 and np.ptp(fields["0"][fields["0"] > 0]) < 1e-6
    line = fields["1"][5] / fields["1"].max()
    np.testing.assert_allclose(line, [0, 0, 1 / 3, 2 / 3, 1, 1, 1, 2 / 3, 1 / 3, 0, 0], atol=1e-6)


def test_random_signs_sum_the_channels_squares():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 64, 3)
    measured = effective_fields(layer_in(layer), torch.rand(64, 3, 5, 5), ["0"], seed=1, batch_size=64)["0"][1:4, 1:4]
    exact = layer.weight.detach().square().sum((0, 1)).sqrt().numpy()
    np.testing.assert_allclose(measured, exact, rtol=0.15)


def layer_in(layer):
    return nn.Sequential(layer)


def test_linear_layers_and_in_place_activations_are_no_obstacle():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 36, 2)).train()
    fields = effective_fields(model, torch.rand(4, 3, 8, 8), ["0", "3"])
    assert (fields["3"] > 0).all() and (fields["0"] > 0).sum() == 9
    assert model.training and model[1].inplace and not model[0]._forward_hooks
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(ConfigError, match="no layer 'conv1'"):
        effective_fields(model, torch.rand(1, 3, 8, 8), ["conv1"])


def test_the_square_holds_its_share():
    axis = trace(averaging(7), (21, 21)).layers[0].rows
    assert axis.middle == (7, 13)
    field = np.zeros((21, 21), np.float32)
    field[9:12, 9:12] = 1.0  # 9 of 10
    field[7, 7] = 1.0
    assert effective_box(field, axis, axis, share=0.85) == (9, 9, 12, 12)
    assert effective_box(field, axis, axis, share=0.95) == (7, 7, 14, 14)
    assert effective_box(np.zeros((21, 21)), axis, axis) == (0, 0, 0, 0), "nothing reaches a dead unit"
    edge = Axis.of_picture(21)
    assert edge.middle == (10, 10) and edge.units == 21


def test_probe_pixels_lie_in_the_picture():
    for size in ((2, 2), (48, 50)):
        assert all(0 <= row < size[0] and 0 <= column < size[1] for row, column in probe_pixels(size))
