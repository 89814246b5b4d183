"""C · The eleven papers on CIFAR-10 under one budget: a fast, honest ranking.

    mlflow run . -e cifar10_rank -P data=DIR                          # on a CPU: equal training time for each
    mlflow run . -e cifar10_rank -P data=official -P budget=epochs -P epochs=200      # on a GPU: equal epochs

On a CPU each network may train for the same `minutes`; how many images that is follows from its speed, measured first
on real steps. On a GPU each sees the same number of epochs. Recipe, augmentation and batches are the same for all,
none is tuned. Each network is a child run with its curves; the last state is kept, so that validation chooses nothing
and test is judged once. The table has accuracy, its 95 % interval, parameters, multiply-adds, training speed, latency
and memory; networks that their answers on the same test images cannot tell apart share a rank.

A budget of minutes ranks what learns fast on this machine; it says little about what the networks reach at full length.
The column `elsewhere` has the best figures of public repositories after full trainings, for orientation.

`-P resume=true` continues a stopped ranking, within the network that was training.

Budget on two CPU cores: eleven times `minutes`, and half as much again for measuring and judging.

Result: no recorded run yet
"""

import json
import statistics
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from train import RECIPE, judge

from cnnlab import plots
from cnnlab.data.augment import Augmentation
from cnnlab.data.cifar10 import VALIDATION, Cifar10, load_cifar10
from cnnlab.data.imageset import ImageSet
from cnnlab.data.portions import Portions
from cnnlab.errors import ConfigError
from cnnlab.evaluation.comparison import paired_interval, wilson_interval
from cnnlab.experiment import Experiment, Outcome, checkpoint_path, fingerprint, main
from cnnlab.models.families import cifar_model, family
from cnnlab.models.registry import model_settings
from cnnlab.models.trace import trace
from cnnlab.plots.ranking import accuracy_against_cost
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
WARM_UP, TIMED = 2, 5  # steps before the speed is taken, and steps it is taken from


@dataclass(frozen=True)
class Config(Experiment):
    """Rank networks on CIFAR-10 under one budget."""

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

    def __post_init__(self) -> None:
        if not self.models:
            raise ConfigError("models is empty; name at least one network.")
        for name in self.models:
            model_settings(name)  # an unknown name ends here, before the data are read
        for name, value in (("minutes", self.minutes), ("epochs", self.epochs), ("rounds", self.rounds)):
            if value <= 0:
                raise ConfigError(f"{name} must be above 0, not {value}.")
        if self.training.monitor != "last":
            raise ConfigError("training.monitor must be last: under a budget the last state is what is ranked.")

    def shrunk(self) -> "Config":
        training = replace(self.training, batch_size=8)
        models = ("resnet20", "shufflenet_v2_x0_5")
        return replace(self, models=models, minutes=0.01, rounds=1, epochs=1, training=training)

    @property
    def timed(self) -> bool:
        """Whether the budget is time."""
        return self.budget == "time" or (self.budget == "auto" and not torch.cuda.is_available())


@dataclass
class Entry:
    """One network and what was measured; `right` is bool (N,) over the test images."""

    name: str
    figures: dict[str, float]
    right: np.ndarray

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the test accuracy, of so many test images."""
        return wilson_interval(self.figures["test_accuracy"], len(self.right))


def run(config: Config, run: Run) -> Outcome:
    """Train each network under the budget, judge it once, set all side by side."""
    data = load_cifar10(config.data, config.quick, validation=config.validation)
    run.log_data(data.name, data.digest, data.splits, config.data)
    run.set_tags({"pixels": data.pixels})
    run.log_figure("examples_train", plots.class_grid(data.train.images, data.train.labels, data.train.classes))
    entries, checkpoints = [], []
    for name in config.models:
        with run.child(name, {"model": name, "family": family(name), "pixels": data.pixels}) as child:
            entry, kept = rank_one(config, data, name, child)
        entries.append(entry)
        checkpoints += kept
        accuracy, images = entry.figures["test_accuracy"], entry.figures["images_seen"]
        print(f"{name}: {100 * accuracy:.2f} % of test after {images:,.0f} images", flush=True)
        entries.sort(key=lambda e: -e.figures["test_accuracy"])
        run.log_text("ranking.md", table(entries, config, data))  # what there is by now can be read while it goes on
        run.log_figure("accuracy_against_cost", accuracy_against_cost([_row(e) for e in entries]))
    run.log_figure("test_accuracy", plots.accuracies(
        [{**_row(e), "mean": e.figures["test_accuracy"], "values": ()} for e in entries],
        f"test accuracy, {len(data.test)} images",
    ))  # fmt: skip
    run.log_arrays("right.npz", {e.name: e.right for e in entries})
    print(table(entries, config, data), flush=True)
    for path in checkpoints:
        path.unlink(missing_ok=True)
    metrics = {f"{key}_{e.name}": value for e in entries for key, value in e.figures.items()}
    best = entries[0]
    return Outcome(
        metrics,
        f"{stated(config)} First of {len(entries)}: {best.name}, {100 * best.figures['test_accuracy']:.2f} % of "
        f"{len(data.test)} test images ({data.pixels}); the table is ranking.md.",
        [config.seed], note="" if data.pixels == "official" else f"{data.pixels}, not the official pixels",
    )  # fmt: skip


def rank_one(config: Config, data: Cifar10, name: str, child: Run) -> tuple[Entry, list[Path]]:
    """Train one network under the budget and judge it; also the files to remove when the ranking is complete."""
    torch.manual_seed(config.seed)
    model = cifar_model(name, len(data.train.classes))
    stamp = fingerprint(replace(config, models=(name,)), data.digest)
    checkpoint = checkpoint_path(f"cifar10_rank_{name}", stamp, config.resume)
    plan = checkpoint.with_suffix(".json")
    train, training = planned(config, data.train, name, plan)
    history = fit(
        model, train, data.val, training, seed=config.seed, transform=config.augmentation, checkpoint=checkpoint,
        fingerprint=stamp, title=name, on_epoch=lambda epoch, values: child.log_metrics(values, epoch),
    ).history  # fmt: skip
    child.log_figure("curves", plots.learning_curves(history, best_by="epoch", mode="max"))
    _, right = judge(child, model, data.test)
    seconds = sum(epoch["epoch_seconds"] for epoch in history)
    figures = {
        "test_accuracy": float(right.mean()), "val_accuracy": history[-1]["val/accuracy"],
        "parameters": float(sum(p.numel() for p in model.parameters())),
        "multiply_adds": float(trace(model, SIZE).multiply_adds), "latency_ms": latency(model, data.val),
        "train_images_per_second": len(train) * len(history) / seconds, "train_seconds": seconds,
        "images_seen": float(len(train) * len(history)), "memory_mb": max(epoch["memory_mb"] for epoch in history),
    }  # fmt: skip
    child.log_metrics(figures)
    return Entry(name, figures, right), [checkpoint, plan]


def planned(config: Config, train: ImageSet, name: str, plan: Path) -> tuple[Any, Training]:
    """What a network is trained on in an epoch, and for how many: by its speed, or the whole set.

    The speed is kept beside the checkpoint: a resumed training goes on as it was planned.
    """
    if not config.timed:
        return train, replace(config.training, epochs=config.epochs)
    if not (config.resume and plan.exists()):
        speed = training_speed(cifar_model(name, len(train.classes)), train, config)
        plan.parent.mkdir(parents=True, exist_ok=True)
        plan.write_text(json.dumps({"images_per_second": speed}))
    speed = json.loads(plan.read_text())["images_per_second"]
    size = max(config.training.batch_size, round(speed * 60 * config.minutes / config.rounds))
    return Portions(train, size, config.seed), replace(config.training, epochs=config.rounds)


def training_speed(model: nn.Module, train: ImageSet, config: Config) -> float:
    """Images per second of real training steps, after some that do not count."""
    size, seconds = config.training.batch_size, []
    for steps in (WARM_UP, TIMED):
        short = replace(config.training, epochs=1)
        history = fit(model, Portions(train, size * steps), train.take([0, 1]), short, transform=config.augmentation)
        seconds.append(history.history[0]["epoch_seconds"])
    return size * TIMED / seconds[-1]


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


# ---- the table -------------------------------------------------------------------------------------------------------
def ranks(entries: list[Entry]) -> list[int]:
    """Rank of each entry (sorted, best first); it shares the rank above where no difference to its first is shown."""
    out, leader = [], 0
    for place, entry in enumerate(entries):
        low, _ = paired_interval(entry.right[None], entries[leader].right[None])
        if place and low > 0:
            leader = place
        out.append(leader + 1)
    return out


def stated(config: Config) -> str:
    """The budget in words."""
    if config.timed:
        return f"Equal training time, {config.minutes:g} minutes for each network."
    return f"Equal epochs, {config.epochs} for each network."


def table(entries: list[Entry], config: Config, data: Cifar10) -> str:
    """The ranking as Markdown."""
    lines = [
        "# CIFAR-10 under one budget", "",
        f"{stated(config)} Pixels: {data.pixels}. {len(data.train)} training images, {len(data.test)} test images "
        "judged once, one seed. Networks share a rank where the 95 % interval of their difference on the same test "
        "images has zero in it; another seed may move an accuracy by more than that. Memory is the peak in training, "
        "on a CPU that of the whole process, libraries and data set included. `elsewhere` has the best figures of "
        "public repositories after full trainings on the official pixels: not measured here.", "",
        "| rank | network | paper | test accuracy, % | 95 % interval | val, % | parameters, M | multiply-adds, M | "
        "training, s | train images/s | images seen | latency, ms | memory, MB | % per minute | elsewhere, % |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for rank, entry in zip(ranks(entries), entries, strict=True):
        f = entry.figures
        low, high = entry.interval
        lines.append(
            f"| {rank} | {entry.name} | {family(entry.name)} | {100 * f['test_accuracy']:.2f} | {100 * low:.2f}–"
            f"{100 * high:.2f} | {100 * f['val_accuracy']:.2f} | {f['parameters'] / 1e6:.2f} | "
            f"{f['multiply_adds'] / 1e6:.1f} | {f['train_seconds']:.0f} | {f['train_images_per_second']:.0f} | "
            f"{f['images_seen']:.0f} | "
            f"{f['latency_ms']:.1f} | {f['memory_mb']:.0f} | "
            f"{100 * f['test_accuracy'] / (f['train_seconds'] / 60):.1f} | {ELSEWHERE.get(entry.name, '–')} |"
        )
    return "\n".join(lines) + "\n"


def _row(entry: Entry) -> dict[str, Any]:
    return {"name": entry.name, "interval": entry.interval, **entry.figures}


if __name__ == "__main__":
    main(run, Config, entry_point="cifar10_rank", question="C", doc=__doc__)
