"""The street-scene experiments: label PNGs of a user's folder, reports from stored runs, held-out sequences."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data.augment import Augmentation
from cnnlab.data.camvid import SCENE_CLASSES, load_camvid, three_classes
from cnnlab.errors import ConfigError, DataError
from cnnlab.experiment import execute
from cnnlab.models import build_model
from cnnlab.models.saved import load_model, save_model
from cnnlab.reports.scenes import SceneConfig, run_scenes
from cnnlab.tracking import Run, open_store


# ---- camvid_predict --------------------------------------------------------------------------------------------------
@pytest.fixture
def untrained(store):
    torch.manual_seed(0)
    model = build_model("fcn8s", num_classes=11)
    torch.nn.init.normal_(model.head["score8"].weight)
    meta = {"task": "segmentation", "classes": list(SCENE_CLASSES), "size": [96, 128], "tta": True, "tta_scales": [1.0]}
    save_model(store / "untrained.pt", model, meta, half=True)
    return str(store / "untrained.pt")


@pytest.fixture
def camvid_predict(load_program):
    return load_program("experiments/camvid/predict")


def predict(camvid_predict, **settings):
    config = camvid_predict.Config(**settings)
    return execute(camvid_predict.run, config, entry_point="camvid_predict", question="Q2", doc="doc")


def picture(path, mode="RGB", size=(96, 80)):
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def test_every_image_gets_a_label_png_of_its_own_size_and_name(store, camvid_predict, untrained, capsys):
    (store / "images").mkdir()
    sizes = {"a.jpg": (96, 80), "b.c.png": (33, 61), "grey.png": (40, 30), "clear.png": (48, 48)}
    for (name, size), mode in zip(sizes.items(), ("RGB", "RGB", "L", "RGBA"), strict=True):
        picture(store / "images" / name, mode, size)
    (store / "images" / "broken.png").write_bytes(b"no image")
    outcome = predict(camvid_predict, images=str(store / "images"), output=str(store / "deep/labels"), model=untrained)
    assert (outcome.metrics["images"], outcome.metrics["unreadable"]) == (4.0, 1.0)
    assert "broken.png" in capsys.readouterr().out
    written = {path.name: path for path in (store / "deep" / "labels").iterdir()}
    assert written.keys() == {"a.png", "b.c.png", "grey.png", "clear.png"}
    for name, size in sizes.items():
        with Image.open(written[name.rpartition(".")[0] + ".png"]) as labels:
            assert (labels.mode, labels.size) == ("L", size)
            assert np.asarray(labels).max() <= 10
    assert sum(v for k, v in outcome.metrics.items() if k.startswith("share_")) == pytest.approx(1)


def test_labels_are_those_of_the_network_at_the_images_own_size(store, camvid_predict, untrained):
    model, _ = load_model(untrained)
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    labels = camvid_predict.predict_labels(model, image, camvid_predict.SINGLE_VIEW, resolution=128)
    assert labels.dtype == np.uint8 and labels.shape == (96, 128) and len(np.unique(labels)) > 1
    seen = camvid_predict.segment(model, torch.from_numpy(image).permute(2, 0, 1)[None]).argmax(1)[0]
    np.testing.assert_array_equal(labels, seen.numpy())
    assert camvid_predict.predict_labels(model, image, camvid_predict.SINGLE_VIEW, 64).shape == (96, 128)


BAD_INPUT = [
    ({"images": "nowhere"}, "nowhere: there is no such folder"),
    ({"images": "images", "model": "unheard-of"}, "neither `released`"),
    ({"images": "images", "output": "a.txt"}, "output=a.txt is a file"),
    ({"images": "images", "output": "images"}, "is the folder of the images"),
    ({"images": "images", "output": "a.txt/deep"}, "cannot be made"),
    ({"images": "twins"}, "would both give a.png"),
    ({"images": "broken"}, "No image in broken can be read"),
    ({"images": "images", "resolution": -1}, "resolution=-1"),
    ({"images": "images", "model": "classifier.pt"}, "no segmentation network"),
]


def test_bad_input_ends_with_one_sentence(store, camvid_predict, untrained):
    for folder in ("images", "twins", "broken"):
        (store / folder).mkdir()
    picture(store / "images/a.png")
    picture(store / "twins/a.png")
    picture(store / "twins/a.jpg")
    (store / "broken/a.png").write_bytes(b"")
    (store / "a.txt").write_text("")
    save_model(store / "classifier.pt", build_model("face_fcn"), {"classes": ["a", "b"], "size": [48, 48]})
    for settings, message in BAD_INPUT:
        with pytest.raises((ConfigError, DataError), match=message):
            predict(camvid_predict, **{"model": untrained, **settings})
    assert [path.name for path in (store / "images").iterdir()] == ["a.png"]


# ---- camvid_fcn8s and its kin, camvid_report -------------------------------------------------------------------------
@pytest.fixture
def no_mlflow_model(monkeypatch):
    """Storing an MLflow model takes seconds and is tested elsewhere."""
    monkeypatch.setattr(Run, "log_model", lambda *_, **__: None)


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr(Run, "log_figure", lambda *_: None)


def tiny(decoder, **settings):
    config = SceneConfig(decoder=decoder, quick=True, **settings).shrunk()
    return replace(config, quick=False, training=replace(config.training, epochs=1))


def test_a_run_of_two_seeds_stores_what_the_report_needs(store, load_program, no_mlflow_model):
    def run(config, run):
        return run_scenes(config, run, load_camvid("embedded", quick=True))

    for decoder in ("fcn8s", "fcn32s"):
        config = tiny(decoder, seed=4, seeds=2)
        outcome = execute(run, config, entry_point=f"camvid_{decoder}", question="Q2-1", doc="doc")
    assert {"val_miou", "val_pixel_accuracy", "val_miou_plain", "val_iou_road"} <= outcome.metrics.keys()
    assert outcome.seeds == [4, 5] and len(outcome.metrics["val_miou"]) == 2
    assert "there are no test frames" in outcome.summary and "test_miou" not in outcome.metrics
    client = open_store()
    (stored,) = client.search_runs(["1"], "tags.entry_point = 'camvid_fcn8s'")
    names = {a.path for a in client.list_artifacts(stored.info.run_id)}
    assert {"model.pt", "segmentation.json", "figures.md"} <= names
    figures = {a.path for a in client.list_artifacts(stored.info.run_id, "figures")}
    for name in ("predictions_val", "confusion_val", "trimap_val", "iou_val", "curves", "predictions_val_seed_5"):
        assert f"figures/{name}.png" in figures
    assert stored.data.tags["weights.source"] == "random" and "val/miou" in stored.data.metrics
    numbers = json.loads((store / client.download_artifacts(stored.info.run_id, "segmentation.json")).read_text())
    assert [one["seed"] for one in numbers["seeds"]] == [4, 5]
    report = load_program("experiments/camvid/report")
    outcome = execute(report.run, report.Config(), entry_point="camvid_report", question="Q2-2", doc="doc")
    assert len(outcome.metrics["val_miou_fcn32s"]) == 2 and outcome.seeds == [4, 5]
    assert "camvid_fcn16s, camvid_three_classes" in outcome.summary
    (told,) = client.search_runs(["1"], "tags.entry_point = 'camvid_report'")
    text = open(client.download_artifacts(told.info.run_id, "report.md")).read()
    assert "## Q2-2" in text and "## Q2-4" not in text


def test_the_report_without_runs_names_the_commands(store, load_program):
    report = load_program("experiments/camvid/report")
    with pytest.raises(ConfigError, match="start camvid_fcn8s, camvid_fcn16s"):
        execute(report.run, report.Config(), entry_point="camvid_report", question="Q2-2", doc="doc")


def test_three_classes_are_judged_with_and_without_void(store, no_mlflow_model, no_figures):
    def run(config, run):
        data = load_camvid("embedded", quick=True, classes=3)
        masks = load_camvid("embedded", quick=True).val
        masks.masks[:, :10] = 255
        data.val.masks[:, :10] = 1
        return run_scenes(config, run, data, three_classes(masks, ignore_void=True))

    outcome = execute(run, tiny("fcn8s"), entry_point="camvid_three_classes", question="Q2-3", doc="doc")
    assert {"val_iou_sky", "val_iou_surroundings", "val_iou_traffic"} <= outcome.metrics.keys()
    assert outcome.metrics["val_miou_void_left_out"] != outcome.metrics["val_miou"]


def test_test_frames_are_judged_where_they_are_there(store, no_mlflow_model, no_figures):
    data = load_camvid("embedded", quick=True)
    data = replace(data, test=replace(data.val, split="test"))
    outcome = execute(
        lambda config, run: run_scenes(config, run, data), tiny("fcn32s"), entry_point="camvid_fcn32s",
        question="Q2-1", doc="doc",
    )  # fmt: skip
    assert outcome.metrics["test_miou"] == outcome.metrics["val_miou"] and "; test: mIoU" in outcome.summary


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="judge_every=1"):
        SceneConfig(training=replace(SceneConfig().training, monitor="val/miou"))
    with pytest.raises(ConfigError, match="seeds must be at least 1"):
        SceneConfig(seeds=0)


# ---- camvid_improve --------------------------------------------------------------------------------------------------
def test_the_last_fifth_of_every_sequence_is_held_out(load_program):
    study = load_program("studies/camvid_improve")
    scenes = load_camvid("embedded", quick=True).train
    names = [f"train/{s}_{i:03d}.png" for s in ("0001TP", "0016E5") for i in range(6)]
    kept, held = study.hold_out(replace(scenes, names=names[::-1]), 0.34)
    assert held.names == [n for n in names if n[-7:-4] in ("004", "005")]
    assert sorted(kept.names + held.names) == names
    kept, held = study.hold_out(scenes, 0.25)  # names that tell no sequences apart
    assert (len(kept), len(held)) == (9, 3)


def test_the_recipe_and_its_changes_lie_in_the_search_space(load_program):
    study = load_program("studies/camvid_improve")
    for params in study.FIRST.values():
        assert params.keys() == study.SPACE.keys()
        assert all(study.SPACE[name]._contains(study.SPACE[name].to_internal_repr(v)) for name, v in params.items())
    settings = study.settings_of(study.RECIPE, study.Config(), epochs=SceneConfig().training.epochs)
    assert settings == SceneConfig(resume=True)


def test_augmentation_that_moves_pixels_away_from_their_labels_is_refused():
    for moving in ({"flip": 0.5}, {"shift": 2}, {"crop_scale": (0.5, 1.0)}, {"multi_scale": 0.2}, {"zoom": 0.3}):
        with pytest.raises(ConfigError, match="crops.flip, crops.scales"):
            SceneConfig(augmentation=Augmentation(**moving))
