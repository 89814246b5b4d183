"""Retrieval and clustering on features whose answers are known."""

import numpy as np
import pytest

from cnnlab.errors import ConfigError, DataError
from cnnlab.evaluation.clustering import agreement, k_means, project
from cnnlab.evaluation.retrieval import chance_precision, nearest_neighbours, precision_at


def angles(*degrees: float) -> np.ndarray:
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def test_neighbours_by_angle_whatever_the_length():
    gallery = angles(0, 30, 90, 180) * np.array([[1], [100], [0.01], [7]])
    indices, similarities = nearest_neighbours(angles(5, 80), gallery, k=3)
    np.testing.assert_array_equal(indices, [[0, 1, 2], [2, 1, 0]])
    np.testing.assert_allclose(similarities[0], np.cos(np.deg2rad([5, 25, 85])), rtol=1e-5)


def test_a_query_does_not_find_itself_but_finds_its_copy():
    features = angles(0, 90, 0, 91)
    indices, similarities = nearest_neighbours(features, k=10)
    assert indices.shape == (4, 3), "no more neighbours than there are others"
    assert indices[:, 0].tolist() == [2, 3, 0, 1]
    assert similarities[0, 0] == pytest.approx(1)
    assert all(row not in found for row, found in enumerate(indices.tolist()))


def test_equals_come_in_the_gallerys_order_and_zeros_are_like_none():
    indices, similarities = nearest_neighbours(angles(0), np.vstack([angles(45, 45, 0), [[0, 0]]]), k=4)
    assert indices[0].tolist() == [2, 0, 1, 3]
    assert similarities[0, 3] == 0


def test_blocks_of_queries_change_nothing(monkeypatch):
    features = np.random.default_rng(0).normal(size=(25, 8))
    whole = nearest_neighbours(features, k=5)[0]
    monkeypatch.setattr("cnnlab.evaluation.retrieval._BLOCK", 4)
    np.testing.assert_array_equal(nearest_neighbours(features, k=5)[0], whole)


def test_precision_by_hand():
    neighbours = np.array([[0, 1, 0, 1], [1, 1, 1, 0]])
    assert precision_at(neighbours, np.array([0, 1]), (1, 2, 4, 10)) == {1: 1.0, 2: 0.75, 4: 0.625}
    assert chance_precision(np.array([0, 1, 1]), np.array([0, 0, 0, 1])) == pytest.approx((0.75 + 0.25 + 0.25) / 3)
    assert chance_precision(np.array([0, 0, 0, 1])) == pytest.approx((3 * 2 / 3 + 0) / 4), "no query finds itself"
    with pytest.raises(ConfigError, match="at least 1"):
        precision_at(neighbours, np.array([0, 1]), (0,))


@pytest.mark.parametrize(("queries", "gallery", "sentence"), [
    (np.ones((2, 3)), np.ones((2, 4)), "3 features and the gallery 4"),
    (np.ones((1, 3)), None, "nothing to retrieve"),
    (np.array([[np.nan, 1.0]]), np.ones((2, 2)), "not finite"),
])  # fmt: skip
def test_features_that_cannot_be_compared(queries, gallery, sentence):
    with pytest.raises(DataError, match=sentence):
        nearest_neighbours(queries, gallery)


def test_clusters_that_are_there_are_found():
    rng = np.random.default_rng(0)
    centres = 10 * np.eye(3, 20)
    labels = np.repeat([0, 1, 2], 15)
    features = centres[labels] + rng.normal(size=(45, 20)) * 0.5
    clusters = k_means(features, 3)
    assert agreement(labels, clusters) == {"adjusted_rand": 1.0, "nmi": pytest.approx(1.0)}
    with pytest.raises(DataError, match="2 images cannot form 3 clusters"):
        k_means(features[:2], 3)


def test_agreement_by_hand():
    """Names of clusters do not matter; a partition across the classes agrees no better than chance."""
    labels = np.array([0, 0, 1, 1])
    assert agreement(labels, np.array([5, 5, 2, 2])) == {"adjusted_rand": 1.0, "nmi": pytest.approx(1.0)}
    across = agreement(labels, np.array([0, 1, 0, 1]))
    assert across["adjusted_rand"] == pytest.approx(-0.5) and across["nmi"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_the_plane_keeps_two_groups_apart(method):
    rng = np.random.default_rng(0)
    features = np.vstack([angles(0)[[0] * 12], angles(90)[[0] * 12]]) + rng.normal(size=(24, 2)) * 0.01
    plane = project(features, method)
    assert plane.shape == (24, 2)
    indices = np.argsort(((plane[:, None] - plane[None]) ** 2).sum(2), axis=1)[:, 1]
    assert ((indices < 12) == (np.arange(24) < 12)).all(), "the nearest on the plane is of the same group"


def test_one_feature_and_few_images_can_be_projected():
    assert project(np.ones((3, 1)), "tsne").shape == (3, 2)
