"""A2 · Detect faces in whole images with the fully convolutional network, over many scales.

    mlflow run . -e face_detect -P data=DIR -P model=RUN_ID                 # the question of the assignment
    mlflow run . -e face_detect -P images=DIR -P output=FILE.csv            # faces in any folder of images

Without `model` the released weights are used, so nothing needs to be trained; a run id, a registered model
(`face_detector`, `models:/face_detector/2`) or a detector file does as well. The first form draws detections beside the
ground truth on the four full images, for threshold 0.99 and for the chosen one, with `nms` off and on; `threshold.html`
in the run's artifacts has a slider that moves the threshold. The second writes `image,x1,y1,x2,y2,score`.

Result: face_detect on data (val 86, full_images 4), seeds 0, AMD EPYC, 2 cores, 24 GiB, no GPU, 12 s, 2026-11-22,
    commit 454767c41b:
    full_images_ap50          0.7363 (1) on 4 samples
    full_images_ap30          1.000 (1) on 4 samples
    val_ap50                  1.000 (1) on 86 samples
    val_ap30                  1.000 (1) on 86 samples
    full_images_faces         18.00 (1) on 4 samples
    full_images_found         18.00 (1) on 4 samples
    full_images_false_alarms  0 (1) on 4 samples
    threshold                 0.7449 (1)
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from cnnlab import plots
from cnnlab.data.face_crops import collages
from cnnlab.data.faces import load_face_data
from cnnlab.data.images import list_images, read_image
from cnnlab.detection.detector import FaceDetector
from cnnlab.errors import ConfigError, DataError
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.files import replacing
from cnnlab.reports.detector import FLOOR, count_at, detect_photos, find_threshold, judge, log_detections
from cnnlab.tracking import Run
from cnnlab.tracking.models import detector_file


@dataclass(frozen=True)
class Config(Experiment):
    """Run a trained face detector over whole images."""

    model: str = "released"
    """`released`, a run id, a registered model, or a detector file"""
    images: str = ""
    """a folder of images to search instead of the assignment's four"""
    output: str = ""
    """with images: the CSV file to write"""
    threshold: float | None = None
    """lowest score reported, 0 to 1; by default the detector's own (with images), or found on the data"""
    min_face: float = 20
    """height in pixels of the smallest face looked for"""
    max_resolution: int = 1024
    """images with a longer side are shrunk to it"""
    nms: bool = True
    """with images: merge the boxes of one face"""
    tta: bool = False
    """average over the image and its mirror image, at twice the time"""
    max_false_alarms: float = 0.1
    """false alarms per photograph that the chosen threshold may cost"""

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold={self.threshold} is not a probability; give a number from 0 to 1.")
        if self.output and not self.images:
            raise ConfigError("output needs images=DIR, the folder to search.")


def run(config: Config, run: Run) -> Outcome:
    """Detect in the user's folder, or answer question A2 on the four full images."""
    detector = FaceDetector.load(
        detector_file(config.model), min_face=config.min_face, max_resolution=config.max_resolution, tta=config.tta
    )
    run.set_tags({"detector": config.model})
    return detect_folder(config, run, detector) if config.images else answer_a2(config, run, detector)


def answer_a2(config: Config, run: Run, detector: FaceDetector) -> Outcome:
    """Detections for threshold 0.99 and for the one that precision and recall choose."""
    data = load_face_data(config.data, seed=config.seed, quick=config.quick)
    val, full = data.photos["val"], data.full_images
    if not full:
        raise DataError(f"{config.data} has no full_images folder; face_detect needs it, or images=DIR.")
    run.log_data(data.name, data.digest, {"val": len(val), "full_images": len(full)}, config.data)
    metrics: dict[str, float | list[float]] = {}
    floor = FLOOR if config.threshold is None else min(FLOOR, config.threshold)
    on_full = detect_photos(detector, full, floor=floor)
    metrics |= judge(on_full, full, "full_images")
    if val:
        on_val = detect_photos(detector, val, title="validation photographs")
        metrics |= judge(on_val, val, "val")
    where, shown, photos = "the full images", on_full, full
    if val:  # photographs of one large face each say little of groups: collages of small worn faces stand beside them
        worn = collages(val, 1 if config.quick else 12, backgrounds=data.negatives)
        where, shown, photos = "val and collages of val", on_val + detect_photos(detector, worn), [*val, *worn]
    threshold = config.threshold
    if threshold is None:
        threshold = find_threshold(run, shown, photos, where, config.max_false_alarms)
    log_detections(run, detector, full, {"0.99": 0.99, "chosen": threshold})
    counts = count_at(on_full, full, threshold)
    metrics |= {f"full_images_{name}": float(count) for name, count in counts.items()} | {"threshold": threshold}
    return Outcome(
        metrics,
        f"{counts['found']} of {counts['faces']} faces found on {len(full)} full images with {counts['false_alarms']} "
        f"false alarms at threshold {threshold:.3f}; threshold.html in the run lets you move it.",
    )


def detect_folder(config: Config, run: Run, detector: FaceDetector) -> Outcome:
    """Detect in every readable image of a folder; the others are named and left out."""
    paths = list_images(config.images)
    run.set_tags({"embedded_data": "false", "mlflow.runName": "face_detect"})
    if config.output and not Path(config.output).resolve().parent.is_dir():
        raise DataError(f"The folder of output={config.output} does not exist; make it first.")
    threshold = detector.threshold if config.threshold is None else config.threshold
    rows, shown, unreadable = [], [], []
    for path in tqdm(paths, desc="detecting", unit="image", leave=False, disable=None):
        try:
            image = read_image(path)
            boxes, scores = detector.detect_multi_scale(image, nms=config.nms, threshold=threshold)
        except DataError as error:
            unreadable.append(str(error))
            print(error, flush=True)
            continue
        name = path.relative_to(config.images).as_posix()
        rows += [[name, *(f"{v:.1f}" for v in box), f"{score:.4f}"] for box, score in zip(boxes, scores, strict=True)]
        if len(shown) < 6:
            shown.append({"image": image, "boxes": boxes, "scores": scores, "truths": None, "title": name})
    searched = len(paths) - len(unreadable)
    if not searched:
        raise DataError(f"None of the {len(paths)} images in {config.images} can be read; the first: {unreadable[0]}")
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["image", "x1", "y1", "x2", "y2", "score"], *rows])
    if config.output:
        try:
            with replacing(config.output) as partial:
                partial.write_text(text.getvalue())
        except OSError as error:
            raise DataError(f"output={config.output} cannot be written ({error.strerror}).") from error
    run.log_text("detections.csv", text.getvalue())
    run.log_text("unreadable.txt", "\n".join(unreadable))
    run.log_figure("detections", plots.detection_sheet(shown))
    return Outcome(
        {"images": float(searched), "unreadable": float(len(unreadable)), "detections": float(len(rows))},
        f"{len(rows)} faces at threshold {threshold:.3f} in {searched} images"
        + (f" ({len(unreadable)} could not be read)" if unreadable else "")
        + (f", written to {config.output}." if config.output else "; detections.csv is in the run."),
    )


if __name__ == "__main__":
    main(run, Config, entry_point="face_detect", question="A2", doc=__doc__)
