"""AlexNet's three trainings: settings of each mode, what a run stores, and the report that trains the five itself."""

import csv
import io
import json
from dataclasses import replace

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data.makeup import CLASSES, load_makeup
from cnnlab.errors import ConfigError, DataError
from cnnlab.experiment import execute, parse
from cnnlab.models.pretrained import WeightsReport
from cnnlab.reports.makeup import read_predictions
from cnnlab.tracking import Run
from cnnlab.training import fit


@pytest.fixture
def alexnet(load_program):
    return load_program("experiments/makeup/alexnet")


@pytest.fixture
def report(load_program, alexnet):
    return load_program("experiments/makeup/report")


def test_each_mode_has_training_defaults_of_its_own(alexnet):
    features = parse(alexnet.chosen(["--mode", "features"]), "doc", ["--mode", "features", "--training.epochs", "3"])
    assert (features.mode, features.training.trained_groups, features.training.epochs) == ("features", 1, 3)
    finetune = parse(alexnet.chosen(["--mode=finetune"]), "doc", ["--augmentation=heavy"])
    assert finetune.augmentation == "heavy" and {1.0, 0.1, 0.01} == set(finetune.training.lr_factors)
    assert alexnet.chosen(["--mode", "scratch"])().training.lr_factors == ()
    for mode in alexnet.MODES.values():
        assert mode().training.monitor == "last", "the validation portraits choose nothing"


def test_unfit_settings_are_refused_in_a_sentence(alexnet, capsys):
    with pytest.raises(ConfigError, match="makeup_features wants pretrained weights; makeup_scratch begins"):
        alexnet.Features(weights="random")
    with pytest.raises(ConfigError, match="size must be at least 63"):
        alexnet.Scratch(size=32)
    with pytest.raises(ConfigError, match="seeds must be at least 1"):
        alexnet.Scratch(seeds=0)
    with pytest.raises(SystemExit):
        parse(alexnet.chosen(["--mode", "frozen"]), "doc", ["--mode", "frozen"])
    assert "frozen" in "".join(capsys.readouterr())


def test_a_strategy_of_ones_own_is_trained_with_and_shown(alexnet, store):
    words = ["--augmentation", "custom", "--custom.flip", "0.5", "--custom.multi_scale", "0.2", "--quick", "true"]
    config = parse(alexnet.Finetune, "doc", words)
    assert config.strategy.flip == 0.5 and config.strategy.multi_scale == 0.2
    outcome = execute(alexnet.run, config, entry_point="makeup_finetune", question="Q1", doc="doc")
    assert outcome.variant == "custom"
    for wrong in ({"augmentation": "custom"}, {"custom": config.custom}):
        with pytest.raises(ConfigError, match=r"augmentation=custom and the settings custom\.\*"):
            alexnet.Finetune(**wrong)


def test_predictions_are_written_as_the_report_reads_them(alexnet):
    data = load_makeup(size=(16, 16), quick=True)
    probabilities = np.random.default_rng(0).random((2, len(data.val)))
    text = alexnet.predictions_csv(data.val, probabilities, first_seed=5)
    assert next(csv.reader(io.StringIO(text))) == ["portrait", "true", "seed_5", "seed_6"]
    names, labels, read = read_predictions(text)
    assert names == data.val.names and labels.tolist() == data.val.labels.tolist()
    assert np.allclose(read, probabilities, atol=1e-6)


def test_a_run_with_incomplete_weights_says_so_everywhere(alexnet, store, monkeypatch):
    """One seed per mode on grey and transparent portraits; the pretrained part is feigned."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in CLASSES:
            folder = store / "portraits" / split / name
            folder.mkdir(parents=True)
            for number, mode in enumerate(("RGB", "L", "RGBA")):
                pixels = rng.integers(0, 255, (109, 89, 3), np.uint8)
                Image.fromarray(pixels).convert(mode).save(folder / f"{number}.png")
    real = alexnet.pretrained_model

    def feigned(name, num_classes, weights="auto", **settings):
        model, _ = real(name, num_classes, "random", **settings)
        sentence = "Not complete: classifier.1."
        return model, WeightsReport(name, "a package", "ab" * 32, False, ("classifier.1",), sentence)

    monkeypatch.setattr(alexnet, "pretrained_model", feigned)
    monkeypatch.setattr(alexnet, "log_classifier", lambda *_, **__: None)
    monkeypatch.setattr(alexnet, "own_settings", lambda config: "")  # small as they are here
    config = alexnet.Features(
        data=str(store / "portraits"), record=True, seeds=1, augmentation="heavy", size=64, conv_only=True,
        training=replace(alexnet.Features().training, epochs=1, batch_size=4),
    )  # fmt: skip
    execute(alexnet.run, config, entry_point="makeup_features", question="Q1", doc="doc")
    run = mlflow.search_runs(search_all_experiments=True, output_format="list")[0]
    assert run.data.tags["question"] == "Q1-1 (Not complete: classifier.1)"
    assert run.data.tags["weights.complete"] == "false" and "Not complete" in run.data.tags["summary"]
    record = json.loads((store / "results/makeup_features_heavy.json").read_text())
    assert record["note"] == "Not complete: classifier.1." and record["entry_point"] == "makeup_features_heavy"
    client = mlflow.MlflowClient()
    figures = {a.path.split("/")[1] for a in client.list_artifacts(run.info.run_id, "figures")}
    assert {"augmentation.png", "curves.png", "confusion_val.png", "examples_train.png"} <= figures
    assert "predictions.csv" in {a.path for a in client.list_artifacts(run.info.run_id)}
    assert not list((store / "mlruns/checkpoints").rglob("*.pt")), "a finished training leaves no checkpoint"


def test_settings_of_ones_own_are_told_and_answer_no_question(alexnet):
    report = WeightsReport("alexnet", "a package", "ab" * 32, True, (), "Complete.")
    usual = alexnet.Features(augmentation="heavy", seeds=1, data="somewhere", record=True)
    assert alexnet.own_settings(usual) == "" and alexnet._tags(usual, report)["question"] == "Q1-1"
    own = replace(usual, conv_only=True, training=replace(usual.training, epochs=3))
    assert alexnet.own_settings(own) == "conv_only=True, training.epochs=3"
    assert alexnet._tags(own, report)["question"] == "beyond Q1"


def test_the_report_without_runs_names_the_five_commands(report, store):
    with pytest.raises(ConfigError, match="No finished run to report on: start Q1-1 makeup_features, Q1-2"):
        report.run(report.Config(), Run.inactive())


def test_a_wrong_folder_ends_before_training(alexnet):
    with pytest.raises(DataError, match="no folder train/ with portraits"):
        alexnet.run(alexnet.Scratch(data="nowhere"), Run.inactive())


def test_only_the_last_layer_moves_in_features(alexnet):
    """What `trained_groups=1` of the features mode means for AlexNet."""
    config = alexnet.Features(quick=True).shrunk()
    data = load_makeup(size=(64, 64), quick=True)
    torch.manual_seed(0)
    model, _ = alexnet.pretrained_model("alexnet", 2, "random", conv_only=True)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fit(model, data.train, data.val, config.training)
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {"classifier.1.weight", "classifier.1.bias"}
