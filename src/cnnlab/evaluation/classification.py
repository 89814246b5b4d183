"""Accuracy, precision, recall, F1 and the confusion matrix of a classifier, by scikit-learn, as one report.

With a class's true positives TP, false positives FP and false negatives FN: precision = TP / (TP + FP), recall =
TP / (TP + FN), F1 = their harmonic mean, 2 / (1 / precision + 1 / recall). Over several classes:

- micro: TP, FP and FN of all classes are added first; with one label per sample all three equal accuracy.
- macro: the plain mean over the classes, however rare.
- weighted: the mean by support, the number of true samples; its F1 need not lie between precision and recall.
- samples: the mean over samples, each with its own set of labels; with one label per sample it equals accuracy.
- binary: the figures of the positive class alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    multilabel_confusion_matrix,
    precision_recall_fscore_support,
)

from cnnlab.errors import DataError

AVERAGES = ("micro", "macro", "weighted", "samples")


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1, each 0 to 1 (0 where nothing was predicted or nothing was there)."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ClassificationReport:
    """How good a classifier's answers are.

    Attributes:
        classes: names, in the order of the labels.
        accuracy: share of samples that are right; of sets of labels, those of which every label is right.
        per_class: the scores of each class against the rest, by name.
        support: true samples of each class, by name.
        averages: `micro`, `macro`, `weighted`, `samples`, and `binary` where there are two classes.
        confusion: counts, row = true class, column = predicted one, (K, K); of sets of labels (K, 2, 2), for each
            label [[true negatives, false positives], [false negatives, true positives]].
    """

    classes: tuple[str, ...]
    accuracy: float
    per_class: Mapping[str, Scores]
    support: Mapping[str, int]
    averages: Mapping[str, Scores]
    confusion: np.ndarray

    def metrics(self, prefix: str) -> dict[str, float]:
        """The figures for a run, under names that begin with the split, such as `test_macro_f1`."""
        flat = {f"{prefix}_accuracy": self.accuracy}
        for average, scores in self.averages.items():
            flat |= {f"{prefix}_{average}_{name}": value for name, value in vars(scores).items()}
        return flat

    def table(self) -> str:
        """Every class and every average as a Markdown table."""
        lines = ["| class | precision | recall | F1 | samples |", "| --- | ---: | ---: | ---: | ---: |"]
        rows = [(name, scores, str(self.support[name])) for name, scores in self.per_class.items()]
        rows += [(f"*{name}*", scores, "") for name, scores in self.averages.items()]
        for name, s, count in rows:
            lines.append(f"| {name} | {s.precision:.3f} | {s.recall:.3f} | {s.f1:.3f} | {count} |")
        return "\n".join([*lines, "", f"Accuracy {self.accuracy:.3f}."])


def classification_report(
    true: np.ndarray | Sequence, predicted: np.ndarray | Sequence, classes: Sequence[str], positive: int = 1,
    counts: np.ndarray | None = None,
) -> ClassificationReport:  # fmt: skip
    """The report of a classifier's answers.

    Args:
        true: labels (N,), or sets of labels as 0 and 1 (N, K), for multi-label problems.
        predicted: the same of the classifier.
        classes: K names.
        positive: of two classes, the index of the one that `binary` speaks of.
        counts: how often each pair occurs, whole numbers (N,); once unless given.

    Raises:
        DataError: no sample, answers that do not fit the truth, or labels without a name.
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    _check(true, predicted, len(classes))
    labels = list(range(len(classes)))
    multilabel = true.ndim == 2
    told = {"labels": labels, "sample_weight": counts}

    def scores(average: str | None, **other: object) -> tuple[np.ndarray, ...]:
        return precision_recall_fscore_support(true, predicted, average=average, zero_division=0.0, **told | other)

    precision, recall, f1, support = scores(None)
    averages = {name: _scores(*scores(name)[:3]) for name in AVERAGES[:3]}
    if multilabel:
        averages["samples"] = _scores(*scores("samples")[:3])
        confusion = multilabel_confusion_matrix(true, predicted, **told)
    else:
        # each sample's set holds one label: it is met, or it is not
        share = float(accuracy_score(true, predicted, sample_weight=counts))
        averages["samples"] = Scores(share, share, share)
        confusion = confusion_matrix(true, predicted, **told)
        if len(classes) == 2:
            averages["binary"] = _scores(precision[positive], recall[positive], f1[positive])
    return ClassificationReport(
        classes=tuple(classes),
        accuracy=float(accuracy_score(true, predicted, sample_weight=counts)),
        per_class={name: _scores(*row) for name, *row in zip(classes, precision, recall, f1, strict=True)},
        support={name: round(float(n)) for name, n in zip(classes, support, strict=True)},
        averages=averages,
        confusion=confusion,
    )


def report_of_matrix(
    matrix: np.ndarray, classes: Sequence[str], rows: str = "true", positive: int = 1
) -> ClassificationReport:
    """The report of a confusion matrix that is already counted.

    Args:
        matrix: counts (K, K).
        classes: K names.
        rows: `true` where a row holds the samples of one true class (here and in scikit-learn), `predicted` where it
            holds those of one answer. Books and slides have both, and the wrong one swaps precision and recall.
        positive: see `classification_report`.

    Raises:
        DataError: the matrix is not square, does not fit the names, or holds what is no count.
    """
    matrix = np.asarray(matrix)
    if matrix.shape != (len(classes), len(classes)):
        raise DataError(f"A confusion matrix of shape {matrix.shape} does not fit {len(classes)} classes.")
    if rows not in ("true", "predicted"):
        raise DataError(f"The rows of a confusion matrix are true or predicted classes, not {rows}.")
    if (matrix < 0).any() or (matrix != np.floor(matrix)).any():
        raise DataError("A confusion matrix holds counts: whole numbers from 0 on.")
    matrix = matrix.T if rows == "predicted" else matrix
    true, predicted = np.indices(matrix.shape).reshape(2, -1)
    counts = matrix.flatten().astype(int)
    there = counts > 0
    return classification_report(true[there], predicted[there], classes, positive, counts[there])


def _scores(precision: float, recall: float, f1: float) -> Scores:
    return Scores(float(precision), float(recall), float(f1))


def _check(true: np.ndarray, predicted: np.ndarray, count: int) -> None:
    if true.shape != predicted.shape or true.ndim not in (1, 2):
        raise DataError(f"Answers of shape {predicted.shape} cannot be held against a truth of shape {true.shape}.")
    if len(true) == 0:
        raise DataError("There is no answer to judge; give at least one.")
    if true.ndim == 2 and true.shape[1] != count:
        raise DataError(f"Sets of {true.shape[1]} labels do not fit {count} names.")
    lowest, highest = min(true.min(), predicted.min()), max(true.max(), predicted.max())
    if lowest < 0 or highest >= (2 if true.ndim == 2 else count):
        expected = "0 and 1 in sets of labels" if true.ndim == 2 else f"0 to {count - 1}, one for each class"
        raise DataError(f"There are labels from {lowest} to {highest}; expected {expected}.")
