"""cifar10_rank: ties share a rank, a resumed ranking equals an unbroken one, what diverges is told."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_cifar10 import Kept, answers, fitted, quick, small_network

from cnnlab.data.augment import Augmentation
from cnnlab.errors import ConfigError
from cnnlab.reports.ranking import Conditions, Entry, kept_budget, ranking_table, ranks
from cnnlab.tracking import Run


@pytest.fixture
def rank(load_program, train):
    return load_program("experiments/cifar10/rank")


FIGURES = (
    "val_accuracy", "parameters", "multiply_adds", "latency_ms", "train_images_per_second", "images_seen", "memory_mb",
)  # fmt: skip


def entry(name, *right, seconds=480.0):
    """An entry with these answers, one array for each seed."""
    figures = {key: [1e6] * len(right) for key in FIGURES} | {"train_seconds": [seconds] * len(right)}
    return Entry(name, {"test_accuracy": [float(np.mean(one)) for one in right], **figures}, np.array(right, bool))


def test_networks_that_the_test_images_cannot_tell_apart_share_a_rank():
    first = entry("resnet18", answers(0.9, 0))
    twin = entry("vgg16_bn", answers(0.9, 0))
    close = entry("xception", answers(0.89, 1))
    worse, worst = entry("googlenet", answers(0.7, 2)), entry("mobilenet_v2", answers(0.69, 3))
    assert ranks([first]) == [1]
    assert ranks([first, twin]) == [1, 1], "equal answers"
    assert ranks([first, worse]) == [1, 2]
    assert ranks([first, twin, close, worse, worst]) == [1, 1, 1, 4, 4], "after three firsts comes a fourth"
    # differing by one image alone, always the same one: no difference is shown
    nearly = first.right[0].copy()
    nearly[np.flatnonzero(nearly)[0]] = False
    assert ranks([first, entry("resnet18", nearly)]) == [1, 1]
    # what one seed would show, seeds that differ as much do not
    wild = entry("xception", answers(0.95, 4), answers(0.45, 4))
    assert ranks([first, entry("xception", answers(0.7, 4))]) == [1, 2] and ranks([first, wild]) == [1, 1]


UNDER = Conditions("Equal training time, 8 minutes for each network.", 480.0, 1, 40, 20, "official")


def test_the_table_has_a_cell_for_every_heading():
    entries = [entry("resnet18", answers(0.9, 0)), entry("mobilenet_v1", answers(0.5, 0), seconds=600.0)]
    text = ranking_table(entries, UNDER, {"resnet18": 95.3}, ["googlenet"])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {17} and len(rows) == 5
    assert "8 minutes" in text and "one seed" in text and "| 95.3 |" in rows[2] and rows[3].endswith("| – |")
    assert "not measured here" in text and rows[3].startswith("| 2 |")
    assert rows[4].startswith("| – | googlenet | googlenet | diverged | – |")
    assert "480 to 600 s; more than 10 % off the budget: mobilenet_v1 (+25 %)." in text
    assert "| 480 |" in rows[2] and "| 600 (+25 %) |" in rows[3]
    assert kept_budget(entries[:1], 480.0).endswith("all within 10 % of the budget.")
    epochs = replace(UNDER, budget="Equal epochs, 7 for each network.", seconds=0.0)
    assert "off the budget" not in ranking_table(entries, epochs, {}) and kept_budget(entries, 0.0) == ""


def test_the_table_shows_the_spread_over_seeds():
    several = entry("resnet18", answers(0.9, 0)).join(entry("resnet18", answers(0.8, 1)))
    assert several.right.shape == (2, 400) and several.accuracy == pytest.approx(0.85)
    text = ranking_table([several], replace(UNDER, seeds=2), {})
    assert "| 85.00 | 7.07 |" in text and "2 seeds, means and ±" in text


class Interrupted(Run):
    """A run that stores nothing and is stopped when an epoch has been told."""

    def __init__(self, epoch=0):
        super().__init__(None, "", "")
        self.epoch = epoch

    def log_metrics(self, metrics, step=0):
        if self.epoch and step == self.epoch:
            raise KeyboardInterrupt


def zeroed(*args, **settings):
    network = small_network(*args, **settings)
    for parameter in network.parameters():
        parameter.data.zero_()
    return network


@pytest.mark.parametrize("budget", ["time", "epochs"])
def test_a_resumed_ranking_equals_an_unbroken_one(rank, data, store, monkeypatch, budget):
    monkeypatch.setattr(rank, "training_speed", lambda *args: 2.0)  # 2 images/s for 0.5 minutes, batches of 8: 64
    monkeypatch.setattr(rank, "latency", lambda *args: 1.0)
    monkeypatch.setattr(rank, "cifar_model", small_network)
    monkeypatch.setattr(rank.plots, "learning_curves", lambda *args, **kwargs: None)
    config = quick(rank, budget=budget, minutes=0.5, rounds=2, epochs=2)
    config = replace(config, training=replace(config.training, precision="32-true"))
    whole, _ = rank.rank_one(config, data, "speednet", Run.inactive())
    with pytest.raises(KeyboardInterrupt):
        rank.rank_one(config, data, "speednet", Interrupted(epoch=1))
    monkeypatch.setattr(rank, "training_speed", lambda *args: pytest.fail("measured again: the plan would change"))
    monkeypatch.setattr(rank, "cifar_model", zeroed)  # what is not taken from the checkpoint is lost
    resumed, kept = rank.rank_one(replace(config, resume=True), data, "speednet", Run.inactive())
    assert np.array_equal(whole.right, resumed.right) and whole.right.shape == (1, 20)
    for name in ("test_accuracy", "val_accuracy", "images_seen", "parameters", "multiply_adds"):
        assert whole.figures[name] == resumed.figures[name], name
    assert whole.figures["images_seen"] == [64 if budget == "time" else 80]
    assert kept[0].is_file(), "the checkpoint stays until the ranking is complete"
    # stopped in a later network: what this one did is taken from its files
    monkeypatch.setattr(rank, "answers_of", lambda *args: pytest.fail("judged again"))
    monkeypatch.setattr(rank, "latency", lambda *args: pytest.fail("measured again"))
    again, _ = rank.rank_one(replace(config, resume=True), data, "speednet", Run.inactive())
    assert again.figures == resumed.figures and np.array_equal(again.right, resumed.right)


def test_a_budget_of_time_gives_a_fast_network_more_images(rank, data, store, monkeypatch):
    config = rank.Config(budget="time", minutes=2, rounds=4)
    speeds = iter([100.0, 25.0])
    monkeypatch.setattr(rank, "training_speed", lambda *args: next(speeds))
    built = []
    monkeypatch.setattr(rank, "cifar_model", lambda name, classes, **settings: built.append((name, settings)))
    sizes = []
    for name in ("efficientnet_b0", "vgg16_bn"):
        train, training = rank.planned(config, data.train, name, store / f"{name}.json")
        sizes.append(len(train) * training.epochs)
        assert training.epochs == 4 and (store / f"{name}.json").is_file()
    assert sizes == [4 * 23 * 128, 4 * 6 * 128], "12,000 and 3,000 images, in whole batches"
    assert built == [("efficientnet_b0", {"dropout": 0.0, "drop_path": 0.0}), ("vgg16_bn", {"dropout": 0.0})]
    rank.network(replace(config, budget="epochs"), "vgg16_bn", 10)
    assert built[-1] == ("vgg16_bn", {})
    train, training = rank.planned(replace(config, budget="epochs", epochs=9), data.train, "any", store / "no.json")
    assert train is data.train and training.epochs == 9 and json.loads((store / "no.json").read_text()) == {}


def test_the_speed_is_taken_from_ten_seconds_of_steps(rank, data, monkeypatch):
    """And from a tenth of a short budget; the rate must not let a network diverge before it trains."""
    steps, rates = [], []

    def fit(model, some, val, training, **settings):
        steps.append(len(some) // training.batch_size)
        rates.append(training.lr)
        return fitted(seconds=9.0 if len(steps) % 3 == 1 else 0.5 * steps[-1])  # the first steps are slow

    monkeypatch.setattr(rank, "fit", fit)
    assert rank.training_speed(None, data.train, rank.Config(minutes=8)) == 2 * 128
    assert steps == [2, 5, 20] and max(rates) < 1e-6
    rank.training_speed(None, data.train, rank.Config(minutes=0.5))
    assert steps[-1] == 6
    rank.training_speed(None, data.train, rank.Config(minutes=0.01))
    assert steps[-1] == 5


@pytest.fixture
def ranking(rank, data, monkeypatch, store):
    """The module with made-up answers in place of trainings: name -> answers of seed 0, 1, …"""
    monkeypatch.setattr(rank, "load_cifar10", lambda *args, **kwargs: data)
    rank.made, rank.asked, rank.checkpoint = {}, [], store / "kept.pt"
    rank.checkpoint.touch()

    def rank_one(config, data, name, child):
        rank.asked.append((name, config.seed))
        made = rank.made[name][config.seed]
        return None if made is None else entry(name, made), [rank.checkpoint]

    monkeypatch.setattr(rank, "rank_one", rank_one)
    return rank


def test_a_ranking_is_complete_and_sorted(ranking):
    ranking.made = {"resnet20": [answers(0.5, 0)], "speednet": [answers(0.9, 1)]}
    outcome = ranking.run(ranking.Config(models=tuple(ranking.made)), Run.inactive())
    assert "First of 2: speednet, 90.00 %" in outcome.summary and not ranking.checkpoint.exists()
    assert outcome.metrics["test_accuracy_resnet20"] == [0.5] and outcome.note == ""


def test_who_shares_the_first_rank_is_named_with_the_first(ranking):
    ranking.made = {"resnet20": [answers(0.9, 1)], "resnet32": [answers(0.5, 2)], "speednet": [answers(0.9, 1)]}
    outcome = ranking.run(ranking.Config(models=tuple(ranking.made)), Run.inactive())
    assert "First of 3: resnet20, 90.00 % and speednet, 90.00 % of" in outcome.summary


def test_every_seed_is_a_child_and_a_value_of_each_figure(ranking):
    ranking.made = {"resnet20": [answers(0.5, 0), answers(0.6, 1)], "speednet": [answers(0.9, 1), answers(0.8, 2)]}
    run = Kept()
    outcome = ranking.run(ranking.Config(models=tuple(ranking.made), seeds=2), run)
    assert ranking.asked == [("resnet20", 0), ("speednet", 0), ("resnet20", 1), ("speednet", 1)]
    assert {name: one.tags["seed"] for name, one in run.children.items()} == {
        "resnet20 seed 0": "0", "speednet seed 0": "0", "resnet20 seed 1": "1", "speednet seed 1": "1",
    }  # fmt: skip
    assert outcome.metrics["test_accuracy_speednet"] == pytest.approx([0.9, 0.8]) and outcome.seeds == [0, 1]
    assert "speednet, 85.00 ± 7.07 % (2 seeds)" in outcome.summary


def test_what_diverges_is_told_and_the_ranking_goes_on(ranking):
    """A network that came to its end with one seed only is none to rank either."""
    ranking.made = {"resnet20": [answers(0.5, 0), None], "resnet32": [None], "speednet": [answers(0.4, 1)] * 3}
    run = Kept()
    outcome = ranking.run(ranking.Config(models=tuple(ranking.made), seeds=3), run)
    assert ranking.asked[-1] == ("speednet", 2) and ranking.asked.count(("resnet32", 1)) == 0
    assert "First of 1: speednet" in outcome.summary and "Diverged: resnet32, resnet20." in outcome.summary
    assert outcome.metrics["networks_diverged"] == 2 and "test_accuracy_resnet20" not in outcome.metrics
    assert run.texts["ranking.md"].count("| diverged |") == 2 and not ranking.checkpoint.exists()
    ranking.made = {"resnet20": [None]}
    outcome = ranking.run(ranking.Config(models=("resnet20",)), Kept())
    assert outcome.summary.endswith("Diverged: resnet20.") and outcome.metrics == {"networks_diverged": 1}


def test_a_divergence_is_not_trained_again_by_a_resumed_ranking(rank, data, store, monkeypatch):
    child = Kept()

    def diverging(*args, **settings):
        raise FloatingPointError("training diverged in epoch 3: the loss is no longer a number")

    monkeypatch.setattr(rank, "fit", diverging)
    monkeypatch.setattr(rank, "cifar_model", small_network)
    config = quick(rank, budget="epochs")
    measured, kept = rank.rank_one(config, data, "speednet", child)
    assert measured is None and "epoch 3" in str(child.tags["diverged"])
    monkeypatch.setattr(rank, "fit", lambda *args, **settings: pytest.fail("trained again"))
    again = Kept()
    assert rank.rank_one(replace(config, resume=True), data, "speednet", again) == (None, kept)
    assert "epoch 3" in again.tags["diverged"]


def test_the_stand_in_is_not_ranked_for_an_hour(rank, data, capsys):
    config = rank.Config(budget="time")
    assert rank.for_stand_in(config, data) is config and not capsys.readouterr().out
    short = rank.for_stand_in(config, replace(data, pixels="stand-in"))
    assert short.minutes == 0.2 and "40 crops" in capsys.readouterr().out
    assert "0.2 minutes" in rank.conditions(short, data).budget and rank.conditions(short, data).seconds == 12
    by_epochs = rank.Config(budget="epochs", epochs=7)
    assert rank.for_stand_in(by_epochs, replace(data, pixels="stand-in")) is by_epochs
    assert "Equal epochs, 7" in rank.conditions(by_epochs, data).budget and not rank.conditions(by_epochs, data).seconds


@pytest.mark.parametrize("settings, said", [
    ({"models": ()}, "models is empty"),
    ({"models": ("vgg",)}, "Unknown model 'vgg'"),
    ({"minutes": 0.0}, "minutes must be above 0"),
    ({"seeds": 0}, "seeds must be at least 1"),
])  # fmt: skip
def test_unfit_settings_are_refused_in_a_sentence(rank, settings, said):
    with pytest.raises(ConfigError, match=said):
        rank.Config(**settings)


def test_a_network_that_cannot_classify_small_images_ends_before_the_data_are_read(rank, monkeypatch):
    monkeypatch.setattr(rank, "load_cifar10", lambda *args, **kwargs: pytest.fail("read"))
    with pytest.raises(ConfigError, match="cannot classify images of 32x32 pixels"):
        rank.run(rank.Config(models=("fcn8s",)), Run.inactive())


def test_a_ranking_whose_epochs_validation_would_choose_is_refused(rank, train):
    with pytest.raises(ConfigError, match="training.monitor must be last"):
        rank.Config(training=replace(rank.RECIPE, monitor="val/accuracy"))
    assert rank.Config().timed is not torch.cuda.is_available() and rank.Config(budget="time").timed
    assert train.Config().augmentation == Augmentation(flip=0.5, shift=4) == rank.Config().augmentation
