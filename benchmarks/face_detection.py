"""Our face detector against MTCNN and OpenCV's Haar cascade: same photographs, same smallest face, same threads.

    pip install --no-deps --target PEERS "facenet-pytorch==2.6.0" "opencv-python-headless<5"
    python benchmarks/face_detection.py --data DIR --peers PEERS --record

The photographs are the test part of DIR (by photograph, seed 0). Every detector sees every photograph once per
repetition, in alternation; the time is the median over repetitions of the whole pass. Average precision is taken at
IoU 0.5 and 0.3 over all detections that a detector gives (ours from a score of 0.05). `cnnlab` searches one
size per octave, `cnnlab_dense` sizes a factor of 1.5 apart, as the released detector does by default.
"""

import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from cnnlab.data.faces import Photo, load_face_data
from cnnlab.detection import FaceDetector
from cnnlab.errors import ConfigError
from cnnlab.evaluation.detection import average_precision
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.tracking import Run
from cnnlab.tracking.models import detector_file

Detect = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
NOTHING = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
PEERS = {"facenet_pytorch": "facenet-pytorch==2.6.0", "cv2": "opencv-python-headless<5"}


def peer(module: str) -> object:
    """Import a peer, or say how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{module} is not installed ({error}): pip install --no-deps --target PEERS '{PEERS[module]}' and pass "
            "--peers PEERS (--no-deps, because it asks for an old torch)."
        ) from error


def ours(weights: Path, min_face: float, factor: float) -> Detect:
    """Our detector with a low threshold, so that the whole precision-recall curve is seen."""
    return FaceDetector.load(weights, threshold=0.05, min_face=min_face, factor=factor).detect_multi_scale


def mtcnn(min_face: float) -> Detect:
    """facenet-pytorch's MTCNN (Zhang et al. 2016) with its own weights and thresholds."""
    network = peer("facenet_pytorch").MTCNN(keep_all=True, min_face_size=min_face, post_process=False, device="cpu")

    def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        boxes, scores = network.detect(image)
        return NOTHING if boxes is None else (boxes, scores)

    return detect


def haar(min_face: float, threads: int) -> Detect:
    """OpenCV's frontal-face cascade; its score is the weight of the last stage."""
    cv2 = peer("cv2")
    cv2.setNumThreads(threads)
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    if cascade.empty():
        raise ConfigError("This OpenCV carries no Haar cascades: pip install 'opencv-python-headless<5'.")

    def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        boxes, _, scores = cascade.detectMultiScale3(
            grey, 1.1, 3, minSize=(int(min_face), int(min_face)), outputRejectLevels=True
        )
        if len(boxes) == 0:
            return NOTHING
        boxes = np.asarray(boxes, np.float32)
        return np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1), np.ravel(scores)

    return detect


def compare(detectors: dict[str, Detect], photos: Sequence[Photo], repetitions: int) -> dict[str, dict[str, float]]:
    """Average precision and images per second of each detector."""
    truths = [photo.boxes for photo in photos]
    found, seconds = {}, {name: [] for name in detectors}
    for detect in detectors.values():
        for photo in photos[:5]:
            detect(photo.image)
    for _ in range(repetitions):
        for name, detect in detectors.items():
            start = time.perf_counter()
            found[name] = [detect(photo.image) for photo in photos]
            seconds[name].append(time.perf_counter() - start)
    return {
        name: {
            "ap50": average_precision(found[name], truths, 0.5),
            "ap30": average_precision(found[name], truths, 0.3),
            "images_per_second": len(photos) / statistics.median(seconds[name]),
            "milliseconds_per_image": 1000 * statistics.median(seconds[name]) / len(photos),
        }
        for name in detectors
    }


@dataclass(frozen=True)
class Config(Experiment):
    """Compare detectors on held-out photographs."""

    model: str = "released"
    """`released`, a run id, a registered model, or a detector file"""
    peers: str = ""
    """folder that pip --target filled with the peers"""
    split: Literal["val", "test"] = "test"
    """which photographs"""
    limit: int | None = None
    """only so many of them"""
    min_face: float = 24
    """height in pixels of the smallest face, for every detector"""
    threads: int = os.cpu_count() or 1
    """threads, for every detector"""
    repetitions: int = 3
    """passes over the photographs; the median is reported"""


def run(config: Config, run: Run) -> Outcome:
    """Judge and time all detectors in one run."""
    if config.peers:
        sys.path.append(config.peers)  # behind our own packages
    torch.set_num_threads(config.threads)
    detectors = {
        "cnnlab": ours(detector_file(config.model), config.min_face, factor=2.0),
        "cnnlab_dense": ours(detector_file(config.model), config.min_face, factor=1.5),
        "mtcnn": mtcnn(config.min_face),
        "haar": haar(config.min_face, config.threads),
    }
    # another seed would put photographs that the released detector was trained on into test
    data = load_face_data(config.data, seed=0 if config.model == "released" else config.seed)
    photos = data.photos[config.split][: config.limit]
    run.log_data(data.name, data.digest, {config.split: len(photos)}, config.data)
    results = compare(detectors, photos, config.repetitions)
    table = ["| detector | AP@0.5 | AP@0.3 | images/s | ms per image |", "| --- | --- | --- | --- | --- |"] + [
        f"| {name} | {row['ap50']:.4f} | {row['ap30']:.4f} | {row['images_per_second']:.1f} | "
        f"{row['milliseconds_per_image']:.1f} |"
        for name, row in results.items()
    ]
    print("\n".join(table))
    run.log_text("comparison.md", "\n".join(table) + "\n")
    ratio = results["cnnlab"]["images_per_second"] / results["mtcnn"]["images_per_second"]
    metrics = {f"{config.split}_{name}_{key}": value for name, row in results.items() for key, value in row.items()}
    return Outcome(
        metrics | {"speed_ratio_to_mtcnn": ratio},
        f"cnnlab: AP@0.5 {results['cnnlab']['ap50']:.4f}, MTCNN {results['mtcnn']['ap50']:.4f}, Haar "
        f"{results['haar']['ap50']:.4f} on {len(photos)} {config.split} photographs; cnnlab searches {ratio:.1f} times "
        "as many images per second as MTCNN.",
        [config.seed],
    )


if __name__ == "__main__":
    main(run, Config, entry_point="bench_face_detection", question="benchmark", doc=__doc__)
