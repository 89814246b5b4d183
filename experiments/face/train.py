"""A1 · Train the face classifier of assignment A: ten epochs, Adam 3e-4, batches of 64, cross entropy.

    mlflow run . -e face_train -P data=DIR        # two cores: a minute or two

DIR holds the course's folders (`train/`, `val/`) or photographs with boxes, from which the patches are cut; without it
the embedded pictures are used. The run shows examples of both classes, curves of loss and accuracy for train and val,
and the confusion matrix on val.

Result: face_train on data (train 8820, val 1206), seeds 0, 1, 2, AMD EPYC, 2 cores, 24 GiB, no GPU, 260 s,
    2026-11-22, commit 454767c41b:
    val_accuracy  0.9903 ± 0.0013 (3) on 1206 samples
    val_loss      0.0357 ± 0.0036 (3) on 1206 samples
"""

from dataclasses import dataclass, field, replace

import torch
from sklearn.metrics import confusion_matrix
from torch import nn

from cnnlab import plots
from cnnlab.data.augment import Augmentation
from cnnlab.data.faces import load_face_data
from cnnlab.detection.detector import FaceDetector
from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome, checkpoint_path, fingerprint, main
from cnnlab.models import build_model
from cnnlab.models.registry import model_settings
from cnnlab.reports.detector import log_detector
from cnnlab.reports.text_tables import percent
from cnnlab.tracking import Run
from cnnlab.training import Training, fit, predict


@dataclass(frozen=True)
class Config(Experiment):
    """Train the face / background classifier."""

    model: str = "face_fcn"
    """name in the model registry: face_fcn, or face_net without its boxes"""
    training: Training = field(default_factory=Training)
    augmentation: Augmentation = field(default_factory=Augmentation)
    seeds: int = 1
    """number of runs from seeds seed, seed+1, …; more than one gives mean ± standard deviation"""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(f"seeds must be at least 1, not {self.seeds}.")
        with torch.device("meta"):
            slides = hasattr(build(self.model), "window")
        if not slides:
            raise ConfigError(f"model={self.model} does not slide over whole images; take face_fcn or face_net.")

    def shrunk(self) -> "Config":
        return replace(self, training=replace(self.training, epochs=2))


def run(config: Config, run: Run) -> Outcome:
    """Train with each seed and report accuracy on the validation patches."""
    data = load_face_data(config.data, seed=config.seed, quick=config.quick)
    run.log_data(data.name, data.digest, {"train": len(data.train), "val": len(data.val)}, config.data)
    for split in (data.train, data.val):
        run.log_figure(f"examples_{split.split}", plots.class_grid(split.images, split.labels, split.classes))
    seeds = list(range(config.seed, config.seed + config.seeds))
    accuracies, losses = [], []
    for seed in seeds:
        model, best = train_once(config, data, run, seed, first=seed == config.seed)
        accuracies.append(best["val/accuracy"])
        losses.append(best["val/loss"])
        if seed == config.seed:
            first = model
    log_detector(run, FaceDetector(first), data.val.images[:2])
    return Outcome(
        {"val_accuracy": accuracies, "val_loss": losses},
        f"{config.model}: {percent(accuracies, 'seeds')} of {len(data.val)} validation patches "
        f"right ({data.name}).",
        seeds,
    )


def build(name: str) -> nn.Module:
    """A network that answers face or background; patches do not teach where in them a face lies."""
    without = {"boxes": False} if "boxes" in model_settings(name) else {}
    return build_model(name, num_classes=2, **without)


def train_once(config: Config, data, run: Run, seed: int, first: bool):
    """One training; the first seed's curves are the run's own, those of the others carry the seed in their names."""
    prefix = "" if first else f"seed_{seed}/"
    torch.manual_seed(seed)
    model = build(config.model)
    stamp = fingerprint(replace(config, seed=seed, seeds=1), data.digest)
    history = fit(
        model, data.train, data.val, config.training, seed=seed, transform=config.augmentation,
        checkpoint=checkpoint_path("face_train", stamp, config.resume), fingerprint=stamp,
        on_epoch=lambda epoch, metrics: run.log_metrics({prefix + k: v for k, v in metrics.items()}, epoch),
        title=f"face_train seed {seed}",
    )  # fmt: skip
    name = "" if first else f"_seed_{seed}"
    run.log_figure(f"curves{name}", plots.learning_curves(history.history, kept=history.best_epoch))
    outputs, labels = predict(model, data.val)
    matrix = confusion_matrix(labels, outputs.flatten(1).argmax(1), labels=[0, 1])
    run.log_figure(f"confusion_val{name}", plots.confusion_matrix(matrix, data.val.classes))
    return model, history.best


if __name__ == "__main__":
    main(run, Config, entry_point="face_train", question="A1", doc=__doc__)
