"""The study of portraits: what it begins with, and that the classifier it stores is the one that was judged."""

from dataclasses import replace

import mlflow
import numpy as np
import pytest
import torch

from cnnlab.data.makeup import load_makeup
from cnnlab.errors import ConfigError
from cnnlab.experiment import execute
from cnnlab.models.kernel_machine import Committee, KernelMachine, trained_network
from cnnlab.models.saved import load_model
from cnnlab.reports.makeup import read_predictions
from cnnlab.tracking.models import model_file
from cnnlab.training.views import Views, predict_views


@pytest.fixture
def study(load_program):
    return load_program("studies/makeup_improve")


def test_the_first_trials_lie_in_the_search_space(study):
    for params in study.FIRST.values():
        assert params.keys() == study.SPACE.keys()
        assert all(study.SPACE[name]._contains(study.SPACE[name].to_internal_repr(v)) for name, v in params.items())


def test_unfit_settings_are_refused_in_a_sentence(study):
    with pytest.raises(ConfigError, match="search_folds must be from 1 to 5, not 6"):
        study.Config(search_folds=6)
    with pytest.raises(ConfigError, match="seeds must be at least 1"):
        study.Config(seeds=0)
    with pytest.raises(ConfigError, match="weights=torchvision: it has none for efficientnet_lite0"):
        study.Config(weights="torchvision")


def test_the_stored_committee_gives_the_recorded_probabilities(study, store):
    config = study.Config(quick=True, search=replace(study.Config().search, trials=1))
    config = replace(config.shrunk(), search=replace(config.search, trials=1), quick=True)
    outcome = execute(study.run, config, entry_point="makeup_improve", question="Q1-8", doc="doc")
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    (run,) = [r for r in runs if r.data.tags.get("entry_point") == "makeup_improve"]
    tags = run.data.tags
    assert tags["weights.source"] == tags["partner.weights.source"] == "random"
    assert "random weights" in outcome.note

    model, meta = load_model(model_file(run.info.run_id))
    assert isinstance(model, Committee) and isinstance(model.members[1], KernelMachine)
    assert type(trained_network(model)) is type(load_model(model_file(run.info.run_id, "network.pt"))[0])
    val = load_makeup("embedded", tuple(meta["size"]), True, config.seed).val
    assert Views.of(meta) == config.views == Views(zooms=(0.93,)), "whoever loads it looks as it was judged"
    network, machine = (predict_views(member, val, config.views)[0] for member in model.members)
    path = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="predictions.csv")
    with open(path, encoding="utf-8") as file:
        _, labels, recorded = read_predictions(file.read())
    np.testing.assert_allclose(recorded[0], ((network + machine) / 2)[:, 1].numpy(), atol=0.02)
    assert labels.tolist() == val.labels.tolist() and torch.isfinite(network).all()
