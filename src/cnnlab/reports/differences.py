"""Which of two classifiers is better on the same pictures: the paired difference, its interval, and words for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cnnlab.data.folds import Fold
from cnnlab.evaluation.comparison import paired_interval
from cnnlab.reports.ablation import reading
from cnnlab.reports.text_tables import as_markdown
from cnnlab.tracking import Run
from cnnlab.training.folds import FoldResult, assembled, pooled

FILE = "differences.md"


@dataclass(frozen=True)
class Difference:
    """Accuracy of a second classifier minus that of a first one on the same pictures, with its 95 % interval."""

    gain: float
    low: float
    high: float

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray) -> "Difference":
        """From what each got right: bool (seeds, N) and (other seeds, N), the pictures in the same order."""
        return cls(float(second.mean() - first.mean()), *paired_interval(first, second))

    @property
    def points(self) -> str:
        """`+1.2 [-0.3, +2.7]`, in percentage points."""
        return f"{100 * self.gain:+.1f} [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"

    @property
    def words(self) -> str:
        """Better, worse, or that no difference is shown."""
        return reading(self.low, self.high)


def nested_shares(
    folds: Sequence[Fold], results: Sequence[Sequence[FoldResult]], beside: Sequence[np.ndarray] | None
) -> np.ndarray:
    """What the classifiers of a nested cross-validation say of each picture: (seeds, N, K), a sum of probabilities.

    Args:
        folds: each is tested by classifiers that have not seen it.
        results: [seed][fold] of the networks.
        beside: probabilities (number of test pictures, K) of each fold's machine; none where the network judges alone.
    """
    parts = [beside or [0] * len(folds)] * len(results)
    said = [[r.probabilities + b for r, b in zip(*pair, strict=True)] for pair in zip(results, parts, strict=True)]
    return np.stack([assembled(of_seed, folds) for of_seed in said])


def nested_answers(
    labels: np.ndarray, folds: Sequence[Fold], results: Sequence[Sequence[FoldResult]],
    beside: Sequence[np.ndarray] | None, pretrained: Sequence[np.ndarray] | None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """What each classifier of a nested cross-validation got right: name -> bool (trainings, N), the judged one first.

    Args:
        labels: integers (N,).
        folds: as for `nested_shares`, and so are `results` and `beside`.
        results: [seed][fold] of the networks.
        beside: of each fold's machine, if there is one.
        pretrained: bool (number of test pictures,) of each fold's classifier on frozen features, if there is one.
    """
    right = nested_shares(folds, results, beside).argmax(-1) == labels
    answers = {"network": right}
    if beside is not None:
        machine = assembled(beside, folds).argmax(1) == labels
        networks = np.stack([pooled(of_seed, folds) for of_seed in results])
        answers = {"committee": right, "network alone": networks, "machine alone": machine[None]}
    return answers | ({} if pretrained is None else {"frozen features": assembled(pretrained, folds)[None]})


def log_differences(run: Run, answers: Mapping[str, np.ndarray]) -> str:
    """Store `differences.md`, the first classifier against each other one, and return it as a sentence.

    Args:
        run: where to.
        answers: name -> bool (trainings, N), whether each picture was recognised by a classifier that had not seen it.
    """
    (judged, right), *others = answers.items()
    rows, told = [], []
    for name, theirs in others:
        found = Difference.of(theirs, right)
        rows.append({
            "classifier": f"{judged}, {100 * right.mean():.1f} %", "against": f"{name}, {100 * theirs.mean():.1f} %",
            "difference in points, 95 % interval": found.points, "reading": found.words,
        })  # fmt: skip
        told.append(f"against {name} {found.points} points, {found.words}")
    if not rows:
        return ""
    run.log_text(FILE, (
        "# Differences\n\nShare of the pictures that are right, each judged by a classifier that has not seen it, the "
        "seeds averaged; differences on the same pictures.\n\n"
    ) + as_markdown(rows))  # fmt: skip
    return f"The {judged} {'; '.join(told)}."
