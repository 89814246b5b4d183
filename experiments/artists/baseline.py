"""D 1.2 · SimpleCNN of assignment D as it stands: what it is, 50 epochs, and what its two accuracies say.

    mlflow run . -e artists_baseline -P data=DIR

DIR holds `artists/<artist>/*`; without it drawn pictures are used. The network is trained on one split in the course's
proportions (364 pictures to train on, 87 to validate; which ones the course took is not known) and on five stratified
folds, whose test parts together are all pictures. The last epoch is kept, so that validation chooses nothing.
`answers.md` in the run answers the question's four points from the network and the settings themselves, then compares
the two accuracies. `train_` and `val_` figures are of the course's split, `test_` ones of the five folds;
`five_folds_seconds` is the wall time of one training of each fold, with the start of the workers, and what a resumed
run does not tell.

Budget on two CPU cores: 10 s for the course's split, half a minute for the five folds.

Result: artists_baseline on artists (train 364, val 87, test 451), seeds 0, AMD EPYC, 1 core, 24 GiB, no GPU, 40 s,
    2026-11-22, commit 222336664e:
    test_accuracy       0.574 ± 0.048 (5) on 451 samples
    train_accuracy      0.8132 (1) on 364 samples
    val_accuracy        0.6322 (1) on 87 samples
    training_seconds    6.943 (1)
    five_folds_seconds  27.86 (1)
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.metrics import confusion_matrix
from torch import nn

from cnnlab import plots
from cnnlab.data.artists import FIT, course_split
from cnnlab.data.folds import Fold
from cnnlab.data.imageset import ImageSet
from cnnlab.evaluation.comparison import wilson_interval
from cnnlab.experiment import Outcome, main
from cnnlab.models.trace import trace
from cnnlab.reports.ablation import Variant
from cnnlab.reports.arithmetic import layer_rows
from cnnlab.reports.classifier import log_classifier
from cnnlab.reports.paintings import (
    PaintingConfig,
    load_paintings,
    run_painting_variants,
    sizes_of_course,
    train_painter,
)  # fmt: skip
from cnnlab.reports.text_tables import as_markdown, percent
from cnnlab.tracking import Run
from cnnlab.training import Training
from cnnlab.training.folds import FoldResult, run_jobs
from cnnlab.training.groups import LayerGroups
from cnnlab.training.objective import Classification
from cnnlab.training.optim import make_optimizer

_COLUMNS = ("layer", "kind", "kernel", "stride", "padding", "output W×H×D", "parameters", "receptive field")


@dataclass(frozen=True)
class Config(PaintingConfig):
    """Train the assignment's SimpleCNN on the course's split and on five folds."""

    seeds: int = 1
    """trainings of each fold and of the course's split, from seeds seed, seed+1, …"""


def run(config: Config, run: Run) -> Outcome:
    """Train on the course's split and on the five folds, describe the network, compare the accuracies."""
    pictures, folds = load_paintings(config, run, partial(sizes_of_course, config))
    course = course_split(pictures.labels, config.seed)
    seeds = config.training_seeds
    began = time.perf_counter()
    folded = run_painting_variants(config, run, pictures, folds, {})[0]
    # a resumed run may have taken trainings over, and its time would say nothing
    timed = {} if config.resume else {"five_folds_seconds": (time.perf_counter() - began) / len(seeds)}
    jobs = [(config, 0, seed, seed == config.seed) for seed in seeds]
    found = dict(run_jobs(partial(train_painter, pictures, [course]), jobs, config.workers))
    on_course = [found[index] for index in range(len(seeds))]
    first = on_course[0]
    for epoch, metrics in enumerate(first.history, 1):
        run.log_metrics(metrics, epoch)
    run.log_figure("curves", plots.learning_curves(first.history, kept=first.best_epoch))
    log_confusion(run, pictures, course, first, folds, folded.results[0])
    text = "\n\n".join([describe(first.network, config.training, config.size), accuracies(first, folded, course)])
    run.log_text("answers.md", text + "\n")
    print(text, flush=True)
    log_classifier(
        run, first.network, pictures.classes, pictures.images.shape[-2:], pictures.images[:2], meta={"fit": FIT}
    )
    seconds = [result.seconds for result in on_course]
    return Outcome(
        {
            "test_accuracy": folded.fold_accuracies,
            "train_accuracy": [result.train_accuracy for result in on_course],
            "val_accuracy": [result.val_accuracy for result in on_course],
            "training_seconds": seconds,
            **timed,
        },
        f"{percent(folded.fold_accuracies)} of the test pictures right (mean ± std of "
        f"{len(folds)} folds, {pictures.name}). On the course's split {100 * first.train_accuracy:.1f} % of "
        f"{len(course.train)} training and {100 * first.val_accuracy:.1f} % of {len(course.val)} validation pictures "
        f"after {config.training.epochs} epochs, {seconds[0]:.0f} s.",
        seeds,
    )


def log_confusion(
    run: Run, pictures: ImageSet, course: Fold, on_course: FoldResult, folds: Sequence[Fold],
    results: Sequence[FoldResult],
) -> None:  # fmt: skip
    """Two confusion matrices: of the course's validation pictures, and of all pictures, each judged by its fold."""
    labels = pictures.labels.numpy()
    guessed = np.zeros(len(labels), int)
    for fold, result in zip(folds, results, strict=True):
        guessed[list(fold.test)] = result.probabilities.argmax(axis=1)
    classes = range(len(pictures.classes))
    on_val = confusion_matrix(labels[list(course.test)], on_course.probabilities.argmax(axis=1), labels=classes)
    run.log_figure("confusion_val", plots.confusion_matrix(on_val, pictures.classes))
    run.log_figure(
        "confusion_test", plots.confusion_matrix(confusion_matrix(labels, guessed, labels=classes), pictures.classes)
    )


def describe(network: nn.Module, training: Training, size: int) -> str:
    """The question's four points, read off the network and the settings."""
    traced = trace(network, (size, size))
    rows = [{key: row[key] for key in _COLUMNS} for row in layer_rows(traced)]
    kinds = [layer.kind for layer in traced.layers]
    convolutions = sum("convolution" in kind for kind in kinds)
    linear = kinds.count("linear")
    weighted = convolutions + linear
    activations = sorted({type(m).__name__ for m in network.modules() if type(m).__module__ == nn.ReLU.__module__})
    optimizer = make_optimizer(LayerGroups(network, training), training)
    smoothing = f", label smoothing {training.label_smoothing:g}" if training.label_smoothing else ""
    momentum = optimizer.defaults.get("momentum", 0)
    return "\n".join([
        "# SimpleCNN", "",
        "## How many layers are there? Are they all convolutional?", "",
        f"{weighted} layers with weights, {traced.parameters:,} parameters: {convolutions} convolutional and {linear} "
        f"fully connected, so not all of them. The last map is flattened for the fully connected ones.", "",
        as_markdown(rows), "",
        "## Which activation function is used on the hidden nodes?", "",
        f"{', '.join(activations)}, behind every layer with weights but the last, which gives the logits.", "",
        "## What loss function is used?", "",
        f"{Classification.__name__}: cross entropy between the softmax of the logits and the artist{smoothing}, the "
        "mean over a batch.", "",
        "## How is the loss minimised?", "",
        f"By {type(optimizer).__name__}, learning rate {optimizer.defaults['lr']:g} ({training.schedule} schedule)"
        f"{f', momentum {momentum:g}' if momentum else ', no momentum'}, weight decay {training.weight_decay:g}, in "
        f"batches of {training.batch_size} drawn anew in each of {training.epochs} epochs; gradients by "
        "back-propagation.",
    ])  # fmt: skip


def accuracies(first: FoldResult, folded: Variant, course: Fold) -> str:
    """Training against validation accuracy of the course's split, and how sure either is."""
    low, high = (100 * end for end in wilson_interval(first.val_accuracy, len(course.val)))
    train, val = 100 * first.train_accuracy, 100 * first.val_accuracy
    lowest = min(first.history, key=lambda metrics: metrics["val/loss"])
    rising = first.history[-1]["val/loss"] > lowest["val/loss"]
    loss = (
        f"The validation loss was lowest in epoch {lowest['epoch']:.0f} ({lowest['val/loss']:.2f}) and ended at "
        f"{first.history[-1]['val/loss']:.2f}, while the training loss fell to {first.history[-1]['train/loss']:.2f}."
    )
    gap = (
        f"The network recognises what it has seen far better than what it has not: it overfits. {loss}"
        if train - val > 10
        else f"The two are close: the network has not (yet) learned its training pictures by heart. {loss}"
    )
    return "\n".join([
        "## Training and validation accuracy", "",
        f"Course's split, last epoch: {train:.1f} % of {len(course.train)} training pictures, {val:.1f} % of "
        f"{len(course.val)} validation pictures (95 % interval {low:.1f} to {high:.1f} %; one picture is "
        f"{100 / len(course.val):.2f} points). Five folds: {percent(folded.fold_accuracies)} of the test "
        "pictures, trained on fewer: an eighth of the other folds is kept for choosing, not used here.", "",
        gap + (" The rise says the same." if rising and train - val > 10 else ""),
    ])  # fmt: skip


if __name__ == "__main__":
    main(run, Config, entry_point="artists_baseline", question="D 1.2", doc=__doc__)
