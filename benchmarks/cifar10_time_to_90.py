"""CIFAR-10: training time to 90 % of the validation images, the speed run against the usual student recipe.

    python benchmarks/cifar10_time_to_90.py --data DIR --record

The student recipe: ResNet-18 with the CIFAR stem, SGD with momentum 0.9, weight decay 5e-4, cosine schedule from 0.1,
batches of 128 of mirrored and shifted images by torchvision, in 32 bit, contiguous. Ours: `cifar10_speedrun`, its
network narrowed to what 90 % needs, on the same 45,000 images, its whitening counted. Both are judged on the same
5,000, ours after every epoch, the recipe twice in one; the clock runs while they train, not while they are judged so.
Ours is judged once more at its end, in the views that the speed run answers with, and that the clock does count. The
recipe is stopped once it has reached 90 %, or has trained `limit` times as long as ours needed: the ratio is then a
lower bound, and summary and record say so.
"""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from cnnlab.data.cifar10 import Cifar10, load_cifar10
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome, join_remarks, main
from cnnlab.models.families import cifar_model
from cnnlab.plots.ranking import accuracy_over_time
from cnnlab.tracking import Run
from cnnlab.training import predict
from cnnlab.training.views import predict_views

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments/cifar10"))
import speedrun  # noqa: E402

Curve = list[tuple[float, float]]  # seconds of training, share of validation images right


@dataclass(frozen=True)
class Config(Experiment):
    """Compare the time to a validation accuracy."""

    target: float = 0.9
    """share of validation images"""
    limit: float = 6.0
    """the recipe may train so many times as long as ours needed"""
    epochs: int = 30
    """of the recipe's cosine schedule"""
    model: str = "resnet18"
    """the recipe's network"""
    workers: int = os.cpu_count() or 1
    """processes that load and augment for the recipe"""
    ours: speedrun.Config = field(
        default_factory=lambda: speedrun.Config(seeds=1, validation=5000, widths=(64, 192, 256))
    )
    """the speed run's settings, with a network that is just large enough for 90 %"""

    def __post_init__(self) -> None:
        if not 0 <= self.target < 1:
            raise ConfigError(f"target must be a share of at least 0 and below 1, not {self.target}.")

    def shrunk(self) -> "Config":
        return replace(self, target=0.0, limit=1.0, epochs=1, workers=0, model="resnet20", ours=self.ours.shrunk())


class Augmented(Dataset):
    """One image after another through torchvision's transforms, as a first course does it."""

    transform = v2.Compose([
        v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True),
    ])  # fmt: skip

    def __init__(self, images: ImageSet) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, label = self.images[index]
        return self.transform(image), label


def recipe(config: Config, data: Cifar10, deadline: float) -> Iterator[tuple[float, float]]:
    """Seconds of training so far and validation accuracy, twice in an epoch and after `deadline` seconds, the end."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(config.seed)
    model: nn.Module = cifar_model(config.model, len(data.train.classes)).to(device)  # it normalises by itself
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    batch = min(128, len(data.train))
    loader = DataLoader(
        Augmented(data.train), batch, shuffle=True, drop_last=True, num_workers=config.workers,
        persistent_workers=config.workers > 0,
    )  # fmt: skip
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.epochs * len(loader))
    seconds, looks = 0.0, {max(1, len(loader) // 2), len(loader)}
    for _ in range(config.epochs):
        began = time.perf_counter()
        for step, (images, labels) in enumerate(loader, 1):
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(images.to(device)), labels.to(device)).backward()
            optimizer.step()
            schedule.step()
            over = (so_far := seconds + time.perf_counter() - began) >= deadline
            if over or step in looks:
                seconds = so_far
                outputs, truth = predict(model, data.val)
                yield seconds, (outputs.argmax(1) == truth).double().mean().item()
                if over:
                    return
                began = time.perf_counter()


def time_to(curve: Curve, target: float) -> float | None:
    """Seconds after which the target was first reached, or None."""
    return next((seconds for seconds, accuracy in curve if accuracy >= target), None)


def run(config: Config, run: Run) -> Outcome:
    """Train ours, then the recipe until it is there or out of time."""
    data = load_cifar10(config.data, config.quick, validation=config.ours.validation)
    run.log_data(data.name, data.digest, {"train": len(data.train), "val": len(data.val)}, config.data)
    run.set_tags({"pixels": data.pixels})
    began = time.perf_counter()
    speedrun.untrained(config.ours, data)
    seconds = time.perf_counter() - began  # `train_once` does it once more, beside the epochs that it times
    model, history = speedrun.train_once(config.ours, data, Run.inactive(), config.seed)
    ours = []
    for epoch in history.history:
        seconds += epoch["epoch_seconds"]
        ours.append((seconds, epoch["val/accuracy"]))
    began = time.perf_counter()
    found, truth = predict_views(model, data.val, config.ours.views)
    seconds += time.perf_counter() - began
    ours.append((seconds, (found.argmax(1) == truth).double().mean().item()))
    for number, (at, accuracy) in enumerate(ours, 1):
        run.log_metrics({"ours/seconds": at, "ours/val_accuracy": accuracy}, number)
    if (reached := time_to(ours, config.target)) is None:
        raise ConfigError(f"Ours ended at {ours[-1][1]:.3f}, below target={config.target}: nothing to compare.")
    print(f"Ours: {reached:.0f} s. The recipe has at most {config.limit * reached:.0f} s.", flush=True)
    theirs: Curve = []
    for at, accuracy in recipe(config, data, config.limit * reached):
        theirs.append((at, accuracy))
        run.log_metrics({"recipe/seconds": at, "recipe/val_accuracy": accuracy}, len(theirs))
        print(f"recipe: {100 * accuracy:.1f} % after {at:.0f} s", flush=True)
        if accuracy >= config.target:
            break
    run.log_figure("accuracy_over_time", accuracy_over_time({"cnnlab": ours, config.model: theirs}, config.target))
    needed = time_to(theirs, config.target)
    ratio = (needed or theirs[-1][0]) / reached
    said = f"needed {needed:.0f} s" if needed else f"had {100 * theirs[-1][1]:.1f} % after {theirs[-1][0]:.0f} s"
    target = f"{100 * config.target:.0f} %"
    bound = f"the recipe was stopped at limit={config.limit:g}, before it had {target}, so the ratio is a lower bound"
    return Outcome(
        {"cnnlab_seconds": reached, "recipe_seconds": needed or theirs[-1][0], "val_recipe_accuracy": theirs[-1][1],
         "speed_ratio": ratio, "recipe_reached_target": float(needed is not None)},
        f"{target} of {len(data.val)} validation images ({data.pixels}): ours after {reached:.0f} s "
        f"of training, the recipe ({config.model}) {said}: {'' if needed else 'at least '}{ratio:.1f} times as long.",
        [config.seed], note=join_remarks(data.caveat, "" if needed else bound),
    )  # fmt: skip


if __name__ == "__main__":
    main(run, Config, entry_point="bench_cifar10_time_to_90", question="benchmark", doc=__doc__)
