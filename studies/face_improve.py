"""A3 · Improve the face detector: a study of architecture, optimiser, regularisation, augmentation, hard negatives.

    mlflow run . -e face_improve -P data=DIR -P image=PHOTO.jpg

The plain network of question A1 comes first, then five changes, each alone, then all of them together; after that the
sampler (TPE) searches, and the median rule ends hopeless trials. All are trained from scratch and chosen on validation
photographs. The winner is trained again for longer, its threshold found on validation, judged once on the test
photographs beside the plain network, run on the four full images and on one of yours, stored as an MLflow model and
registered with the alias `champion`. The same command continues a stopped study, from the last epoch of its last trial.

Budget on two CPU cores: under ten minutes with the embedded pictures, under an hour with 858 photographs.

Result: face_improve on data (train 630, val 86, test 142, train_patches 8820, val_patches 1206, full_images 4), seeds
    0, AMD EPYC, 2 cores, 24 GiB, no GPU, 251 s, 2026-11-22, commit 9767ecb7af:
    val_patches_accuracy         0.9842 (1) on 1206 samples
    threshold                    0.7449 (1)
    test_ap50                    0.9993 (1) on 142 samples
    test_ap30                    0.9993 (1) on 142 samples
    test_false_alarms_per_photo  0.05634 (1) on 142 samples
    test_plain_ap50              0.9232 (1) on 142 samples
    test_plain_ap30              0.9606 (1) on 142 samples
    test_tta_ap50                0.9993 (1) on 142 samples
    test_tta_ap30                0.9993 (1) on 142 samples
    full_images_faces            18.00 (1) on 4 samples
    full_images_found            18.00 (1) on 4 samples
    full_images_false_alarms     0 (1) on 4 samples
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from torch import nn

from cnnlab import plots
from cnnlab.data.augment import Augmentation
from cnnlab.data.face_crops import FaceCrops, collages
from cnnlab.data.faces import FaceData, Photo, load_face_data
from cnnlab.data.images import read_image
from cnnlab.detection.detector import FaceDetector
from cnnlab.detection.loss import Detection
from cnnlab.errors import ConfigError
from cnnlab.experiment import CHECKPOINTS, Experiment, Outcome, fingerprint, main
from cnnlab.models import build_model
from cnnlab.reports.detector import (
    count_at,
    detect_photos,
    find_threshold,
    judge,
    log_detections,
    log_detector,
)  # fmt: skip
from cnnlab.reports.face_study import Judge, patches_for
from cnnlab.reports.studies import compare_trials
from cnnlab.reports.text_tables import percent
from cnnlab.search import LABEL, Search, constants_digest, kept_while_undecided, params_digest, search
from cnnlab.tracking import Run
from cnnlab.tracking.models import detector_file, promote
from cnnlab.training import Classification, Fit, Training, fit

# `face_net_boxes` is trained on whole scenes, so that every window of a photograph is a sample and the focal loss keeps
# to the hard ones; the other two are trained on cut patches, as in question A1.
BOXES = "face_net_boxes"
SPACE = {
    "network": CategoricalDistribution(["face_fcn", "face_net", BOXES]),
    "width": CategoricalDistribution([0.5, 1.0, 1.5]),
    "depth": IntDistribution(0, 3),
    "activation": CategoricalDistribution(["leaky_relu", "relu", "silu"]),
    "norm": CategoricalDistribution(["none", "batch", "group"]),
    "dropout": FloatDistribution(0.0, 0.4, step=0.1),
    "optimizer": CategoricalDistribution(["adam", "adamw", "sgd"]),
    "lr": FloatDistribution(1e-4, 2e-2, log=True),
    "schedule": CategoricalDistribution(["constant", "cosine", "one_cycle"]),
    "weight_decay": CategoricalDistribution([0.0, 1e-3, 2e-2, 5e-2]),
    "augmentation": CategoricalDistribution(["none", "light", "heavy"]),
    "ema": CategoricalDistribution([0.0, 0.998]),
    "early_stopping": CategoricalDistribution([0, 3]),
}
PLAIN = {
    "network": "face_fcn", "width": 1.0, "depth": 0, "activation": "leaky_relu", "norm": "none", "dropout": 0.0,
    "optimizer": "adam", "lr": 3e-4, "schedule": "constant", "weight_decay": 0.0, "augmentation": "none", "ema": 0.0,
    "early_stopping": 0,
}  # fmt: skip
OPTIMISER = {"optimizer": "adamw", "lr": 3e-3, "schedule": "one_cycle", "weight_decay": 2e-2, "ema": 0.998}
NETWORK = {"network": "face_net", "norm": "batch", "activation": "relu"}
SCENES = {**NETWORK, "network": BOXES, "lr": 3e-3}
FIRST = {
    "plain network": PLAIN,
    "optimiser": PLAIN | OPTIMISER,
    "augmentation": PLAIN | {"augmentation": "heavy"},
    "architecture": PLAIN | NETWORK,
    "regularisation": PLAIN | {"network": "face_net", "dropout": 0.2, "weight_decay": 2e-2, "early_stopping": 3},
    "hard negatives and boxes": PLAIN | SCENES,
    "all together": PLAIN | OPTIMISER | SCENES | {"augmentation": "heavy", "depth": 1, "schedule": "one_cycle"},
}

WIDTHS = (16, 32, 32, 64, 96, 128)
AUGMENTATIONS = {
    "none": Augmentation(),
    "light": Augmentation(contrast=0.2, brightness=0.1, colour=0.1),
    "heavy": Augmentation(
        grey=0.4, colour=0.15, gamma=0.7, contrast=0.4, brightness=0.15, blur=0.2, coarse=0.25, noise=0.4, blocks=0.2
    ),
}


@dataclass(frozen=True)
class Config(Experiment):
    """Search for a better face detector than the plain network, and train the winner."""

    image: str = ""
    """one photograph of your choice, to run the winner on"""
    search: Search = field(default_factory=Search)
    trial_epochs: int = 0
    """epochs of a trial; 0 is 3 with the embedded pictures, 6 with your own"""
    final_epochs: int = 0
    """epochs of the winner's last training; 0 is 8 with the embedded pictures, 60 with your own"""
    tta: bool = True
    """judge the winner with test-time augmentation too"""
    max_false_alarms: float = 0.1
    """false alarms per photograph that the threshold may cost"""
    register: bool = True
    """register the winner and let it have the alias `champion`"""
    resume: bool = True
    """continue the winner's last training as well, where it was stopped (the study always continues)"""

    def __post_init__(self) -> None:
        if self.image and not Path(self.image).is_file():
            raise ConfigError(f"image={self.image} does not exist; give the path of one photograph.")

    def shrunk(self) -> "Config":
        study = replace(self.search, trials=2)
        return replace(self, search=study, trial_epochs=1, final_epochs=1)

    def epochs(self, embedded: bool) -> tuple[int, int]:
        """Epochs of a trial and of the last training."""
        return self.trial_epochs or (3 if embedded else 6), self.final_epochs or (8 if embedded else 60)


def of_patches() -> tuple[dict[str, BaseDistribution], dict[str, dict[str, Any]]]:
    """`SPACE` and `FIRST` for patches alone, of which no network learns to place a box."""
    networks = CategoricalDistribution([name for name in SPACE["network"].choices if name != BOXES])
    return SPACE | {"network": networks}, {k: v for k, v in FIRST.items() if v["network"] != BOXES}


def build(params: dict[str, Any]) -> nn.Module:
    """The network of a trial, untrained."""
    if params["network"] == "face_fcn":
        return build_model("face_fcn", num_classes=2)
    return build_model(
        "face_net", num_classes=2, widths=tuple(round(params["width"] * w / 8) * 8 for w in WIDTHS),
        boxes=params["network"] == BOXES,
        **{name: params[name] for name in ("depth", "activation", "norm", "dropout")},
    )  # fmt: skip


def training_of(params: dict[str, Any], epochs: int, monitor: str) -> Training:
    """The training settings of a trial."""
    return Training(
        epochs=epochs, optimizer=params["optimizer"], lr=params["lr"], schedule=params["schedule"],
        weight_decay=params["weight_decay"], ema=params["ema"], patience=params["early_stopping"], monitor=monitor,
        clip_grad=5.0, batch_size=32 if params["network"] == BOXES else 64,
    )  # fmt: skip


def train(
    params: dict[str, Any], data: FaceData, epochs: int, judge: Judge, config: Config, checkpoint: Path, title: str,
    on_epoch=None,
) -> tuple[nn.Module, Fit]:  # fmt: skip
    """Train one configuration from scratch; the epoch with the best validation score is kept."""
    torch.manual_seed(config.seed)
    model = build(params)
    augmentation = AUGMENTATIONS[params["augmentation"]]
    if params["network"] == BOXES:
        scenes = max(4 * len(data.photos["train"]), 32 if config.quick else 960)
        train_set = FaceCrops(data.photos["train"], data.negatives, length=scenes, seed=config.seed)
        objective = Detection()
    else:
        train_set, objective = data.train, Classification()
        if params["augmentation"] != "none":  # scenes are mirrored and shifted as they are drawn; patches here
            augmentation = replace(augmentation, flip=0.5, shift=2)
    history = fit(
        model, train_set, patches_for(model, data.val), training_of(params, epochs, judge.metric), seed=config.seed,
        objective=objective, val_objective=Detection(), transform=augmentation, evaluate=judge.after_epoch,
        on_epoch=on_epoch, checkpoint=checkpoint, fingerprint=fingerprint(params, data.digest), title=title,
    )  # fmt: skip
    return model, history


def run(config: Config, run: Run) -> Outcome:
    """Search, compare, train the winner for longer, judge it once on test, register it."""
    data = load_face_data(config.data, seed=config.seed, quick=config.quick)
    photos, own = data.photos, read_own(config.image)
    sizes = {split: len(of_split) for split, of_split in photos.items() if of_split}
    patches = {"train_patches": len(data.train), "val_patches": len(data.val), "full_images": len(data.full_images)}
    run.log_data(data.name, data.digest, sizes | patches, config.data)
    run.log_figure("examples_train", plots.class_grid(data.train.images, data.train.labels, data.train.classes))
    trial_epochs, final_epochs = config.epochs(data.embedded)
    count = (1 if config.quick else 12) if photos["val"] else 0
    judge_trials = Judge(data, collages(photos["val"], count, backgrounds=data.negatives))
    name = f"face_improve {data.name} {data.digest[:8]} {trial_epochs} epochs seed {config.seed}"
    name += " quick" * config.quick
    space, first = (SPACE, FIRST) if photos["train"] else of_patches()
    constants = {"augmentations": AUGMENTATIONS, "first": first, "widths": WIDTHS}
    constants |= {"training": training_of(PLAIN, epochs=1, monitor="val/accuracy")}
    kept = CHECKPOINTS / "face_improve" / f"{name} {constants_digest(constants)[:6]}"

    def objective(params: dict[str, Any], child: Run, report) -> float:
        def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
            child.log_metrics(metrics, epoch)
            report(epoch, metrics[judge_trials.metric])

        checkpoint = kept.with_name(f"{kept.name} {params_digest(params)}.pt")
        with kept_while_undecided(checkpoint):
            model, history = train(params, data, trial_epochs, judge_trials, config, checkpoint, "trial", on_epoch)
            return judge_trials.log(child, FaceDetector(model), history)

    study = search(
        run, config.search, space, objective, name=name, seed=config.seed, warmup_epochs=trial_epochs // 2,
        first=dict(list(first.items())[:: len(first) - 1]) if config.quick else first, constants=constants,
    )  # fmt: skip
    judged = "AP50 on photographs and AP30 on collages, mean" if judge_trials.photos else "patch accuracy"
    baseline_run = compare_trials(
        run, study, PLAIN, judge_trials.score, judge_trials.count,
        artifact="validation.npz", metric="validation score", what=f"Validation score: {judged}.",
        also={f"accuracy on {len(data.val)} val patches": lambda arrays: percent([arrays["right"].mean()])},
    )  # fmt: skip
    best = study.best_trial
    label = best.user_attrs.get(LABEL, f"trial {best.number}")
    run.set_tags({"winner": label, "winner.params": best.params})
    print(f"Winner: {label} ({judge_trials.metric} {best.value:.4f}), now for {final_epochs} epochs.", flush=True)

    checkpoint = kept.with_name(f"{kept.name} {params_digest(best.params)} {final_epochs} epochs final.pt")
    if not config.resume:
        checkpoint.unlink(missing_ok=True)
    model, history = train(
        best.params, data, final_epochs, Judge(data, judge_trials.collages, thorough=True), config, checkpoint,
        "winner", lambda epoch, metrics: run.log_metrics(metrics, epoch),
    )  # fmt: skip
    run.log_figure("curves", plots.learning_curves(history.history, kept=history.best_epoch))
    # Smaller faces and closer sizes than in the trials: the detector that is kept is to be used, not to be compared.
    detector = FaceDetector(model, min_face=20, factor=1.5 if getattr(model, "boxes", False) else None)
    metrics: dict[str, float | list[float]] = {"val_patches_accuracy": history.best["val/accuracy"]}
    metrics |= finish(
        config, run, data, detector, detector_file(baseline_run), [*photos["val"], *judge_trials.collages], own
    )
    version = log_detector(run, detector, data.val.images[:2], register_name(config, data))
    if version:
        champion = promote(register_name(config, data), version, history.best[judge_trials.metric], data.digest)
        run.set_tags({"registered": f"{register_name(config, data)} version {version}", "champion": champion})
    checkpoint.unlink(missing_ok=True)
    return Outcome(metrics, _summary(metrics, label, len(photos["test"]), register_name(config, data)), [config.seed])


def finish(
    config: Config, run: Run, data: FaceData, detector: FaceDetector, baseline: Path, scenes: list[Photo],
    own: list[Photo],
) -> dict[str, float]:  # fmt: skip
    """Threshold on validation, one look at test beside the plain network, pictures of the full images and your own.

    `scenes` are the photographs on which the threshold is chosen: those of val alone show one large face each.
    """
    metrics: dict[str, float] = {}
    test, full = data.photos["test"], data.full_images
    chosen_on, where = (scenes, "val and collages of val") if scenes else (full, "the full images")
    if chosen_on:
        on_val = detect_photos(detector, chosen_on, title="threshold")
        detector.threshold = find_threshold(run, on_val, chosen_on, where, config.max_false_alarms)
        metrics["threshold"] = detector.threshold
    if test:
        plain = FaceDetector.load(baseline)
        detectors = {"test": detector, "test_plain": plain}
        if config.tta:
            detectors["test_tta"] = detector.with_settings(tta=True)
        for prefix, one in detectors.items():
            found = detect_photos(one, test, title=prefix)
            metrics |= judge(found, test, prefix)
            if prefix == "test":
                metrics["test_false_alarms_per_photo"] = (
                    count_at(found, test, detector.threshold)["false_alarms"] / len(test)
                )
    if full:
        counts = count_at(detect_photos(detector, full), full, detector.threshold)
        metrics |= {f"full_images_{key}": float(count) for key, count in counts.items()}
    if full or own:
        log_detections(run, detector, [*full, *own], {"0.99": 0.99, "chosen": detector.threshold})
    return metrics


def read_own(image: str) -> list[Photo]:
    """The user's photograph, read before anything is trained."""
    import numpy as np

    return [Photo(Path(image).name, read_image(Path(image)), np.zeros((0, 4), np.float32))] if image else []


def register_name(config: Config, data: FaceData) -> str:
    """Name in the model registry: embedded pictures must not take the place of a detector trained on photographs."""
    if not config.register:
        return ""
    return "face_detector" + ("_quick" if config.quick else "_embedded" if data.embedded else "")


def _summary(metrics: dict[str, Any], label: str, tested: int, registered: str) -> str:
    parts = [f"Winner: {label}, {100 * metrics['val_patches_accuracy']:.1f} % of validation patches right"]
    if "test_ap50" in metrics:
        parts.append(
            f"average precision {metrics['test_ap50']:.3f} at IoU 0.5 and {metrics['test_ap30']:.3f} at 0.3 on "
            f"{tested} test photographs (plain network {metrics['test_plain_ap50']:.3f} and "
            f"{metrics['test_plain_ap30']:.3f})"
        )
    if "full_images_found" in metrics:
        parts.append(
            f"{metrics['full_images_found']:.0f} of {metrics['full_images_faces']:.0f} faces on the full images with "
            f"{metrics['full_images_false_alarms']:.0f} false alarms"
        )
    return "; ".join(parts) + (f". Registered as {registered}@champion if best so far." if registered else ".")


if __name__ == "__main__":
    main(run, Config, entry_point="face_improve", question="A3", doc=__doc__)
