"""Portraits of assignment B: the course's folders, and the stand-in painted on ORL faces."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data.makeup import CLASSES, STRATEGIES, load_makeup, paint
from cnnlab.errors import DataError


@pytest.fixture
def portraits(tmp_path):
    """heavy_makeup_CelebA/ with three portraits per class: one in colour, one grey, one with transparency."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in CLASSES:
            folder = tmp_path / "heavy_makeup_CelebA" / split / name
            folder.mkdir(parents=True)
            for number, mode in enumerate(("RGB", "L", "RGBA")):
                pixels = rng.integers(0, 255, (109, 89, 3), dtype=np.uint8)
                Image.fromarray(pixels).convert(mode).save(folder / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("inside", [".", "heavy_makeup_CelebA"])
def test_the_folder_or_the_one_that_holds_it_is_read(portraits, inside):
    data = load_makeup(portraits / inside, (32, 32))
    assert (len(data.train), len(data.val), data.embedded) == (6, 6, False)
    assert data.name == "heavy_makeup_CelebA" and data.train.classes == CLASSES
    names = dict(zip(data.val.names, data.val.labels.tolist(), strict=True))
    assert names["heavy_makeup/0.png"] == 1 and names["no_heavy_makeup/2.png"] == 0, "heavy makeup is positive"
    assert data.digest == load_makeup(portraits, (32, 32)).digest != load_makeup(portraits, (32, 24)).digest


def test_a_class_with_one_portrait_and_other_folders_are_refused(portraits, tmp_path):
    folder = portraits / "heavy_makeup_CelebA" / "val" / "heavy_makeup"
    for name in ("1.png", "2.png"):
        (folder / name).unlink()
    with pytest.raises(DataError, match="heavy_makeup: one image only"):
        load_makeup(portraits, (32, 32))
    with pytest.raises(DataError, match="no folder train/ with portraits; name the folder heavy_makeup_CelebA"):
        load_makeup(folder, (32, 32))


def test_a_portrait_in_both_splits_is_refused(portraits):
    folder = portraits / "heavy_makeup_CelebA"
    shutil.copy(folder / "train/heavy_makeup/0.png", folder / "val/no_heavy_makeup/0.png")
    with pytest.raises(DataError, match="heavy_makeup/0.png of train and no_heavy_makeup/0.png of val are the same"):
        load_makeup(portraits, (32, 32))


def test_the_stand_in_is_balanced_and_parts_people():
    data = load_makeup(size=(48, 40), quick=True)
    assert data.embedded and data.train.images.shape[1:] == (3, 48, 40)
    for split in (data.train, data.val):
        assert split.labels.bincount().tolist() == [len(split) // 2] * 2
    people = [{name.split("/")[1] for name in split.names} for split in (data.train, data.val)]
    assert not people[0] & people[1]
    assert data.digest == load_makeup(size=(48, 40), quick=True).digest
    assert data.digest != load_makeup(size=(48, 40), quick=True, seed=1).digest


def test_paint_reddens_the_lips_and_leaves_the_forehead():
    skin = np.full((112, 92, 3), 140, np.uint8)
    painted = paint(skin, np.random.default_rng(0)).astype(int)
    assert painted[86, 46, 0] - painted[86, 46, 1] > 40
    assert (painted[20, 46] == 140).all() and (skin == 140).all()


def test_heavy_crops_lose_the_face_and_the_corrected_strategy_keeps_it():
    image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    image[..., 16:56, 16:48] = 255  # the face
    area = (image > 128).float().mean().item()
    generator = torch.Generator().manual_seed(0)
    seen = {
        name: torch.tensor([(strategy(image, generator) > 0.5).float().mean() for _ in range(40)])
        for name, strategy in STRATEGIES.items()
    }
    assert (seen["whole_face"] - area).abs().max() < 0.03
    assert seen["heavy"].std() > 0.1


@pytest.mark.real_data
def test_the_real_portraits(data_dir):
    data = load_makeup(data_dir, (56, 46))
    assert data.train.labels.bincount().tolist() == [1000, 1000] and data.val.labels.bincount().tolist() == [200, 200]
