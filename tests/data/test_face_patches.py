"""Windows cut from photographs: faces whole, backgrounds clear of them."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.face_patches import NEAR_MISS_IOU, crop_window, cut_patches, cut_windows, overlaps, square_window
from cnnlab.data.photos import Photo
from cnnlab.errors import DataError


def test_square_window_shares_centre_and_area():
    np.testing.assert_allclose(square_window(np.array([10, 20, 30, 100])), [0, 40, 40, 80])


def test_square_window_overlaps_its_box_more_than_other_sizes():
    box = np.array([[10.0, 20, 50, 82]])
    best = square_window(box[0])
    for grow in (-6, -2, 2, 6):
        other = best + np.array([-grow, -grow, grow, grow])
        assert overlaps(other, box)[0] < overlaps(best, box)[0]


def test_overlaps_known_values():
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [10, 10, 20, 20]])
    np.testing.assert_allclose(overlaps(boxes[0], boxes), [1, 1 / 3, 0])


def test_crop_of_native_size_is_the_pixels_themselves():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    patch = crop_window(Image.fromarray(pixels), np.array([5, 7, 53, 55]))
    np.testing.assert_array_equal(patch, pixels[7:55, 5:53])


def test_crop_beyond_the_border_repeats_the_edge():
    pixels = np.zeros((60, 60, 3), np.uint8)
    pixels[:, 0] = 200
    patch = crop_window(Image.fromarray(pixels), np.array([-20, 0, 28, 48]))
    assert (patch[:, :21] == 200).all() and (patch[:, 21:] == 0).all()


def test_kinds_of_windows(photos):
    rng = np.random.default_rng(0)
    seen = set()
    for photo in photos:
        square = square_window(photo.boxes[0])
        for kind, label, window in cut_windows(photo, rng, per_face=4, backgrounds=8):
            seen.add(kind)
            whole = overlaps(window, photo.boxes)[0]
            assert window[2] - window[0] == pytest.approx(window[3] - window[1])
            assert label == (kind == "face")
            if kind == "face":
                assert overlaps(window, square[None])[0] > 0.5
                continue
            assert whole < NEAR_MISS_IOU
            assert window.min() >= 0 and window[2] <= 120 and window[3] <= 100
            if kind == "plain":
                assert whole == 0
            if kind == "part":
                assert window[2] - window[0] < 0.5 * (square[2] - square[0])
    assert seen == {"face", "part", "near", "plain"}


def test_the_same_seed_gives_the_same_patches(photos):
    first, again, other = (cut_patches(photos[:6], seed) for seed in (3, 3, 4))
    assert first.images.shape[1:] == (3, 48, 48) and first.classes == ("background", "face")
    assert first.digest == again.digest != other.digest
    assert int(first.labels.sum()) == 6 * 4


def test_patches_of_a_photograph_do_not_depend_on_the_others(photos):
    alone, among = cut_patches(photos[2:3], 0), cut_patches(photos[:5], 0)
    kept = [i for i, name in enumerate(among.names) if name.startswith(photos[2].name)]
    assert (among.images[kept] == alone.images).all()


def test_negatives_add_a_quarter_of_the_backgrounds(photos):
    scenery = [Photo("scenery", photos[0].image, np.zeros((0, 4), np.float32))]
    patches = cut_patches(photos[:4], 0, backgrounds=8, negatives=scenery)
    assert sum(name.startswith("scenery:plain") for name in patches.names) == 8


def test_a_face_that_fills_its_photograph_leaves_only_its_parts():
    photo = Photo("portrait", np.full((90, 90, 3), 7, np.uint8), np.array([[0, 0, 90, 90]], np.float32))
    kinds = {kind for kind, label, _ in cut_windows(photo, np.random.default_rng(0), 1, 8) if label == 0}
    assert kinds and "plain" not in kinds


def test_without_faces_nothing_can_be_trained(photos):
    empty = Photo("empty", photos[0].image, np.zeros((0, 4), np.float32))
    with pytest.raises(DataError, match="mine/val: no face patch could be cut from 1 photographs"):
        cut_patches([empty], 0, name="mine", split="val")
