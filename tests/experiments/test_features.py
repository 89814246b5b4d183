"""features_explore on folders whose answer is known: colours tell the classes, and every use finds it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.errors import ConfigError, DataError
from cnnlab.evaluation.linear import cross_validated, fit_linear_svm
from cnnlab.models import build_model
from cnnlab.models.kernel_machine import committee_of
from cnnlab.models.saved import save_model
from cnnlab.tracking import Run


@pytest.fixture
def explore(load_program):
    return load_program("experiments/transfer/features")


def colours(folder: Path, count: int) -> None:
    rng = np.random.default_rng(count)
    for name, colour in (("blue", (30, 40, 220)), ("red", (220, 40, 30))):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.clip(np.array(colour) + rng.normal(0, 15, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def settings(explore, **own):
    return explore.Config(backbone="squeezenet1_1", weights="random", size=64, projection="pca", **own)


def test_splits_are_kept_apart(explore, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    colours(tmp_path / "paint/train", 8)
    colours(tmp_path / "paint/val", 5)
    torch.manual_seed(0)
    outcome = explore.run(settings(explore, data="paint"), Run.inactive())
    assert outcome.metrics["val_svm_accuracy"] == outcome.metrics["val_precision_at_1"] == 1.0
    assert outcome.metrics["val_precision_by_chance"] == pytest.approx(0.5)
    assert outcome.metrics["val_adjusted_rand"] == pytest.approx(1.0)
    assert "10 right on val" in outcome.summary and "random weights" in outcome.note


def test_one_split_is_judged_by_cross_validation(explore, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    colours(tmp_path / "paint", 6)
    outcome = explore.run(settings(explore, data="paint"), Run.inactive())
    assert outcome.metrics["train_svm_cv_accuracy"] == 1.0
    assert outcome.metrics["train_precision_by_chance"] == pytest.approx(5 / 11), "a query cannot find itself"


def test_a_heap_of_pictures_is_searched_and_clustered(explore, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    colours(tmp_path / "paint", 6)
    heap = tmp_path / "heap"
    heap.mkdir()
    for path in (tmp_path / "paint").rglob("*.png"):
        path.rename(heap / f"{path.parent.name}_{path.name}")
    kept = {}
    run = Run.inactive()
    monkeypatch.setattr(run, "log_figure", lambda name, figure: kept.update({name: figure}))
    outcome = explore.run(settings(explore, data="heap", clusters=2), run)
    assert set(outcome.metrics) == {"all_nearest_similarity"} and outcome.metrics["all_nearest_similarity"] > 0.9
    assert "2 clusters" in outcome.summary and "no classes" in outcome.summary
    titles = [axes.get_title() for axes in kept["retrieval"].axes]
    assert sum("blue_" in title for title in titles) == sum("red_" in title for title in titles) > 0
    for path in sorted(heap.iterdir())[2:]:
        path.unlink()
    with pytest.raises(DataError, match="2 pictures only"):
        explore.run(settings(explore, data="heap"), Run.inactive())


def test_a_committee_embeds_by_its_network(explore, tmp_path):
    network, machine = build_model("squeezenet1_1", 2), build_model("backbone_machine", 2, size=(64, 64), grid=(2, 2))
    save_model(tmp_path / "both.pt", committee_of([network, machine]), {})
    model, _ = explore.load_backbone(settings(explore, model=str(tmp_path / "both.pt")), Run.inactive())
    assert model.architecture[0] == "squeezenet1_1"


def test_a_network_without_features_is_refused(explore, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    colours(tmp_path / "paint", 3)
    save_model(tmp_path / "face.pt", build_model("face_fcn"), {"classes": ["a", "b"], "size": [48, 48]})
    with pytest.raises(ConfigError, match="face_fcn has no features"):
        explore.run(settings(explore, data="paint", model="face.pt"), Run.inactive())


def test_a_linear_svm_separates_and_does_not_invent():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    noise = rng.normal(size=(60, 20))
    told = noise + 6 * np.eye(3, 20)[labels]
    assert (fit_linear_svm(told, labels).predict(told) == labels).all()
    assert cross_validated(told, labels)[0].mean() > 0.95
    assert cross_validated(noise, labels)[0].mean() < 0.6
    with pytest.raises(DataError, match="fewer than three"):
        cross_validated(told[:4], labels[:4])
    with pytest.raises(DataError, match="two classes"):
        fit_linear_svm(told, np.zeros(60, int))


@pytest.mark.parametrize(("own", "sentence"), [({"size": 8}, "size must be"), ({"per_class": 1}, "per_class must be")])
def test_settings_out_of_range(explore, own, sentence):
    with pytest.raises(ConfigError, match=sentence):
        explore.Config(**own)
