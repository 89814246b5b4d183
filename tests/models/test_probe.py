"""Activations of a layer, their principal components, and a head that was trained on these as one network."""

import pytest
import torch

from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.models import build_model
from cnnlab.models.probe import Activations, Projection, activation_layers, fully_connected
from cnnlab.training.feature_views import FeatureViews, features_of, looks
from cnnlab.training.views import Views


@pytest.fixture(scope="module")
def alexnet():
    torch.manual_seed(0)
    return build_model("alexnet", 6, conv_only=True).eval()


def test_layers_are_named_by_their_convolution_and_end_behind_its_activation(alexnet):
    ends = activation_layers(alexnet)
    assert ends == {"conv1": 1, "conv2": 4, "conv3": 7, "conv4": 9, "conv5": 11, "pool5": 12}
    assert Activations(alexnet, "conv4").width((227, 227)) == 256 * 13 * 13
    images = torch.rand(2, 3, 64, 64)
    by_hand = alexnet.features[:10](alexnet.normalize(images)).flatten(1)
    assert torch.allclose(Activations(alexnet, "conv4", "none")(images), by_hand)
    assert (by_hand >= 0).all()


def test_layers_of_units_are_there_where_the_network_has_them():
    torch.manual_seed(0)
    whole = build_model("alexnet", 6).eval()
    ends = activation_layers(whole)
    assert list(ends) == ["conv1", "conv2", "conv3", "conv4", "conv5", "pool5", "fc6", "fc7"]
    images = torch.rand(2, 3, 64, 80)
    with torch.no_grad():
        flat = whole.pool(whole.forward_features(images)).flatten(1)
        fc6 = Activations(whole, "fc6", "none").train()(images)  # dropout is no part of it
        assert torch.allclose(fc6, whole.classifier[1](flat).relu(), atol=1e-6) and fc6.shape == (2, 4096)
        assert torch.allclose(Activations(whole, "fc7", "none")(images), whole.embed(images), atol=1e-6)
    with pytest.raises(ConfigError, match="EfficientNet.* has no plain convolutions"):
        activation_layers(build_model("efficientnet_lite0", 6))


def test_several_sizes_are_so_many_vectors_behind_each_other(alexnet):
    images = torch.rand(2, 3, 96, 96)
    both = Activations(alexnet, "conv5", "l2", (64, 96))(images)
    alone = Activations(alexnet, "conv5", "l2")(images)
    assert torch.allclose(both[:, -alone.shape[1] :] * 2**0.5, alone, atol=1e-5)
    assert torch.allclose(both.norm(dim=1), torch.ones(2), atol=1e-5)


def test_scaled_activations_have_length_one(alexnet):
    images = torch.rand(2, 3, 64, 64)
    for scaling in ("l2", "root"):
        lengths = Activations(alexnet, "conv3", scaling)(images).norm(dim=1)
        assert torch.allclose(lengths, torch.ones(2), atol=1e-4)


def test_all_components_lose_nothing_of_the_training_set():
    torch.manual_seed(0)
    activations = torch.rand(12, 50)
    projection = Projection.of(activations)
    inner = projection(activations)
    assert inner.shape == (12, 11), "twelve vectors about their mean span eleven dimensions"
    assert inner.pow(2).mean() == pytest.approx(1, rel=1e-4)
    assert torch.allclose(inner.mean(0), torch.zeros(11), atol=1e-4)
    distances, projected = torch.cdist(activations, activations), torch.cdist(inner, inner)
    assert torch.allclose(projected / projected.max(), distances / distances.max(), atol=1e-3)
    assert (inner.var(0).diff() <= 1e-4).all(), "the strongest first"
    assert Projection.of(activations, components=3)(activations).shape == (12, 3)


def test_a_head_on_components_becomes_a_network_on_pixels(alexnet):
    """The projection folded into the first layer: the same logits as both after each other."""
    torch.manual_seed(1)
    probe = build_model("alexnet_probe", 4, layer="conv5", scaling="root", sizes=(63, 64), hidden=7).eval()
    images = torch.rand(5, 3, 64, 64)
    with torch.no_grad():
        vectors = probe.activations(images)
        projection = Projection.of(vectors)
        head = fully_connected(projection.matrix.shape[1], 4, hidden=7).eval()
        probe.set_head(head, projection)
        assert torch.allclose(probe(images), head(projection(vectors)), atol=1e-3)
    assert not any(p.requires_grad for p in probe.activations.parameters())


def test_unknown_layers_and_scalings_are_refused(alexnet):
    with pytest.raises(ConfigError, match="layer=conv9 is unknown; there are conv1, .*pool5"):
        Activations(alexnet, "conv9")
    with pytest.raises(ConfigError, match="scaling=log is unknown"):
        Activations(alexnet, "conv1", "log")


def test_each_epoch_sees_one_view_of_each_image_and_the_same_one_again_when_repeated():
    images = ImageSet(
        torch.randint(0, 256, (6, 3, 4, 4), dtype=torch.uint8), torch.arange(6), tuple("abcdef"), "made", "train"
    )
    as_it_is, mirrored = looks(Views(mirror=True))
    assert torch.equal(mirrored(images.images), images.images.float().flip(-1) / 255)
    views = FeatureViews.of(images, [as_it_is, mirrored], lambda x: x.flatten(1))
    features, labels = views.__getitems__([4, 1])
    assert features.shape == (2, 48, 1, 1) and labels.tolist() == [4, 1]
    assert torch.equal(features.flatten(1) / 255, features_of(images.images[[4, 1]], as_it_is, lambda x: x.flatten(1)))
    drawn = []
    for epoch in (1, 2, 3, 1):
        views.set_epoch(epoch)
        drawn.append(views.chosen.clone())
    assert torch.equal(drawn[0], drawn[3]) and len({tuple(d.tolist()) for d in drawn}) > 1
