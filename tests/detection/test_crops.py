"""Faces cut out of pictures: FaceScrub's framing, pictures that are crops already, and pictures without a face."""

import numpy as np
import pytest

from cnnlab.data.embedded import face_free_photos, portrait
from cnnlab.detection.crops import DOWN, SIDE, cut_face, face_squares, find_faces
from cnnlab.detection.detector import FaceDetector
from cnnlab.tracking.models import detector_file


@pytest.fixture(scope="module")
def detector():
    return FaceDetector.load(detector_file("released"))


def test_squares_have_facescrubs_proportions():
    ((x1, y1, x2, y2),) = face_squares(np.array([[10, 20, 80, 120]]))
    assert x2 - x1 == pytest.approx(y2 - y1) == pytest.approx(SIDE * 100)
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx((45, 70 + DOWN * 100))
    assert face_squares(np.zeros((0, 4))).shape == (0, 4)


def test_a_cut_is_the_box_and_beyond_the_image_its_edge():
    image = np.zeros((20, 30, 3), np.uint8)
    image[5:10, 10:20] = 200
    assert (cut_face(image, np.array([10, 5, 20, 10]), (5, 10)) == 200).all()
    image[:, -1] = 90
    beyond = cut_face(image, np.array([24, 0, 44, 20]), (20, 20))
    assert beyond.shape == (20, 20, 3) and (beyond[:, 8:] == 90).all()


def test_a_face_in_a_picture_is_found_where_it_is(detector):
    canvas = np.full((300, 400, 3), 120, np.uint8)
    canvas[100:212, 200:292] = portrait(1, 1).image
    found = find_faces(detector, canvas)
    assert len(found.boxes) == 1 and not found.crop
    x, y = found.boxes[0].reshape(2, 2).mean(0)
    assert 225 < x < 267 and 140 < y < 195, "the middle of the face"


def test_a_face_that_fills_the_picture_is_taken_whole(detector):
    face = portrait(1, 1).image[33:103, 14:80]
    found = find_faces(detector, face)
    assert found.crop and found.boxes.tolist() == [[0, 0, 66, 70]]


def test_pictures_without_a_face_give_none(detector):
    for photo in face_free_photos("train", quick=True):
        found = find_faces(detector, photo.image)
        assert len(found.boxes) == len(found.scores) == 0 and not found.crop
