"""The perceptron on faces: what a run stores and says, and what its units look for."""

import csv
import io
from dataclasses import replace

import mlflow
import numpy as np
import pytest
import torch

from cnnlab.data.augment import Augmentation
from cnnlab.data.facescrub import load_facescrub
from cnnlab.errors import ConfigError
from cnnlab.experiment import execute
from cnnlab.explain.units import Unit, telling_units
from cnnlab.models import build_model
from cnnlab.plots.units import unit_grids, unit_sheet
from cnnlab.reports.hidden_units import Trained, describe_unit, weights_report
from cnnlab.reports.identification import note_of
from cnnlab.reports.perceptron import describe_system
from cnnlab.tracking import Run
from cnnlab.training import Training


@pytest.fixture
def perceptron(load_program):
    return load_program("experiments/facescrub/mlp")


@pytest.fixture
def weights(load_program, perceptron):
    return load_program("experiments/facescrub/weights")


def test_a_run_has_three_curves_the_systems_text_and_every_answer(perceptron, store, monkeypatch):
    monkeypatch.setattr(perceptron, "log_classifier", lambda *_, **__: None)
    config = replace(perceptron.Config(scaling="local").shrunk(), seeds=2, hidden=20)
    outcome = execute(perceptron.run, config, entry_point="facescrub_mlp", question="D 2.1", doc="doc")
    assert outcome.seeds == [0, 1] and len(outcome.metrics["test_accuracy"]) == 2
    run = mlflow.search_runs(search_all_experiments=True, output_format="list")[0]
    kept = {"train/loss", "val/loss", "test/loss", "test/accuracy", "train_unchanged/accuracy", "seed_1/test/loss"}
    assert kept <= set(run.data.metrics)
    client = mlflow.MlflowClient()
    figures = {a.path.split("/")[1] for a in client.list_artifacts(run.info.run_id, "figures")}
    assert {"curves.png", "curves_seed_1.png", "confusion_test.png", "augmentation.png"} <= figures
    text = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/system.md")
    assert "2352 → 20 → 6" in text and "3 epochs" in text
    answers = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/predictions_test.csv")
    rows = list(csv.DictReader(io.StringIO(answers)))
    right = [np.mean([row["true"] == row[f"seed_{seed}"] for row in rows]) for seed in (0, 1)]
    assert right == pytest.approx(outcome.metrics["test_accuracy"]), "which faces were right can be read off"
    assert not list((store / "mlruns/checkpoints").rglob("*.pt"))


def test_no_split_chooses_the_epoch(perceptron):
    assert perceptron.Config().training.monitor == "last" and perceptron.Config().hidden == 300
    for wrong in ({"seeds": 0}, {"dropout": 1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            perceptron.Config(**wrong)


def test_the_systems_text_follows_the_network_and_the_settings():
    data = load_facescrub(size=(28, 28), quick=True)
    model = build_model("mlp", 6, hidden=(11,), activation="tanh", init="glorot", scaling="range", dropout=0.3)
    training = Training(epochs=7, optimizer="sgd", lr=0.02, monitor="val/loss")
    text = describe_system(model, training, Augmentation(flip=0.5), data, mirror=False)
    for words in (
        "2352 → 11 → 6", "Tanh", "Glorot and Bengio", "range from -1 to 1", "flip 0.5", "sgd", "0.02", "7 epochs",
        "best epoch by val/loss", "0.3 of the hidden units", "3 of s",
    ):  # fmt: skip
        assert words in text, words
    assert "mirror" not in text


def test_weights_runs_and_names_the_units(weights, store):
    config = replace(weights.Config(quick=True).shrunk(), sizes=(20,))
    outcome = execute(weights.run, config, entry_point="facescrub_weights", question="D 2.3", doc="doc")
    assert {"val_accuracy_20", "val_accuracy_20_l2", "smoothness_20", "smoothness_20_l2"} == set(outcome.metrics)
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    parent = next(run for run in runs if run.data.tags.get("entry_point") == "facescrub_weights")
    text = mlflow.artifacts.load_text(f"runs:/{parent.info.run_id}/report.md")
    assert text.count("speaks for") == 4 and "Rule." in text
    assert "with scaling=local, epochs=3, optimizer=adam," in " ".join(text.split())
    assert not list((store / "mlruns/checkpoints").rglob("*.pt"))
    assert "test_accuracy" not in text and not any("test" in name for name in outcome.metrics)


def test_a_stopped_comparison_takes_over_the_networks_that_are_trained(weights, store, monkeypatch):
    trained = []
    usual = weights.train_once

    def counted(config, *rest):
        trained.append((config.training.weight_decay, list((store / "mlruns/checkpoints").rglob("*.pt"))))
        if len(trained) == 2:
            raise KeyboardInterrupt
        return usual(config, *rest)

    monkeypatch.setattr(weights, "train_once", counted)
    config = replace(weights.Config(quick=True).shrunk(), sizes=(8,), resume=True)
    with pytest.raises(KeyboardInterrupt):
        weights.run(config, Run.inactive())
    assert len(trained[1][1]) == 1, "the first network's checkpoint is there as long as the second one is trained"
    assert "smoothness_8_l2" in weights.run(config, Run.inactive()).metrics
    assert trained[2][1] == trained[1][1] and not list((store / "mlruns/checkpoints").rglob("*.pt"))


def test_what_the_data_lack_goes_into_the_record(perceptron, monkeypatch, store):
    data = replace(load_facescrub(size=(28, 28), quick=True), notes=("6 test faces are repeated.",))
    asked = []
    monkeypatch.setattr(perceptron, "load_facescrub", lambda *given: asked.append(given) or data)
    monkeypatch.setattr(perceptron, "log_classifier", lambda *_, **__: None)
    config = replace(perceptron.Config(least=44).shrunk(), hidden=4)
    assert perceptron.run(config, Run.inactive()).note == "6 test faces are repeated."
    assert asked == [("embedded", (28, 28), False, 0, 44)]
    assert note_of(data, "The weights are new.", "") == "The weights are new. 6 test faces are repeated."
    with pytest.raises(ConfigError, match="least must be at least 1, not 0"):
        perceptron.Config(least=0)


def test_unfit_sizes_and_penalties_are_refused(weights):
    with pytest.raises(ConfigError, match="l2 must be above 0"):
        weights.Config(l2=0.0)
    with pytest.raises(ConfigError, match="sizes must be hidden units"):
        weights.Config(sizes=(1,))


def test_a_unit_in_words_says_whom_and_where():
    picture = np.zeros((3, 9, 9), np.float32)
    picture[:, :3, :3], picture[:, 6:, 3:6] = 1, -1
    unit = Unit(7, 3.2, picture, np.array([0.5, -0.6, 0.1]), np.array([0.1, 2.0, 0.0]), (0, 1))
    text = describe_unit(unit, ("ann", "bea", "cy"))
    assert "speaks for ann (+0.50) and cy (+0.10) and against bea (-0.60)" in text
    assert "wants the top left light and the bottom centre dark" in text
    assert "faces of bea excite it most on average, though" in text


def test_the_effect_of_l2_is_said_from_the_figures():
    data = load_facescrub(quick=True)
    model = build_model("mlp", 6, hidden=(4,))
    unit = telling_units(model, data.val)
    plain = Trained("4 units, no L2", 4, 0.0, model, [0.5, 0.7], [0.1, 0.1], unit)
    with_l2 = Trained("4 units, L2 0.1", 4, 0.1, model, [0.8, 0.8], [0.6, 0.6], unit)
    report = weights_report([plain, with_l2], data)
    assert "L2 smooths the pictures: neighbouring weights correlate 0.60 instead of 0.10" in report.sentence
    assert "80.0% instead of 60.0%" in report.sentence
    assert "hardly changes" in weights_report([plain, replace(with_l2, smoothness=[0.11])], data).sentence
    sheet = unit_sheet(unit, data.val.images.numpy(), data.people)
    assert len(sheet.axes) == len(unit) * (3 + len(unit[0].exciting))
    assert len(unit_grids({"a": torch.randn(5, 3, 6, 6).numpy(), "b": torch.randn(7, 1, 6, 6).numpy()}).axes) == 2
