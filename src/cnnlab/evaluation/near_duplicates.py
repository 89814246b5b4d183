"""Pictures that are there twice: candidates by perceptual hashes, confirmed on small thumbnails, gathered in groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from cnnlab.evaluation.image_cues import Measured

HASH_DISTANCE = 10  # of 64 bits; a pair this near in any of its hashes is a candidate
PATCH_DIFFERENCE = 24.0  # grey levels by which no patch of a confirmed pair may differ, brightness and contrast apart
CORRELATION = {"one": 0.97, "both": 0.95}  # of the thumbnails, at least, by how many of the hashes are near
_PATCHES = 8  # to a side of the thumbnail
_ROWS = 256  # hashes compared with all the others at once


@dataclass(frozen=True)
class DuplicateGroup:
    """Pictures that look the same.

    Attributes:
        members: indices of the pictures.
        kind: `two_classes` (the same picture under two labels), `across_splits`, or `within_split`.
        identical: whether the files are the same byte for byte.
    """

    members: tuple[int, ...]
    kind: str
    identical: bool


KINDS = ("two_classes", "across_splits", "within_split")


def near_duplicates(
    measured: Sequence[Measured], labels: np.ndarray | None = None, splits: np.ndarray | None = None
) -> tuple[list[DuplicateGroup], np.ndarray]:
    """Groups of pictures that are the same but for size, compression and small changes; contradictions first.

    Args:
        measured: hashes and thumbnails of the N pictures.
        labels: (N,) class of each picture; without it all are of one.
        splits: (N,) split of each picture; without it all are in one.

    Returns:
        The groups of two or more, and the group number of every picture (N,), its own for a picture seen once.
    """
    count = len(measured)
    labels, splits = (np.zeros(count, int) if values is None else values for values in (labels, splits))
    hashes = np.array([(m.phash, m.dhash) for m in measured], np.uint64)
    pairs = _confirmed(_candidates(hashes), hashes, np.stack([m.thumbnail for m in measured]))
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, numbers = connected_components(graph, directed=False)
    order = np.argsort(numbers, kind="stable")
    groups = []
    for members in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
        if len(members) > 1:
            groups.append(DuplicateGroup(
                tuple(int(i) for i in members), _kind(labels[members], splits[members]),
                len({measured[i].sha256 for i in members}) == 1,
            ))  # fmt: skip
    return sorted(groups, key=lambda group: (KINDS.index(group.kind), group.members)), numbers


def _kind(labels: np.ndarray, splits: np.ndarray) -> str:
    if len(set(labels.tolist())) > 1:
        return "two_classes"
    return "across_splits" if len(set(splits.tolist())) > 1 else "within_split"


def _candidates(hashes: np.ndarray) -> np.ndarray:
    """Pairs (M, 2), i < j, of which any hash lies within the distance: a flat background upsets one, not both."""
    found = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(hashes), _ROWS):
        near = np.zeros((min(_ROWS, len(hashes) - start), len(hashes) - start), bool)
        for column in hashes.T:
            near |= np.bitwise_count(column[start : start + _ROWS, None] ^ column[None, start:]) <= HASH_DISTANCE
        rows, columns = np.nonzero(np.triu(near, k=1))
        found.append(np.stack([rows + start, columns + start], axis=1))
    return np.concatenate(found)


def _confirmed(pairs: np.ndarray, hashes: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    """Those of the pairs whose thumbnails correlate and differ little in every patch; flat ones must agree in colour.

    Thumbnails are brought to one mean colour and contrast first: a copy may have been brightened, and a blue sky is no
    likeness. The patches keep apart what differs in the subject alone, on a background that all pictures share.
    """
    cells = thumbnails.shape[1] // _PATCHES
    kept = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(pairs), 4096):
        part = pairs[start : start + 4096]
        a, b = (thumbnails[part[:, side]].reshape(len(part), -1, 3).astype(np.float32) for side in (0, 1))
        equal = np.abs(a - b).max(axis=(1, 2)) <= 3
        a, b = ((values - values.mean(axis=1, keepdims=True)).reshape(len(part), -1) for values in (a, b))
        contrasts = np.maximum(a.std(axis=1), 1e-3), np.maximum(b.std(axis=1), 1e-3)
        contrast = np.sqrt(contrasts[0] * contrasts[1])
        correlation = (a * b).mean(axis=1) / contrast**2
        a, b = (values * (contrast / own)[:, None] for values, own in zip((a, b), contrasts, strict=True))
        patches = (a - b).reshape(len(part), _PATCHES, cells, _PATCHES, cells, 3).mean(axis=(2, 4))
        difference = np.abs(patches).reshape(len(part), -1).max(axis=1)
        distance = np.bitwise_count(hashes[part[:, 0]] ^ hashes[part[:, 1]]).max(axis=1)
        least = np.where(distance <= HASH_DISTANCE, CORRELATION["both"], CORRELATION["one"])
        alike = (correlation >= least) & (difference <= PATCH_DIFFERENCE) & (contrast >= 2)
        kept.append(part[alike | equal])
    return np.concatenate(kept)
