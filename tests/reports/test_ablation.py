"""An ablation on canned trainings: what is compared, what is said, and what a stopped one does not repeat."""

from dataclasses import dataclass, replace

import mlflow
import numpy as np
import pytest

from cnnlab.data.folds import five_folds
from cnnlab.experiment import CHECKPOINTS, Experiment
from cnnlab.reports.ablation import BASELINE, NO_DIFFERENCE, changed_words, reading, run_variants
from cnnlab.reports.ablation_words import compare, log_ablation, metrics, read_groups, slug
from cnnlab.tracking import Run
from cnnlab.training.folds import FoldResult

LABELS = [0, 1] * 100
FOLDS = five_folds(LABELS)


@dataclass(frozen=True)
class Config(Experiment):
    share: float = 0.5
    """of the pictures that are recognised"""
    seeds: int = 1
    workers: int = 1


class Trainer:
    """Answers at once: a random `share` of a fold's pictures is right. Stops as if killed after `stop` trainings."""

    def __init__(self, stop: int = 10**9) -> None:
        self.done: list[tuple[float, int, int]] = []
        self.stop = stop

    def __call__(self, config: Config, fold: int, seed: int) -> FoldResult:
        if len(self.done) == self.stop:
            raise KeyboardInterrupt
        self.done.append((config.share, fold, seed))
        count = len(FOLDS[fold].test)
        right = np.random.default_rng([round(100 * config.share), fold]).permutation(count) < config.share * count
        row = {"epoch": 1, "train/loss": 1.0, "train/accuracy": 0.9, "val/loss": 1.2, "val/accuracy": 0.5, "lr": 0.1}
        return FoldResult(right, np.full((len(right), 2), 0.5, np.float32), 0.9, 0.5, [row], 1, 0.1)


def ablate(trainer: Trainer, base: Config, seeds=(0,)):
    groups = {
        "much": {"more right": replace(base, share=0.8), "less right": replace(base, share=0.2)},
        "little": {"nearly alike": replace(base, share=0.52)},
    }
    with Run.start("made_ablation", {}, "", "test") as run:
        variants = run_variants(run, base, groups, trainer, FOLDS, seeds, digest="d", workers=1)
        text = log_ablation(run, variants, "Made")
        return variants, text, run.id


def test_what_differs_is_called_so_and_what_does_not_is_not(store):
    variants, summary, run_id = ablate(Trainer(), Config())
    base, more, less, alike = variants
    assert base.name == BASELINE and base.right.shape == (1, 200) and base.accuracy == pytest.approx(0.5)
    gain, low, high = more.gain_over(base)
    assert gain == pytest.approx(0.3) and 0 < low < gain < high
    words = [reading(*v.gain_over(base)[1:]) for v in variants[1:]]
    assert words == ["better", "worse", NO_DIFFERENCE]
    assert "more right is better" in compare(less, more)
    assert "**little**: best was nearly alike" in read_groups(variants) and NO_DIFFERENCE in read_groups(variants)
    assert "Of 3 comparisons" in read_groups(variants)
    assert "Best variant: more right" in summary and "worst: less right" in summary
    client = mlflow.MlflowClient()
    assert {"ablation.md", "figures"} <= {a.path for a in client.list_artifacts(run_id)}
    children = client.search_runs(
        [client.get_run(run_id).info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'"
    )
    assert {c.data.tags["variant"] for c in children} == {v.name for v in variants}
    by_name = {c.data.tags["variant"]: c.data for c in children}
    assert by_name["more right"].metrics["test_accuracy"] == pytest.approx(0.8)
    assert by_name["more right"].tags["changed"] == "share=0.8"
    assert not list((store / CHECKPOINTS / "made_ablation").glob("*.pt")), "a complete ablation keeps nothing to resume"


def test_a_stopped_ablation_repeats_no_training_that_was_done(store):
    first = Trainer(stop=13)
    with pytest.raises(KeyboardInterrupt):
        ablate(first, Config())
    second = Trainer()
    resumed, _, _ = ablate(second, Config(resume=True))
    assert len(first.done) == 13 and len(second.done) == 4 * 5 - 13 and not set(first.done) & set(second.done)
    whole, _, _ = ablate(Trainer(), Config())
    assert [v.fold_accuracies for v in resumed] == [v.fold_accuracies for v in whole]


def test_what_fails_after_the_trainings_costs_none_of_them(store):
    first = Trainer()
    with pytest.raises(OSError), Run.start("made_ablation", {}, "", "test") as run:
        run_variants(run, Config(), {}, first, FOLDS, [0], digest="d", workers=1)
        raise OSError("the disk is full")
    second = Trainer()
    with Run.start("made_ablation", {}, "", "test") as run:
        run_variants(run, Config(resume=True), {}, second, FOLDS, [0], digest="d", workers=1)
    assert len(first.done) == 5 and not second.done


def test_without_resume_all_is_trained_anew(store):
    with pytest.raises(KeyboardInterrupt):
        ablate(Trainer(stop=13), Config())
    again = Trainer()
    ablate(again, Config())
    assert len(again.done) == 20


def test_several_seeds_are_rows_of_what_was_right(store):
    trainer = Trainer()
    variants, _, _ = ablate(trainer, Config(), seeds=(0, 1, 2))
    assert len(trainer.done) == 4 * 5 * 3 and variants[1].right.shape == (3, 200)
    figures = metrics(variants)
    assert len(figures["test_accuracy"]) == 5 and set(figures) == {
        "test_accuracy", "test_accuracy_more_right", "test_accuracy_less_right", "test_accuracy_nearly_alike",
    }  # fmt: skip


def test_the_change_is_named_by_its_settings():
    assert changed_words(Config(), Config(share=0.25, seed=3)) == "seed=3, share=0.25"
    assert slug("2x2, stride 2") == "2x2_stride_2"
