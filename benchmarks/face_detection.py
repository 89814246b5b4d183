"""Our face detector against MTCNN and OpenCV's Haar cascade: same photographs, same smallest face, same threads.

    pip install --no-deps --target PEERS "facenet-pytorch==2.6.0" "opencv-python-headless<5"
    python benchmarks/face_detection.py --data DIR --peers PEERS --output results/bench_face_detection.json

The photographs are the test part of DIR (by photograph, seed 0). Every detector sees every photograph once per
repetition, in alternation; the time is the median over repetitions of the whole pass. Average precision is taken at
IoU 0.5 and 0.3 over all detections that a detector gives (ours from a score of 0.02).
"""

import argparse
import importlib
import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from cnnlab.data.faces import Photo, load_photos, split_photos
from cnnlab.detection import FaceDetector
from cnnlab.errors import CheckpointError, ConfigError, UserError
from cnnlab.evaluation.detection import average_precision

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


def ours(weights: Path, min_face: float) -> Detect:
    """Our detector with low threshold, so that the whole precision-recall curve is seen."""
    return FaceDetector.load(weights, threshold=0.02, min_face=min_face).detect_multi_scale


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with face_photos/ (or images/ and boxes.csv)")
    parser.add_argument("--weights", type=Path, required=True, help="detector file that FaceDetector.save wrote")
    parser.add_argument("--peers", help="folder that pip --target filled with the peers")
    parser.add_argument("--split", default="test", choices=("train", "val", "test"))
    parser.add_argument("--limit", type=int, help="only so many photographs")
    parser.add_argument("--min-face", type=float, default=24, help="height in pixels of the smallest face")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    args = parser.parse_args()
    if not args.weights.is_file():
        raise CheckpointError(f"There is no detector file {args.weights}.")
    if args.peers:
        sys.path.append(args.peers)  # behind our own packages
    torch.set_num_threads(args.threads)
    photos = split_photos(load_photos(args.data), seed=0)[args.split][: args.limit]
    detectors = {
        "cnnlab": ours(args.weights, args.min_face),
        "mtcnn": mtcnn(args.min_face),
        "haar": haar(args.min_face, args.threads),
    }
    results = compare(detectors, photos, args.repetitions)
    ratio = results["cnnlab"]["images_per_second"] / results["mtcnn"]["images_per_second"]
    for name, row in results.items():
        print(
            f"{name:8} AP@0.5 {row['ap50']:.4f}   AP@0.3 {row['ap30']:.4f}   "
            f"{row['images_per_second']:7.1f} images/s   {row['milliseconds_per_image']:7.1f} ms"
        )
    print(f"cnnlab finds faces in {ratio:.1f} times as many images per second as MTCNN ({len(photos)} photographs).")
    report = {
        "command": shlex.join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "hardware": {"processor": _processor(), "threads": args.threads, "torch": torch.__version__},
        "data": {"split": args.split, "photographs": len(photos), "smallest_face": args.min_face},
        "repetitions": args.repetitions,
        "results": results,
        "ratio_to_mtcnn": ratio,
    }
    print(report["command"])
    if args.output:
        args.output.write_text(json.dumps(report, indent=2) + "\n")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
