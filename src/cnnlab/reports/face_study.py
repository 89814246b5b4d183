"""How the trials of a face study are judged on validation."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from cnnlab import plots
from cnnlab.data.faces import FaceData, Photo
from cnnlab.data.imageset import ImageSet
from cnnlab.detection.detector import Detections, FaceDetector
from cnnlab.evaluation.detection import average_precision
from cnnlab.reports.detector import detect_photos, log_detector
from cnnlab.tracking import Run
from cnnlab.training import Fit, predict

PER_EPOCH = {"photos": 16, "collages": 3}  # judged after every epoch of a trial; all of val where it ends
PATCH_SHARE = 0.6  # of the window: the faces of patches are larger than those a network with boxes answers to


class Judge:
    """Scores a network on validation: average precision on photographs and on collages of small worn faces.

    The score is the mean of average precision at IoU 0.5 on the photographs and at 0.3 on the collages, so that a
    detector that only knows large clean faces does not win. Where there are no photographs it is patch accuracy.

    Args:
        data: whose validation part is judged on.
        collages: group pictures made from the validation photographs.
        thorough: judge on all of them after every epoch, not on a few.

    Attributes:
        metric: the name of the score among the metrics of an epoch.
    """

    def __init__(self, data: FaceData, collages: Sequence[Photo], thorough: bool = False) -> None:
        self.photos, self.collages, self.val = data.photos["val"], list(collages), data.val
        self.metric = "val/score" if self.photos else "val/accuracy"
        some = {"photos": None, "collages": None} if thorough else PER_EPOCH
        self._some = self.photos[: some["photos"]], self.collages[: some["collages"]]

    def after_epoch(self, model: torch.nn.Module, epoch: int) -> dict[str, float]:
        """Metrics on some of the photographs, quick enough for every epoch."""
        if not self.photos:
            return {}
        photos, collages = self._some
        ap, worn = (
            _precision(found, judged, iou)
            for found, judged, iou in zip(self._detect(model, photos, collages), self._some, (0.5, 0.3), strict=True)
        )
        return {"val/ap50": ap, "val/collage_ap30": worn, "val/score": (ap + worn) / 2}

    def log(self, child: Run, detector: FaceDetector, history: Fit) -> float:
        """Store a trial's detector, curves, and what it found, from which trials are compared; returns its score."""
        child.log_figure("curves", plots.learning_curves(history.history, kept=history.best_epoch))
        with_arrays: dict[str, np.ndarray] = {}
        outputs, labels = predict(detector.network(), patches_for(detector.network(), self.val))
        with_arrays["right"] = (outputs[:, :2].flatten(1).argmax(1) == labels).numpy()
        if self.photos:
            both = self._detect(detector.network(), self.photos, self.collages)
            for name, found in zip(("photo", "collage"), both, strict=True):
                for index, (boxes, scores) in enumerate(found):
                    with_arrays[f"{name}_{index}"] = np.column_stack([boxes, scores])
        child.log_arrays("validation.npz", with_arrays)
        log_detector(child, detector)
        score = self.score(with_arrays, range(self.count))
        child.log_metrics({"val/accuracy_final": float(with_arrays["right"].mean()), "val/score_final": score})
        return score

    def score(self, arrays: Mapping[str, np.ndarray], items: Sequence[int]) -> float:
        """The score from stored arrays, on the validation items with these indices."""
        if not self.photos:
            return float(arrays["right"][list(items)].mean())
        photos, collages = ([i for i in items if i < len(self.photos)], [i for i in items if i >= len(self.photos)])
        parts = []
        for name, chosen, truths, iou in (
            ("photo", photos, self.photos, 0.5),
            ("collage", [i - len(self.photos) for i in collages], self.collages, 0.3),
        ):
            if chosen:
                found = [_detections(arrays[f"{name}_{i}"]) for i in chosen]
                parts.append(_precision(found, [truths[i] for i in chosen], iou))
        return float(np.mean(parts))

    @property
    def count(self) -> int:
        """Number of validation items that `score` can be asked for."""
        return len(self.photos) + len(self.collages) if self.photos else len(self.val)

    def _detect(
        self, model: torch.nn.Module, photos: Sequence[Photo], collages: Sequence[Photo]
    ) -> tuple[list[Detections], list[Detections]]:
        heights = [box[3] - box[1] for photo in self.photos for box in photo.boxes]
        smallest = max(20.0, 0.6 * float(min(heights, default=24)))  # nothing smaller is there to be found
        on_photos = FaceDetector(model, min_face=smallest)
        on_collages = FaceDetector(model, min_face=20)
        return detect_photos(on_photos, photos), detect_photos(on_collages, collages)


def patches_for(model: torch.nn.Module, patches: ImageSet) -> ImageSet:
    """The patches as `model` is to see them.

    Patches show a face that fills them. A network with box outputs answers to faces that leave room in the window, so
    it sees them at 0.6 of their size, the rest of the window repeating the patch's edge.
    """
    if not getattr(model, "boxes", False):
        return patches
    side = patches.images.shape[-1]
    inner = round(PATCH_SHARE * side)
    before = (side - inner) // 2
    small = F.interpolate(patches.images.float(), size=inner, mode="bilinear", antialias=True)
    padded = F.pad(small, (before, side - inner - before) * 2, mode="replicate")
    return replace(patches, images=padded.round().clamp(0, 255).to(torch.uint8))


def _precision(found: Sequence[Detections], photos: Sequence[Photo], iou: float) -> float:
    """Average precision; 0 where no photograph has a face, as a draw of a few may turn out."""
    truths = [photo.boxes for photo in photos]
    return average_precision(found, truths, iou) if any(map(len, truths)) else 0.0


def _detections(array: np.ndarray) -> Detections:
    return array[:, :4], array[:, 4]
