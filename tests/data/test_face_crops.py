import numpy as np
import pytest
import torch

from cnnlab.data.face_crops import FaceCrops, Sizes, _Mark, collages, target_map
from cnnlab.data.photos import Photo
from cnnlab.detection import cell_boxes, decode
from cnnlab.errors import ConfigError, DataError


def red_face(size=200, box=(60, 50, 125, 150)):
    """A grey photograph whose face is pure red, so that pixels tell where it was drawn."""
    image = np.full((size, size, 3), 128, np.uint8)
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = (255, 0, 0)
    return Photo("red.png", image, np.array([box], np.float32))


def empty_photo():
    return Photo("empty.png", np.full((150, 150, 3), 128, np.uint8), np.zeros((0, 4), np.float32))


def boxes_and_windows(targets):
    cells = targets.shape[-1]
    windows = cell_boxes((cells, cells), (49 + 8 * (cells - 1),) * 2)
    return decode(targets[1:].permute(1, 2, 0), windows), windows


def test_shapes_and_types_of_a_batch():
    crops = FaceCrops([red_face()], [empty_photo()], size=96, length=10)
    images, targets = crops.__getitems__([0, 3, 9])
    assert len(crops) == 10
    assert images.shape == (3, 3, 96, 96) and images.dtype == torch.uint8
    assert targets.shape == (3, 5, 7, 7) and targets.dtype == torch.float32
    assert set(targets[:, 0].unique().tolist()) <= {-1, 0, 1}


def test_target_boxes_lie_on_the_face():
    crops = FaceCrops([red_face()], size=144, length=30, turn=0)
    checked = 0
    for index in range(30):
        image, targets = crops[index]
        boxes, _ = boxes_and_windows(targets)
        red = (image[0] > 200) & (image[1] < 90)
        for x1, y1, x2, y2 in boxes[targets[0] == 1].tolist():
            if x1 < 3 or y1 < 3 or x2 > 141 or y2 > 141:
                continue
            assert 19 <= y2 - y1 <= 46
            inside = red[round(y1) + 3 : round(y2) - 3, round(x1) + 3 : round(x2) - 3].float().mean()
            assert inside > 0.6  # part of it may be cut off by a neighbouring tile
            checked += 1
    assert checked > 20


def test_the_same_epoch_gives_the_same_pictures_and_another_gives_others():
    crops = FaceCrops([red_face()], size=96)
    first = crops[0][0]
    crops.set_epoch(1)
    assert not torch.equal(crops[0][0], first)
    crops.set_epoch(0)
    assert torch.equal(crops[0][0], first)
    assert not torch.equal(FaceCrops([red_face()], size=96, seed=1)[0][0], first)


def test_cells_of_one_face():
    mark = _Mark((34.0, 30, 54, 60), visible=1.0, known=True)  # centre (44, 45), 30 pixels high
    targets = target_map([mark], 96, Sizes())
    at = np.arange(7) * 8 + 24
    rows, columns = np.nonzero(targets[0] == 1)
    assert set(at[rows]) == {48} and set(at[columns]) == {40, 48}
    assert np.exp(targets[4, rows, columns]) * 48 == pytest.approx([30, 30])
    assert (targets[0] == -1).sum() > 0 and targets[0, 0, 0] == 0


@pytest.mark.parametrize(("height", "label"), [(12, -1), (17, -1), (30, 1), (50, -1), (90, 0), (300, 0)])
def test_the_size_of_a_face_decides(height, label):
    mark = _Mark((48 - height * 0.3, 48 - height / 2, 48 + height * 0.3, 48 + height / 2), 1.0, True)
    assert target_map([mark], 96, Sizes())[0, 3, 3] == label


def test_cut_and_unknown_faces_are_ignored_and_hidden_ones_background():
    box = (38.0, 33, 58, 63)
    assert target_map([_Mark(box, 0.5, True)], 96, Sizes())[0, 3, 3] == -1
    assert target_map([_Mark(box, 1.0, False)], 96, Sizes())[0, 3, 3] == -1
    assert target_map([_Mark(box, 0.1, True)], 96, Sizes())[0, 3, 3] == 0


def test_a_cell_belongs_to_the_nearest_face():
    near, far = _Mark((38.0, 33, 58, 63), 1.0, True), _Mark((42.0, 27, 62, 77), 1.0, True)
    for marks in ([near, far], [far, near]):
        targets = target_map(marks, 96, Sizes(high=60))
        assert np.exp(targets[4, 3, 3]) * 48 == pytest.approx(30)


def test_collages_are_grey_reproducible_and_full_of_small_faces():
    first, second = (collages([red_face()], 2, seed=3, backgrounds=[empty_photo()]) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        assert (a.image[..., 0] == a.image[..., 2]).mean() == 1
        assert 6 <= len(a.boxes) <= 20
        heights = a.boxes[:, 3] - a.boxes[:, 1]
        assert heights.min() >= 19.9 and heights.max() <= 45.1
        assert a.boxes.min() >= -0.01 and a.boxes[:, 2].max() <= a.image.shape[1] + 0.01


def test_bad_settings_are_named():
    with pytest.raises(ConfigError, match="size is 100; it must be 48 or 48 plus a multiple of 8"):
        FaceCrops([red_face()], size=100)
    with pytest.raises(DataError, match="at least one photograph"):
        FaceCrops([])
