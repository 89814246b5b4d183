"""Telling units: a network whose units are known, and the smoothness of noise, ramps and blanks."""

import pytest
import torch

from cnnlab.data.imageset import ImageSet
from cnnlab.explain.units import smoothness, telling_units
from cnnlab.models import build_model


@pytest.fixture
def known():
    """Four units on 4x4 grey-like images: 0 sees red, 1 the same but weaker, 2 sees blue, 3 a constant."""
    model = build_model("mlp", 2, size=(4, 4), hidden=(4,), scaling="range")
    with torch.no_grad():
        weight = torch.zeros(4, 3, 4, 4)
        weight[0, 0], weight[1, 0], weight[2, 2] = 1.0, 0.9, 0.3
        model.first_layer.weight.copy_(weight.flatten(1))
        model.first_layer.bias.copy_(torch.tensor([0.0, 0.0, 20.0, 99.0]))
        model.classifier.weight.copy_(torch.tensor([[2.0, 2.0, -1.0, 50.0], [0.0, 0.0, 1.0, 50.0]]))
    images = torch.zeros(8, 3, 4, 4, dtype=torch.uint8)
    images[:4, 0], images[4:, 2] = torch.tensor([255, 240, 220, 200]).byte().view(4, 1, 1), 255
    labels = torch.tensor([0] * 4 + [1] * 4)
    return model, ImageSet(images, labels, ("ruby", "sky"), "made", "val")


def test_the_rule_takes_the_largest_say_and_passes_over_its_like(known):
    first, second = telling_units(*known, count=2)
    assert (first.index, second.index) == (0, 2), "1 looks like 0; 3 says the same of every face and every person"
    assert first.speaks.tolist() == [1.0, -1.0] and second.speaks.tolist() == [-1.0, 1.0]
    assert first.exciting[:2] == (0, 1), "the reddest first"
    assert first.activation[0] > first.activation[1] and first.say > second.say > 0
    assert [u.index for u in telling_units(*known, count=2, apart=1.1)] == [0, 1]


def test_fewer_units_come_back_where_all_look_alike(known):
    model, faces = known
    with torch.no_grad():
        model.first_layer.weight.copy_(model.first_layer.weight[:1].repeat(4, 1))
    assert len(telling_units(model, faces, count=3)) == 1


def test_smoothness_of_noise_ramps_and_blanks():
    noise = torch.randn(20, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    ramp = torch.linspace(-1, 1, 28).expand(1, 3, 28, 28)
    assert smoothness(noise).abs().max() < 0.1
    assert smoothness(ramp).item() > 0.85
    assert smoothness(torch.zeros(1, 3, 28, 28)).item() == 0
