"""Detection measures: precision and recall over all thresholds, average precision, the choice of a threshold.

Predictions are one (boxes (N, 4), scores (N,)) pair per image, truths one array of boxes (M, 4) per image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cnnlab.errors import ConfigError, DataError
from cnnlab.evaluation.bootstrap import paired_difference

Predictions = Sequence[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class PrecisionRecall:
    """What each threshold gives, thresholds falling; all arrays (T,), one entry per distinct score."""

    thresholds: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    false_alarms_per_image: np.ndarray


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes a (N, 4) and b (M, 4): (N, M).

    In numpy and in 64 bit, for one image's few boxes at a time: bootstraps call it tens of thousands of times, and the
    calls of `cnnlab.detection.iou`, which is for tensors, would cost several times as much.
    """
    a, b = np.reshape(a, (-1, 4)).astype(np.float64), np.reshape(b, (-1, 4)).astype(np.float64)
    corner1 = np.maximum(a[:, None, :2], b[None, :, :2])
    corner2 = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(corner2 - corner1, 0, None).prod(axis=2)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(axis=1) for box in (a, b))
    union = area_a[:, None] + area_b[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def mean_best_overlap(boxes: Sequence[np.ndarray], truths: Sequence[np.ndarray]) -> float:
    """Mean over the true boxes of their intersection over union with the best box of their image; 0 of none."""
    best = [box_iou(truth, found).max(axis=1, initial=0) for found, truth in zip(boxes, truths, strict=True)]
    every = np.concatenate([np.zeros(0), *best])
    return float(every.mean()) if len(every) else 0.0


def match(boxes: np.ndarray, scores: np.ndarray, truths: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Which detections of one image are right: bool (N,).

    Best score first, each takes the truth it overlaps most among those still free; at least `iou_threshold` counts.
    """
    right = np.zeros(len(scores), dtype=bool)
    if len(scores) == 0 or len(truths) == 0:
        return right
    overlaps = box_iou(boxes, truths)
    for i in np.argsort(-np.asarray(scores), kind="stable"):
        best = int(overlaps[i].argmax())
        if overlaps[i, best] >= iou_threshold:
            right[i] = True
            overlaps[:, best] = -1.0
    return right


def precision_recall(predictions: Predictions, truths: Sequence[np.ndarray], iou_threshold: float) -> PrecisionRecall:
    """Precision, recall and false alarms per image at every threshold, over all images together.

    Equal scores enter together, so the result does not depend on the order of images or detections.
    """
    return _curve(_matched(predictions, truths, iou_threshold))


@dataclass(frozen=True)
class _Matched:
    """One image: which detections are right, their scores, and the number of its true boxes."""

    right: np.ndarray
    scores: np.ndarray
    faces: int


def _matched(predictions: Predictions, truths: Sequence[np.ndarray], iou_threshold: float) -> list[_Matched]:
    if not 0 < iou_threshold <= 1:
        raise ConfigError(f"The IoU threshold is {iou_threshold}; it lies above 0 and at most at 1.")
    if len(predictions) != len(truths):
        raise DataError(f"There are predictions for {len(predictions)} images and truths for {len(truths)}.")
    return [
        _Matched(match(boxes, scores, truth, iou_threshold), np.asarray(scores, dtype=np.float64), len(truth))
        for (boxes, scores), truth in zip(predictions, truths, strict=True)
    ]


def _curve(images: Sequence[_Matched]) -> PrecisionRecall:
    faces = sum(image.faces for image in images)
    if faces == 0:
        raise DataError("No image has a true box, so precision and recall are not defined: give annotated images.")
    hits = np.concatenate([image.right for image in images])
    scores = np.concatenate([image.scores for image in images])
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], hits[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.zeros(0, dtype=int)
    true_positives = np.cumsum(hits)[last]
    found = last + 1
    return PrecisionRecall(
        thresholds=scores[last],
        precision=true_positives / found,
        recall=true_positives / faces,
        false_alarms_per_image=(found - true_positives) / len(images),
    )


def average_precision(predictions: Predictions, truths: Sequence[np.ndarray], iou_threshold: float) -> float:
    """Area under the precision-recall curve, precision made non-increasing first (PASCAL VOC 2010 and later)."""
    return average_precision_of(predictions, truths, iou_threshold)(range(len(truths)))


def average_precision_of(
    predictions: Predictions, truths: Sequence[np.ndarray], iou_threshold: float
) -> Callable[[Sequence[int]], float]:
    """`average_precision` of any selection of the images, by their indices; what a bootstrap draws again and again.

    Which detections are right is decided once for each image.
    """
    images = _matched(predictions, truths, iou_threshold)
    return lambda indices: _area(_curve([images[i] for i in indices]))


def average_precision_gain(
    before: Sequence[Predictions], after: Sequence[Predictions], truths: Sequence[np.ndarray], iou_threshold: float
) -> tuple[float, float]:
    """95 % interval of how much higher the average precision of one detector is than that of another.

    Each is given as one set of predictions for every seed, and counts with the mean of its seeds. The interval is that
    of a paired bootstrap over the images.
    """
    sets = [[average_precision_of(found, truths, iou_threshold) for found in of_set] for of_set in (before, after)]

    def score(items: Sequence[int], which: int) -> float:
        if not any(len(truths[i]) for i in items):  # drawn without a single face
            return 0.0
        return float(np.mean([ap(items) for ap in sets[which]]))

    return paired_difference(score, len(truths))


def _area(curve: PrecisionRecall) -> float:
    precision = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * precision))


def choose_threshold(curve: PrecisionRecall, max_false_alarms_per_image: float = 0.1) -> tuple[float, str]:
    """The threshold that finds most faces at no more false alarms than allowed, and why, in a sentence.

    Among equals the highest threshold wins.
    """
    if len(curve.thresholds) == 0:
        return 0.5, "The detector reported nothing at any threshold, so 0.5 stands in for a choice."
    allowed = np.flatnonzero(curve.false_alarms_per_image <= max_false_alarms_per_image)
    if len(allowed) == 0:
        best = 0
        start = f"No threshold keeps to {max_false_alarms_per_image:g} false alarms per image; the highest,"
    else:
        best = int(allowed[np.argmax(curve.recall[allowed])])
        start = f"Of the thresholds with at most {max_false_alarms_per_image:g} false alarms per image,"
    threshold = float(curve.thresholds[best])
    reason = (
        f"{start} {threshold:.4f} finds most faces: recall {curve.recall[best]:.3f}, precision "
        f"{curve.precision[best]:.3f}, {curve.false_alarms_per_image[best]:.3f} false alarms per image."
    )
    return threshold, reason
