"""detection_lecture: real boxes from the released detector, on the embedded photograph, a folder's or one of yours."""

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data.photos import Photo
from cnnlab.detection import FaceDetector, iou
from cnnlab.errors import ConfigError, DataError
from cnnlab.models import build_model
from cnnlab.tracking import Run
from cnnlab.tracking.models import detector_file


@pytest.fixture
def lecture(load_program):
    return load_program("experiments/transfer/detection_lecture")


def test_the_embedded_photograph_has_its_face(lecture):
    photo = lecture.read_photo(lecture.Config())
    assert photo.name == "astronaut.png" and photo.boxes.shape == (1, 4)


def test_of_a_folder_the_image_with_most_faces_is_taken_and_shrunk_with_its_boxes(lecture, tmp_path):
    (tmp_path / "full_images").mkdir()
    for name in ("one.png", "two.png"):
        Image.fromarray(np.zeros((640, 1280, 3), np.uint8)).save(tmp_path / "full_images" / name)
    rows = ["image,x1,y1,x2,y2", "one.png,0,0,100,100", "two.png,0,0,100,100", "two.png,200,100,300,200"]
    (tmp_path / "boxes.csv").write_text("\n".join(rows))
    photo = lecture.read_photo(lecture.Config(data=str(tmp_path)))
    assert photo.name == "two.png" and photo.image.shape == (320, 640, 3)
    assert photo.boxes.tolist() == [[0, 0, 50, 50], [100, 50, 150, 100]]


def test_regression_brings_the_windows_to_the_face(lecture):
    photo = lecture.read_photo(lecture.Config())
    detector = FaceDetector.load(detector_file("released"))
    found = lecture.slide(detector, photo.image)
    assert (found.scores.diff() <= 0).all() and found.boxes.min() >= 0 and found.boxes.max() <= 512
    truth = torch.from_numpy(photo.boxes)
    sure = found.scores >= lecture.SURE
    on_face = sure & (iou(found.boxes, truth)[:, 0] > 0.3)
    assert on_face.sum() > 2
    assert iou(found.boxes[on_face], truth).mean() > iou(found.windows[on_face], truth).mean() + 0.2
    # the same network by way of the detector, which pads the image and computes in 16 bit where it can
    boxes, _ = detector.detect_multi_scale(photo.image, threshold=0.5)
    assert iou(found.boxes[:1], torch.from_numpy(boxes[:1])).item() > 0.8


def test_the_face_shown_from_near_has_windows_to_show(lecture):
    """The first face is met best, but by a window that is not sure; the second has the sure one."""
    truths = torch.tensor([[0.0, 0, 40, 40], [100, 100, 140, 140]])
    boxes = torch.tensor([[100.0, 100, 140, 130], [0, 0, 40, 40], [60, 60, 90, 90]])
    found = lecture.Windows(boxes, torch.zeros(3, 4), boxes, torch.tensor([0.9, 0.4, 0.3]))
    assert lecture.face_to_show(found, truths) == 1
    figures = []
    photo = lecture.Photo("two.png", np.zeros((160, 160, 3), np.uint8), truths.numpy())
    run = type("Kept", (), {"log_figure": lambda self, name, figure: figures.append(name)})()
    measured = lecture.show_regression(run, photo, truths, 1, found)
    assert figures == ["regression"] and measured["image_box_iou"] == pytest.approx(0.75)
    misled = lecture.Windows(boxes[:1], torch.zeros(1, 4), boxes[:1] - 90, torch.tensor([0.9]))
    measured = lecture.show_regression(run, photo, truths, 1, lecture.Windows(
        torch.cat((boxes[:1], misled.windows)), torch.zeros(2, 4), torch.cat((truths[1:], misled.boxes)),
        torch.tensor([0.9, 0.9]),
    ))  # fmt: skip
    assert measured["image_window_iou"] == pytest.approx(0.75), "one of the two is made worse, and counts"
    assert measured["image_box_iou"] == pytest.approx(0.5)
    unsure = lecture.Windows(boxes, torch.zeros(3, 4), boxes, torch.full((3,), 0.1))
    assert lecture.face_to_show(unsure, truths) == 0, "where none is sure, the one that is met best"


def test_what_cannot_be_shown_is_said(lecture, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jpg"):
        lecture.read_photo(lecture.Config(image=str(tmp_path / "nowhere.jpg")))
    with pytest.raises(ConfigError, match="stride must be at least 1"):
        lecture.Config(stride=0)
    photo = Photo("p.png", np.zeros((40, 60, 3), np.uint8), np.array([[5, 5, 20, 20]], np.float32))
    with pytest.raises(ConfigError, match="stride=50 leaves no cell of a photograph of 60x40 pixels"):
        lecture.show_anchors(Run.inactive(), photo, torch.from_numpy(photo.boxes), 0, lecture.Config(stride=50))
    image = np.zeros((96, 96, 3), np.uint8)
    with pytest.raises(ConfigError, match="no box regression"):
        lecture.slide(FaceDetector(build_model("face_fcn")), image)
    with pytest.raises(DataError, match="sees no face"):
        lecture.slide(FaceDetector.load(detector_file("released")), image)
