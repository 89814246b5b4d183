"""Faces of assignment D: the course's folders, what is wrong with them in a sentence, and the stand-in."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.facescrub import load_facescrub
from cnnlab.errors import DataError
from cnnlab.reports.identification import judge
from cnnlab.tracking import Run

COUNTS = {"training": 4, "validation": 2, "test": 2}
PEOPLE = ("ada", "bob")


@pytest.fixture
def faces(tmp_path):
    """facescrub/ with eight pictures of each of two people, among them RGBA, palette and grey PNGs."""
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for person in PEOPLE:
            folder = tmp_path / "facescrub" / split / person
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 255, (20, 18, 3), dtype=np.uint8)
                mode = ("RGB", "RGBA", "P", "L")[number]
                Image.fromarray(pixels).convert(mode).save(folder / f"{person}{number}.png")
    return tmp_path


@pytest.mark.parametrize("inside", [".", "facescrub"])
def test_the_folder_or_the_one_that_holds_it_is_read(faces, inside):
    data = load_facescrub(faces / inside, (12, 10), least=8)
    assert data.sizes == {"train": 8, "val": 4, "test": 4} and data.people == PEOPLE
    assert data.train.images.shape == (8, 3, 12, 10) and not data.embedded
    named = dict(zip(data.test.names, data.test.labels.tolist(), strict=True))
    assert named["ada/ada1.png"] == 0 and named["bob/bob0.png"] == 1
    assert (
        data.digest == load_facescrub(faces, (12, 10), least=8).digest != load_facescrub(faces, (12, 9), least=8).digest
    )


def test_the_digest_knows_the_test_split(faces):
    before = load_facescrub(faces, (12, 10), least=7).digest
    (faces / "facescrub/test/ada/ada0.png").unlink()
    Image.new("RGB", (9, 9), "red").save(faces / "facescrub/test/ada/ada7.png")
    assert load_facescrub(faces, (12, 10), least=7).digest != before


def test_test_faces_that_training_has_in_another_file_are_named(faces):
    """The same photograph smaller and more compressed, which no comparison of bytes would find."""
    rng = np.random.default_rng(1)
    smooth = Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)).resize((80, 80), Image.Resampling.BICUBIC)
    smooth.save(faces / "facescrub/training/bob/bob0.png")
    (faces / "facescrub/test/bob/bob1.png").unlink()
    smooth.resize((64, 64)).save(faces / "facescrub/test/bob/bob1.jpg", quality=70)
    data = load_facescrub(faces, (12, 10), least=8)
    assert [data.test.names[i] for i in data.repeats] == ["bob/bob1.jpg"]
    assert data.sizes == {"train": 8, "val": 4, "test": 4, "test_unrepeated": 3}
    assert "1 test face looks the same as one of training or validation" in data.notes[-1]
    unjudged = load_facescrub(faces, (12, 10), least=8, find_repeats=False)
    assert not unjudged.repeats and unjudged.digest == data.digest and unjudged.notes == data.notes[:-1]

    shares = np.eye(2)[data.test.labels.numpy()]
    shares[data.repeats[0]] = shares[data.repeats[0]][::-1]  # only the repeated face is missed
    found = judge(Run.inactive(), data, data.test, [shares], 0)
    assert found == {"test_accuracy": [0.75], "test_unrepeated_accuracy": [1.0]}


def test_splits_may_be_called_train_and_val(faces):
    root = faces / "facescrub"
    (root / "training").rename(root / "train")
    (root / "validation").rename(root / "val")
    assert load_facescrub(root, (8, 8), least=8).sizes == {"train": 8, "val": 4, "test": 4}


def test_transparent_and_palette_pictures_keep_their_colours(faces):
    clear = Image.new("RGBA", (20, 18), (200, 10, 10, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 20, 9))
    clear.save(faces / "facescrub/training/ada/ada0.png")
    Image.new("RGB", (20, 18), (10, 200, 10)).convert("P", palette=Image.Palette.ADAPTIVE).save(
        faces / "facescrub/training/ada/ada1.png"
    )
    data = load_facescrub(faces, (18, 20), least=8)
    assert data.train.images[0, :, 0, 0].tolist() == [255] * 3, "what is transparent is white, as on a page"
    assert data.train.images[0, :, -1, 0].tolist() == [200, 10, 10]
    assert (data.train.images[1].float().mean((1, 2)) - data.train.images.new_tensor([10, 200, 10])).abs().max() < 8


def test_few_pictures_of_a_person_are_one_sentence(faces):
    with pytest.raises(
        DataError, match=r"only 8 pictures of ada \(4 in train, 2 in val, 2 in test\), but 70 are wanted.*-P least=7\."
    ):
        (faces / "facescrub/training/bob/bob3.png").unlink()
        load_facescrub(faces)
    assert load_facescrub(faces, least=7).sizes["train"] == 7, "what the sentence says is enough"
    (faces / "facescrub/training/ada/ada3.png").unlink()
    notes = load_facescrub(faces, least=7).notes
    assert notes[0] == "3 training pictures of ada instead of 70." and len(notes) == 2


def test_a_missing_split_person_or_a_stranger_is_one_sentence(faces):
    root = faces / "facescrub"
    with pytest.raises(DataError, match="no folder training/ with faces; name the folder facescrub"):
        load_facescrub(root / "training")
    (root / "test/bob").rename(root / "test/eve")
    with pytest.raises(DataError, match=r"test: no folder bob/"):
        load_facescrub(root, least=8)
    (root / "test/eve").rename(root / "test/bob")
    (root / "training/ada").rename(faces / "away")
    (root / "training/carl").mkdir()
    for number in range(2):
        Image.new("RGB", (9, 9), (number, 0, 0)).save(root / f"training/carl/{number}.png")
    with pytest.raises(DataError, match="no folder carl/|ada has no folder in training/"):
        load_facescrub(root, least=2)


def test_a_picture_in_two_splits_is_refused(faces):
    copy = faces / "facescrub/test/bob/copy.png"
    copy.write_bytes((faces / "facescrub/training/bob/bob2.png").read_bytes())
    with pytest.raises(DataError, match="bob/bob2.png of train and bob/copy.png of test are the same picture"):
        load_facescrub(faces, least=8)


def test_the_stand_in_has_six_people_and_no_picture_twice():
    data = load_facescrub(size=(16, 16))
    assert data.embedded and len(data.people) == 6 and data.sizes == {"train": 36, "val": 12, "test": 12}
    names = [*data.train.names, *data.val.names, *data.test.names]
    assert len(set(names)) == 60
    assert data.digest == load_facescrub(size=(16, 16)).digest != load_facescrub(size=(16, 16), seed=1).digest
    assert load_facescrub(size=(16, 16), quick=True).sizes == {"train": 18, "val": 6, "test": 6}


@pytest.mark.real_data
def test_the_real_faces(data_dir):
    data = load_facescrub(data_dir)
    assert data.people == ("baldwin", "bracco", "carell", "gilpin", "hader", "harmon")
    assert data.sizes == {"train": 419, "val": 119, "test": 120, "test_unrepeated": 114}
    assert data.notes[0] == "69 training pictures of bracco instead of 70."
    assert data.notes[1].startswith("6 test faces look the same as one of training or") and len(data.notes) == 2
