"""The released weights on the real photographs that they were judged on."""

import pytest

from cnnlab.data.faces import load_full_images, load_photos, split_photos
from cnnlab.detection.detector import FaceDetector
from cnnlab.reports.detector import count_at, detect_photos, judge
from cnnlab.tracking.models import detector_file

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector.load(detector_file("released"))


def test_the_four_full_images(face_photos_dir, detector):
    photos = load_full_images(face_photos_dir)
    counts = count_at(detect_photos(detector, photos), photos, detector.threshold)
    assert counts["faces"] == 18
    assert counts["found"] == 18 and counts["false_alarms"] <= 1


def test_validation_photographs(face_photos_dir, detector):
    photos = split_photos(load_photos(face_photos_dir), seed=0)["val"]
    scores = judge(detect_photos(detector, photos), photos, "val")
    assert scores["val_ap50"] > 0.98 and scores["val_ap30"] > 0.98
