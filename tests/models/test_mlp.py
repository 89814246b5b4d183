"""The perceptron: its shape, what it does to pixels, how its weights begin, and what it refuses."""

import pytest
import torch

from cnnlab.errors import ConfigError
from cnnlab.models import build_model


def test_the_assignments_network_has_one_hidden_layer_of_300():
    model = build_model("mlp", 6)
    assert sum(p.numel() for p in model.parameters()) == 2352 * 300 + 300 + 300 * 6 + 6
    assert model(torch.rand(2, 3, 28, 28)).shape == (2, 6)
    assert model.unit_pictures().shape == (300, 3, 28, 28)


def test_a_units_picture_is_what_it_is_multiplied_with():
    model = build_model("mlp", 2, size=(4, 5), hidden=(3,), scaling="range").eval()
    images = torch.rand(1, 3, 4, 5)
    expected = (model.unit_pictures() * (2 * images - 1)).sum((1, 2, 3)) + model.first_layer.bias
    assert torch.allclose(model.hidden(model.scale(images))[0], expected.relu(), atol=1e-5)


@pytest.mark.parametrize("scaling", ["contrast", "local", "both"])
def test_exposure_and_contrast_do_not_matter(scaling):
    model = build_model("mlp", 3, scaling=scaling).eval()
    images = torch.rand(4, 3, 28, 28) * 0.5 + 0.2
    assert torch.allclose(model(images), model(images * 0.7 + 0.1), atol=1e-4)
    assert torch.isfinite(model(torch.full((1, 3, 28, 28), 0.5))).all(), "a blank image has an answer too"


def test_local_contrast_takes_out_shade_and_keeps_colour():
    model = build_model("mlp", 3, scaling="local")
    shade = torch.linspace(0, 0.5, 28).expand(1, 3, 28, 28)
    pattern = 0.2 * torch.rand(1, 3, 28, 28)
    plain, shaded = (model.scale(images)[..., 6:-6, 6:-6] for images in (pattern, pattern + shade))
    assert (plain - shaded).abs().mean() < 0.25 * plain.abs().mean()
    red = torch.zeros(1, 3, 28, 28)
    red[:, 0, :, 14:] = 1
    edge = model.scale(red)[0, :, 14, 14]
    assert edge[0] > 0.5 and edge[1] == edge[2] == 0


def test_initial_weights_have_the_variance_that_is_promised():
    for init, variance in (("he", 2 / 2352), ("glorot", 2 / (2352 + 300))):
        weight = build_model("mlp", 6, init=init).first_layer.weight
        assert weight.var().item() == pytest.approx(variance, rel=0.02)
    assert build_model("mlp", 6, gain=0.1).first_layer.weight.var().item() == pytest.approx(0.02 / 2352, rel=0.02)


def test_unfit_settings_and_images_are_refused():
    with pytest.raises(ConfigError, match="scaling=colour is unknown; choose range, contrast, local"):
        build_model("mlp", 6, scaling="colour")
    with pytest.raises(ConfigError, match="hidden must name the units"):
        build_model("mlp", 6, hidden=())
    with pytest.raises(ConfigError, match="gain must be above 0"):
        build_model("mlp", 6, gain=0.0)
    with pytest.raises(ConfigError, match="takes images of 3 x 28 x 28 .* not 3 x 32 x 32"):
        build_model("mlp", 6)(torch.rand(1, 3, 32, 32))


def test_an_image_given_twice_has_two_weights_for_each_pixel_and_one_picture_for_each_unit():
    model = build_model("mlp", 3, size=(6, 5), hidden=(4,), scaling="both")
    assert model.first_layer.in_features == 2 * 3 * 6 * 5
    image = torch.rand(2, 3, 6, 5)
    drawing, tones = model.scale(image).chunk(2, 1)
    torch.testing.assert_close(drawing, build_model("mlp", 3, size=(6, 5), scaling="local").scale(image))
    torch.testing.assert_close(2 * tones, build_model("mlp", 3, size=(6, 5), scaling="contrast").scale(image))
    seen = (model.unit_pictures()[1] * drawing[0]).sum()
    torch.testing.assert_close(seen, model.first_layer.weight[1, :90] @ drawing[0].flatten())
