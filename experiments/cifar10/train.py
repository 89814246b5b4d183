"""C · Train any network of the registry on CIFAR-10, by the recipe that public repositories use.

    mlflow run . -e cifar10_train -P data=official -P model=resnet18     # official pixels, fetched by torchvision
    mlflow run . -e cifar10_train -P data=DIR -P model=mobilenet_v2      # a folder: official pixels or image folders

5,000 of the 50,000 training images are kept for validation and choose the epoch; the 10,000 test images are judged
once, at the end. Networks that were made for ImageNet get the stem that their module describes for images of 32x32.
SGD with momentum and weight decay, one-cycle schedule, mirrored and shifted images; every setting can be given, such
as `-P training.epochs=200`, `-P aux_logits=true` for the heads of the Inceptions, `-P alternate=true` for mirror images
by turns, or `-P views.mirror=true` for test images seen from both sides. The run says which pixels it saw: image
folders of JPEG files are not the official ones.

Budget: minutes on a GPU; on two CPU cores take a small network, few epochs, or `-P resume=true` day by day.
`cifar10_rank` compares the eleven papers under one budget.

Result: cifar10_train_resnet20 on cifar10 (train 45000, val 5000, test 10000), seeds 0, AMD EPYC, 2 cores, 24 GiB, no
    GPU, 215 s, 2026-11-23, commit 655e6f8499:
    val_accuracy             0.7864 (1) on 5000 samples
    test_accuracy            0.7853 (1) on 10000 samples
    train_images_per_second  1073 (1) on 45000 samples
    parameters               269722 (1)
    epochs                   5.000 (1)
    folders of images (.jpg), not the official pixels
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from cnnlab import plots
from cnnlab.data.alternating import AlternatingFlips
from cnnlab.data.augment import Augmentation
from cnnlab.data.cifar10 import VALIDATION, Cifar10, load_cifar10
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.evaluation.classification import classification_report
from cnnlab.experiment import Experiment, Outcome, checkpoint_path, fingerprint, join_remarks, main
from cnnlab.models.families import check_cifar, cifar_model, family
from cnnlab.models.registry import list_models, model_settings
from cnnlab.models.speednet import whitened
from cnnlab.reports.classifier import log_classifier
from cnnlab.reports.text_tables import percent
from cnnlab.tracking import Run
from cnnlab.training import Fit, Training, fit
from cnnlab.training.views import SINGLE_VIEW, Views, predict_views

RECIPE = Training(
    epochs=30, batch_size=128, optimizer="sgd", lr=0.1, weight_decay=5e-4, schedule="one_cycle", monitor="val/accuracy",
    clip_grad=2.0,
)  # fmt: skip


@dataclass(frozen=True)
class Config(Experiment):
    """Train one network on CIFAR-10."""

    data: str = "embedded"
    """`official`, a folder, or `official,FOLDER`: the official pixels if they can be had, else those of the folder"""
    model: str = "resnet20"
    """name in the model registry, such as vgg16_bn, resnet18, mobilenet_v2, densenet_bc_100_12"""
    training: Training = RECIPE
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(flip=0.5, shift=4))
    validation: int = VALIDATION
    """training images that are kept for validation"""
    alternate: bool = False
    """mirror images by turns, every second epoch, in place of augmentation.flip"""
    aux_logits: bool = False
    """train the auxiliary heads of googlenet, inception_v3 or inception_v4 too"""
    views: Views = SINGLE_VIEW
    """from how many sides a validation or test image is looked at"""
    seeds: int = 1
    """number of trainings from seeds seed, seed+1, …; more than one gives mean ± standard deviation"""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(f"seeds must be at least 1, not {self.seeds}.")
        known = model_settings(self.model)  # an unknown name ends here, before the data are read
        if self.aux_logits and "aux_logits" not in known:
            having = ", ".join(name for name in list_models() if "aux_logits" in model_settings(name))
            raise ConfigError(f"aux_logits=true: {self.model} has no auxiliary heads; these have: {having}.")

    @property
    def network(self) -> dict[str, bool]:
        """Settings of the network."""
        return {"aux_logits": True} if self.aux_logits else {}

    def shrunk(self) -> "Config":
        return replace(self, training=replace(self.training, epochs=1, batch_size=8), seeds=1)


def run(config: Config, run: Run) -> Outcome:
    """Train with each seed; validation chooses the epoch, test is judged at the end."""
    check_cifar(config.model, **config.network)
    data = load_cifar10(config.data, config.quick, validation=config.validation)
    run.log_data(data.name, data.digest, data.splits, config.data)
    run.set_tags({"model": config.model, "family": family(config.model), "pixels": data.pixels})
    run.log_figure("examples_train", plots.class_grid(data.train.images, data.train.labels, data.train.classes))
    seeds = list(range(config.seed, config.seed + config.seeds))
    metrics: dict[str, list[float]] = {"val_accuracy": [], "test_accuracy": [], "train_images_per_second": []}
    for seed in seeds:
        model, history = train_once(config, data, run, seed)
        for split in (data.val, data.test):
            right = log_answers(run, answers_of(model, split, config.views), split, _suffix(config, seed))
            metrics[f"{split.split}_accuracy"].append(float(right.mean()))
        speeds = sorted(epoch["images_per_second"] for epoch in history.history)
        metrics["train_images_per_second"].append(speeds[len(speeds) // 2])
        if seed == config.seed:
            first = model
    log_classifier(run, first, data.train.classes, (32, 32), data.val.images[:2])
    for seed in seeds:
        checkpoint_path(_folder(config), _stamp(config, data, seed), resume=False)  # removes what is there
    parameters = sum(p.numel() for p in first.parameters())
    return Outcome(
        metrics | {"parameters": float(parameters), "epochs": float(config.training.epochs)},
        f"{config.model} ({parameters / 1e6:.2f} million parameters): "
        f"{percent(metrics['test_accuracy'], 'seeds', 2)} of {len(data.test)} test images right ({data.pixels}), "
        f"epoch chosen on {len(data.val)} validation images"
        + (f", each image seen in {len(config.views)} views." if config.views != SINGLE_VIEW else "."),
        seeds, variant=config.model,
        note=join_remarks(data.caveat, f"judged in {len(config.views)} views" * (config.views != SINGLE_VIEW)),
    )  # fmt: skip


def train_once(config: Config, data: Cifar10, run: Run, seed: int) -> tuple[nn.Module, Fit]:
    """One training; the first seed's curves are the run's own, those of the others carry the seed in their names."""
    prefix = "" if seed == config.seed else f"seed_{seed}/"
    torch.manual_seed(seed)
    model = whitened(cifar_model(config.model, len(data.train.classes), **config.network), data.train.images)
    train, augmentation = data.train, config.augmentation
    if config.alternate:
        train, augmentation = AlternatingFlips(train, seed), replace(augmentation, flip=0.0)
    stamp = _stamp(config, data, seed)
    history = fit(
        model, train, data.val, config.training, seed=seed, transform=augmentation,
        checkpoint=checkpoint_path(_folder(config), stamp, config.resume), fingerprint=stamp,
        on_epoch=lambda epoch, values: run.log_metrics({prefix + k: v for k, v in values.items()}, epoch),
        title=f"{config.model} seed {seed}",
    )  # fmt: skip
    curves = plots.learning_curves(history.history, kept=history.best_epoch)
    run.log_figure(f"curves{_suffix(config, seed)}", curves)
    return model, history


def answers_of(model: nn.Module, split: ImageSet, views: Views = SINGLE_VIEW) -> np.ndarray:
    """The class that each image is taken for, int64 (N,)."""
    return predict_views(model, split, views)[0].argmax(1).numpy()


def log_answers(run: Run, answers: np.ndarray, split: ImageSet, suffix: str = "") -> np.ndarray:
    """Store the confusion matrix, and precision, recall and F1 of every class; which images are right, bool (N,)."""
    labels = split.labels.numpy()
    report = classification_report(labels, answers, split.classes)
    run.log_figure(f"confusion_{split.split}{suffix}", plots.confusion_matrix(report.confusion, split.classes))
    run.log_text(f"classification_{split.split}{suffix}.md", report.table() + "\n")
    return answers == labels


def _folder(config: Config) -> str:
    return f"cifar10_train_{config.model}"


def _stamp(config: Config, data: Cifar10, seed: int) -> str:
    return fingerprint(replace(config, seed=seed, seeds=1), data.digest)


def _suffix(config: Config, seed: int) -> str:
    return "" if seed == config.seed else f"_seed_{seed}"


if __name__ == "__main__":
    main(run, Config, entry_point="cifar10_train", question="C", doc=__doc__)
