"""CIFAR-10's experiments: validation chooses, ties share a rank, a resumed ranking equals an unbroken one."""

import importlib.util
import json
import re
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from cnnlab.data.alternating import AlternatingFlips
from cnnlab.data.augment import Augmentation
from cnnlab.data.cifar10 import CLASSES, Cifar10
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.models import build_model
from cnnlab.models.pretrained import WeightsReport
from cnnlab.models.speednet import SpeedNet
from cnnlab.reports.ranking import Conditions, Entry, kept_budget, ranking_table, ranks
from cnnlab.tracking import Run
from cnnlab.training import Fit


@pytest.fixture
def load(repository, monkeypatch):
    """The modules as scripts see them: `train` is the one beside them."""
    folder = repository / "experiments/cifar10"
    monkeypatch.syspath_prepend(str(folder))

    def module(name, folder=folder):
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        loaded = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, loaded)
        spec.loader.exec_module(loaded)
        return loaded

    module("train")
    return module


def part(split, count, seed):
    labels = torch.arange(count) % 10
    noise = torch.randint(0, 120, (count, 3, 32, 32), generator=torch.Generator().manual_seed(seed))
    return ImageSet((noise + 12 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels, CLASSES, "cifar10", split)


@pytest.fixture
def data(monkeypatch):
    return Cifar10(part("train", 40, 0), part("val", 20, 1), part("test", 20, 2), "official")


def small_network(name, classes=10, **settings):
    return build_model("speednet", classes, widths=(8, 8, 8), depth=1)


def quick(module, **settings):
    return replace(module.Config(quick=True).shrunk(), **settings)


# ---- cifar10_train ---------------------------------------------------------------------------------------------------
def test_test_accuracy_is_that_of_the_epoch_that_validation_chose(load, data, store, monkeypatch):
    train = load("train")
    states, judged, values = [], {}, iter([0.3, 0.9, 0.5])

    def validate(model, *rest):
        states.append({k: v.clone() for k, v in model.state_dict().items()})
        return {"val/loss": 1.0, "val/accuracy": next(values)}

    def judge(run, model, split, suffix="", views=None):
        judged[split.split] = {k: v.clone() for k, v in model.state_dict().items()}
        return None, np.ones(len(split), bool)

    monkeypatch.setattr("cnnlab.training.loop.validate", validate)
    monkeypatch.setattr(train, "judge", judge)
    monkeypatch.setattr(train, "cifar_model", small_network)
    monkeypatch.setattr(train, "load_cifar10", lambda *args, **kwargs: data)
    monkeypatch.setattr(train, "log_classifier", lambda *args, **kwargs: None)
    config = quick(train, model="speednet")
    outcome = train.run(replace(config, training=replace(config.training, epochs=3)), Run.inactive())
    assert len(states) == 3 and judged.keys() == {"val", "test"}
    for state in judged.values():
        assert all(torch.equal(state[name], states[1][name]) for name in state)
    assert any(not torch.equal(states[1][name], states[2][name]) for name in states[1])
    assert outcome.variant == "speednet" and outcome.note == "" and outcome.metrics["test_accuracy"] == [1.0]


def test_other_pixels_are_noted_beside_the_figures(load, data, store, monkeypatch):
    train = load("train")
    monkeypatch.setattr(train, "load_cifar10", lambda *args, **kwargs: replace(data, pixels="folders of images (.jpg)"))
    monkeypatch.setattr(train, "train_once", lambda *args: (torch.nn.Linear(1, 1), fitted()))
    monkeypatch.setattr(train, "judge", lambda run, model, split, suffix, views: (None, np.array([True, False])))
    monkeypatch.setattr(train, "log_classifier", lambda *args, **kwargs: None)
    outcome = train.run(train.Config(seeds=2), Run.inactive())
    assert "not the official pixels" in outcome.note and "(folders of images (.jpg))" in outcome.summary
    assert outcome.metrics["test_accuracy"] == [0.5, 0.5] and outcome.seeds == [0, 1]


class Kept(Run):
    """A run that keeps the texts, tags and children it is told."""

    def __init__(self):
        super().__init__(None, "", "")
        self.texts, self.tags, self.children = {}, {}, {}

    def log_text(self, path, text):
        self.texts[path] = text

    def set_tags(self, tags):
        self.tags |= tags

    @contextmanager
    def child(self, name, tags=None):
        self.children[name] = Kept()
        self.children[name].set_tags(tags or {})
        yield self.children[name]


def test_precision_recall_and_f1_of_every_class_are_stored(load, data):
    train, run = load("train"), Kept()
    model = small_network("speednet").eval()
    _, right = train.judge(run, model, data.test)
    table = run.texts["classification_test.md"]
    assert all(f"| {name} |" in table for name in CLASSES) and "*weighted*" in table
    assert f"Accuracy {right.mean():.3f}." in table


def test_test_images_may_be_seen_from_several_sides(load, data):
    """Mean probabilities of an image and its mirror image; one view gives the logits, as before."""
    train = load("train")
    model = small_network("speednet").eval()
    logits, _ = train.judge(Kept(), model, data.test)
    pixels = data.test.images.float() / 255
    with torch.no_grad():
        torch.testing.assert_close(logits, model(pixels))
        both = (model(pixels).softmax(1) + model(pixels.flip(-1)).softmax(1)) / 2
    found, _ = train.judge(Kept(), model, data.test, views=train.Views(mirror=True))
    torch.testing.assert_close(found, both, atol=0.02, rtol=0.05)  # computed in bfloat16 where it can be


def test_mirror_images_by_turns_take_the_place_of_chance(load, data, monkeypatch):
    train, told = load("train"), {}

    def fit(model, images, val, training, **settings):
        told.update(settings, images=images)
        return fitted()

    monkeypatch.setattr(train, "fit", fit)
    monkeypatch.setattr(train.plots, "learning_curves", lambda *args, **kwargs: None)
    config = quick(train, model="speednet")
    whitened = []
    monkeypatch.setattr(SpeedNet, "whiten", lambda self, images: whitened.append(len(images)) or self)
    train.train_once(config, data, Run.inactive(), 0)
    assert told["images"] is data.train and told["transform"].flip == 0.5 and whitened == [40]
    train.train_once(replace(config, alternate=True), data, Run.inactive(), 0)
    assert isinstance(told["images"], AlternatingFlips) and told["transform"] == Augmentation(shift=4)


def test_auxiliary_heads_are_trained_if_asked_for(load, data, monkeypatch):
    """Their loss is part of what is minimised, and the network answers alone when it is judged."""
    train = load("train")
    monkeypatch.setattr(train.plots, "learning_curves", lambda *args, **kwargs: None)
    small = replace(data, train=part("train", 4, 0), val=part("val", 4, 1))
    config = quick(train, model="googlenet", aux_logits=True)
    config = replace(config, training=replace(config.training, batch_size=4, precision="32-true"))
    before = {}
    build = train.cifar_model

    def remembered(*args, **settings):
        model = build(*args, **settings)
        before.update({k: v.clone() for k, v in model.aux.state_dict().items()})
        return model

    monkeypatch.setattr(train, "cifar_model", remembered)
    model, _ = train.train_once(config, small, Run.inactive(), 0)
    weights = [k for k in before if k.endswith("fc2.weight")]
    assert len(weights) == 2 and not any(torch.equal(before[k], model.aux.state_dict()[k]) for k in weights)
    assert train.judge(Kept(), model, small.val)[0].shape == (4, 10)


def fitted(epochs=1, seconds=1.0):
    row = {"images_per_second": 10.0, "epoch_seconds": seconds, "val/accuracy": 0.5}
    return Fit([{"epoch": k + 1, **row} for k in range(epochs)], best_epoch=epochs)


# ---- cifar10_rank ----------------------------------------------------------------------------------------------------
FIGURES = (
    "val_accuracy", "parameters", "multiply_adds", "latency_ms", "train_images_per_second", "images_seen", "memory_mb",
)  # fmt: skip


def entry(name, *right, seconds=480.0):
    """An entry with these answers, one array for each seed."""
    figures = {key: [1e6] * len(right) for key in FIGURES} | {"train_seconds": [seconds] * len(right)}
    return Entry(name, {"test_accuracy": [float(np.mean(one)) for one in right], **figures}, np.array(right, bool))


def answers(share, seed, count=400):
    return np.random.default_rng(seed).permutation(np.arange(count) < share * count)


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


@pytest.mark.parametrize("budget", ["time", "epochs"])
def test_a_resumed_ranking_equals_an_unbroken_one(load, data, store, monkeypatch, budget):
    rank = load("rank")
    monkeypatch.setattr(rank, "training_speed", lambda *args: 2.0)  # 2 images/s for 0.5 minutes: 60 images
    monkeypatch.setattr(rank, "latency", lambda *args: 1.0)
    monkeypatch.setattr(rank, "cifar_model", small_network)
    monkeypatch.setattr(rank.plots, "learning_curves", lambda *args, **kwargs: None)
    config = quick(rank, budget=budget, minutes=0.5, rounds=2, epochs=2)
    config = replace(config, training=replace(config.training, precision="32-true"))
    whole, _ = rank.rank_one(config, data, "speednet", Run.inactive())
    with pytest.raises(KeyboardInterrupt):
        rank.rank_one(config, data, "speednet", Interrupted(epoch=1))
    monkeypatch.setattr(rank, "training_speed", lambda *args: pytest.fail("measured again: the plan would change"))
    resumed, kept = rank.rank_one(replace(config, resume=True), data, "speednet", Run.inactive())
    assert np.array_equal(whole.right, resumed.right) and whole.right.shape == (1, 20)
    for name in ("test_accuracy", "val_accuracy", "images_seen", "parameters", "multiply_adds"):
        assert whole.figures[name] == resumed.figures[name], name
    assert whole.figures["images_seen"] == [60 if budget == "time" else 80]
    assert kept[0].is_file(), "the checkpoint stays until the ranking is complete"


def test_a_budget_of_time_gives_a_fast_network_more_images(load, data, store, monkeypatch):
    rank = load("rank")
    config = rank.Config(budget="time", minutes=2, rounds=4)
    speeds = iter([100.0, 25.0])
    monkeypatch.setattr(rank, "training_speed", lambda *args: next(speeds))
    monkeypatch.setattr(rank, "cifar_model", lambda *args: None)
    sizes = []
    for name in ("fast", "slow"):
        train, training = rank.planned(config, data.train, name, store / f"{name}.json")
        sizes.append(len(train) * training.epochs)
        assert training.epochs == 4 and (store / f"{name}.json").is_file()
    assert sizes == [12000, 3000]
    train, training = rank.planned(replace(config, budget="epochs", epochs=9), data.train, "any", store / "no.json")
    assert train is data.train and training.epochs == 9 and json.loads((store / "no.json").read_text()) == {}


def test_the_speed_is_taken_from_ten_seconds_of_steps(load, data, monkeypatch):
    """And from a tenth of a short budget; the rate must not let a network diverge before it trains."""
    rank, steps, rates = load("rank"), [], []

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
def ranking(load, data, monkeypatch, store):
    """The module with made-up answers in place of trainings: name -> answers of seed 0, 1, …"""
    rank = load("rank")
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


def test_a_divergence_is_not_trained_again_by_a_resumed_ranking(load, data, store, monkeypatch):
    rank, child = load("rank"), Kept()

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


def test_the_stand_in_is_not_ranked_for_an_hour(load, data, capsys):
    rank = load("rank")
    config = rank.Config(budget="time")
    assert rank.for_stand_in(config, data) is config and not capsys.readouterr().out
    short = rank.for_stand_in(config, replace(data, pixels="stand-in"))
    assert short.minutes == 0.2 and "40 crops" in capsys.readouterr().out
    assert "0.2 minutes" in rank.conditions(short, data).budget and rank.conditions(short, data).seconds == 12
    by_epochs = rank.Config(budget="epochs", epochs=7)
    assert rank.for_stand_in(by_epochs, replace(data, pixels="stand-in")) is by_epochs
    assert "Equal epochs, 7" in rank.conditions(by_epochs, data).budget and not rank.conditions(by_epochs, data).seconds


# ---- cifar10_transfer ------------------------------------------------------------------------------------------------
def test_enlarged_images_keep_their_colours_and_labels(load, data):
    transfer = load("transfer")
    flat = replace(data.train, images=torch.full_like(data.train.images, 77))
    large = transfer.enlarged(flat, 48)
    assert large.images.shape == (40, 3, 48, 48) and large.images.dtype == torch.uint8
    assert (large.images == 77).all() and torch.equal(large.labels, flat.labels)
    assert torch.equal(transfer.enlarged(data.train, 32).images, data.train.images)


def test_the_five_ways_differ_in_what_trains(load):
    transfer = load("transfer")
    base = transfer.Config().training
    ways = {name: replace(base, **settings) for name, settings in transfer.SCENARIOS.items()}
    assert ways["fixed features"].trained_groups == 1 and ways["last blocks"].trained_groups == 2
    assert ways["staged unfreezing"].unfreeze_every and ways["all layers"].lr_factors[-1] < 1
    assert ways["from random weights"] == base
    assert {way.monitor for way in ways.values()} == {"last"}, "validation chooses nothing"


def test_differences_are_those_to_fixed_features(load):
    transfer = load("transfer")
    report = WeightsReport("n", "s", "", True, (), "Weights of s.")
    rows = [
        {"name": name, "right": answers(share, 0), "seconds": 5.0}
        for name, share in (("fixed features", 0.5), ("all layers", 0.75))
    ]
    lines = transfer.table(rows, report, 100, "official").splitlines()
    assert re.search(r"fixed features \| 50\.0 \| 45\.1–54\.9 \| — ", lines[-2])
    assert re.search(r"all layers \| 75\.0 \| .* \| \+25\.0 \[\+20\.8, \+29\.2\]", lines[-1])


# ---- cifar10_speedrun and the benchmark ------------------------------------------------------------------------------
def test_the_speed_run_begins_with_a_whitened_network(load, data, monkeypatch):
    speedrun, seen = load("speedrun"), []
    monkeypatch.setattr(SpeedNet, "whiten", lambda self, images: seen.append(len(images)) or self)
    speedrun.untrained(quick(speedrun), data)
    assert seen == [40]


@pytest.fixture
def benchmark(load, repository):
    load("speedrun")
    return load("cifar10_time_to_90", repository / "benchmarks")


def test_the_clock_stops_at_the_first_time_at_the_target(benchmark):
    curve = [(1.0, 0.5), (2.0, 0.91), (3.0, 0.89), (4.0, 0.95)]
    assert benchmark.time_to(curve, 0.9) == 2.0 and benchmark.time_to(curve, 0.99) is None


def test_the_recipe_is_stopped_at_the_target_or_at_the_limit(benchmark, data, store, monkeypatch):
    ours = fitted(epochs=2, seconds=10.0)
    ours.history[1]["val/accuracy"] = 0.95
    monkeypatch.setattr(benchmark, "load_cifar10", lambda *args, **kwargs: data)
    monkeypatch.setattr(benchmark.speedrun, "untrained", lambda *args: None)
    monkeypatch.setattr(benchmark.speedrun, "train_once", lambda *args: (None, ours))
    asked = []

    def recipe(config, data, reached=0.0):
        for step in range(1, 100):
            asked.append(step)
            yield 15.0 * step, reached if step == 4 else 0.4

    monkeypatch.setattr(benchmark, "recipe", lambda c, d: recipe(c, d, 0.92))
    outcome = benchmark.run(benchmark.Config(), Run.inactive())
    assert asked[-1] == 4 and outcome.metrics["recipe_reached_target"] == 1.0
    assert (
        outcome.metrics["speed_ratio"] == pytest.approx(3.0, rel=0.01) and "needed 60 s: 3.0 times" in outcome.summary
    )
    monkeypatch.setattr(benchmark, "recipe", recipe)
    outcome = benchmark.run(benchmark.Config(limit=5), Run.inactive())
    assert asked[-1] == 7, "the first look after 5 times 20 s"
    assert outcome.metrics["recipe_reached_target"] == 0.0 and "at least 5.2 times" in outcome.summary
    ours.history[1]["val/accuracy"] = 0.6
    with pytest.raises(ConfigError, match="Ours ended at 0.600, below target=0.9"):
        benchmark.run(benchmark.Config(), Run.inactive())


def test_the_recipe_trains_a_real_network(benchmark, data, monkeypatch):
    monkeypatch.setattr(benchmark, "cifar_model", lambda name, classes: torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(3072, classes)))  # fmt: skip
    points = list(benchmark.recipe(benchmark.Config(epochs=2, workers=0), data))
    seconds = [second for second, _ in points]
    assert len(points) == 2 and 0 < seconds[0] < seconds[1] and all(0 <= share <= 1 for _, share in points)


# ---- settings --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name, settings, said", [
    ("train", {"model": "resnet81"}, "Unknown model 'resnet81'"),
    ("train", {"seeds": 0}, "seeds must be at least 1"),
    ("train", {"aux_logits": True}, "resnet20 has no auxiliary heads; these have: googlenet, inception_v3"),
    ("rank", {"models": ()}, "models is empty"),
    ("rank", {"models": ("vgg",)}, "Unknown model 'vgg'"),
    ("rank", {"minutes": 0.0}, "minutes must be above 0"),
    ("rank", {"seeds": 0}, "seeds must be at least 1"),
    ("speedrun", {"resume": True}, "not resumed"),
    ("speedrun", {"seeds": 0}, "seeds must be at least 1"),
    ("transfer", {"size": 16}, "size must be at least 32"),
    ("transfer", {"weights": "random"}, "leaves nothing to transfer"),
    ("transfer", {"backbone": "efficientnet_lite9"}, "Unknown model 'efficientnet_lite9'"),
])  # fmt: skip
def test_unfit_settings_are_refused_in_a_sentence(load, name, settings, said):
    with pytest.raises(ConfigError, match=said):
        load(name).Config(**settings)


@pytest.mark.parametrize("name, settings", [("train", {"model": "alexnet"}), ("rank", {"models": ("fcn8s",)})])
def test_a_network_that_cannot_classify_small_images_ends_before_the_data_are_read(load, name, settings, monkeypatch):
    module = load(name)
    monkeypatch.setattr(module, "load_cifar10", lambda *args, **kwargs: pytest.fail("read"))
    with pytest.raises(ConfigError, match="cannot classify images of 32x32 pixels"):
        module.run(module.Config(**settings), Run.inactive())


def test_a_ranking_whose_epochs_validation_would_choose_is_refused(load):
    rank = load("rank")
    with pytest.raises(ConfigError, match="training.monitor must be last"):
        rank.Config(training=replace(rank.RECIPE, monitor="val/accuracy"))
    assert rank.Config().timed is not torch.cuda.is_available() and rank.Config(budget="time").timed
    assert load("train").Config().augmentation == Augmentation(flip=0.5, shift=4) == rank.Config().augmentation
