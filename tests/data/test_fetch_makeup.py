"""The makeup portraits drawn from a made CelebA: who goes where, what is written, what is refused."""

import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CelebA

from cnnlab.data import fetch_makeup as module
from cnnlab.data.fetch_makeup import CHECKSUMS, FILES, draw, fetch_makeup
from cnnlab.data.fetch_miniature import PORTRAITS, make_celeba, served
from cnnlab.data.integrity import MARKER
from cnnlab.data.makeup import CLASSES, load_makeup
from cnnlab.errors import DataError

NAMES = [f"{number:06d}.jpg" for number in range(1, 401)]
ATTRIBUTES = {name: index % 2 == 0 for index, name in enumerate(NAMES)}
PARTITIONS = {name: index // 200 for index, name in enumerate(NAMES)}
COUNTS = {"train": 30, "val": 10}


def drawn(names, split):
    return {name for title in CLASSES for name in names[split][title]}


@pytest.fixture(scope="module")
def celeba(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "celeba"
    make_celeba(folder)
    return folder


def fetch(source, tmp_path, **settings):
    return fetch_makeup(str(source), tmp_path, counts=PORTRAITS, checksums={}, **settings)


# ---- who goes where --------------------------------------------------------------------------------------------------
def test_classes_and_partitions_are_celebas():
    names = draw(ATTRIBUTES, PARTITIONS, {}, COUNTS, seed=3)
    for split, count in COUNTS.items():
        for label, title in enumerate(CLASSES):
            assert len(set(names[split][title])) == count
            assert all(ATTRIBUTES[name] == bool(label) for name in names[split][title])
        assert all(PARTITIONS[name] == (split == "val") for name in drawn(names, split))


def test_a_seed_draws_the_same_and_another_seed_others():
    one = draw(ATTRIBUTES, PARTITIONS, {}, COUNTS, seed=0)
    backwards = dict(reversed(ATTRIBUTES.items()))
    assert one == draw(backwards, PARTITIONS, {}, COUNTS, seed=0)
    assert one != draw(ATTRIBUTES, PARTITIONS, {}, COUNTS, seed=1)


def test_nobody_is_in_both_splits():
    people = {name: index % 90 for index, name in enumerate(NAMES)}  # the same people in both partitions
    names = draw(ATTRIBUTES, PARTITIONS, people, COUNTS)
    assert not {people[n] for n in drawn(names, "train")} & {people[n] for n in drawn(names, "val")}


def test_too_few_portraits():
    with pytest.raises(DataError, match="100 portraits of no_heavy_makeup for train in its partition, 101 are needed"):
        draw(ATTRIBUTES, PARTITIONS, {}, {"train": 101, "val": 1})


# ---- what is written -------------------------------------------------------------------------------------------------
def test_half_size_copies(celeba, tmp_path):
    portraits = fetch(celeba, tmp_path)
    assert portraits.folder == tmp_path / "heavy_makeup_CelebA"
    assert portraits.counts == {"train": 12, "val": 6}
    for split in PORTRAITS:
        for title in CLASSES:
            paths = sorted((portraits.folder / split / title).iterdir())
            assert [p.name for p in paths] == portraits.names[split][title]
            assert {Image.open(path).size for path in paths} == {(89, 109)}
    assert len(portraits.people) == 2 and min(portraits.people.values()) > 1


def test_originals_are_copied_byte_by_byte(celeba, tmp_path):
    import zipfile

    portraits = fetch(celeba, tmp_path, half=False)
    name = portraits.names["val"]["heavy_makeup"][0]
    with zipfile.ZipFile(celeba / "img_align_celeba.zip") as archive:
        assert (portraits.folder / "val/heavy_makeup" / name).read_bytes() == archive.read(f"img_align_celeba/{name}")


def test_a_stopped_call_goes_on(celeba, tmp_path):
    first = fetch(celeba, tmp_path)
    portraits = sorted(first.folder.rglob("*.jpg"))
    before = portraits[1].stat().st_mtime_ns
    portraits[0].unlink()
    portraits[2].write_bytes(portraits[2].read_bytes()[:300])
    killed = f"{portraits[3].name}.{socket.gethostname()}.{2**22 + 1}.partial"  # no process has that number
    portraits[3].with_name(killed).write_bytes(b"half")
    portraits[3].unlink()
    again = fetch(celeba, tmp_path)
    assert again.digest == first.digest and sorted(first.folder.rglob("*.jpg")) == portraits
    assert portraits[1].stat().st_mtime_ns == before
    assert not list(first.folder.rglob("*.partial")) and not list(first.folder.rglob("*.whole"))


def test_another_drawing_and_a_folder_of_others_are_left_alone(celeba, tmp_path):
    fetch(celeba, tmp_path)
    for settings in ({"seed": 1}, {"half": False}):
        with pytest.raises(DataError, match="holds other portraits than these.*name another output"):
            fetch(celeba, tmp_path, **settings)
    (tmp_path / "own" / "heavy_makeup_CelebA" / "train").mkdir(parents=True)
    with pytest.raises(DataError, match="not made by data_fetch"):
        fetch(celeba, tmp_path / "own")


def test_a_web_address_and_an_unpacked_folder_give_the_same(celeba, tmp_path):
    digest = fetch(celeba, tmp_path / "a").digest
    with served(celeba) as url:
        assert fetch(url, tmp_path / "b", retries=0).digest == digest
    shutil.copytree(celeba, tmp_path / "c" / "celeba")
    shutil.unpack_archive(tmp_path / "c" / "celeba" / "img_align_celeba.zip", tmp_path / "c" / "celeba")
    (tmp_path / "c" / "celeba" / "img_align_celeba.zip").unlink()
    assert fetch(tmp_path / "c", tmp_path / "d").digest == digest


def test_without_identities_it_says_nothing_of_people(celeba, tmp_path):
    shutil.copytree(celeba, tmp_path / "celeba")
    (tmp_path / "celeba" / "identity_CelebA.txt").unlink()
    assert fetch(tmp_path, tmp_path / "to").people == {}


# ---- what is refused -------------------------------------------------------------------------------------------------
def test_missing_and_damaged_files_are_named(celeba, tmp_path):
    with pytest.raises(DataError, match="list_attr_celeba.txt, list_eval_partition.txt, img_align_celeba.zip missing"):
        fetch(tmp_path / "none", tmp_path / "to")
    shutil.copytree(celeba, tmp_path / "celeba")
    with pytest.raises(DataError, match="list_attr_celeba.txt: not CelebA's file .MD5"):
        fetch_makeup(str(tmp_path), tmp_path / "to", counts=PORTRAITS)
    attributes, partitions = (tmp_path / "celeba" / name for name in FILES[:2])
    whole = attributes.read_text()
    for text in ("", "2\nEyeglasses\n000001.jpg 1", whole.replace(" 1", " 7"), whole + "000099.jpg 1\n"):
        attributes.write_text(text)
        with pytest.raises(DataError, match="list_attr_celeba.txt: not CelebA's list of attributes"):
            fetch(tmp_path, tmp_path / "to")
    attributes.write_text(whole)
    partitions.write_text("000001.jpg zero")
    with pytest.raises(DataError, match="list_eval_partition.txt: not CelebA's list"):
        fetch(tmp_path, tmp_path / "to")


def test_a_portrait_of_another_size_is_named(celeba, tmp_path):
    shutil.copytree(celeba, tmp_path / "celeba")
    (tmp_path / "celeba" / "img_align_celeba.zip").unlink()
    pictures = tmp_path / "celeba" / "img_align_celeba"
    pictures.mkdir()
    for number in range(1, 41):
        Image.fromarray(np.zeros((50, 40, 3), np.uint8)).save(pictures / f"{number:06d}.jpg")
    with pytest.raises(DataError, match="40x50 pixels, expected 178x218"):
        fetch(tmp_path, tmp_path / "to")


def test_wrong_bytes_from_a_mirror_are_refused(celeba, tmp_path):
    with served(celeba) as url, pytest.raises(DataError, match="list_attr_celeba.txt: what came is not the file"):
        fetch_makeup(url, tmp_path, counts=PORTRAITS, retries=0)
    assert not (tmp_path / "celeba" / "list_attr_celeba.txt").exists()


def test_the_public_source_goes_through_torchvision(celeba, tmp_path, monkeypatch):
    asked, checked = [], []

    def google_drive(id, output, resume, **_):
        assert resume, "the part that a stopped call has brought is kept"
        asked.append(id)
        shutil.copy(celeba / Path(output).name, output)

    monkeypatch.setattr(module.gdown, "download", google_drive)
    monkeypatch.setattr(module, "_check_md5", lambda path, md5: checked.append((path.name, md5)))
    assert fetch("public", tmp_path).counts == {"train": 12, "val": 6}
    ids = {name: file_id for file_id, _, name in CelebA.file_list if name in FILES}
    assert sorted(asked) == sorted(ids.values())
    assert asked[-1] == ids["img_align_celeba.zip"]  # the largest comes last
    assert dict(checked) == CHECKSUMS and set(CHECKSUMS) == set(FILES)


def test_wrong_bytes_of_the_drive_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(module.gdown, "download", lambda output, **_: Path(output).write_bytes(b"<html>sign in</html>"))
    with pytest.raises(DataError, match="list_attr_celeba.txt of CelebA cannot be downloaded .*not CelebA's file"):
        fetch("public", tmp_path)
    assert list((tmp_path / "celeba").iterdir()) == []


def test_a_refusal_of_the_drive_says_what_to_do(tmp_path, monkeypatch):
    def google_drive(**_):
        raise RuntimeError("Too many users have viewed or downloaded this file recently.\nTry again later")

    monkeypatch.setattr(module.gdown, "download", google_drive)
    with pytest.raises(DataError) as told:
        fetch("public", tmp_path)
    said = str(told.value)
    assert "(Too many users" in said and "by hand: put list_attr_celeba.txt" in said
    assert str(tmp_path / "celeba") in said
    assert "\n" not in said


def test_the_marker_tells_what_was_drawn(celeba, tmp_path):
    fetch(celeba, tmp_path, seed=4)
    told = json.loads((tmp_path / "heavy_makeup_CelebA" / MARKER).read_text())
    assert told["seed"] == 4 and told["half"] is True and told["complete"] is True


def test_what_was_drawn_half_way_is_not_loaded_and_goes_on(celeba, tmp_path, monkeypatch):
    whole = module._halve
    left = iter(range(8))

    def stopped(*arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        whole(*arguments)

    monkeypatch.setattr(module, "_halve", stopped)
    with pytest.raises(KeyboardInterrupt):
        fetch(celeba, tmp_path)
    with pytest.raises(DataError, match="made half way; give the command that was making it again"):
        load_makeup(tmp_path, (32, 32))
    monkeypatch.setattr(module, "_halve", whole)
    fetch(celeba, tmp_path)
    assert len(load_makeup(tmp_path, (32, 32)).train) == 2 * PORTRAITS["train"]
