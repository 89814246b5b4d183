"""Q2 · Improve the segmentation of street scenes: a study of backbone, decoder, crops, rates, weights, augmentation.

    mlflow run . -e camvid_improve -P data=DIR

The recipe of `camvid_fcn8s` comes first, then some changes, each alone (class weights take the place of the Lovász
loss, which weighs classes itself); after that the sampler (TPE) searches, and the median rule ends hopeless trials. A
trial is a short training on four fifths of every sequence of train frames, judged by mean IoU, in a single view, on the
last fifth: neighbouring frames look alike, so they stay on one side. The winner is trained for longer on all train
frames; val chooses nothing, and test, if it is there, is judged at the very end. It is stored as an MLflow model and
registered with the alias `champion`. The same command continues a stopped study, from the last epoch of its last trial.

Budget on two CPU cores with 367 frames: under an hour, half of it for the winner.

Result: no recorded run yet
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution

from cnnlab import plots
from cnnlab.data.augment import Augmentation
from cnnlab.data.camvid import CamVid, load_camvid
from cnnlab.data.scene_crops import SceneSet
from cnnlab.evaluation.segmentation import confusion, mean_iou
from cnnlab.experiment import CHECKPOINTS, Experiment, Outcome, fingerprint, flatten, main
from cnnlab.models.pretrained import check_source
from cnnlab.reports.scenes import (
    NUMBERS_FILE,
    SceneConfig,
    build_segmenter,
    figures_table,
    forget_checkpoints,
    log_examples,
    log_segmenter,
    note_of,
    summary_of,
    train_seeds,
)  # fmt: skip
from cnnlab.reports.studies import compare_trials
from cnnlab.search import LABEL, Search, kept_while_undecided, params_digest, search
from cnnlab.tracking import Run
from cnnlab.tracking.models import promote
from cnnlab.training.segmentation import SINGLE_VIEW, judge_scenes, train_scenes

ALIKE = 10  # frames of a film in a row, one a second, that show much the same
# VGG-16, the paper's backbone, is left out: on two cores a trial of it would take as long as ten others.
SPACE = {
    "backbone": CategoricalDistribution(["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "alexnet"]),
    "decoder": CategoricalDistribution(["fcn32s", "fcn16s", "fcn8s"]),
    "crop": CategoricalDistribution(["240x320", "288x384", "336x448"]),
    "lr": FloatDistribution(2e-4, 4e-3, log=True),
    "backbone_lr_factor": FloatDistribution(0.05, 1.0, log=True),
    "class_weights": CategoricalDistribution(["none", "root_median_frequency", "median_frequency"]),
    "lovasz": CategoricalDistribution([0.0, 1.0]),
    "rare": CategoricalDistribution([0.0, 0.25, 0.5]),
    "augmentation": CategoricalDistribution(["none", "light", "heavy"]),
    "label_smoothing": CategoricalDistribution([0.0, 0.05, 0.1]),
}
RECIPE = {
    "backbone": "efficientnet_lite0", "decoder": "fcn8s", "crop": "288x384", "lr": 1e-3, "backbone_lr_factor": 0.3,
    "class_weights": "none", "lovasz": 1.0, "rare": 0.0, "augmentation": "light", "label_smoothing": 0.0,
}  # fmt: skip
FIRST = {
    "recipe": RECIPE,
    "no skip connections": RECIPE | {"decoder": "fcn32s"},
    "cross entropy alone": RECIPE | {"lovasz": 0.0},
    "class weights": RECIPE | {"lovasz": 0.0, "class_weights": "root_median_frequency"},
    "rare classes": RECIPE | {"rare": 0.25},
    "larger backbone": RECIPE | {"backbone": "efficientnet_lite2"},
    "augmentation": RECIPE | {"augmentation": "heavy"},
}
AUGMENTATIONS = {
    "none": Augmentation(),
    "light": SceneConfig().augmentation,
    "heavy": Augmentation(brightness=0.2, contrast=0.4, colour=0.15, gamma=0.5, blur=0.15, noise=0.2, grey=0.05),
}
HELD_OUT = 0.2  # share of each sequence that trials are judged on


@dataclass(frozen=True)
class Config(Experiment):
    """Search for a better segmentation of street scenes than the recipe, and train the winner."""

    weights: str = "auto"
    """of the backbones: auto, packages, or random (torchvision has no EfficientNet-Lite)"""
    search: Search = field(default_factory=lambda: Search(trials=12))
    trial_epochs: int = 0
    """epochs of a trial; 0 is 2 with the embedded scenes, 4 with your own"""
    final_epochs: int = 0
    """epochs of the winner's last training; 0 is 6 with the embedded scenes, those of camvid_fcn8s with your own"""
    register: bool = True
    """register the winner and let it have the alias `champion`"""
    resume: bool = True
    """continue the winner's last training as well, where it was stopped (the study always continues)"""

    def __post_init__(self) -> None:
        check_source(self.weights, *SPACE["backbone"].choices)

    def shrunk(self) -> "Config":
        return replace(
            self, weights="random", search=replace(self.search, trials=2), trial_epochs=1, final_epochs=1
        )  # fmt: skip

    def epochs(self, embedded: bool) -> tuple[int, int]:
        """Epochs of a trial and of the last training."""
        final = 6 if embedded else SceneConfig().training.epochs
        return self.trial_epochs or (2 if embedded else 4), self.final_epochs or final


def settings_of(params: Mapping[str, Any], config: Config, epochs: int) -> SceneConfig:
    """The settings of a training that a trial's parameters stand for."""
    base = SceneConfig(data=config.data, seed=config.seed, weights=config.weights, resume=config.resume)
    height, width = (int(side) for side in params["crop"].split("x"))
    settings = replace(
        base, backbone=params["backbone"], decoder=params["decoder"],
        augmentation=AUGMENTATIONS[params["augmentation"]],
        crops=replace(base.crops, size=(height, width), rare=params["rare"]),
        loss=replace(base.loss, lovasz=params["lovasz"], class_weights=params["class_weights"]),
        training=replace(
            base.training, epochs=epochs, lr=params["lr"], lr_factors=(1.0, params["backbone_lr_factor"]),
            label_smoothing=params["label_smoothing"],
        ),
    )  # fmt: skip
    if not config.quick:
        return settings
    quick = settings.shrunk()
    return replace(quick, quick=True, training=replace(quick.training, epochs=epochs))


def run(config: Config, run: Run) -> Outcome:
    """Study, train the winner for longer on all train frames, judge it once, register it."""
    data = load_camvid(config.data, quick=config.quick, seed=config.seed)
    run.log_data(data.name, data.digest, data.splits, config.data)
    log_examples(run, data)
    trial_epochs, final_epochs = config.epochs(data.embedded)
    train, held_out = hold_out(data.train, HELD_OUT)
    run.set_tags({"trials.train": len(train), "trials.held_out": len(held_out)})
    name = f"camvid_improve {data.name} {data.digest[:8]} {trial_epochs} epochs weights {config.weights} "
    name += f"seed {config.seed}" + (" quick" if config.quick else "")

    def objective(params: dict[str, Any], child: Run, report) -> float:
        def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
            child.log_metrics(metrics, epoch)
            report(epoch, metrics["val/miou"])

        settings = settings_of(params, config, trial_epochs)
        checkpoint = CHECKPOINTS / "camvid_improve" / f"{name} {params_digest(params)}.pt"
        torch.manual_seed(config.seed)
        model, weights = build_segmenter(settings, len(data.train.classes))
        child.log_weights(weights)
        with kept_while_undecided(checkpoint):
            history = train_scenes(
                model, train, held_out, settings.crops, settings.loss, settings.training, seed=config.seed,
                transform=settings.augmentation, judge_every=1, on_epoch=on_epoch, checkpoint=checkpoint,
                fingerprint=fingerprint({**flatten(settings), **params}, data.digest), title="trial",
            )  # fmt: skip
            curves = plots.learning_curves(history.history, ("loss", "accuracy", "miou"), kept=history.best_epoch)
            child.log_figure("curves", curves)
            child.log_arrays("frames.npz", {"counts": counts_by_frame(model, held_out)})
        return history.best["val/miou"]

    study = search(
        run, config.search, SPACE, objective, name=name, seed=config.seed,
        first=dict(list(FIRST.items())[:2]) if config.quick else FIRST, warmup_epochs=max(1, trial_epochs // 2),
        constants={"augmentations": AUGMENTATIONS, "first": FIRST, "held out": HELD_OUT}
        | {"settings": settings_of(RECIPE, Config(), epochs=1)},
    )  # fmt: skip
    compare_trials(
        run, study, RECIPE, lambda arrays, frames: _miou(arrays["counts"], frames), len(held_out),
        artifact="frames.npz", metric="mean IoU on held-out train frames",
        what=f"Mean IoU on {len(held_out)} held-out train frames, single view, {trial_epochs} epochs; neighbours "
        f"resampled {ALIKE} at a time.",
        block=ALIKE,
    )  # fmt: skip
    best = study.best_trial
    label = best.user_attrs.get(LABEL, f"trial {best.number}")
    run.set_tags({"winner": label, "winner.params": best.params})
    print(f"Winner: {label} (mIoU {best.value:.4f} on held-out train frames), now {final_epochs} epochs.", flush=True)
    return train_winner(config, run, data, settings_of(best.params, config, final_epochs), label, best.value)


def train_winner(
    config: Config, run: Run, data: CamVid, settings: SceneConfig, label: str, searched: float
) -> Outcome:  # fmt: skip
    """All train frames, for longer; val and test once; model.pt, MLflow model, registry by the study's `searched`."""
    model, (metrics,), numbers = train_seeds(settings, run, data)
    run.log_text(NUMBERS_FILE, json.dumps(numbers))
    combined: dict[str, float | list[float]] = {name: [value] for name, value in metrics.items()}
    run.log_text("figures.md", figures_table(combined, data))
    forget_checkpoints(settings, run, data)
    registered = ""
    if config.register:
        registered = "street_scenes" + ("_quick" if config.quick else "_embedded" if data.embedded else "")
    version = log_segmenter(run, model, data.val, settings.inference, registered)
    if version:
        champion = promote(registered, version, searched, data.digest)
        run.set_tags({"registered": f"{registered} version {version}", "champion": champion})
    summary = f"Winner: {label}. {summary_of(settings, combined, data)}"
    summary += f" Registered as {registered}@champion if best so far." if version else ""
    return Outcome(combined, summary, [config.seed], note=note_of(numbers, settings.inference))


def hold_out(scenes: SceneSet, share: float) -> tuple[SceneSet, SceneSet]:
    """The scenes without the last `share` of every sequence, and those; a sequence has one name up to the first `_`."""
    sequences: dict[str, list[int]] = {}
    for place in sorted(range(len(scenes)), key=lambda i: scenes.names[i]):
        sequences.setdefault(scenes.names[place].rpartition("/")[2].partition("_")[0], []).append(place)
    if max(map(len, sequences.values())) < 5:  # no sequences: every name begins differently
        sequences = {"": list(range(len(scenes)))}
    kept, held = [], []
    for places in sequences.values():
        cut = len(places) - round(share * len(places))
        kept += places[:cut]
        held += places[cut:]
    return scenes.take(kept), scenes.take(held)


def counts_by_frame(model: torch.nn.Module, scenes: SceneSet) -> np.ndarray:
    """Counted pixels of every frame in a single view, int64 (N, C, C)."""
    found = judge_scenes(model, scenes, SINGLE_VIEW).predictions
    classes = len(scenes.classes)
    return torch.stack([confusion(p, t, classes) for p, t in zip(found, scenes.masks, strict=True)]).numpy()


def _miou(counts: np.ndarray, items: Sequence[int]) -> float:
    return mean_iou(counts[list(items)].sum(0))


if __name__ == "__main__":
    main(run, Config, entry_point="camvid_improve", question="Q2", doc=__doc__)
