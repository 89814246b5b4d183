"""face_detect on a user's folder: every readable image is searched, every other is named, nothing earlier is lost."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.detection.detector import FaceDetector
from cnnlab.errors import ConfigError, DataError
from cnnlab.experiment import execute
from cnnlab.models import build_model


@pytest.fixture
def detect(load_program):
    return load_program("experiments/face/detect")


@pytest.fixture
def untrained(store):
    """A detector that knows nothing, so that it finds something everywhere."""
    torch.manual_seed(0)
    FaceDetector(build_model("face_net"), threshold=0.001).save(store / "untrained.pt")
    return str(store / "untrained.pt")


def run(detect, **settings):
    config = detect.Config(**settings)
    return execute(detect.run, config, entry_point="face_detect", question="A2", doc="doc")


def picture(path, mode="RGB", size=(96, 80)):
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    (image.convert("L").convert(mode) if mode == "I;16" else image.convert(mode)).save(path)


def test_every_kind_of_image_is_searched_and_broken_ones_are_named(store, detect, untrained, capsys):
    folder = store / "images"
    (folder / "deep").mkdir(parents=True)
    for name, mode in (("a.jpg", "RGB"), ("b.jpg", "CMYK"), ("c.png", "P"), ("d.png", "RGBA"), ("e.png", "L")):
        picture(folder / name, mode)
    picture(folder / "small.png", size=(30, 20))
    Image.fromarray(np.full((60, 60), 40_000, np.uint16)).save(folder / "sixteen.png")
    whole = (folder / "a.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    outcome = run(detect, images=str(folder), output=str(store / "faces.csv"), model=untrained)
    assert (outcome.metrics["images"], outcome.metrics["unreadable"]) == (7.0, 2.0)
    said = capsys.readouterr().out
    assert "cut.jpg" in said and "empty.jpg" in said
    with open(store / "faces.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "x1", "y1", "x2", "y2", "score"]
    assert {"a.jpg", "b.jpg", "c.png"} <= {row["image"] for row in rows}
    for row in rows:
        assert float(row["x1"]) < float(row["x2"]) and float(row["y1"]) < float(row["y2"])
        assert 0.001 <= float(row["score"]) <= 1


def test_a_folder_of_broken_images_leaves_the_earlier_file(store, detect, untrained):
    (store / "images").mkdir()
    (store / "images" / "empty.jpg").write_bytes(b"")
    (store / "faces.csv").write_text("earlier")
    with pytest.raises(DataError, match="None of the 1 images .*empty.jpg"):
        run(detect, images=str(store / "images"), output=str(store / "faces.csv"), model=untrained)
    assert (store / "faces.csv").read_text() == "earlier"


@pytest.mark.parametrize("threshold", [-0.1, 1.5])
def test_a_threshold_that_is_no_probability_is_refused(detect, threshold):
    with pytest.raises(ConfigError, match="not a probability"):
        detect.Config(threshold=threshold)


def test_a_missing_folder_and_a_missing_model_are_named(store, detect, untrained):
    with pytest.raises(DataError, match="nowhere"):
        run(detect, images=str(store / "nowhere"), model=untrained)
    (store / "images").mkdir()
    picture(store / "images" / "a.png")
    with pytest.raises(DataError, match="no/such"):
        run(detect, images=str(store / "images"), output="no/such/faces.csv", model=untrained)
    with pytest.raises(ConfigError, match="model=champion-of-nothing"):
        run(detect, images=str(store / "images"), model="champion-of-nothing")


def test_networks_that_no_window_slides_with_are_refused_before_they_are_trained(load_program):
    train = load_program("experiments/face/train")
    with pytest.raises(ConfigError, match="model=resnet18 does not slide over whole images; take face_fcn or face_net"):
        train.Config(model="resnet18")
    assert not train.build("face_net").boxes, "patches do not teach where in them a face lies"
    data = load_program("experiments/face/data")
    with pytest.raises(ConfigError, match="name the photographs to cut by photos="):
        data.Config(data="photographs")


def test_what_is_searched_without_photographs_has_no_boxes_to_learn(load_program):
    study = load_program("studies/face_improve")
    space, first = study.of_patches()
    assert "face_net_boxes" not in space["network"].choices and len(space["network"].choices) == 2
    assert study.PLAIN in first.values() and len(first) == 5
    assert all(params["network"] in space["network"].choices for params in first.values())


def test_the_released_detector_finds_two_portraits(store, detect):
    """The pictures that packages carry: one face each, found at the detector's own threshold, and nothing else."""
    from cnnlab.data.faces import load_face_data

    folder = store / "images"
    folder.mkdir()
    portraits = [p for p in load_face_data("embedded", quick=True).full_images if len(p.boxes) == 1][:2]
    for number, photo in enumerate(portraits):
        Image.fromarray(photo.image).save(folder / f"{number}.png")
    run(detect, images=str(folder), output="faces.csv")
    with open("faces.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["0.png", "1.png"]
    for row, photo in zip(rows, portraits, strict=True):
        x, y = (float(row["x1"]) + float(row["x2"])) / 2, (float(row["y1"]) + float(row["y2"])) / 2
        x1, y1, x2, y2 = photo.boxes[0]
        assert x1 < x < x2 and y1 < y < y2
