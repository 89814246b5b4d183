"""Training a segmentation network with several seeds, and all that its run stores: figures, numbers, the model.

The experiments on street scenes share this module; `run_scenes` is what they run.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import torch
from torch import nn

from cnnlab import plots
from cnnlab.data.augment import MOVING, Augmentation
from cnnlab.data.camvid import CamVid
from cnnlab.data.folders import spread_places
from cnnlab.data.scene_crops import SceneSet
from cnnlab.errors import ConfigError
from cnnlab.evaluation.segmentation import confusion, iou_per_class, mean_iou, pixel_accuracy
from cnnlab.experiment import Experiment, Outcome, checkpoint_path, fingerprint, join_remarks
from cnnlab.models import build_model
from cnnlab.models.pretrained import WeightsReport, load_pretrained
from cnnlab.plots.segmentation import iou_bars, scene_sheet, trimap_curves
from cnnlab.reports.classifier import log_classifier
from cnnlab.reports.records import aggregate
from cnnlab.reports.text_tables import percent
from cnnlab.tracking import Run
from cnnlab.training import Fit, Training
from cnnlab.training.segmentation import (
    SINGLE_VIEW,
    TRIMAP_WIDTHS,
    Crops,
    Inference,
    Judged,
    SceneLoss,
    followed,
    judge_scenes,
    train_scenes,
)

NUMBERS_FILE = "segmentation.json"
SHOWN = 4  # frames on a sheet
BACKBONE = "efficientnet_lite0"


@dataclass(frozen=True)
class SceneConfig(Experiment):
    """Train a fully convolutional network on street scenes and judge it on validation."""

    decoder: Literal["fcn32s", "fcn16s", "fcn8s"] = "fcn8s"
    """without skip connections, with one, with two"""
    backbone: str = BACKBONE
    """efficientnet_lite0 to 2, alexnet, vgg16 (the paper's convolutions, without fc6 and fc7) and its kin"""
    weights: str = "auto"
    """auto, torchvision, packages, random, or the path of a .pth file or of a run's model.pt"""
    head_channels: int = 0
    """channels of a 3x3 convolution before the deepest scores; 0 is none"""
    dropout: float = 0.0
    """share of channels dropped before the deepest scores"""
    crops: Crops = field(default_factory=Crops)
    loss: SceneLoss = field(default_factory=SceneLoss)
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(brightness=0.15, contrast=0.3, saturation=0.3, colour=0.1, gamma=0.3)
    )
    training: Training = field(
        default_factory=lambda: Training(
            epochs=24, batch_size=8, optimizer="adamw", lr=1e-3, lr_factors=(1.0, 0.3), schedule="one_cycle",
            weight_decay=1e-2, ema=0.995, clip_grad=5.0, monitor="last",
        )
    )  # fmt: skip
    inference: Inference = field(default_factory=Inference)
    judge_every: int = 5
    """judge all of val after so many epochs, in a single view; it chooses nothing"""
    seeds: int = 1
    """number of runs from seeds seed, seed+1, …; more than one gives mean ± standard deviation"""

    def __post_init__(self) -> None:
        for name in ("seeds", "judge_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}.")
        wrong = [name for name in MOVING if getattr(self.augmentation, name) != getattr(Augmentation(), name)]
        if wrong:
            raise ConfigError(
                f"augmentation.{wrong[0]} would move the pixels away from their labels; crops.flip, crops.scales and "
                "crops.stretch move both."
            )
        if self.training.monitor == "val/miou" and self.judge_every > 1:
            raise ConfigError("training.monitor=val/miou needs judge_every=1: it must be known after every epoch.")

    def shrunk(self):
        return replace(
            self, weights="random", seeds=min(self.seeds, 2), crops=replace(self.crops, size=(64, 96), per_scene=1),
            training=replace(self.training, epochs=2, batch_size=4),
            inference=replace(self.inference, tta_scales=(1.0,)),
        )  # fmt: skip


def run_scenes(config: SceneConfig, run: Run, data: CamVid, labelled: SceneSet | None = None) -> Outcome:
    """Train with each seed, judge on val with the chosen inference and in a single view, and on test if it is there.

    Args:
        config: the settings.
        run: where everything is stored.
        data: scenes with 11 or 3 classes.
        labelled: val with void ignored, where it is part of a class in `data`: counted as well, as `val_labelled`.
    """
    run.log_data(data.name, data.digest, data.splits, config.data)
    run.set_tags({"inference": config.inference})
    log_examples(run, data)
    network, metrics, numbers = train_seeds(config, run, data, labelled)
    run.log_text(NUMBERS_FILE, json.dumps(numbers))
    log_segmenter(run, network, data.val, config.inference)
    forget_checkpoints(config, run, data)
    combined = {name: [one[name] for one in metrics] for name in metrics[0] if all(name in one for one in metrics)}
    run.log_text("figures.md", figures_table(combined, data))
    return Outcome(
        combined, summary_of(config, combined, data), [one["seed"] for one in numbers["seeds"]],
        variant="" if config.backbone == BACKBONE else config.backbone, note=note_of(numbers, config.inference),
    )  # fmt: skip


def note_of(numbers: dict[str, Any], inference: Inference) -> str:
    """What a reader of the figures must know: from how many views they are, and that weights were not complete."""
    views = "" if inference == SINGLE_VIEW else f"probabilities averaged over {inference}; `_plain`: a single view"
    return join_remarks(views, "" if numbers["weights_complete"] else numbers["weights"])


def train_seeds(
    config: SceneConfig, run: Run, data: CamVid, labelled: SceneSet | None = None
) -> tuple[nn.Module, list[dict[str, float]], dict[str, Any]]:
    """The network of the first seed, the figures of each, and all counts as they are stored in `segmentation.json`."""
    trained, metrics = [], []
    for seed in range(config.seed, config.seed + config.seeds):
        first = seed == config.seed
        model, report, history = train_once(config, run, data, seed, "" if first else f"seed_{seed}/")
        if first:
            run.log_weights(report)
            network = model
        judged = judge_all(model, data, config.inference, seed)
        if labelled is not None:
            counts = confusion(judged["val"].predictions, labelled.masks, len(labelled.classes))
            judged["val_labelled"] = replace(judged["val"], counts=counts, trimap=None)
        metrics.append(figures_of(judged, data) | speed_of(history))
        trained.append({"seed": seed, **numbers_of(judged)})
        for scenes in (data.val, data.test):
            if scenes is not None:
                log_judged(run, scenes, judged[scenes.split], config.decoder, "" if first else f"_seed_{seed}")
    numbers = {
        "decoder": config.decoder, "backbone": config.backbone, "classes": list(data.val.classes),
        "splits": data.splits, "data": data.name, "inference": str(config.inference), "weights": report.sentence,
        "weights_complete": report.complete,
        "trimap_widths": list(TRIMAP_WIDTHS), "seeds": trained,
    }  # fmt: skip
    return network, metrics, numbers


def forget_checkpoints(config: SceneConfig, run: Run, data: CamVid) -> None:
    """Remove the checkpoints of a run that has stored all it found; another run is to train anew."""
    for seed in range(config.seed, config.seed + config.seeds):
        _checkpoint(config, run, data, seed, resume=False)


def _checkpoint(config: SceneConfig, run: Run, data: CamVid, seed: int, resume: bool) -> tuple[Path, str]:
    stamp = fingerprint(replace(config, seed=seed, seeds=1), data.digest)
    return checkpoint_path(run.entry_point, stamp, resume), stamp


def train_once(
    config: SceneConfig, run: Run, data: CamVid, seed: int, prefix: str
) -> tuple[nn.Module, WeightsReport, Fit]:
    """One training; `prefix` tells its metrics from those of other seeds in the same run."""
    torch.manual_seed(seed)
    model, report = build_segmenter(config, len(data.train.classes))
    checkpoint, stamp = _checkpoint(config, run, data, seed, config.resume)
    history = train_scenes(
        model, data.train, data.val, config.crops, config.loss, config.training, seed=seed,
        transform=config.augmentation, judge_every=config.judge_every,
        checkpoint=checkpoint, fingerprint=stamp,
        title=f"{run.entry_point} seed {seed}",
        on_epoch=lambda epoch, metrics: run.log_metrics({prefix + k: v for k, v in metrics.items()}, epoch),
    )  # fmt: skip
    name = f"curves_seed_{seed}" if prefix else "curves"
    note = f"val: loss and accuracy on {len(followed(data.val))} of {len(data.val)} frames, miou on all"
    curves = plots.learning_curves(history.history, ("loss", "accuracy", "miou"), history.best_epoch, note)
    run.log_figure(name, curves)
    return model, report, history


def build_segmenter(config: SceneConfig, num_classes: int) -> tuple[nn.Module, WeightsReport]:
    """The untrained decoder on its pretrained backbone, and the report on those weights."""
    model = build_model(
        config.decoder, num_classes=num_classes, backbone=config.backbone, head_channels=config.head_channels,
        dropout=config.dropout,
    )  # fmt: skip
    return model, load_pretrained(model, config.weights)


def judge_all(model: nn.Module, data: CamVid, inference: Inference, seed: int) -> dict[str, Judged]:
    """`val` and, where there are test scenes, `test` with `inference`; both in a single view too, `<split>_plain`."""
    judged = {}
    for split, scenes in (("val", data.val), ("test", data.test)):
        if scenes is None:
            continue
        judged[split] = judge_scenes(model, scenes, inference, trimap=True, title=f"{split} seed {seed}")
        same = inference == SINGLE_VIEW
        judged[f"{split}_plain"] = judged[split] if same else judge_scenes(model, scenes, SINGLE_VIEW, title=split)
    return judged


def figures_of(judged: dict[str, Judged], data: CamVid) -> dict[str, float]:
    """Figures by name: `val_miou`, `val_pixel_accuracy`, `val_miou_plain`, …, `val_iou_<class>`, the same of test."""
    metrics = {}
    for split in ("val", "test"):
        if split not in judged:
            continue
        metrics |= {f"{split}_{name}": value for name, value in judged[split].figures.items()}
        metrics |= {f"{split}_{name}_plain": value for name, value in judged[f"{split}_plain"].figures.items()}
        if f"{split}_labelled" in judged:
            metrics[f"{split}_miou_void_left_out"] = judged[f"{split}_labelled"].figures["miou"]
        ious = iou_per_class(judged[split].counts).tolist()
        metrics |= {
            f"{split}_iou_{name.lower()}": iou
            for name, iou in zip(data.val.classes, ious, strict=True) if isfinite(iou)
        }  # fmt: skip
    metrics["val_images_per_second"] = judged["val"].images_per_second  # in the views that the figures are of
    metrics["val_images_per_second_plain"] = judged["val_plain"].images_per_second
    return metrics


def speed_of(history: Fit) -> dict[str, float]:
    """Training's speed, share of waiting for data and memory, as the loop measured them."""
    names = {
        "images_per_second": "train_images_per_second", "data_wait": "train_data_wait",
        "memory_mb": "train_memory_mb",
    }  # fmt: skip
    rows = history.history[1:] or history.history  # the first epoch warms up
    return {
        name: fmean(row[key] for row in rows) for key, name in names.items() if all(key in row for row in rows)
    }


def numbers_of(judged: dict[str, Judged]) -> dict[str, Any]:
    """Counts and trimap counts of every judgement, as lists."""
    return {
        split: {
            "counts": one.counts.tolist(), "miou": mean_iou(one.counts), "pixel_accuracy": pixel_accuracy(one.counts),
            "trimap": None if one.trimap is None else one.trimap.tolist(),
        }
        for split, one in judged.items()
    }  # fmt: skip


def log_examples(run: Run, data: CamVid) -> None:
    """Some training frames with their masks."""
    some = spread(data.train, SHOWN)
    run.log_figure("examples_train", scene_sheet(
        some.images, some.masks, None, some.classes, some.colours, names=some.names
    ))  # fmt: skip


def log_judged(run: Run, scenes: SceneSet, judged: Judged, name: str, suffix: str = "") -> None:
    """Confusion matrix, IoU per class, mIoU near borders, and coloured predictions beside image and truth."""
    split = f"{scenes.split}{suffix}"
    run.log_figure(f"confusion_{split}", plots.confusion_matrix(judged.counts, scenes.classes))
    run.log_figure(f"iou_{split}", iou_bars({name: iou_per_class(judged.counts)}, scenes.classes, scenes.colours))
    if judged.trimap is not None:
        curve = [mean_iou(counts) for counts in judged.trimap]
        run.log_figure(f"trimap_{split}", trimap_curves(TRIMAP_WIDTHS, {name: curve}))
    places = spread_places(len(scenes), SHOWN)
    some, predictions = scenes.take(places), judged.predictions[torch.tensor(places)]
    run.log_figure(f"predictions_{split}", scene_sheet(
        some.images, some.masks, predictions, some.classes, some.colours, names=some.names
    ))  # fmt: skip


def spread(scenes: SceneSet, wanted: int) -> SceneSet:
    """At most `wanted` scenes spread evenly over a set."""
    return scenes.take(spread_places(len(scenes), wanted))


def log_segmenter(
    run: Run, model: nn.Module, scenes: SceneSet, inference: Inference, register: str = ""
) -> str | None:
    """Store the network as model.pt, in 16 bits, and as an MLflow model; returns the registered version, if any."""
    meta = {"task": "segmentation", "tta": inference.tta, "tta_scales": list(inference.tta_scales)}
    size = tuple(scenes.images.shape[-2:])
    return log_classifier(run, model, scenes.classes, size, scenes.images[:2], register, half=True, meta=meta)


def figures_table(metrics: dict[str, Sequence[float]], data: CamVid) -> str:
    """All figures of a run as a Markdown table."""
    rows = [
        f"| `{name}` | {figure['mean']:.4f} | {figure['std']:.4f} | {figure['n']} |"
        for name, figure in aggregate(metrics).items()
    ]
    sizes = ", ".join(f"{split} {size}" for split, size in data.splits.items())
    test = "" if data.test else " There are no test scenes in this folder."
    void = "Void pixels are in no count." if len(data.val.classes) > 3 else "Void pixels belong to the second class."
    head = [f"{data.name} ({sizes} frames). {void}{test}", "", "| figure | mean | std | seeds |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def summary_of(config: SceneConfig, metrics: dict[str, Sequence[float]], data: CamVid) -> str:
    """One sentence with mIoU and pixel accuracy on val, and on test if it was there."""
    seeds = f", {len(metrics['val_miou'])} seeds" if len(metrics["val_miou"]) > 1 else ""
    text = (
        f"{config.decoder} on {config.backbone}, {len(data.val.classes)} classes{seeds}: mIoU "
        f"{percent(metrics['val_miou'])}, {percent(metrics['val_pixel_accuracy'])} of pixels right on "
        f"{len(data.val)} val frames of {data.name} "
        f"({config.inference}; in a single view {percent(metrics['val_miou_plain'])})"
    )
    if data.test is None:
        return text + "; there are no test frames."
    return text + f"; test: mIoU {percent(metrics['test_miou'])}, pixels {percent(metrics['test_pixel_accuracy'])}."
