"""What the experiments on faces share: what a run stores about networks that name people, and how one is found again.

Stored are the accuracies of all seeds, confusions, and the faces that are missed.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import confusion_matrix
from torch import nn

from cnnlab import plots
from cnnlab.data.facescrub import WANTED, FaceSplits
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.evaluation.classification import report_of_matrix
from cnnlab.evaluation.comparison import wilson_interval
from cnnlab.experiment import Experiment
from cnnlab.models.saved import load_model
from cnnlab.plots.people import people_sheet
from cnnlab.reports.text_tables import percent
from cnnlab.tracking import Run
from cnnlab.tracking.models import model_file
from cnnlab.training.views import Views

REGISTERED = "facescrub"
"""The registered network that names people where no other is named."""
_SHOWN = 12


@dataclass(frozen=True)
class FaceConfig(Experiment):
    """Settings of every experiment on the faces."""

    least: int = WANTED
    """pictures that each person must have at least, in all splits together"""

    def __post_init__(self) -> None:
        if self.least < 1:
            raise ConfigError(f"least must be at least 1, not {self.least}.")


def load_namer(model: str) -> tuple[nn.Module, tuple[str, ...], tuple[int, int], Views]:
    """A network that names people, their names, the size of its input, and how it looks at a face.

    Args:
        model: as for `model_file`; empty: the champion that `facescrub_finetune` registered.

    Raises:
        ConfigError: there is no such network, or it is no classifier of pictures.
    """
    try:
        path = model_file(model or REGISTERED)
    except ConfigError as error:
        if model:
            raise
        raise ConfigError(
            "No network for people is registered yet: train one with `mlflow run . -e facescrub_finetune -P data=DIR`, "
            "or name a run of it with model=RUN_ID."
        ) from error
    network, meta = load_model(path)
    if "classes" not in meta or "size" not in meta:
        raise ConfigError(f"model={model} does not say which classes it knows; name a run of facescrub_finetune.")
    return network, tuple(meta["classes"]), tuple(meta["size"]), Views.of(meta, mirror=True)


def note_of(data: FaceSplits, *sentences: str) -> str:
    """For the record: these sentences, and what the data lack or repeat."""
    return " ".join(sentence for sentence in (*sentences, *data.notes) if sentence)


def log_data(run: Run, data: FaceSplits, source: str) -> None:
    """Store what the data are, and examples of each split but test."""
    run.log_data(data.name, data.digest, data.sizes, source)
    if data.notes:
        run.set_tags({"data.notes": " ".join(data.notes)})
    for part in (data.train, data.val):
        run.log_figure(f"examples_{part.split}", plots.class_grid(part.images, part.labels, part.classes))


def judge(
    run: Run, data: FaceSplits, part: ImageSet, probabilities: Sequence[np.ndarray], first_seed: int
) -> dict[str, list[float]]:
    """Accuracy of every seed on a split; confusions, scores of each class, predictions and misses go into the run.

    Args:
        run: where to.
        data: all splits.
        part: the one judged, val or test.
        probabilities: (N, K) of each seed.
        first_seed: the others follow it.

    Returns:
        `{"<split>_accuracy": [one for each seed]}`, and `test_unrepeated_accuracy` where `data.repeats` names faces.
    """
    shares = np.stack(probabilities)
    truth, predicted = part.labels.numpy(), shares.argmax(-1)
    matrix = sum(confusion_matrix(truth, answers, labels=range(len(part.classes))) for answers in predicted)
    together = f"{len(shares)} seeds together" if len(shares) > 1 else ""
    run.log_figure(f"confusion_{part.split}", plots.confusion_matrices({together: matrix}, part.classes))
    told_of_classes = report_of_matrix(matrix, part.classes).table()
    run.log_text(f"classification_{part.split}.md", f"The answers of {len(shares)} seeds.\n\n{told_of_classes}\n")
    run.log_text(f"predictions_{part.split}.csv", _table(part, shares, first_seed))
    misses = (predicted != truth).sum(0)
    shown = np.argsort(-misses, kind="stable")[: min(_SHOWN, int((misses > 0).sum()))]
    if len(shown):
        names = part.names or [str(i) for i in range(len(part))]
        titles = [f"is {part.classes[truth[i]]}, missed {misses[i]} of {len(shares)}\n{names[i]}" for i in shown]
        run.log_figure(f"missed_{part.split}", people_sheet(
            part.images[shown].numpy(), shares.mean(0)[shown], part.classes, titles, [True] * len(shown),
            title=f"{int((misses > 0).sum())} of {len(part)} {part.split} faces are missed by some seed",
        ))  # fmt: skip
    right = predicted == truth
    found = {f"{part.split}_accuracy": right.mean(1).tolist()}
    if part is data.test and data.repeats:
        found["test_unrepeated_accuracy"] = np.delete(right, list(data.repeats), axis=1).mean(1).tolist()
    return found


def told(values: Sequence[float], count: int, split: str) -> str:
    """An accuracy in words: mean, spread over seeds, number of faces and the interval that so few leave open."""
    low, high = wilson_interval(float(np.mean(values)), count)
    return (
        f"{percent(values, 'seeds')} of {count} {split} faces right (95 % interval by their number {100 * low:.1f} to "
        f"{100 * high:.1f} %)"
    )


def _table(part: ImageSet, shares: np.ndarray, first_seed: int) -> str:
    """CSV: face, true person, and for each seed the answer and its probability."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    seeds = [f"seed_{first_seed + k}" for k in range(len(shares))]
    writer.writerow(["face", "true", *(column for seed in seeds for column in (seed, f"{seed}_probability"))])
    for i, label in enumerate(part.labels.tolist()):
        answers = [(part.classes[row.argmax()], f"{row.max():.4f}") for row in shares[:, i]]
        writer.writerow([part.names[i] if part.names else i, part.classes[label], *(x for a in answers for x in a)])
    return text.getvalue()
