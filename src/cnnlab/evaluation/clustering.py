"""Clusters found without labels, and how far they agree with the classes."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.preprocessing import normalize

from cnnlab.errors import DataError


def k_means(features: np.ndarray, clusters: int, seed: int = 0, components: int = 50) -> np.ndarray:
    """Cluster of each row, int (N,): k-means on features of unit length, reduced to their main components.

    Args:
        features: (N, D).
        clusters: how many, at most N.
        seed: of the ten starts.
        components: principal components kept; distances in thousands of dimensions hardly differ.

    Raises:
        DataError: there are fewer rows than clusters.
    """
    if not 1 <= clusters <= len(features):
        raise DataError(f"{len(features)} images cannot form {clusters} clusters.")
    reduced = principal_components(normalize(np.asarray(features, np.float64)), components, seed)
    return KMeans(clusters, n_init=10, random_state=seed).fit_predict(reduced)


def agreement(labels: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """`adjusted_rand` (1: the same partition, about 0: a random one), `nmi` (normalised mutual information, 0 to 1)."""
    return {
        "adjusted_rand": float(adjusted_rand_score(labels, clusters)),
        "nmi": float(normalized_mutual_info_score(labels, clusters)),
    }


def principal_components(features: np.ndarray, components: int, seed: int = 0) -> np.ndarray:
    """The first principal components, (N, at most `components`)."""
    features = np.asarray(features, np.float64)
    return PCA(min(components, *features.shape), random_state=seed).fit_transform(features)


def project(features: np.ndarray, method: str = "tsne", seed: int = 0) -> np.ndarray:
    """Features on a plane, (N, 2), for the eye: t-SNE of the main components by cosine, or two principal components.

    t-SNE keeps neighbours together; distances between its groups and their sizes say nothing (van der Maaten and Hinton
    2008). It takes a minute for some thousand images.
    """
    if method == "pca" or len(features) < 6:
        plane = principal_components(normalize(np.asarray(features, np.float64)), 2, seed)
        return np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))
    reduced = principal_components(normalize(np.asarray(features, np.float64)), 50, seed)
    perplexity = min(30.0, (len(features) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed, n_jobs=1).fit_transform(reduced)
