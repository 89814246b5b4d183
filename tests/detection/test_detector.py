import numpy as np
import pytest
import torch
from torch import nn

from cnnlab.detection import FaceDetector
from cnnlab.detection.detector import _with_mirrored
from cnnlab.errors import CheckpointError, ConfigError, DataError, UserError
from cnnlab.models import build_model


class BrightWindows(nn.Module):
    """A stand-in network that answers to windows by their mean brightness: stride 8, window 48, no weights."""

    window, stride, face_range, margin = 48, 8, (40.0, 50.0), 0

    def forward(self, images):
        brightness = nn.functional.avg_pool2d(images.mean(1, keepdim=True), 48, stride=8)
        return torch.cat((torch.zeros_like(brightness), (brightness - 0.9) * 200), dim=1)


def picture(height, width, *squares, side=48):
    image = np.zeros((height, width, 3), np.uint8)
    for x, y in squares:
        image[y : y + side, x : x + side] = 255
    return image


def test_single_scale_finds_a_square_in_each_corner():
    image = picture(49 + 8 * 12, 49 + 8 * 14, (0, 0), (112, 0), (0, 96), (112, 96))
    boxes, scores = FaceDetector(BrightWindows(), 0.9).detect_single_scale(image)
    assert {tuple(box) for box in boxes.tolist()} == {
        (0, 0, 48, 48), (112, 0, 160, 48), (0, 96, 48, 144), (112, 96, 160, 144)
    }  # fmt: skip
    assert boxes.dtype == np.float32 and scores.shape == (4,)


def test_shifting_the_image_by_the_stride_shifts_the_boxes():
    detector = FaceDetector(BrightWindows(), 0.9)
    first, _ = detector.detect_single_scale(picture(145, 161, (40, 32)))
    second, _ = detector.detect_single_scale(picture(145, 161, (48, 40)))
    np.testing.assert_allclose(first + 8, second)


def test_multi_scale_finds_a_large_square_and_nms_merges():
    image = picture(300, 320, (60, 90), side=120)
    detector = FaceDetector(BrightWindows(), 0.5, min_face=100, factor=1.1)
    many, _ = detector.detect_multi_scale(image, nms=False, threshold=0.1)
    boxes, scores = detector.detect_multi_scale(image, threshold=0.1)
    assert len(many) > len(boxes) >= 1
    np.testing.assert_allclose(boxes[0], [60, 90, 180, 210], atol=16)
    assert np.all(np.diff(scores) <= 0)


def test_boxes_of_a_shrunk_image_come_back_in_its_own_pixels():
    image = picture(480, 2048, (1600, 160), side=120)
    detector = FaceDetector(BrightWindows(), 0.1, max_resolution=1024, min_face=50, factor=1.1)
    boxes, _ = detector.detect_multi_scale(image)
    np.testing.assert_allclose(boxes[0], [1600, 160, 1720, 280], atol=24)


@pytest.mark.parametrize("size", [(1, 1), (20, 90), (47, 47), (48, 48), (150, 90)])
@pytest.mark.parametrize("name", ["face_fcn", "face_net"])
def test_multi_scale_takes_any_size(size, name):
    torch.manual_seed(0)
    boxes, scores = FaceDetector(build_model(name)).detect_multi_scale(np.zeros((*size, 3), np.uint8), threshold=0)
    assert len(boxes) == len(scores) > 0
    assert boxes.min() >= 0 and boxes[:, 2].max() <= size[1] and boxes[:, 3].max() <= size[0]


def test_a_mirrored_image_gives_mirrored_boxes_with_tta():
    torch.manual_seed(0)
    image = np.random.default_rng(0).integers(0, 255, (97, 113, 3), np.uint8)
    detector = FaceDetector(build_model("face_fcn"), tta=True)
    boxes, scores = detector.detect_single_scale(image, threshold=0)
    others, mirrored = detector.detect_single_scale(image[:, ::-1].copy(), threshold=0)
    others = np.stack((112 - others[:, 2], others[:, 1], 112 - others[:, 0], others[:, 3]), axis=1)
    assert np.ptp(scores) > 1e-3, "cells differ"
    order, other = (np.lexsort(np.round(b).T) for b in (boxes, others))
    np.testing.assert_allclose(boxes[order], others[other], atol=1)  # of 113 pixels the last is beyond the last cell
    np.testing.assert_allclose(scores[order], mirrored[other], atol=1e-5)


def test_the_mirrored_half_of_the_mean_is_turned_back():
    scores, offsets = torch.tensor([[0.0, 0.2, 0.4]]), torch.zeros(4, 1, 3)
    other, shifts = torch.tensor([[0.8, 0.0, 0.2]]), torch.zeros(4, 1, 3)
    shifts[:, 0, 0] = torch.tensor([0.1, 0.2, 0.3, 0.4])  # of the mirrored image's first cell: the last one here
    both, moved = _with_mirrored((scores, offsets), (other, shifts))
    torch.testing.assert_close(both, torch.tensor([[0.1, 0.1, 0.6]]))
    torch.testing.assert_close(moved[:, 0, 2], torch.tensor([-0.05, 0.1, 0.15, 0.2]))
    assert not moved[:, 0, :2].any()


def test_an_image_below_the_window_is_refused_at_a_single_scale():
    with pytest.raises(DataError, match="40x30 pixels .* use detect_multi_scale"):
        FaceDetector(build_model("face_fcn")).detect_single_scale(np.zeros((30, 40, 3), np.uint8))


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_outside_0_to_1_is_refused(threshold):
    with pytest.raises(UserError, match="between 0 and 1"):
        FaceDetector(build_model("face_fcn"), threshold=threshold)
    with pytest.raises(UserError, match="between 0 and 1"):
        FaceDetector(build_model("face_fcn")).detect_multi_scale(np.zeros((50, 50, 3), np.uint8), threshold=threshold)


def test_saving_and_loading_gives_the_same_detections(tmp_path):
    torch.manual_seed(0)
    image = np.random.default_rng(0).integers(0, 255, (120, 100, 3), np.uint8)
    detector = FaceDetector(build_model("face_net", widths=(8, 8, 8, 8, 8, 8)), threshold=0.25, min_face=30)
    detector.save(tmp_path / "net.pt")
    loaded = FaceDetector.load(tmp_path / "net.pt")
    assert (loaded.threshold, loaded.min_face) == (0.25, 30)
    np.testing.assert_array_equal(detector.detect_multi_scale(image)[0], loaded.detect_multi_scale(image)[0])
    assert FaceDetector.load(tmp_path / "net.pt", threshold=0.5).threshold == 0.5


def test_a_wrong_file_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(CheckpointError, match="no detector file"):
        FaceDetector.load(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("not weights")
    with pytest.raises(CheckpointError, match="not a detector file"):
        FaceDetector.load(tmp_path / "text.pt")
    torch.save({"format": "other"}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="not a detector file"):
        FaceDetector.load(tmp_path / "other.pt")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "net.pt"
    path.write_text("old")
    monkeypatch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
    with pytest.raises(CheckpointError, match="No space left"):
        FaceDetector(build_model("face_fcn")).save(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_settings_are_refused(tmp_path):
    FaceDetector(build_model("face_fcn")).save(tmp_path / "net.pt")
    with pytest.raises(ConfigError, match="no setting 'treshold'"):
        FaceDetector.load(tmp_path / "net.pt", treshold=0.5)
    with pytest.raises(ConfigError, match="scales are"):
        FaceDetector(build_model("face_fcn"), scales=[])


def test_levels_searched_side_by_side_give_the_maps_of_levels_searched_alone():
    """The small levels share one pass through the network; no window may see its neighbour."""
    torch.manual_seed(0)
    detector = FaceDetector(build_model("face_net"), threshold=0.0)
    detector.model.float()
    generator = torch.Generator().manual_seed(1)
    pyramid = [torch.rand(1, 3, *size, generator=generator) for size in ((153, 129), (97, 81), (73, 57), (57, 49))]
    together = [(maps, image, side) for side in (False, True)
                for maps, image in zip(detector._maps(pyramid, side), pyramid, strict=True)]  # fmt: skip
    for (scores, offsets), image, mirror in together:
        ((alone, alone_offsets),) = detector._maps([image], mirror)
        assert scores.shape == alone.shape
        torch.testing.assert_close(scores, alone, atol=1e-5, rtol=0)
        torch.testing.assert_close(offsets, alone_offsets, atol=1e-5, rtol=0)
