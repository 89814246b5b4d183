"""What a run stores about a face detector: figures on photographs, the threshold and why, pictures, the page."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from cnnlab import plots
from cnnlab.data.faces import Photo
from cnnlab.detection.detector import Detections, FaceDetector
from cnnlab.evaluation.detection import average_precision, choose_threshold, match, precision_recall
from cnnlab.reports.threshold_page import threshold_page
from cnnlab.tracking import Run
from cnnlab.tracking.models import DETECTOR_FILE

FLOOR = 0.05
"""Detections below this score are not kept for curves: they no longer change average precision visibly."""


IOU = 0.3
"""Overlap from which a detection counts as having found a face: data sets differ in where they let a face end."""


def detect_photos(
    detector: FaceDetector, photos: Sequence[Photo], nms: bool = True, floor: float = FLOOR, title: str = "detecting"
) -> list[Detections]:
    """Detections on each photograph, with a progress bar where there are many."""
    quiet = len(photos) < 20
    return [
        detector.detect_multi_scale(photo.image, nms=nms, threshold=floor)
        for photo in tqdm(photos, desc=title, unit="photo", disable=quiet or None, leave=False)
    ]


def judge(predictions: Sequence[Detections], photos: Sequence[Photo], prefix: str) -> dict[str, float]:
    """Average precision at IoU 0.5 and 0.3, as `<prefix>_ap50` and `<prefix>_ap30`."""
    truths = [photo.boxes for photo in photos]
    return {f"{prefix}_ap{round(100 * iou)}": average_precision(predictions, truths, iou) for iou in (0.5, 0.3)}


def count_at(
    predictions: Sequence[Detections], photos: Sequence[Photo], threshold: float, iou: float = IOU
) -> dict[str, int]:
    """Faces, faces found and false alarms at a threshold."""
    found = alarms = 0
    for (boxes, scores), photo in zip(predictions, photos, strict=True):
        keep = scores >= threshold
        right = match(boxes[keep], scores[keep], photo.boxes, iou)
        found += int(right.sum())
        alarms += int((~right).sum())
    return {"faces": sum(len(photo.boxes) for photo in photos), "found": found, "false_alarms": alarms}


def log_detector(
    run: Run, detector: FaceDetector, example: torch.Tensor | None = None, register: str = ""
) -> str | None:
    """Store the detector file and, given example patches (uint8), the network as an MLflow model.

    Returns the registered version, if it is registered. Trials of a study go without the model: it takes seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        detector.save(Path(folder) / DETECTOR_FILE)
        run.log_file(Path(folder) / DETECTOR_FILE)
    return None if example is None else run.log_model(detector.network(), example.float() / 255, register=register)


def find_threshold(
    run: Run, predictions: Sequence[Detections], photos: Sequence[Photo], where: str, max_false_alarms: float = 0.1
) -> float:
    """Choose the threshold from precision and recall on `photos`; curve, choice and reason go into the run."""
    curve = precision_recall(predictions, [photo.boxes for photo in photos], iou_threshold=IOU)
    threshold, reason = choose_threshold(curve, max_false_alarms_per_image=max_false_alarms)
    reason = f"Chosen on {where} ({len(photos)} photographs): {reason}"
    figure = plots.precision_recall(curve, chosen=threshold, title=f"Precision and recall on {where}")
    run.log_figure("threshold", figure)
    run.log_text("threshold.md", f"# Threshold {threshold:.4f}\n\n{reason}\n")
    run.set_tags({"threshold": f"{threshold:.4f}", "threshold.reason": reason})
    print(f"Threshold {threshold:.3f}. {reason}", flush=True)
    return threshold


def log_detections(run: Run, detector: FaceDetector, photos: Sequence[Photo], thresholds: dict[str, float]) -> None:
    """Detections beside the ground truth for each named threshold, `nms` off and on, and the page with the slider."""
    floor = min(FLOOR, *thresholds.values())
    found = {nms: detect_photos(detector, photos, nms=nms, floor=floor) for nms in (False, True)}
    for name, threshold in thresholds.items():
        for nms, predictions in found.items():
            sheet = [_sheet_item(photo, *_above(p, threshold)) for photo, p in zip(photos, predictions, strict=True)]
            state = "on" if nms else "off"
            figure = plots.detection_sheet(sheet, iou_threshold=IOU, title=f"threshold {threshold:.3f}, nms {state}")
            run.log_figure(f"detections_{name}_nms_{state}", figure)
    items = [
        {"name": photo.name, "image": photo.image, "truths": photo.boxes, "detections": {"raw": raw, "nms": kept}}
        for photo, raw, kept in zip(photos, found[False], found[True], strict=True)
    ]
    chosen = list(thresholds.values())[-1]
    page = threshold_page(items, default_threshold=chosen, title="Face detection threshold", iou_threshold=IOU)
    run.log_text("threshold.html", page)


def _sheet_item(photo: Photo, boxes: np.ndarray, scores: np.ndarray) -> dict:
    truths = photo.boxes if len(photo.boxes) else None
    return {"image": photo.image, "boxes": boxes, "scores": scores, "truths": truths, "title": photo.name}


def _above(predictions: Detections, threshold: float) -> Detections:
    boxes, scores = predictions
    return boxes[scores >= threshold], scores[scores >= threshold]
