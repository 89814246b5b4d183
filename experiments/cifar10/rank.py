"""C · The eleven papers on CIFAR-10 under one budget: a fast, honest ranking.

    mlflow run . -e cifar10_rank -P data=DIR                          # on a CPU: equal training time for each
    mlflow run . -e cifar10_rank -P data=official -P budget=epochs -P epochs=200      # on a GPU: equal epochs

On a CPU each network may train for the same `minutes`; how many images that is follows from its speed, measured first
on ten seconds of real steps, and a network whose training took over 10 % more or less than that is marked. On a GPU
each sees the same number of epochs. Recipe, augmentation and batches are the same for all, none is tuned. Dropout and
stochastic depth, which some of them have for hundreds of epochs, are switched off under a budget of time; under one of
epochs each network keeps its own. Each network and seed is a child run with its curves; the last state is kept, so that
validation chooses nothing and test is judged once. The table has accuracy, its spread over `seeds` and its 95 %
interval, parameters, multiply-adds, training speed, latency and memory; a network that its answers on the same test
images cannot tell from the first of the rank above shares that rank. What diverges is told and has no rank.

A budget of minutes ranks what learns fast on this machine; it says little about what the networks reach at full length.
The column `elsewhere` has the best figures of public repositories after full trainings, for orientation. `-P models=`
names other networks, such as shufflenet_v1_g3.

`-P resume=true` continues a stopped ranking, within the network that was training; what was judged is not judged again.

Budget on two CPU cores: eleven times `minutes` for each seed, and some minutes for each of the slower networks to judge
15,000 images. On the stand-in, which ranks nothing, 0.2 minutes for each network at most.

Result: cifar10_rank on cifar10 (train 45000, val 5000, test 10000), seeds 0, AMD EPYC, 2 cores, 24 GiB, no GPU, 6740
    s, 2026-11-23, commit 900d97f2ee:
    test_accuracy_vgg16_bn            0.7856 (1) on 10000 samples
    test_accuracy_resnet18            0.7252 (1) on 10000 samples
    test_accuracy_mobilenet_v2        0.6226 (1) on 10000 samples
    test_accuracy_shufflenet_v2_x1_0  0.5967 (1) on 10000 samples
    test_accuracy_googlenet           0.5502 (1) on 10000 samples
    test_accuracy_efficientnet_b0     0.5389 (1) on 10000 samples
    test_accuracy_densenet_bc_100_12  0.5385 (1) on 10000 samples
    test_accuracy_xception            0.5196 (1) on 10000 samples
    test_accuracy_inception_v3        0.4796 (1) on 10000 samples
    test_accuracy_resnext29_8x64d     0.2723 (1) on 10000 samples
    test_accuracy_inception_v4        0.1637 (1) on 10000 samples
    folders of images (.jpg), not the official pixels
"""

import json
import statistics
import time
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from train import RECIPE, answers_of, log_answers

from cnnlab import plots
from cnnlab.data.augment import Augmentation
from cnnlab.data.cifar10 import VALIDATION, Cifar10, load_cifar10
from cnnlab.data.imageset import ImageSet
from cnnlab.data.portions import Portions
from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome, checkpoint_path, fingerprint, main
from cnnlab.files import replacing
from cnnlab.models.families import check_cifar, cifar_model, family
from cnnlab.models.registry import model_settings
from cnnlab.models.speednet import whitened
from cnnlab.models.trace import trace
from cnnlab.plots.ranking import accuracy_against_cost
from cnnlab.reports.ranking import Conditions, Entry, kept_budget, ranking_table, ranks
from cnnlab.reports.text_tables import percent
from cnnlab.tracking import Run
from cnnlab.training import Training, fit

ONE_OF_EACH = (
    "vgg16_bn", "mobilenet_v2", "resnet18", "shufflenet_v2_x1_0", "googlenet", "inception_v3", "inception_v4",
    "xception", "resnext29_8x64d", "densenet_bc_100_12", "efficientnet_b0",
)  # fmt: skip
# Best test accuracies, %, that public repositories report for full trainings on the official pixels; for the others of
# the eleven none is known.
ELSEWHERE = {
    "vgg16_bn": 94.3, "resnet18": 95.3, "mobilenet_v2": 94.4, "shufflenet_v2_x1_0": 93.0, "googlenet": 95.4,
    "inception_v3": 95.6, "resnext29_8x64d": 96.3, "densenet_bc_100_12": 95.5,
}  # fmt: skip
SIZE = (32, 32)
WARM_UP, TIMED = 2, 5  # steps before the speed is taken, and the first ones, from which follows how many more
MEASURED = 10.0  # seconds of steps from which the speed is taken
WATCHED = 1000  # validation images of the curves; all are judged at the end
STAND_IN_MINUTES = 0.2


@dataclass(frozen=True)
class Config(Experiment):
    """Rank networks on CIFAR-10 under one budget."""

    data: str = "embedded"
    """`official`, a folder, or `official,FOLDER`: the official pixels if they can be had, else those of the folder"""
    models: tuple[str, ...] = ONE_OF_EACH
    """names in the model registry"""
    budget: Literal["auto", "time", "epochs"] = "auto"
    """auto is time on a CPU and epochs on a GPU"""
    minutes: float = 8.0
    """training time of each network, with budget=time"""
    epochs: int = 30
    """passes over the training images, with budget=epochs"""
    rounds: int = 8
    """with budget=time: how often in that time validation is looked at"""
    training: Training = field(default_factory=lambda: replace(RECIPE, monitor="last"))
    """epochs are set by the budget"""
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(flip=0.5, shift=4))
    validation: int = VALIDATION
    """training images that are kept for validation"""
    seeds: int = 1
    """trainings of each network, from seeds seed, seed+1, …; more than one gives mean ± standard deviation"""

    def __post_init__(self) -> None:
        if not self.models:
            raise ConfigError("models is empty; name at least one network.")
        for name in self.models:
            model_settings(name)  # an unknown name ends here, before the data are read
        for name, value in (("minutes", self.minutes), ("epochs", self.epochs), ("rounds", self.rounds)):
            if value <= 0:
                raise ConfigError(f"{name} must be above 0, not {value}.")
        if self.seeds < 1:
            raise ConfigError(f"seeds must be at least 1, not {self.seeds}.")
        if self.training.monitor != "last":
            raise ConfigError("training.monitor must be last: under a budget the last state is what is ranked.")

    def shrunk(self) -> "Config":
        training = replace(self.training, batch_size=8)
        models = ("resnet20", "shufflenet_v2_x0_5")
        return replace(self, models=models, minutes=0.01, rounds=1, epochs=1, seeds=1, training=training)

    @property
    def timed(self) -> bool:
        """Whether the budget is time."""
        return self.budget == "time" or (self.budget == "auto" and not torch.cuda.is_available())


def run(config: Config, run: Run) -> Outcome:
    """Train each network under the budget, judge it once, set all side by side."""
    for name in config.models:
        check_cifar(name)
    data = load_cifar10(config.data, config.quick, validation=config.validation)
    config = for_stand_in(config, data)
    run.log_data(data.name, data.digest, data.splits, config.data)
    run.set_tags({"pixels": data.pixels})
    run.log_figure("examples_train", plots.class_grid(data.train.images, data.train.labels, data.train.classes))
    under = conditions(config, data)
    found: dict[str, Entry] = {}
    entries: list[Entry] = []
    diverged: list[str] = []
    checkpoints: list[Path] = []
    # seed after seed, so that a stopped ranking of several seeds has all networks and not all seeds of one
    for seed, name in product(range(config.seed, config.seed + config.seeds), config.models):
        if name in diverged:  # with an earlier seed
            continue
        title = name if config.seeds == 1 else f"{name} seed {seed}"
        tags = {"model": name, "family": family(name), "pixels": data.pixels, "seed": str(seed)}
        with run.child(title, tags) as child:
            entry, kept = rank_one(replace(config, seed=seed, seeds=1), data, name, child)
        checkpoints += kept
        if entry is None:
            diverged.append(name)
            found.pop(name, None)
            print(f"{title}: diverged, and is left out of the ranks", flush=True)
        else:
            found[name] = found[name].join(entry) if name in found else entry
            images = entry.figures["images_seen"][0]
            print(f"{title}: {100 * entry.accuracy:.2f} % of test after {images:,.0f} images", flush=True)
        entries = sorted(found.values(), key=lambda e: -e.accuracy)
        # what there is by now can be read while it goes on
        run.log_text("ranking.md", ranking_table(entries, under, ELSEWHERE, diverged))
        if entries:
            run.log_figure("accuracy_against_cost", accuracy_against_cost([_row(e) for e in entries]))
    print(ranking_table(entries, under, ELSEWHERE, diverged), flush=True)
    if entries:
        values = [e.figures["test_accuracy"] if config.seeds > 1 else () for e in entries]
        rows = [{**_row(e), "mean": e.accuracy, "values": v} for e, v in zip(entries, values, strict=True)]
        run.log_figure("test_accuracy", plots.accuracies(rows, f"test accuracy, {len(data.test)} images"))
        run.log_arrays("right.npz", {e.name: e.right for e in entries})
    for path in checkpoints:
        path.unlink(missing_ok=True)
    metrics: dict[str, float | list[float]] = {f"{k}_{e.name}": v for e in entries for k, v in e.figures.items()}
    if diverged:
        metrics["networks_diverged"] = float(len(diverged))
    return Outcome(
        metrics, summary(entries, under, diverged), list(range(config.seed, config.seed + config.seeds)),
        note=data.caveat,
    )  # fmt: skip


def for_stand_in(config: Config, data: Cifar10) -> Config:
    """The settings, with less time where it would go into a few hundred crops of photographs that stand in."""
    if not (data.embedded and config.timed and config.minutes > STAND_IN_MINUTES):
        return config
    print(
        f"{len(data.train)} crops of photographs stand in for CIFAR-10 and rank nothing: {STAND_IN_MINUTES:g} minutes "
        f"for each network instead of {config.minutes:g}; name the images by data=.", flush=True,
    )  # fmt: skip
    return replace(config, minutes=STAND_IN_MINUTES)


def conditions(config: Config, data: Cifar10) -> Conditions:
    """What the networks are ranked under."""
    budget = f"Equal epochs, {config.epochs} for each network."
    if config.timed:
        budget = f"Equal training time, {config.minutes:g} minutes for each network."
    seconds = 60 * config.minutes if config.timed else 0.0
    return Conditions(budget, seconds, config.seeds, len(data.train), len(data.test), data.pixels)


def summary(entries: list[Entry], under: Conditions, diverged: list[str]) -> str:
    """The ranking in a few sentences."""
    words = [under.budget]
    if entries:
        first = entries[: ranks(entries).count(1)]  # those that the test images cannot tell from the best
        shown = [f"{one.name}, {percent(one.figures['test_accuracy'], 'seeds', 2)}" for one in first]
        words.append(
            f"First of {len(entries)}: {' and '.join(shown)} of {under.judged} test images ({under.pixels}); the table "
            "is ranking.md."
        )
    if kept := kept_budget(entries, under.seconds):
        words.append(kept)
    if diverged:
        words.append(f"Diverged: {', '.join(diverged)}.")
    return " ".join(words)


def rank_one(config: Config, data: Cifar10, name: str, child: Run) -> tuple[Entry | None, list[Path]]:
    """Train one network under the budget with one seed and judge it.

    Returns what was measured, None if its training diverged, and the files to remove when the ranking is complete.
    """
    torch.manual_seed(config.seed)
    model = whitened(network(config, name, len(data.train.classes)), data.train.images)
    stamp = fingerprint(replace(config, models=(name,)), data.digest)
    checkpoint = checkpoint_path(f"cifar10_rank_{name}", stamp, config.resume)
    plan = checkpoint.with_suffix(".json")
    train, training = planned(config, data.train, name, plan)
    kept, told = [checkpoint, plan], json.loads(plan.read_text())
    if "diverged" in told:  # before the ranking was stopped: it would again
        child.set_tags(told)
        return None, kept
    try:
        history = fit(
            model, train, data.val.subset(WATCHED), training, seed=config.seed, transform=config.augmentation,
            checkpoint=checkpoint, fingerprint=stamp, title=name,
            on_epoch=lambda epoch, values: child.log_metrics(values, epoch),
        ).history  # fmt: skip
    except FloatingPointError as error:
        _write(plan, told | {"diverged": str(error)})
        child.set_tags({"diverged": error})
        return None, kept
    child.log_figure("curves", plots.learning_curves(history))
    if "answers" not in told:  # a ranking that is stopped later and resumed has them from here
        told |= {"figures": measured(model, data, len(train), history)}
        told |= {"answers": answers_of(model, data.test).tolist()}
        _write(plan, told)
    right = log_answers(child, np.array(told["answers"]), data.test)
    figures = {"test_accuracy": float(right.mean()), **told["figures"]}
    child.log_metrics(figures)
    return Entry(name, {key: [value] for key, value in figures.items()}, right[None]), kept


def network(config: Config, name: str, classes: int) -> nn.Module:
    """A network as it is ranked; in minutes, without what keeps trainings of hundreds of epochs from overfitting."""
    off = [key for key in ("dropout", "drop_path") if config.timed and key in model_settings(name)]
    return cifar_model(name, classes, **dict.fromkeys(off, 0.0))


def measured(model: nn.Module, data: Cifar10, portion: int, history: list[dict[str, float]]) -> dict[str, float]:
    """What the table has of a trained network beside its answers on test; `portion` images are an epoch."""
    seconds, seen = sum(epoch["epoch_seconds"] for epoch in history), float(portion * len(history))
    return {
        "val_accuracy": float((answers_of(model, data.val) == data.val.labels.numpy()).mean()),
        "parameters": float(sum(p.numel() for p in model.parameters())),
        "multiply_adds": float(trace(model, SIZE).multiply_adds), "latency_ms": latency(model, data.val),
        "train_images_per_second": seen / seconds, "train_seconds": seconds, "images_seen": seen,
        "memory_mb": max(epoch["memory_mb"] for epoch in history),
    }  # fmt: skip


def planned(config: Config, train: ImageSet, name: str, plan: Path) -> tuple[Any, Training]:
    """What a network is trained on in an epoch, and for how many: by its speed, or the whole set.

    The plan is kept beside the checkpoint: a resumed training goes on as it was planned.
    """
    if not (config.resume and plan.exists()):
        told = {}
        if config.timed:
            told = {"images_per_second": training_speed(network(config, name, len(train.classes)), train, config)}
        _write(plan, told)
    if not config.timed:
        return train, replace(config.training, epochs=config.epochs)
    speed, batch = json.loads(plan.read_text())["images_per_second"], config.training.batch_size
    # whole batches: of a last one of a few images batch norm would take statistics that are no set's
    size = batch * max(1, round(speed * 60 * config.minutes / config.rounds / batch))
    return Portions(train, size, config.seed), replace(config.training, epochs=config.rounds)


def training_speed(model: nn.Module, train: ImageSet, config: Config) -> float:
    """Images per second of real training steps: so many as take `MEASURED` seconds, after some that do not count.

    Of a short budget a tenth is measured. The rate is next to nothing: it costs no time, and a network that diverges
    is to do so in its training.
    """
    size, short = config.training.batch_size, replace(config.training, epochs=1, lr=1e-9)

    def timed(steps: int) -> float:
        some = Portions(train, size * steps)
        return fit(model, some, train.take([0, 1]), short, transform=config.augmentation).history[0]["epoch_seconds"]

    timed(WARM_UP)
    wanted = min(MEASURED, 60 * config.minutes / 10)
    steps = max(TIMED, round(TIMED * wanted / timed(TIMED)))
    return size * steps / timed(steps)


@torch.no_grad()
def latency(model: nn.Module, images: ImageSet, repetitions: int = 20) -> float:
    """Milliseconds for one image, in 32 bit: the median of several."""
    model.eval()
    device = next(model.parameters()).device
    one = images.images[:1].to(device).float() / 255
    times = []
    for _ in range(repetitions + 3):
        began = time.perf_counter()
        model(one).cpu()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[3:])


def _write(plan: Path, told: dict[str, Any]) -> None:
    with replacing(plan) as partial:
        partial.write_text(json.dumps(told))


def _row(entry: Entry) -> dict[str, Any]:
    return {"name": entry.name, "interval": entry.interval, **entry.means}


if __name__ == "__main__":
    main(run, Config, entry_point="cifar10_rank", question="C", doc=__doc__)
