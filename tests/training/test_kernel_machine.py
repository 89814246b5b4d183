"""The support vector machine on frozen maps: it sees places, gives what sklearn gives, and is saved as networks are."""

import numpy as np
import pytest
import torch
from sklearn.svm import SVC
from torch import nn

from cnnlab.errors import ConfigError, DataError
from cnnlab.models import build_model
from cnnlab.models.kernel_machine import committee_of
from cnnlab.models.saved import load_model, save_model
from cnnlab.training.kernel_machine import (
    _slope,
    fit_backbone_machine,
    fit_patch_machine,
    learn_patches,
    principal_components,
)  # fmt: skip

SMALL = {"size": (64, 64), "grid": (4, 4), "dims": 16, "weights": "random"}


def patches(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise with a bright square: of class 1 at the top, of class 0 at the bottom."""
    drawn = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 120, (count, 3, 64, 64), dtype=torch.uint8, generator=drawn)
    labels = torch.arange(count) % 2
    for image, label in zip(images, labels, strict=True):
        left = int(torch.randint(0, 40, (), generator=drawn))
        top = 4 if label else 40
        image[:, top : top + 20, left : left + 20] = 250
    return images, labels


@pytest.fixture(scope="module")
def fitted():
    torch.manual_seed(0)
    images, labels = patches(40, 0)
    return fit_backbone_machine(images, labels, **SMALL)[0], images, labels


def test_probabilities_are_calibrated(fitted):
    """The slope on margins is that by which the labels were drawn, and a machine's logits are its margins times it."""
    rng = np.random.default_rng(0)
    margins = rng.normal(size=(20_000, 2))
    chances = 1 / (1 + np.exp(-3 * (margins[:, 1] - margins[:, 0])))
    assert _slope(margins, (rng.random(20_000) < chances).astype(int)) == pytest.approx(3, rel=0.1)
    machine, images, _ = fitted
    some = images[:4].float() / 255
    with torch.no_grad():
        torch.testing.assert_close(machine(some), machine.slope * machine.margins(some))
    assert machine.slope.item() != 1


def test_the_place_of_a_feature_tells_classes_apart_that_average_pooling_could_not(fitted):
    machine, *_ = fitted
    images, labels = patches(40, 1)
    with torch.no_grad():
        assert (machine(images.float() / 255).argmax(1) == labels).float().mean() >= 0.9


def test_margins_are_those_of_the_support_vector_machine(fitted):
    machine, images, labels = fitted
    with torch.no_grad():
        points = machine.standardise(machine.maps(images.float() / 255)) @ machine.components.T
        found = machine.margins(images.float() / 255)[:, 1].numpy()
    reference = SVC(C=3.0, gamma=float(machine.gamma)).fit(points.numpy(), labels.numpy())
    # maps are computed in bfloat16 for fitting where the processor has it, which moves a margin in the second digit
    np.testing.assert_allclose(found, reference.decision_function(points.numpy()), atol=0.1)


def test_an_image_and_its_mirror_image_are_answered_alike(fitted):
    machine, images, _ = fitted
    with torch.no_grad():
        some = images[:4].float() / 255
        torch.testing.assert_close(machine(some), machine(some.flip(-1)), atol=1e-4, rtol=0)


def test_training_mode_does_not_wake_the_backbone(fitted):
    machine, *_ = fitted
    assert not machine.train().features.backbone.training and not any(p.requires_grad for p in machine.parameters())
    machine.eval()


def test_a_machine_that_looks_at_a_part_sees_nothing_else():
    """Left, top, right, bottom: the upper half alone, whatever the size of the image, and as a cut image shows it."""
    torch.manual_seed(0)
    images, labels = patches(40, 0)
    machine, _ = fit_backbone_machine(images, labels, **SMALL, part=(0.0, 0.0, 1.0, 0.5))
    some = images[:6].float() / 255
    below = some.clone()
    below[:, :, 32:] = torch.rand(6, 3, 32, 64, generator=torch.Generator().manual_seed(1))
    whole = build_model("backbone_machine", 2, size=(64, 64), grid=(4, 4)).features
    whole.backbone.load_state_dict(machine.features.backbone.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(machine(below), machine(some))
        assert not torch.allclose(machine(some.flip(-2)), machine(some), atol=1e-2), "it does see the upper half"
        torch.testing.assert_close(machine.features(some), whole(some[:, :, :32]))
    assert machine.architecture[1]["part"] == (0.0, 0.0, 1.0, 0.5)
    with pytest.raises(ConfigError, match="part must be left, top, right, bottom in growing shares from 0 to 1"):
        build_model("backbone_machine", part=(0.2, 0.0, 0.1, 1.0))


def test_principal_components_span_the_directions_of_most_spread():
    drawn = torch.Generator().manual_seed(0)
    points = torch.randn(30, 50, generator=drawn) * torch.linspace(3, 0.1, 50)
    found = principal_components(points, 5)
    expected = torch.linalg.svd(points, full_matrices=False).Vh[:5]
    torch.testing.assert_close((found @ expected.T).abs(), torch.eye(5), atol=1e-3, rtol=0)


def test_a_committee_answers_the_mean_probability_and_is_saved_with_its_members(fitted, tmp_path):
    machine, images, _ = fitted
    network = build_model("simple_cnn", 2, size=64).eval()
    together = committee_of([network, machine]).eval()
    some = images[:6].float() / 255
    with torch.no_grad():
        shares = (network(some).softmax(1) + machine(some).softmax(1)) / 2
        torch.testing.assert_close(together(some).exp(), shares)
        save_model(tmp_path / "model.pt", together, {"classes": ["a", "b"]})
        again, meta = load_model(tmp_path / "model.pt", num_classes=2)
        torch.testing.assert_close(again(some), together(some))
    assert meta["classes"] == ["a", "b"] and isinstance(again, nn.Module)


def test_typical_patches_tell_three_textures_apart():
    images, labels = textures(36, 0)
    machine = fit_patch_machine(images, labels, [(5, 20), (3, 10)], (2, 2), dims=20)
    fresh, truth = textures(30, 1)
    with torch.no_grad():
        logits = machine(fresh.float() / 255)
    assert logits.shape == (30, 3) and (logits.argmax(1) == truth).float().mean() >= 0.9
    again = fit_patch_machine(images, labels, [(5, 20), (3, 10)], (2, 2), dims=20)
    with torch.no_grad():
        torch.testing.assert_close(again(fresh.float() / 255), logits)


def textures(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Stripes across, stripes down and noise, at any phase."""
    drawn = torch.Generator().manual_seed(seed)
    labels, images = torch.arange(count) % 3, torch.randint(80, 170, (count, 3, 24, 24), generator=drawn)
    for image, label in zip(images, labels, strict=True):
        wave = (torch.arange(24) + int(torch.randint(0, 6, (), generator=drawn))) // 3 % 2 * 80
        image += (torch.zeros(24, 24) if label == 2 else wave[:, None] if label else wave[None, :]).long()
    return images.clamp(0, 255).to(torch.uint8), labels


def test_nearness_of_a_patch_is_what_the_formula_says():
    images, _ = textures(6, 0)
    layer = build_model("patch_machine", 2, patches=[(5, 4)], grid=(1, 1)).features
    learn_patches(layer, images)
    patches = torch.nn.functional.unfold(images.float() / 255, 5).transpose(1, 2)  # (6, places, 75)
    white = (patches - layer.mean_0) @ layer.whitening_0
    distances = torch.cdist(white, layer.typical_0)
    expected = (distances.mean(2, keepdim=True) - distances).clamp(min=0).mean(1)
    torch.testing.assert_close(layer(images.float() / 255), expected, atol=1e-2, rtol=1e-2)


def test_the_histogram_counts_colours():
    layer = build_model("patch_machine", 2, patches=[], grid=(1, 1), colours=2).features
    image = torch.zeros(1, 3, 4, 4)
    image[:, 0, :2] = 1.0  # the upper half red, a quarter of the lower one blue
    image[:, 2, 2:, :1] = 0.5
    expected = torch.zeros(1, 8)
    expected[0, [0, 1, 4]] = torch.tensor([6 / 16, 2 / 16, 8 / 16]).sqrt()
    torch.testing.assert_close(layer(image), expected)


def test_too_few_images_and_networks_without_maps_are_refused():
    images, labels = patches(12, 0)
    with pytest.raises(DataError, match="two classes with two images of each at least"):
        fit_backbone_machine(images[:3], labels[:3], **SMALL)
    with pytest.raises(DataError, match="two classes with two images"):
        fit_patch_machine(images, torch.zeros(12, dtype=torch.long))
    with pytest.raises(ConfigError, match="needs a backbone with a pyramid of maps, which simple_cnn has not"):
        build_model("backbone_machine", backbone="simple_cnn")
