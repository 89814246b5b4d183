"""Face data from photographs, from the course's folders and from WIDER FACE; what is written reads back the same."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data import wider
from cnnlab.data.course import MARKER, load_course_layout, write_course_layout
from cnnlab.data.faces import load_face_data, load_wider_face
from cnnlab.errors import DataError


def course(folder, classes=("face", "background"), size=48):
    for split in ("train", "val"):
        for value, title in enumerate(classes):
            (folder / split / title).mkdir(parents=True)
            for number in range(3):
                picture = Image.new("RGB", (size, size), (50 * value, number, 0))
                picture.save(folder / split / title / f"{number}.png")
    return folder


def test_photographs_are_cut_in_memory(photo_folder):
    data = load_face_data(str(photo_folder))
    assert data.name == "given" and not data.embedded
    assert {side: len(part) for side, part in data.photos.items()} == {"train": 15, "val": 2, "test": 3}
    assert int(data.train.labels.sum()) == 15 * 4 and int(data.val.labels.sum()) == 2 * 4
    cut_from = {name.split(":")[0] for name in data.train.names}
    assert {p.name for p in data.photos["train"]} <= cut_from
    assert not cut_from & {p.name for side in ("val", "test") for p in data.photos[side]}
    assert len(data.full_images) == 2 and data.negatives
    assert load_face_data(str(photo_folder)).digest == data.digest != load_face_data(str(photo_folder), seed=1).digest


def test_quick_is_a_handful(photo_folder):
    data = load_face_data(str(photo_folder), quick=True)
    assert len(data.train) <= 66 and len(data.val) <= 34 and sum(map(len, data.photos.values())) <= 12


def test_written_folders_read_back_the_same(photo_folder, tmp_path):
    data = load_face_data(str(photo_folder), quick=True)
    assert write_course_layout(data, tmp_path / "out") is True
    again = load_face_data(str(tmp_path / "out"))
    for part, read in ((data.train, again.train), (data.val, again.val)):
        assert read.classes == part.classes and len(read) == len(part)
        for label in (0, 1):
            assert torch.equal(read.images[read.labels == label], part.images[part.labels == label])
    np.testing.assert_array_equal(again.full_images[1].boxes, data.full_images[1].boxes)
    np.testing.assert_array_equal(again.full_images[1].image, data.full_images[1].image)
    rows = (tmp_path / "out" / "photos.csv").read_text().splitlines()
    assert rows[0] == "photo,split" and len(rows) == 1 + 12


def test_writing_twice_and_over_something_else(photo_folder, tmp_path):
    data = load_face_data(str(photo_folder), quick=True)
    write_course_layout(data, tmp_path / "out")
    assert write_course_layout(data, tmp_path / "out") is False
    other = load_face_data(str(photo_folder), seed=1, quick=True)
    with pytest.raises(DataError, match=f"out: holds other face data .digest {data.digest}, not {other.digest}"):
        write_course_layout(other, tmp_path / "out")
    with pytest.raises(DataError, match="given: not empty and not made by face_data; name a new folder"):
        write_course_layout(data, photo_folder)


def test_writing_that_was_cut_short_is_finished(photo_folder, tmp_path):
    data = load_face_data(str(photo_folder), quick=True)
    write_course_layout(data, tmp_path / "out")
    marker = tmp_path / "out" / MARKER
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "complete": False}))
    lost = next((tmp_path / "out" / "train" / "face").iterdir())
    lost.unlink()
    with pytest.raises(DataError, match="out: made half way"):
        load_course_layout(tmp_path / "out")
    assert write_course_layout(data, tmp_path / "out") is True and lost.exists()


@pytest.mark.parametrize(
    "classes", [("face", "background"), ("faces", "non_faces"), ("Face", "NonFace"), ("1", "0"), ("pos", "neg")]
)
def test_class_folders_are_told_apart_by_name(tmp_path, classes):
    data = load_course_layout(course(tmp_path, classes))
    assert data.train.classes == ("background", "face")
    assert [int(red) for red in data.train.images[:, 0, 0, 0]] == [50, 50, 50, 0, 0, 0]
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.photos == {"train": [], "val": [], "test": []} and data.full_images == []


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("face",), r"train: one class only \(face/\); expected two folders"),
        (("cats", "dogs"), r"train: cats/, dogs/ do not say which is which"),
        (("face", "face2"), r"train: face/, face2/ do not say which is which"),
        (("face", "background", "hand"), r"train: background/, face/, hand/ do not say"),
    ],
)
def test_class_folders_that_do_not_say(tmp_path, classes, message):
    with pytest.raises(DataError, match=message):
        load_face_data(str(course(tmp_path, classes)))


def test_a_missing_split_and_an_empty_class(tmp_path):
    course(tmp_path)
    (tmp_path / "val").rename(tmp_path / "validation")
    with pytest.raises(DataError, match="val: there is no such folder"):
        load_face_data(str(tmp_path))
    for file in (tmp_path / "train" / "face").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="face: no images in this folder"):
        load_face_data(str(tmp_path))


def test_patches_of_another_size_are_named(tmp_path):
    course(tmp_path)
    Image.new("RGB", (64, 50)).save(tmp_path / "val" / "face" / "1.png")
    with pytest.raises(DataError, match=r"face/1\.png: 64x50 pixels, expected patches of 48x48; cut it .* or resize"):
        load_face_data(str(tmp_path))


def test_a_damaged_patch_is_named(tmp_path):
    course(tmp_path)
    (tmp_path / "train" / "background" / "2.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"background/2\.png: the image file is empty"):
        load_face_data(str(tmp_path))


def test_a_missing_folder_names_the_choices():
    with pytest.raises(DataError, match="nowhere: there is no such folder; give data=embedded, a folder, or wider:"):
        load_face_data("nowhere")


def wider_face(root, photos):
    """The official folders and annotation format (x y w h blur expression illumination invalid occlusion pose).

    The photographs are invented; the last has an invalid face, the first an occluded one in an unusual pose.
    """
    base = root / "widerface"
    for folder in ("WIDER_train", "WIDER_val", "WIDER_test", "wider_face_split"):
        (base / folder).mkdir(parents=True)
    for split in ("train", "val"):
        lines = []
        for photo in photos:
            path = base / f"WIDER_{split}" / "images" / "0--Parade" / photo.name.replace("png", "jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photo.image).save(path)
            x1, y1, x2, y2 = (int(value) for value in photo.boxes[0])
            invalid = int(photo is photos[-1])
            hidden = 2 * int(photo is photos[0])
            face = f"{x1} {y1} {x2 - x1} {y2 - y1} 0 0 0 {invalid} {hidden} {hidden // 2} "
            lines += [f"0--Parade/{path.name}", "1", face]
        (base / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt").write_text("\n".join(lines) + "\n")
    return root


def test_wider_face(tmp_path, photos):
    root = wider_face(tmp_path, photos)
    loaded = {photo.name: photo for photo in load_wider_face(root, "train")}
    assert len(loaded) == 19 and "0019.jpg" not in loaded and "0000.jpg" in loaded
    np.testing.assert_array_equal(loaded["0003.jpg"].boxes, photos[3].boxes)
    half = load_wider_face(root, "val", longest_side=60, limit=5, smallest=10)
    assert len(half) == 5 and all(photo.image.shape == (50, 60, 3) for photo in half)
    np.testing.assert_allclose(half[0].boxes, loaded[half[0].name].boxes / 2)
    data = load_face_data(f"wider:{root}", quick=True)
    assert data.name == "wider_face" and all(data.photos.values()) and len(data.full_images) == 4


def test_wider_face_that_is_not_there(tmp_path, monkeypatch):
    def refuse(self):
        raise OSError("no network")

    monkeypatch.setattr(wider.WIDERFace, "download", refuse)
    with pytest.raises(DataError, match=r"widerface: .*cannot be downloaded \(no network\); download WIDER_train"):
        load_face_data(f"wider:{tmp_path}")
    with pytest.raises(DataError, match="widerface: WIDER FACE is not there; expected WIDER_train"):
        load_wider_face(tmp_path, download=False)
    with pytest.raises(DataError, match="split 'test' has no boxes"):
        load_wider_face(tmp_path, "test")
    with pytest.raises(DataError, match="names no folder"):
        load_face_data("wider:")


def test_wider_face_with_damaged_annotations(tmp_path, photos):
    root = wider_face(tmp_path, photos)
    (root / "widerface" / "wider_face_split" / "wider_face_train_bbx_gt.txt").write_text("a.jpg\nmany\n")
    with pytest.raises(DataError, match="annotations of WIDER FACE cannot be read"):
        load_wider_face(root)
