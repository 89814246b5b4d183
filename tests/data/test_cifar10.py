"""CIFAR-10 from its official files, from folders of images, and the stand-in."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data.cifar10 import CLASSES, load_cifar10
from cnnlab.errors import DataError


def batches(folder, per_batch=20):
    """Files as the official archive holds them, small; returns the pixels of the first batch."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    first = None
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        pixels = rng.integers(0, 256, (per_batch, 3072), dtype=np.uint8)
        first = pixels if first is None else first
        content = {"data": pixels, "labels": [i % 10 for i in range(per_batch)]}
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CLASSES)}))
    return first


@pytest.fixture
def unchecked(monkeypatch):
    """torchvision checks the files' MD5; these are made."""
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *args: True)


def folders(root, per_class=(8, 4), side=32):
    for split, count in zip(("train", "test"), per_class, strict=True):
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(np.full((side, side, 3), 20 * label + i, np.uint8)).save(folder / f"{i}.png")


def test_official_pixels_keep_their_place_and_label(tmp_path, unchecked):
    pixels = batches(tmp_path / "cifar-10-batches-py")
    data = load_cifar10(tmp_path, validation=20)
    assert data.pixels == "official" and data.splits == {"train": 80, "val": 20, "test": 20}
    whole = torch.cat([data.train.images, data.val.images])
    wanted = torch.from_numpy(pixels[0].reshape(3, 32, 32))
    assert (whole == wanted).flatten(1).all(1).sum() == 1
    assert data.train.classes == CLASSES


def test_validation_is_stratified_apart_from_train_and_set_by_the_seed(tmp_path, unchecked):
    batches(tmp_path / "cifar10" / "cifar-10-batches-py")
    data, again, other = (load_cifar10(tmp_path, validation=20, seed=seed) for seed in (0, 0, 1))
    assert torch.bincount(data.val.labels).tolist() == [2] * 10
    assert data.digest == again.digest != other.digest
    train = {bytes(image.numpy()) for image in data.train.images}
    assert not train & {bytes(image.numpy()) for image in data.val.images}
    assert len(data.everything) == 100


def test_folders_of_images_say_so_and_are_decoded_once(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))
    folders(tmp_path / "cifar10")
    data = load_cifar10(tmp_path, validation=20)
    assert data.pixels == "folders of images (.png)" and not data.embedded
    for split in (data.train, data.val, data.test):
        assert torch.equal(split.images[:, 0, 0, 0] // 20, split.labels)
    decoded = sorted((tmp_path / "cache/decoded").iterdir())
    assert len(decoded) == 2
    monkeypatch.setattr("cnnlab.data.cifar10.load_image_folder", lambda *args, **kwargs: pytest.fail("read again"))
    assert load_cifar10(tmp_path, validation=20).digest == data.digest
    monkeypatch.undo()
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))
    decoded[0].write_bytes(b"damaged")
    Image.fromarray(np.full((32, 32, 3), 9, np.uint8)).save(tmp_path / "cifar10/test/cat/9.png")
    changed = load_cifar10(tmp_path, validation=20)
    assert len(changed.test) == 41 and changed.digest != data.digest


def test_the_folder_serves_where_the_official_pixels_cannot_be_had(tmp_path, monkeypatch, unchecked, capsys):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))
    folders(tmp_path / "small")
    with monkeypatch.context() as offline:
        offline.setattr("cnnlab.data.cifar10.CIFAR10", unreachable)
        data = load_cifar10(f"official,{tmp_path / 'small'}", validation=20)
        with pytest.raises(DataError, match="no route to host"):
            load_cifar10("official")
        with pytest.raises(DataError, match="nowhere: neither cifar-10-batches-py/"):
            load_cifar10(f"official,{tmp_path / 'nowhere'}")
    assert data.pixels == "folders of images (.png)"
    said = capsys.readouterr().out.splitlines()[0]
    assert "official pixels could not be had" in said and said.endswith(f"{tmp_path / 'small'} is read in their place.")
    batches(tmp_path / "cache/cifar10/cifar-10-batches-py")
    assert load_cifar10(f"official,{tmp_path / 'small'}", validation=20).pixels == "official"
    assert not capsys.readouterr().out
    with pytest.raises(DataError, match="names no folder behind the comma"):
        load_cifar10("official,")


def unreachable(*args, **settings):
    raise OSError("no route to host")


unreachable.base_folder = "cifar-10-batches-py"


def test_what_is_not_cifar10_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="neither cifar-10-batches-py/ .* nor train/ and test/"):
        load_cifar10(tmp_path)
    folders(tmp_path / "large", side=48)
    with pytest.raises(DataError, match=r"48x48 pixels; CIFAR-10's images have 32x32"):
        load_cifar10(tmp_path / "large")
    (tmp_path / "torn" / "cifar-10-batches-py").mkdir(parents=True)
    with pytest.raises(DataError, match="official pixels could not be had"):
        load_cifar10(tmp_path / "torn")
    folders(tmp_path / "small")
    with pytest.raises(DataError, match="validation=80 of 80 training images"):
        load_cifar10(tmp_path / "small", validation=80)


def test_the_stand_in_needs_nothing_and_parts_train_from_test():
    data = load_cifar10(quick=True)
    assert data.embedded and data.splits == {"train": 40, "val": 20, "test": 20}
    assert data.digest == load_cifar10(quick=True).digest
    assert data.train.images.shape[1:] == (3, 32, 32) and set(data.train.labels.tolist()) == set(range(10))


@pytest.mark.real_data
def test_the_image_folders_hold_sixty_thousand(data_dir):
    data = load_cifar10(data_dir)
    assert data.splits == {"train": 45_000, "val": 5_000, "test": 10_000}
    assert data.pixels == "folders of images (.jpg)"
    assert torch.bincount(data.val.labels).tolist() == [500] * 10
