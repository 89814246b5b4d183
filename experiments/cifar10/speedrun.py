"""C · CIFAR-10 as fast as it can honestly be: towards 94 % of the test images, on official pixels, in the least time.

    mlflow run . -e cifar10_speedrun -P data=official      # official pixels, fetched by torchvision
    mlflow run . -e cifar10_speedrun -P data=DIR           # a folder: official pixels or image folders

The ideas are those of Keller Jordan's airbench (https://arxiv.org/abs/2404.00498) and Muon
(https://kellerjordan.github.io/posts/muon), written anew on this laboratory's loop: a small network whose first layer
whitens patches and is never trained, convolutions that begin as the identity, Muon for them, a rate that falls in a
straight line, mirror images by turns, label smoothing, and test images seen from several sides. bf16 and channels-last
where the processor has them, and memory that stays with the process from step to step.

`seconds` begins with the images in memory and ends with the last test answer: whitening, training with its validation,
and the views of every test image. Reading the files and starting Python are not in it; the record's own
`seconds` are those of the whole run. A thousand training images are kept for the curves and choose nothing; the recipe
was chosen on validation images of the training set. Image folders of JPEG files are not the official pixels, and the
run says which it saw.

Budget on two CPU cores: a quarter of an hour for a seed.

Result: cifar10_speedrun on cifar10 (train 49000, val 1000, test 10000), seeds 0, 1, 2, AMD EPYC, 2 cores, 24 GiB, no
    GPU, 2303 s, 2026-11-23, commit f11a044749:
    test_accuracy  0.91187 ± 0.00096 (3) on 10000 samples
    seconds        766 ± 16 (3)
    folders of images (.jpg), not the official pixels
"""

import time
from dataclasses import dataclass, field, replace
from statistics import mean

import torch
from sklearn.metrics import confusion_matrix
from torch import nn

from cnnlab import plots
from cnnlab.data.alternating import AlternatingFlips
from cnnlab.data.augment import Augmentation
from cnnlab.data.cifar10 import Cifar10, load_cifar10
from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.models import build_model
from cnnlab.models.speednet import whitened
from cnnlab.reports.classifier import log_classifier
from cnnlab.reports.text_tables import percent
from cnnlab.tracking import Run
from cnnlab.training import Fit, Training, fit
from cnnlab.training.views import Views, predict_views


@dataclass(frozen=True)
class Config(Experiment):
    """Aim at 94 % on CIFAR-10 in the least time."""

    data: str = "embedded"
    """`official`, a folder, or `official,FOLDER`: the official pixels if they can be had, else those of the folder"""
    widths: tuple[int, int, int] = (96, 256, 384)
    """channels of the network's three stages"""
    depth: int = 2
    """convolutions of a stage"""
    training: Training = field(
        default_factory=lambda: Training(
            epochs=9,
            batch_size=500,
            optimizer="muon",
            lr=0.01,
            weight_decay=0.01,
            schedule="linear",
            label_smoothing=0.2,
            monitor="last",
        )
    )
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(shift=2))
    """besides mirroring, which goes by turns"""
    views: Views = field(default_factory=lambda: Views(mirror=True, shift=1))
    """of a test image"""
    validation: int = 1000
    """training images that are kept for the curves; they choose nothing"""
    seeds: int = 3
    """number of trainings from seeds seed, seed+1, …; mean ± standard deviation over them"""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(f"seeds must be at least 1, not {self.seeds}.")
        if self.resume:
            raise ConfigError("A race against the clock is not resumed; leave resume out and start it anew.")

    def shrunk(self) -> "Config":
        training = replace(self.training, epochs=1, batch_size=20)
        return replace(self, training=training, widths=(8, 8, 8), depth=1, seeds=1)


def run(config: Config, run: Run) -> Outcome:
    """Train with each seed against the clock, and judge test once each."""
    data = load_cifar10(config.data, config.quick, validation=config.validation)
    run.log_data(data.name, data.digest, data.splits, config.data)
    run.set_tags({"pixels": data.pixels})
    run.log_figure("examples_train", plots.class_grid(data.train.images, data.train.labels, data.train.classes))
    seeds = list(range(config.seed, config.seed + config.seeds))
    metrics: dict[str, list[float]] = {"test_accuracy": [], "seconds": []}
    for seed in seeds:
        name = "" if seed == config.seed else f"_seed_{seed}"
        began = time.perf_counter()
        model, history = train_once(config, data, run, seed)
        found, labels = predict_views(model, data.test, config.views)
        metrics["seconds"].append(time.perf_counter() - began)
        answers = found.argmax(1)
        metrics["test_accuracy"].append((answers == labels).double().mean().item())
        run.log_figure(f"curves{name}", plots.learning_curves(history.history, kept=history.best_epoch))
        matrix = confusion_matrix(labels, answers, labels=range(len(data.test.classes)))
        run.log_figure(f"confusion_test{name}", plots.confusion_matrix(matrix, data.test.classes))
        print(f"seed {seed}: {100 * metrics['test_accuracy'][-1]:.2f} % in {metrics['seconds'][-1]:.0f} s", flush=True)
    log_classifier(run, model, data.train.classes, (32, 32), data.val.images[:2])
    return Outcome(
        metrics,
        f"{percent(metrics['test_accuracy'], 'seeds', 2)} of {len(data.test)} test images right ({data.pixels}) after "
        f"{mean(metrics['seconds']):.0f} s of training and answering, in {len(config.views)} views.",
        seeds, note=data.caveat,
    )  # fmt: skip


def train_once(config: Config, data: Cifar10, run: Run, seed: int) -> tuple[nn.Module, Fit]:
    """Whiten and train; the first seed's metrics are the run's own, those of the others carry the seed."""
    prefix = "" if seed == config.seed else f"seed_{seed}/"
    torch.manual_seed(seed)
    model = untrained(config, data)
    history = fit(
        model, AlternatingFlips(data.train, seed), data.val, config.training, seed=seed,
        transform=config.augmentation, title=f"seed {seed}",
        on_epoch=lambda epoch, values: run.log_metrics({prefix + k: v for k, v in values.items()}, epoch),
    )  # fmt: skip
    return model, history


def untrained(config: Config, data: Cifar10) -> nn.Module:
    """The network with its first layer computed."""
    model = build_model("speednet", len(data.train.classes), widths=config.widths, depth=config.depth)
    return whitened(model, data.train.images)


if __name__ == "__main__":
    main(run, Config, entry_point="cifar10_speedrun", question="C", doc=__doc__)
