"""Folders of class folders: every kind of picture is read, and what cannot be a class is refused in a sentence."""

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data.folders import list_class_files, load_image_folder, resize_image
from cnnlab.errors import DataError


def save(path, mode="RGB", colour=(200, 40, 40), size=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path):
    for name, mode in (("a.jpg", "RGB"), ("b.png", "RGBA"), ("c.png", "P"), ("d.png", "L")):
        save(tmp_path / "warm" / name, mode)
    for name in ("e.png", "f.png"):
        save(tmp_path / "cold" / name, colour=(30, 30, 220))
    (tmp_path / ".cache").mkdir()
    return tmp_path


def test_grey_transparent_and_palette_pictures_become_rgb(folder):
    images = load_image_folder(folder, (12, 8), "val", name="colours")
    assert images.classes == ("cold", "warm") and images.labels.tolist() == [0, 0, 1, 1, 1, 1]
    assert images.images.shape == (6, 3, 12, 8) and images.images.dtype == torch.uint8
    assert images.names[2] == "warm/a.jpg" and (images.name, images.split) == ("colours", "val")
    red, transparent, palette, grey = images.images[2:, :, 5, 5].int()
    assert (transparent - red).abs().max() < 6 and (palette - red).abs().max() < 30
    assert grey.unique().numel() == 1


def test_classes_may_be_named_in_an_order_of_their_own(folder):
    images = load_image_folder(folder, (8, 8), classes=("warm", "cold"), limit=2)
    assert images.classes == ("warm", "cold") and images.labels.tolist() == [0, 0, 1, 1]
    assert images.names[:2] == ["warm/a.jpg", "warm/d.png"], "spread from the first to the last"


def test_a_picture_is_stretched_or_padded_with_its_edges():
    image = np.zeros((30, 20, 3), np.uint8)
    image[:, :10] = 250  # the left half is light
    assert resize_image(image, (60, 60)).shape == (60, 60, 3)
    padded = resize_image(image, (60, 60), "pad")
    assert padded.shape == (60, 60, 3)
    assert (padded[:, :25] == 250).all() and (padded[:, 35:] == 0).all(), "40 of 60 columns, the edges repeated"
    assert (resize_image(image, (30, 20)) == image).all()


def test_shrinking_averages():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert abs(resize_image(stripes, (8, 8)).astype(int) - 100).max() < 12


def lonely(folder):
    for path in sorted((folder / "warm").iterdir())[1:]:
        path.unlink()


def single(folder):
    for path in (folder / "warm").iterdir():
        path.unlink()
    (folder / "warm").rmdir()


def emptied(folder):
    for path in (folder / "cold").iterdir():
        path.unlink()


def broken(folder):
    (folder / "cold" / "e.png").write_bytes((folder / "cold" / "e.png").read_bytes()[:60])


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lonely, r"warm: one image only \(a.jpg\); a class needs two at least"),
        (single, r"holds cold/, but classes need two folders"),
        (emptied, r"cold: no images in this folder"),
        (broken, r"e\.png: .*(truncated|damaged|not an image)"),
    ],
)
def test_bad_folders_are_refused_in_a_sentence(folder, harm, sentence):
    harm(folder)
    with pytest.raises(DataError, match=sentence):
        load_image_folder(folder, (8, 8))


def test_missing_folders_are_named(folder):
    with pytest.raises(DataError, match="nowhere: there is no such folder"):
        list_class_files(folder / "nowhere")
    with pytest.raises(DataError, match=r"no folder hot/ \(there are cold/, warm/\); expected hot/, cold/"):
        list_class_files(folder, ("hot", "cold"))
