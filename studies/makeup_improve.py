"""Q1-8, Q1-9 · Towards 89.5 % on the validation portraits, with a network other than AlexNet and ResNet-18.

    mlflow run . -e makeup_improve -P data=DIR

A classifier here is a committee of two, whose probabilities are averaged: a fine-tuned network, and a support vector
machine on the maps of a frozen one (`partner`), which keeps the places that average pooling forgets and looks at the
face from brow to chin alone (`partner_part`). The study searches the network: which one, resolution, frozen groups,
optimiser, rates, augmentation and regularisation. A trial is judged by cross-validation inside the training portraits:
trained on four fifths, judged on the last fifth, for as many of the five folds as `search_folds` says. Five recipes
come first: a plain fine-tuning, finer and augmented, then regularised, and from there early layers frozen, either finer
still or in a larger network. What `search.trials` leaves after them the sampler (TPE) draws, and the median rule ends
hopeless ones; by default that is a single trial, so that the study compares five recipes more than it searches, and
`-P search.trials=20` goes on. Network and machine alone are told as well: `val_network_accuracy` is the fine-tuned
CNN's that the question asks for, `val_accuracy` the committee's.

The winner is trained from pretrained weights again, on all training portraits, once for each of three seeds. The
validation portraits follow these trainings, epoch by epoch, and choose nothing: the last epoch is kept. The committee
of the first seed is stored as `model.pt` and as an MLflow model, and registered with the alias `champion`; its network
alone is `network.pt`. The same command continues a stopped study, from the last epoch of its last trial.
`discussion.md` in the run is Q1-9, written from the figures. For 2,000 portraits allow two hours on one CPU core; on
two, more than half of that.

Result: makeup_improve on heavy_makeup_CelebA (train 2000, val 400), seeds 0, 1, 2, AMD EPYC, 2 cores, 24 GiB, no GPU,
    3772 s, 2026-11-23, commit bd17a9312a:
    val_accuracy                      0.8842 ± 0.0063 (3) on 400 samples
    val_network_accuracy              0.873 ± 0.017 (3) on 400 samples
    val_network_single_view_accuracy  0.868 ± 0.014 (3) on 400 samples
    val_machine_accuracy              0.8750 (1) on 400 samples
    best_trial_accuracy               0.9125 (1)
    val_seeds_together_accuracy       0.8825 (1) on 400 samples
"""

from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import StratifiedKFold
from torch import nn

from cnnlab import plots
from cnnlab.data.folders import Splits
from cnnlab.data.imageset import ImageSet
from cnnlab.data.makeup import AUGMENTATIONS, PARTS, load_makeup
from cnnlab.errors import ConfigError, DataError
from cnnlab.experiment import CHECKPOINTS, Experiment, Outcome, fingerprint, main
from cnnlab.models.kernel_machine import committee_of
from cnnlab.models.pretrained import WeightsReport, check_source, pretrained_model
from cnnlab.reports.classifier import log_classifier
from cnnlab.reports.makeup import PREDICTIONS, predictions_csv
from cnnlab.reports.makeup_words import discuss_improvement
from cnnlab.reports.partners import ask_machine, backbone_machine
from cnnlab.reports.studies import compare_trials
from cnnlab.reports.text_tables import percent
from cnnlab.search import LABEL, Search, constants_digest, kept_while_undecided, params_digest, search
from cnnlab.tracking import Run
from cnnlab.tracking.models import promote
from cnnlab.training import Fit, Training, fit
from cnnlab.training.views import SINGLE_VIEW, Views, predict_views

# VGG-16 is left out: on two cores a trial of it would take as long as ten others.
SPACE = {
    "network": CategoricalDistribution(
        ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "squeezenet1_1"]
    ),
    "height": CategoricalDistribution([128, 160, 192]),
    "trained_groups": CategoricalDistribution([0, 3, 4]),
    "optimizer": CategoricalDistribution(["adamw", "sgd"]),
    "lr": FloatDistribution(3e-4, 3e-3, log=True),
    "backbone_lr_factor": FloatDistribution(0.05, 1.0, log=True),
    "weight_decay": CategoricalDistribution([1e-3, 2e-2]),
    "label_smoothing": CategoricalDistribution([0.0, 0.1, 0.2]),
    "mixup": CategoricalDistribution([0.0, 0.2, 0.4]),
    "dropout": CategoricalDistribution([0.2, 0.4]),
    "ema": CategoricalDistribution([0.0, 0.99]),
    "augmentation": CategoricalDistribution(["light", "medium", "strong"]),
}
PLAIN = {
    "network": "efficientnet_lite0", "height": 128, "trained_groups": 0, "optimizer": "adamw", "lr": 1e-3,
    "backbone_lr_factor": 0.2,
    "weight_decay": 1e-3, "label_smoothing": 0.0, "mixup": 0.0, "dropout": 0.2, "ema": 0.0, "augmentation": "light",
}  # fmt: skip
# as much as a training of a few hundred steps bears: more dropout, decay and augmentation at once cost accuracy in it
REGULARISED = {"label_smoothing": 0.1, "mixup": 0.2, "ema": 0.99, "weight_decay": 2e-2}
FINER = PLAIN | {"height": 160, "augmentation": "medium"}
FIRST = {
    "plain fine-tuning": PLAIN,
    "resolution and augmentation": FINER,
    "regularisation": FINER | REGULARISED,
    "early layers frozen, still finer": FINER | REGULARISED | {"trained_groups": 4, "height": 192},
    "larger network": FINER | REGULARISED | {"trained_groups": 4, "network": "efficientnet_lite2"},
}
SETTINGS = ("optimizer", "weight_decay", "label_smoothing", "mixup", "ema", "trained_groups")  # of the training loop
FOLDS = 5


@dataclass(frozen=True)
class Config(Experiment):
    """Search for the best fine-tuning on portraits with and without heavy makeup, and judge it with three seeds."""

    weights: str = "auto"
    """auto, packages, or random (torchvision has no EfficientNet-Lite)"""
    search: Search = field(default_factory=lambda: Search(trials=6))
    search_folds: int = 2
    """folds of the five that a trial is judged on"""
    trial_epochs: int = 0
    """epochs of a trial; 0 is 2 with the embedded portraits, 8 with your own"""
    final_epochs: int = 0
    """epochs of the winner's last trainings; 0 is 2 with the embedded portraits, 10 with your own"""
    seeds: int = 3
    """number of last trainings, from seeds seed, seed+1, …"""
    partner: str = "squeezenet1_1"
    """backbone on whose frozen maps a support vector machine judges beside the network; '' leaves the network alone"""
    partner_part: Literal["face", "whole"] = "face"
    """what the machine sees of a portrait: face (brow to chin) or whole; the network sees all of it"""
    views: Views = field(default_factory=lambda: Views(zooms=(0.93, 1.0, 1.07)))
    """of a portrait, when a trained network judges it"""
    register: bool = True
    """register the winner and let it have the alias `champion`"""
    resume: bool = True
    """continue the last trainings as well, where they were stopped (the study always continues)"""

    def __post_init__(self) -> None:
        if not 1 <= self.search_folds <= FOLDS:
            raise ConfigError(f"search_folds must be from 1 to {FOLDS}, not {self.search_folds}.")
        check_source(self.weights, *SPACE["network"].choices)
        if self.seeds < 1:
            raise ConfigError(f"seeds must be at least 1, not {self.seeds}.")

    def shrunk(self) -> "Config":
        return replace(
            self, weights="random", search=replace(self.search, trials=2), trial_epochs=1, final_epochs=1, seeds=1,
            search_folds=1, views=replace(self.views, zooms=self.views.zooms[:1]),
        )  # fmt: skip

    def epochs(self, embedded: bool) -> tuple[int, int]:
        """Epochs of a trial and of the last trainings."""
        return self.trial_epochs or (2 if embedded else 8), self.final_epochs or (2 if embedded else 10)


class Portraits:
    """The portraits at any height, in their own aspect, and the folds of the training ones."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.at = lru_cache(maxsize=3)(self._at)
        self.partner = lru_cache(maxsize=None)(self._partner)
        seen = {"seed": config.seed, "part": PARTS[config.partner_part]}
        self.machine = partial(backbone_machine, backbone=config.partner, weights=config.weights, **seen)
        labels = self.at(PLAIN["height"]).train.labels
        if labels.bincount().min() < FOLDS:
            raise DataError(f"{config.data}: {FOLDS} folds need {FOLDS} training portraits of each class at least.")
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=config.seed)
        self.folds = list(folds.split(np.zeros(len(labels)), labels))[: config.search_folds]
        self.held_out = sum(len(held) for _, held in self.folds)  # portraits that a trial is judged on

    def _at(self, height: int) -> Splits:
        height = 64 if self.config.quick else height
        width = round(height * 89 / 109 / 16) * 16
        return load_makeup(self.config.data, (height, width), self.config.quick, self.config.seed)

    def fold(self, height: int, index: int) -> tuple[ImageSet, ImageSet]:
        """The training portraits without a fold, and the fold."""
        train = self.at(height).train
        kept, held = self.folds[index]
        return train.take(kept), train.take(held, f"fold {index}")

    def _partner(self, height: int, index: int) -> torch.Tensor | None:
        """What the machine that was trained without a fold says of it: probabilities (N, 2)."""
        train, held = self.fold(height, index)
        machine, _ = self.machine(train)
        return None if machine is None else ask_machine(machine, held, self.config.views)


def build(params: dict[str, Any], weights: str, classes: int, seed: int) -> tuple[nn.Module, WeightsReport]:
    """The pretrained network of a trial."""
    torch.manual_seed(seed)
    settings = {"dropout": params["dropout"]}
    if params["network"].startswith("efficientnet"):
        settings["drop_path"] = params["dropout"] / 4
    return pretrained_model(params["network"], classes, weights, **settings)


def training_of(params: dict[str, Any], epochs: int) -> Training:
    """The training settings of a trial; the last epoch is kept, so that nothing is chosen on what judges it."""
    return Training(
        epochs=epochs, batch_size=32, schedule="one_cycle", clip_grad=2.0, monitor="last",
        lr_factors=(1.0, params["backbone_lr_factor"]),
        lr=params["lr"] * (10 if params["optimizer"] == "sgd" else 1),  # steps of SGD are that much smaller
        **{key: params[key] for key in SETTINGS},
    )  # fmt: skip


def train(
    params: dict[str, Any], sets: tuple[ImageSet, ImageSet], epochs: int, config: Config, seed: int, name: str,
    on_epoch, title: str,
) -> tuple[nn.Module, WeightsReport, Fit]:  # fmt: skip
    """Fine-tune one configuration; its checkpoint has `name` until `forget` removes it."""
    model, report = build(params, config.weights, len(sets[0].classes), seed)
    history = fit(
        model, *sets, training_of(params, epochs), seed=seed, transform=AUGMENTATIONS[params["augmentation"]],
        on_epoch=on_epoch, checkpoint=checkpoint(name), title=title,
        fingerprint=fingerprint({**params, "epochs": epochs}, sets[0].digest + report.sha256),
    )  # fmt: skip
    return model, report, history


def checkpoint(name: str):
    """Where a training keeps its checkpoint."""
    return CHECKPOINTS / "makeup_improve" / f"{name}.pt"


def run(config: Config, run: Run) -> Outcome:
    """Study by cross-validation, train the winner with each seed, judge its networks on val."""
    portraits = Portraits(config)
    data = portraits.at(PLAIN["height"])
    run.log_data(data.name, data.digest, {"train": len(data.train), "val": len(data.val)}, config.data)
    run.log_figure("examples_train", plots.class_grid(data.train.images, data.train.labels, data.train.classes))
    trial_epochs, final_epochs = config.epochs(data.embedded)
    name = f"makeup_improve {data.name} {data.digest[:8]} {trial_epochs} epochs {config.search_folds} folds "
    name += f"{len(config.views)} views {params_digest(asdict(config.views))[:6]} weights {config.weights} "
    beside = f"with {config.partner} {config.partner_part}" if config.partner else "alone"
    name += f"seed {config.seed}{' quick' * config.quick} {beside}"
    judged = np.concatenate([held for _, held in portraits.folds])
    constants = {"augmentations": AUGMENTATIONS, "first": FIRST, "views": config.views, "folds": FOLDS}
    constants |= {"training": training_of(PLAIN, epochs=1)}
    kept = f"{name} {constants_digest(constants)[:6]}"

    def objective(params: dict[str, Any], child: Run, report) -> float:
        right = {who: np.zeros(len(data.train), bool) for who in ("committee", "network", "machine")}
        names = [f"{kept} {params_digest(params)} {index}" for index in range(len(portraits.folds))]
        with kept_while_undecided(*map(checkpoint, names)):
            for index, (_, held) in enumerate(portraits.folds):
                sets = portraits.fold(params["height"], index)

                def on_epoch(epoch: int, metrics: dict[str, float], index: int = index) -> None:
                    child.log_metrics({f"fold_{index}/{k}" if index else k: v for k, v in metrics.items()}, epoch)
                    if index == 0:  # a trial that is pruned has been looked at on one fold
                        report(epoch, metrics["val/accuracy"])

                model, weights, history = train(
                    params, sets, trial_epochs, config, config.seed, names[index], on_epoch, "trial"
                )
                found, labels = predict_views(model, sets[1], config.views)
                beside = portraits.partner(params["height"], index)
                said = {"network": found, "machine": beside, "committee": found if beside is None else found + beside}
                for who, shares in said.items():
                    if shares is not None:
                        right[who][held] = (shares.argmax(1) == labels).numpy()
                child.log_weights(weights)
                curves = plots.learning_curves(history.history, kept=history.best_epoch)
                child.log_figure(f"curves_fold_{index}", curves)
            child.log_arrays("right.npz", {"right": right["committee"][judged]})
        shares = {who: float(found[judged].mean()) for who, found in right.items()}
        child.log_metrics({f"{who}_accuracy": share for who, share in shares.items() if config.partner})
        return shares["committee"]

    study = search(
        run, config.search, SPACE, objective, name=name, seed=config.seed, constants=constants,
        first=dict(list(FIRST.items())[::4]) if config.quick else FIRST, warmup_epochs=max(1, trial_epochs - 2),
    )  # fmt: skip
    compare_trials(
        run, study, PLAIN, lambda arrays, items: float(arrays["right"][list(items)].mean()), portraits.held_out,
        artifact="right.npz", metric="cross-validated accuracy",
        what=f"Accuracy on {portraits.held_out} training portraits held out in turn, {trial_epochs} epochs, "
        f"{len(config.views)} views.",
    )  # fmt: skip
    best = study.best_trial
    label = best.user_attrs.get(LABEL, f"trial {best.number}")
    run.set_tags({"winner": label, "winner.params": best.params})
    print(f"Winner: {label} ({100 * best.value:.1f} % by cross-validation), now {final_epochs} epochs.", flush=True)
    final = f"{kept} final {params_digest(best.params)} {final_epochs} epochs"
    outcome = finish(config, run, portraits, best.params, label, best.value, final, final_epochs)
    answer = discuss_improvement(outcome.metrics, best.params, PLAIN, len(data.val), portraits.held_out)
    run.log_text("discussion.md", answer)
    return outcome


def finish(
    config: Config, run: Run, portraits: Portraits, params: dict[str, Any], label: str, crossed: float, name: str,
    epochs: int,
) -> Outcome:  # fmt: skip
    """Train with each seed on all training portraits; val follows each training, and chooses nothing."""
    data = portraits.at(params["height"])
    machine, partner = portraits.machine(data.train)
    beside = None if machine is None else ask_machine(machine, data.val, config.views)
    if partner:
        run.log_weights(partner, "partner.weights")
    metrics: dict[str, list[float]] = {f"val_{who}accuracy": [] for who in ("", "network_", "network_single_view_")}
    probabilities, seeds = [], list(range(config.seed, config.seed + config.seeds))
    for seed in seeds:
        prefix, suffix = ("", "") if seed == config.seed else (f"seed_{seed}/", f"_seed_{seed}")
        if not config.resume:
            checkpoint(f"{name} seed {seed}").unlink(missing_ok=True)
        network, report, history = train(
            params, (data.train, data.val), epochs, config, seed, f"{name} seed {seed}",
            lambda epoch, values, prefix=prefix: run.log_metrics({prefix + k: v for k, v in values.items()}, epoch),
            f"winner, seed {seed}",
        )  # fmt: skip
        run.log_figure(f"curves{suffix}", plots.learning_curves(history.history, kept=history.best_epoch))
        once, _ = predict_views(network, data.val, SINGLE_VIEW)
        often, labels = predict_views(network, data.val, config.views)
        found = often if beside is None else (often + beside) / 2
        for metric, shares in zip(metrics, (found, often, once), strict=True):
            metrics[metric].append((shares.argmax(1) == labels).double().mean().item())
        probabilities.append(found[:, 1].numpy())
        matrix = confusion_matrix(labels, found.argmax(1), labels=range(len(data.val.classes)))
        run.log_figure(f"confusion_val{suffix}", plots.confusion_matrix(matrix, data.val.classes))
        if seed == config.seed:
            model = network if machine is None else committee_of([network, machine])
            size, meta = data.train.images.shape[-2:], asdict(config.views)
            log_classifier(run, network, data.val.classes, size, file="network.pt", meta=meta)
            run.log_weights(report)
    run.log_text(PREDICTIONS, predictions_csv(data.val, np.stack(probabilities), config.seed))
    together = (np.mean(probabilities, axis=0) > 0.5) == data.val.labels.numpy().astype(bool)
    registered = "makeup" + ("_quick" if config.quick else "_embedded" * data.embedded) if config.register else ""
    version = log_classifier(run, model, data.val.classes, size, data.val.images[:2], registered, meta=meta)
    if version:
        champion = promote(registered, version, crossed, portraits.at(PLAIN["height"]).digest)
        run.set_tags({"registered": f"{registered} version {version}", "champion": champion})
    for seed in seeds:
        checkpoint(f"{name} seed {seed}").unlink(missing_ok=True)
    if beside is not None:
        metrics["val_machine_accuracy"] = [(beside.argmax(1) == labels).double().mean().item()]
    who = f"{params['network']}" + f" and a kernel machine on {config.partner}" * (machine is not None)
    summary = (
        f"Winner: {label}, {who}: {percent(metrics['val_accuracy'], 'seeds')} of {len(data.val)} "
        f"validation portraits right in {len(config.views)} views ({data.name}); the best trial had "
        f"{100 * crossed:.1f} % of {portraits.held_out} held-out training portraits. {report.sentence}"
    )
    note = " ".join(r.sentence for r in (report, partner) if r and not r.complete)
    single = {"best_trial_accuracy": crossed, "val_seeds_together_accuracy": float(together.mean())}
    return Outcome(metrics | single, summary, seeds, note=note)


if __name__ == "__main__":
    main(run, Config, entry_point="makeup_improve", question="Q1-8, Q1-9", doc=__doc__)
