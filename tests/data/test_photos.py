"""Photographs with boxes from folders, and their split by photograph."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.photos import group_near_identical, load_full_images, load_photos, split_photos
from cnnlab.errors import DataError


def same(loaded, expected):
    assert [photo.name for photo in loaded] == [photo.name for photo in expected]
    for a, b in zip(loaded, expected, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.boxes, b.boxes)


def test_every_layout_gives_the_same_photographs(photo_folder, photos):
    inner = photo_folder / "face_photos"
    same(load_photos(photo_folder), photos)
    same(load_photos(inner), photos)
    same(load_photos(photo_folder, limit=3), photos[:3])
    same(load_full_images(photo_folder), photos[:2])
    shutil.move(inner / "boxes.csv", inner / "images" / "boxes.csv")
    same(load_photos(inner), photos)
    same(load_full_images(inner / "images"), photos)


def test_full_images_have_their_own_boxes_beside_a_table_for_the_photographs(photo_folder, photos):
    inner = photo_folder / "face_photos"
    shutil.move(photo_folder / "full_images", inner / "full_images")
    shutil.move(photo_folder / "full_boxes", inner / "full_boxes")
    same(load_photos(inner), photos)
    same(load_full_images(inner), photos[:2])


def test_missing_and_unknown_folders(tmp_path):
    with pytest.raises(DataError, match="there is no such folder"):
        load_photos(tmp_path / "gone")
    with pytest.raises(DataError, match=r"no photographs with boxes here; expected images/ with boxes\.csv"):
        load_photos(tmp_path)
    with pytest.raises(DataError, match="no full images with boxes here"):
        load_full_images(tmp_path)


def test_a_photograph_without_a_row_is_named(photo_folder):
    table = photo_folder / "face_photos" / "boxes.csv"
    table.write_text("\n".join(line for line in table.read_text().splitlines() if not line.startswith("0003")))
    with pytest.raises(DataError, match=r"0003\.png: no boxes for it in .*boxes\.csv; add one"):
        load_photos(photo_folder)
    (photo_folder / "full_boxes" / "0001.npy").unlink()
    with pytest.raises(DataError, match=r"0001\.png: no boxes for it in .*full_boxes; add its file"):
        load_full_images(photo_folder)


def test_a_row_without_its_photograph_is_named(photo_folder):
    (photo_folder / "face_photos" / "images" / "0003.png").unlink()
    with pytest.raises(DataError, match=r"boxes\.csv: boxes for '0003\.png', but no such image"):
        load_photos(photo_folder)


def test_a_box_outside_its_photograph_is_named(photo_folder):
    table = photo_folder / "face_photos" / "boxes.csv"
    lines = table.read_text().splitlines()
    lines[1] = "0000.png,100,10,30,40"
    table.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"0000\.png: box \(100, 10, 130, 50\) lies outside the image of 120x100"):
        load_photos(photo_folder)


def test_a_photograph_smaller_than_a_patch_is_named(photo_folder):
    Image.new("RGB", (200, 47)).save(photo_folder / "face_photos" / "images" / "0004.png")
    with pytest.raises(DataError, match=r"0004\.png: 200x47 pixels, smaller than a patch of 48x48"):
        load_photos(photo_folder)


def test_split_keeps_every_photograph_once_whatever_their_order(photos):
    split = split_photos(photos, seed=1, val=0.2, test=0.25)
    assert {side: len(part) for side, part in split.items()} == {"train": 11, "val": 4, "test": 5}
    assert sorted(p.name for part in split.values() for p in part) == [p.name for p in photos]
    again = split_photos(photos[::-1], seed=1, val=0.2, test=0.25)
    other = split_photos(photos, seed=2, val=0.2, test=0.25)
    assert [p.name for p in split["test"]] == [p.name for p in again["test"]]
    assert [p.name for p in split["test"]] != [p.name for p in other["test"]]


def test_near_identical_photographs_stay_together(photos):
    brighter = [
        replace(photo, name=f"copy_{photo.name}", image=(photo.image * 0.8 + 30).astype(np.uint8)) for photo in photos
    ]
    both = photos + brighter
    assert sorted(sorted(group) for group in group_near_identical(both)) == [[i, i + 20] for i in range(20)]
    for part in split_photos(both, val=0.3, test=0.3).values():
        names = {photo.name for photo in part}
        assert all(name.startswith("copy_") or f"copy_{name}" in names for name in names)


def test_each_side_of_a_small_set_gets_a_photograph(photos):
    for count in (3, 4, 5):
        split = split_photos(photos[:count], val=0.9, test=0.9)
        assert all(split.values())
    split = split_photos(photos[:2], val=0.1, test=0.0)
    assert [len(split[side]) for side in ("train", "val", "test")] == [1, 1, 0]


def test_what_cannot_be_split_is_refused(photos):
    with pytest.raises(DataError, match=r"2 different photographs are too few for test, val, train; give 3 or more"):
        split_photos(photos[:2])
    with pytest.raises(DataError, match=r"0001\.png: two photographs have this name"):
        split_photos([*photos, photos[1]])


@pytest.mark.real_data
def test_the_858_photographs(face_photos_dir):
    photos = load_photos(face_photos_dir)
    split = split_photos(photos)
    assert {side: len(part) for side, part in split.items()} == {"train": 630, "val": 86, "test": 142}
    pairs = [group for group in group_near_identical(photos) if len(group) > 1]
    assert len(pairs) == 12
    assert sum(len(photo.boxes) for photo in load_full_images(face_photos_dir)) == 18
