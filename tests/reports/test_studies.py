"""The comparison of a study's trials: every one has its row, and the recipe is what all are held against."""

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from cnnlab.errors import ConfigError
from cnnlab.reports.studies import compare_trials
from cnnlab.search import LABEL, RUN_ID
from cnnlab.tracking import Run

RIGHT = {"plain": np.arange(40) % 2 == 0, "wide": np.arange(40) % 4 != 0}


class Told(Run):
    def __init__(self):
        super().__init__(None, "", "")
        self.texts, self.figures = {}, []

    def log_text(self, path, text):
        self.texts[path] = text

    def log_figure(self, name, figure):
        self.figures.append(name)


def study_of(*labels):
    study = optuna.create_study(direction="maximize")
    for label in labels:
        right = RIGHT.get(label)
        study.add_trial(create_trial(
            state=TrialState.PRUNED if right is None else TrialState.COMPLETE,
            value=0.25 if right is None else float(right.mean()),
            params={"width": label}, distributions={"width": CategoricalDistribution(["plain", "wide", "deep"])},
            user_attrs={LABEL: f"the {label}", RUN_ID: label},
        ))  # fmt: skip
    return study


def compare(study, run, tmp_path, monkeypatch, **settings):
    for label, right in RIGHT.items():
        np.savez(tmp_path / f"{label}.npz", right=right)
    monkeypatch.setattr("mlflow.artifacts.download_artifacts", lambda run_id, artifact_path: tmp_path / f"{run_id}.npz")
    return compare_trials(
        run, study, {"width": "plain"}, lambda arrays, items: float(arrays["right"][list(items)].mean()), 40,
        artifact="right.npz", metric="accuracy", what="Made up.", **settings,
    )  # fmt: skip


def test_trials_are_ranked_and_told_apart_from_the_recipe(tmp_path, monkeypatch, capsys):
    run = Told()
    also = {"wrong": lambda arrays: str((~arrays["right"]).sum())}
    assert compare(study_of("plain", "deep", "wide"), run, tmp_path, monkeypatch, also=also) == "plain"
    assert run.figures == ["comparison", "study"] and capsys.readouterr().out.startswith("Made up. Gain over the plain")
    head, _, *rows = [line for line in run.texts["comparison.md"].splitlines() if line.startswith("|")]
    assert head == "| configuration | accuracy | gain | wrong | changed |"
    assert rows[0].startswith("| the wide | 0.7500 | +0.2500 [") and rows[0].endswith("] | 10 | width=wide |")
    assert rows[1:] == ["| the plain | 0.5000 | — | 20 |  |", "| the deep | 0.2500, pruned |  |  | width=deep |"]


def test_without_the_recipe_nothing_can_be_compared(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="no finished trial of the settings"):
        compare(study_of("wide", "deep"), Told(), tmp_path, monkeypatch)
