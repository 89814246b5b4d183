"""CIFAR-10's experiments: validation chooses, ties share a rank, a resumed ranking equals an unbroken one."""

import importlib.util
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from cnnlab.data.augment import Augmentation
from cnnlab.data.cifar10 import CLASSES, Cifar10
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.models import build_model
from cnnlab.models.pretrained import WeightsReport
from cnnlab.models.speednet import SpeedNet
from cnnlab.tracking import Run


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


def small_network(name, classes=10):
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

    def judge(run, model, split, suffix=""):
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
    monkeypatch.setattr(train, "judge", lambda run, model, split, suffix: (None, np.array([True, False])))
    monkeypatch.setattr(train, "log_classifier", lambda *args, **kwargs: None)
    outcome = train.run(train.Config(seeds=2), Run.inactive())
    assert "not the official pixels" in outcome.note and "(folders of images (.jpg))" in outcome.summary
    assert outcome.metrics["test_accuracy"] == [0.5, 0.5] and outcome.seeds == [0, 1]


def fitted(epochs=1, seconds=1.0):
    row = {"images_per_second": 10.0, "epoch_seconds": seconds, "val/accuracy": 0.5}
    return type("Fitted", (), {"history": [{"epoch": k + 1, **row} for k in range(epochs)]})()


# ---- cifar10_rank ----------------------------------------------------------------------------------------------------
def entry(rank, name, right):
    figures = dict.fromkeys(
        ("val_accuracy", "parameters", "multiply_adds", "latency_ms", "train_images_per_second", "train_seconds",
         "images_seen", "memory_mb"), 1e6,
    )  # fmt: skip
    return rank.Entry(name, {"test_accuracy": float(np.mean(right)), **figures}, np.asarray(right, bool))


def answers(share, seed, count=400):
    return np.random.default_rng(seed).permutation(np.arange(count) < share * count)


def test_networks_that_the_test_images_cannot_tell_apart_share_a_rank(load):
    rank = load("rank")
    first = entry(rank, "resnet18", answers(0.9, 0))
    twin = entry(rank, "vgg16_bn", answers(0.9, 0))
    close = entry(rank, "xception", answers(0.89, 1))
    worse, worst = entry(rank, "googlenet", answers(0.7, 2)), entry(rank, "mobilenet_v2", answers(0.69, 3))
    assert rank.ranks([first]) == [1]
    assert rank.ranks([first, twin]) == [1, 1], "equal answers"
    assert rank.ranks([first, worse]) == [1, 2]
    assert rank.ranks([first, twin, close, worse, worst]) == [1, 1, 1, 4, 4], "after three firsts comes a fourth"
    # differing by one image alone, always the same one: no difference is shown
    nearly = first.right.copy()
    nearly[np.flatnonzero(nearly)[0]] = False
    assert rank.ranks([first, entry(rank, "resnet18", nearly)]) == [1, 1]


def test_the_table_has_a_cell_for_every_heading(load, data):
    rank = load("rank")
    entries = [entry(rank, "resnet18", answers(0.9, 0)), entry(rank, "mobilenet_v1", answers(0.5, 0))]
    text = rank.table(entries, rank.Config(budget="time", minutes=3), data)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {16} and len(rows) == 4
    assert "Equal training time, 3 minutes" in text and "| 95.3 |" in rows[2] and rows[3].endswith("| – |")
    assert "not measured here" in text and rows[3].startswith("| 2 |")
    assert "Equal epochs, 7" in rank.stated(rank.Config(budget="epochs", epochs=7))


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
    assert np.array_equal(whole.right, resumed.right)
    for name in ("test_accuracy", "val_accuracy", "images_seen", "parameters", "multiply_adds"):
        assert whole.figures[name] == resumed.figures[name], name
    assert whole.figures["images_seen"] == (60 if budget == "time" else 80)
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
    assert train is data.train and training.epochs == 9 and not (store / "no.json").exists()


def test_a_ranking_is_complete_and_sorted(load, data, store, monkeypatch):
    rank = load("rank")
    made = {"resnet20": answers(0.5, 0), "speednet": answers(0.9, 1)}
    monkeypatch.setattr(rank, "load_cifar10", lambda *args, **kwargs: data)
    checkpoint = store / "kept.pt"
    checkpoint.touch()
    monkeypatch.setattr(rank, "rank_one", lambda c, d, name, child: (entry(rank, name, made[name]), [checkpoint]))
    outcome = rank.run(replace(rank.Config(models=tuple(made))), Run.inactive())
    assert "First of 2: speednet, 90.00 %" in outcome.summary and not checkpoint.exists()
    assert outcome.metrics["test_accuracy_resnet20"] == 0.5 and outcome.note == ""


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
def test_the_first_layer_is_computed_from_all_classes(load, monkeypatch):
    speedrun = load("speedrun")
    seen = []
    monkeypatch.setattr(SpeedNet, "whiten", lambda self, images: seen.append(images) or self)
    monkeypatch.setattr(speedrun, "WHITENED", 20)
    labels = torch.arange(10).repeat_interleave(8)  # class after class, as folders are read
    images = labels.to(torch.uint8).view(-1, 1, 1, 1).expand(80, 3, 32, 32).contiguous()
    train = ImageSet(images, labels, CLASSES, "cifar10", "train")
    speedrun.whitened(quick(speedrun), Cifar10(train, part("val", 20, 1), part("test", 20, 2), "official"))
    assert len(seen[0]) == 20 and seen[0][:, 0, 0, 0].unique().tolist() == list(range(10))


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
    monkeypatch.setattr(benchmark.speedrun, "whitened", lambda *args: None)
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
    ("rank", {"models": ()}, "models is empty"),
    ("rank", {"models": ("vgg",)}, "Unknown model 'vgg'"),
    ("rank", {"minutes": 0.0}, "minutes must be above 0"),
    ("speedrun", {"resume": True}, "not resumed"),
    ("speedrun", {"seeds": 0}, "seeds must be at least 1"),
    ("transfer", {"size": 16}, "size must be at least 32"),
    ("transfer", {"weights": "random"}, "leaves nothing to transfer"),
    ("transfer", {"backbone": "efficientnet_lite9"}, "Unknown model 'efficientnet_lite9'"),
])  # fmt: skip
def test_unfit_settings_are_refused_in_a_sentence(load, name, settings, said):
    with pytest.raises(ConfigError, match=said):
        load(name).Config(**settings)


def test_a_ranking_whose_epochs_validation_would_choose_is_refused(load):
    rank = load("rank")
    with pytest.raises(ConfigError, match="training.monitor must be last"):
        rank.Config(training=replace(rank.RECIPE, monitor="val/accuracy"))
    assert rank.Config().timed is not torch.cuda.is_available() and rank.Config(budget="time").timed
    assert load("train").Config().augmentation == Augmentation(flip=0.5, shift=4) == rank.Config().augmentation
