"""Paintings: the folder as it is, its stand-in, five folds and the course's split."""

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data.artists import MANNERS, course_split, five_folds, inner_folds, is_stand_in, load_artists
from cnnlab.data.folds import all_tested, stratified_split
from cnnlab.errors import DataError

COUNTS = (20, 54, 63, 70, 40, 40, 37, 36, 28, 40, 23)  # of the course's eleven artists
LABELS = torch.cat([torch.full((count,), label) for label, count in enumerate(COUNTS)])


@pytest.fixture
def gallery(tmp_path):
    """artists/ with three artists of 6 pictures each, 20x30 pixels."""
    rng = np.random.default_rng(0)
    for artist in ("a. painter", "b. painter", "c. painter"):
        folder = tmp_path / "artists" / artist
        folder.mkdir(parents=True)
        for number in range(6):
            Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path


def test_the_folder_and_the_one_that_holds_it_are_read_alike(gallery):
    pictures = load_artists(gallery, size=(10, 10))
    assert pictures.images.shape == (18, 3, 10, 10) and pictures.images.dtype == torch.uint8
    assert pictures.classes == ("a. painter", "b. painter", "c. painter") and not is_stand_in(pictures)
    assert load_artists(gallery / "artists", size=(10, 10)).digest == pictures.digest


def test_an_artist_with_two_files_is_named_with_the_remedy(gallery):
    for number in range(2, 6):
        (gallery / "artists" / "b. painter" / f"{number}.png").unlink()
    with pytest.raises(DataError, match=r"b\. painter: 2 pictures only \(0\.png, 1\.png\); 5 .* add some, or remove"):
        load_artists(gallery)


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="there is no such folder"):
        load_artists(tmp_path / "nowhere")


def test_the_stand_in_has_unequal_classes_and_the_same_pixels_for_the_same_seed():
    pictures = load_artists(quick=True)
    assert is_stand_in(pictures) and pictures.classes == tuple(MANNERS) and pictures.images.shape[1:] == (3, 50, 50)
    assert load_artists(quick=True).digest == pictures.digest != load_artists(quick=True, seed=1).digest
    assert len(set(MANNERS.values())) > 1
    for fold in five_folds(pictures.labels):
        assert set(pictures.labels[list(fold.train)].tolist()) == set(range(len(MANNERS)))


def test_five_folds_test_every_picture_once_and_keep_the_shares():
    folds = five_folds(LABELS)
    assert len(folds) == 5 and sorted(all_tested(folds).tolist()) == list(range(451))
    for fold in folds:
        assert sorted(fold.train + fold.val + fold.test) == list(range(451)), "no picture in two parts, none left out"
        assert sorted(fold.rest) == sorted(fold.train + fold.val)
        for label, count in enumerate(COUNTS):
            in_test = (LABELS[list(fold.test)] == label).sum().item()
            assert abs(in_test - count / 5) < 1
            assert (LABELS[list(fold.val)] == label).sum() >= 1


def test_inner_folds_never_touch_the_test_part():
    fold = five_folds(LABELS)[2]
    inner = inner_folds(LABELS, fold)
    assert sorted(all_tested(inner).tolist()) == sorted(fold.rest)
    assert not any(set(part) & set(fold.test) for f in inner for part in (f.train, f.val, f.test))


def test_folds_depend_on_the_seed_alone():
    assert five_folds(LABELS) == five_folds(LABELS.tolist()) != five_folds(LABELS, seed=1)


def test_folds_that_cannot_be_stratified_name_the_class():
    labels = [0] * 10 + [1] * 4
    with pytest.raises(DataError, match="rembrandt: 4 pictures cannot be stratified into 5 folds.* add 1 or leave"):
        five_folds(labels, classes=("rubens", "rembrandt"))
    with pytest.raises(DataError, match="class 1: one picture cannot be in two parts"):
        stratified_split([0, 0, 1], 0.5)


def test_the_courses_split_is_364_against_87():
    split = course_split(LABELS)
    assert (len(split.train), len(split.val)) == (364, 87) and split.test == split.val
    assert set(split.train) | set(split.val) == set(range(451))


@pytest.mark.real_data
def test_the_real_paintings_are_the_courses(artists_dir):
    pictures = load_artists(artists_dir)
    assert pictures.images.shape == (451, 3, 50, 50)
    assert tuple(pictures.labels.bincount().tolist()) == COUNTS
