"""Image retrieval by features: the nearest images by cosine, and how many of them are of the query's class."""

from collections.abc import Sequence

import numpy as np

from cnnlab.errors import ConfigError, DataError

_BLOCK = 1024  # queries at a time, so that the similarities to a large gallery fit into memory


def nearest_neighbours(
    queries: np.ndarray, gallery: np.ndarray | None = None, k: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar gallery entries of each query, best first; of equals the earlier one.

    Args:
        queries: (Q, D).
        gallery: (N, D); None searches among the queries themselves, never finding the query.
        k: how many; fewer where the gallery holds no more.

    Returns:
        indices into the gallery int64 (Q, k), cosine similarities float32 (Q, k); of a vector of zeros 0.

    Raises:
        DataError: the features differ in length, are not finite, or there is nothing to find.
    """
    itself = gallery is None
    queries = _unit(queries)
    gallery = queries if gallery is None else _unit(gallery)
    if queries.shape[1] != gallery.shape[1]:
        sizes = f"{queries.shape[1]} features and the gallery {gallery.shape[1]}"
        raise DataError(f"Queries have {sizes}; take both from one network.")
    k = min(k, len(gallery) - itself)
    if k < 1:
        raise DataError(f"There is nothing to retrieve among {len(gallery)} images.")
    indices = np.empty((len(queries), k), np.int64)
    similarities = np.empty((len(queries), k), np.float32)
    for start in range(0, len(queries), _BLOCK):
        cosines = queries[start : start + _BLOCK] @ gallery.T
        rows = np.arange(len(cosines))
        if itself:
            cosines[rows, start + rows] = -np.inf
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        indices[start : start + _BLOCK] = order
        similarities[start : start + _BLOCK] = np.take_along_axis(cosines, order, 1)
    return indices, similarities


def precision_at(
    neighbour_labels: np.ndarray, query_labels: np.ndarray, ks: Sequence[int] = (1, 5, 10)
) -> dict[int, float]:
    """Mean share of the first k neighbours that are of the query's class, for each k.

    Args:
        neighbour_labels: (Q, K), best first.
        query_labels: (Q,).
        ks: each at least 1; one beyond K is left out, as there are no such neighbours.
    """
    if min(ks) < 1:
        raise ConfigError(f"Precision at {min(ks)} is not defined; k is at least 1.")
    right = np.asarray(neighbour_labels) == np.asarray(query_labels)[:, None]
    return {k: float(right[:, :k].mean()) for k in ks if k <= right.shape[1]}


def chance_precision(query_labels: np.ndarray, gallery_labels: np.ndarray | None = None) -> float:
    """Precision of neighbours drawn at random, whatever k; without a gallery from the other queries."""
    asked = query_labels if gallery_labels is None else gallery_labels
    itself = gallery_labels is None  # no query finds itself
    counts = dict(zip(*(values.tolist() for values in np.unique(asked, return_counts=True)), strict=True))
    right = [counts.get(label, 0) - itself for label in np.asarray(query_labels).tolist()]
    return float(np.mean(right) / (len(asked) - itself))


def _unit(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float32)
    if not np.isfinite(features).all():
        raise DataError("Some features are not finite numbers: the network gave infinity or nan for an image.")
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.divide(features, length, out=np.zeros_like(features), where=length > 0)
