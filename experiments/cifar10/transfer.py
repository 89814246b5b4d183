"""C · The transfer-learning lecture on CIFAR-10: fixed features, last blocks, all layers, staged unfreezing.

    mlflow run . -e cifar10_transfer -P data=DIR

One backbone with ImageNet weights, five ways to use it. As a fixed feature extractor only the last layer is trained;
then the last blocks as well; then all layers, those before the last blocks at 0.3 of the rate; then staged unfreezing,
which starts with the head and adds one group of layers after another, at a rate that falls linearly, since a single
cycle would be all but over when the last groups have their turn (five epochs reach all groups but the stem); at last
the same network from random weights. All see the same images, enlarged to a size that the weights know, in the same
number of epochs, each as a child run. The picture is accuracy on validation against seconds of training, since what is
frozen costs less. The last epoch is kept, so that validation chooses nothing; each network is judged once on test. The
rates of the third and the fourth way were settled on validation images.

Budget on two CPU cores, 5,000 training images at 96x96, 5 epochs: a quarter of an hour. `-P resume=true` continues.

Result: cifar10_transfer on cifar10 (train 5000, val 1000, test 10000), seeds 0, AMD EPYC, 2 cores, 24 GiB, no GPU,
    672 s, 2026-11-23, commit b81dae0f53:
    test_accuracy_fixed_features       0.7259 (1) on 10000 samples
    seconds_fixed_features             38.26 (1)
    test_accuracy_last_blocks          0.8026 (1) on 10000 samples
    seconds_last_blocks                71.20 (1)
    test_accuracy_all_layers           0.8034 (1) on 10000 samples
    seconds_all_layers                 162.2 (1)
    test_accuracy_staged_unfreezing    0.7825 (1) on 10000 samples
    seconds_staged_unfreezing          106.2 (1)
    test_accuracy_from_random_weights  0.4109 (1) on 10000 samples
    seconds_from_random_weights        189.2 (1)
    folders of images (.jpg), not the official pixels
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from train import answers_of, log_answers

from cnnlab import plots
from cnnlab.data.augment import Augmentation
from cnnlab.data.cifar10 import load_cifar10
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.evaluation.comparison import paired_interval, wilson_interval
from cnnlab.experiment import Experiment, Outcome, checkpoint_path, fingerprint, join_remarks, main
from cnnlab.models.pretrained import WeightsReport, pretrained_model
from cnnlab.models.registry import model_settings
from cnnlab.plots.ranking import accuracy_over_time
from cnnlab.tracking import Run
from cnnlab.training import Training, fit

SCENARIOS: dict[str, dict[str, Any]] = {
    "fixed features": {"trained_groups": 1, "lr": 3e-3},
    "last blocks": {"trained_groups": 2},
    "all layers": {"lr_factors": (1.0, 1.0, 0.3)},  # head and last blocks as fast as where they train alone
    "staged unfreezing": {"unfreeze_every": 1, "lr_factors": (1.0, 1.0, 0.3), "schedule": "linear"},
    "from random weights": {},
}
"""What differs between the five: which layer groups train when, and how fast."""


@dataclass(frozen=True)
class Config(Experiment):
    """Compare ways of using a pretrained network on CIFAR-10."""

    data: str = "embedded"
    """`official`, a folder, or `official,FOLDER`: the official pixels if they can be had, else those of the folder"""
    backbone: str = "efficientnet_lite0"
    """name in the model registry"""
    weights: str = "auto"
    """auto, torchvision, packages, or the path of a .pth file"""
    size: int = 96
    """height and width that the images are enlarged to"""
    train_images: int = 5000
    """training images, equally many of each class"""
    val_images: int = 1000
    """validation images that are looked at after each epoch"""
    training: Training = field(
        default_factory=lambda: Training(
            epochs=5, batch_size=64, optimizer="adamw", lr=1e-3, weight_decay=0.01, schedule="one_cycle", monitor="last"
        )
    )
    """shared by all; each way adds its own"""
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(flip=0.5, shift=8))

    def __post_init__(self) -> None:
        for name, least in (("size", 32), ("train_images", 20), ("val_images", 10)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, not {getattr(self, name)}.")
        model_settings(self.backbone)  # an unknown name ends here, before the data are read
        if self.weights == "random" and not self.quick:
            raise ConfigError("weights=random leaves nothing to transfer; the last scenario starts from them anyway.")

    def shrunk(self) -> "Config":
        training = replace(self.training, epochs=1, batch_size=10)
        return replace(self, weights="random", size=32, training=training)


def run(config: Config, run: Run) -> Outcome:
    """Train the five ways, judge each once on test, draw accuracy against time."""
    data = load_cifar10(config.data, config.quick)
    train = enlarged(data.train.subset(config.train_images, config.seed), config.size)
    val = enlarged(data.val.subset(config.val_images, config.seed), config.size)
    test = enlarged(data.test, config.size)
    run.log_data(data.name, data.digest, {s.split: len(s) for s in (train, val, test)}, config.data)
    run.set_tags({"pixels": data.pixels})
    run.log_figure("examples_train", plots.class_grid(train.images, train.labels, train.classes))
    curves, rows, checkpoints = {}, [], []
    for name, settings in SCENARIOS.items():
        scenario = replace(config, training=replace(config.training, **settings))
        stamp = fingerprint(scenario, data.digest + name)
        checkpoint = checkpoint_path("cifar10_transfer", stamp, config.resume)
        checkpoints.append(checkpoint)
        torch.manual_seed(config.seed)
        weights = "random" if name == "from random weights" else config.weights
        model, report = pretrained_model(config.backbone, len(train.classes), weights)
        with run.child(name, {"scenario": name, "pixels": data.pixels}) as child:
            child.log_weights(report)
            history = fit(
                model, train, val, scenario.training, seed=config.seed, transform=config.augmentation, title=name,
                checkpoint=checkpoint, fingerprint=stamp,
                on_epoch=lambda epoch, values, child=child: child.log_metrics(values, epoch),
            ).history  # fmt: skip
            right = log_answers(child, answers_of(model, test), test)
            seconds = np.cumsum([epoch["epoch_seconds"] for epoch in history])
            child.log_metrics({"test_accuracy": float(right.mean()), "train_seconds": float(seconds[-1])})
        if name == next(iter(SCENARIOS)):
            run.log_weights(report)
            first = report
        curves[name] = [(float(s), epoch["val/accuracy"]) for s, epoch in zip(seconds, history, strict=True)]
        rows.append({"name": name, "right": right, "seconds": float(seconds[-1])})
        print(f"{name}: {100 * right.mean():.1f} % of test after {seconds[-1]:.0f} s", flush=True)
    run.log_figure("accuracy_over_time", accuracy_over_time(curves))
    text = table(rows, first, len(train), data.pixels)
    run.log_text("transfer.md", text)
    print(text, flush=True)
    for path in checkpoints:
        path.unlink(missing_ok=True)
    metrics = {}
    for row in rows:
        key = row["name"].replace(" ", "_")
        metrics |= {f"test_accuracy_{key}": float(row["right"].mean()), f"seconds_{key}": row["seconds"]}
    ways = ", ".join(f"{r['name']} {100 * r['right'].mean():.1f} % ({r['seconds']:.0f} s)" for r in rows)
    return Outcome(
        metrics,
        f"Right of {len(test)} test images ({data.pixels}) after {len(train)} training images: {ways}. "
        f"{first.sentence}",
        [config.seed], note=join_remarks(data.caveat, "" if first.complete else first.sentence),
    )  # fmt: skip


def enlarged(images: ImageSet, size: int) -> ImageSet:
    """The same images at `size` x `size`, uint8, smoothly interpolated."""
    pixels = torch.empty((len(images), 3, size, size), dtype=torch.uint8)
    for start in range(0, len(images), 500):
        part = images.images[start : start + 500].float()
        part = F.interpolate(part, size=(size, size), mode="bicubic", antialias=True)
        pixels[start : start + 500] = part.round().clamp(0, 255).to(torch.uint8)
    return replace(images, images=pixels)


def table(rows: list[dict[str, Any]], report: WeightsReport, trained: int, pixels: str) -> str:
    """The ways as Markdown, each with its interval and its difference to fixed features on the same test images."""
    base = rows[0]
    lines = [
        "# Ways of using a pretrained network", "",
        f"{trained} training images ({pixels}), one seed; {report.sentence} The intervals are those of so many test "
        "images, the differences are to fixed features on the same ones; another seed may move them by more.", "",
        "| way | test accuracy, % | 95 % interval | difference, points | seconds of training |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        accuracy = row["right"].mean()
        low, high = wilson_interval(float(accuracy), len(row["right"]))
        gain = "—"
        if row is not base:
            ends = paired_interval(base["right"][None], row["right"][None])
            gain = "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * v for v in (accuracy - base["right"].mean(), *ends)))
        interval = f"{100 * low:.1f}–{100 * high:.1f}"
        lines.append(f"| {row['name']} | {100 * accuracy:.1f} | {interval} | {gain} | {row['seconds']:.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(run, Config, entry_point="cifar10_transfer", question="C", doc=__doc__)
