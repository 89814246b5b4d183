"""Stratified parts of a small data set: five folds that judge every picture once, and single splits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from cnnlab.errors import DataError

FOLDS = 5
VAL_SHARE = 1 / 8  # of what is not test: a tenth of all


@dataclass(frozen=True)
class Fold:
    """Indices into one data set, no picture in two parts (but for a split whose `test` is its `val`).

    Attributes:
        train: what is trained on.
        val: what may choose an epoch, a rate or a setting.
        test: what judges, once, and chooses nothing.
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def rest(self) -> tuple[int, ...]:
        """`train` and `val` together, sorted: what a study may split anew for itself, test being out of it."""
        return tuple(sorted(self.train + self.val))


def five_folds(
    labels: Tensor | Sequence[int], seed: int = 0, val_share: float = VAL_SHARE, classes: Sequence[str] | None = None
) -> list[Fold]:
    """Five stratified folds: each fold is `test` once; `val` is a stratified part of the other four.

    Args:
        labels: integers (N,).
        seed: of the shuffling; the same one gives the same folds.
        val_share: part of the other four folds that is `val`; at least one of each class.
        classes: names of the classes, for the error.

    Raises:
        DataError: a class has fewer than five members, so that a fold would be without it.
    """
    targets = np.asarray(labels)
    for label, count in zip(*np.unique(targets, return_counts=True), strict=True):
        if count < FOLDS:
            name = classes[label] if classes else f"class {label}"
            raise DataError(
                f"{name}: {_pictures(count)} cannot be stratified into {FOLDS} folds, each of which needs one at "
                f"least; add {FOLDS - count} or leave the class out."
            )
    folds = []
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for number, (rest, test) in enumerate(splitter.split(np.zeros(len(targets)), targets)):
        train, val = stratified_split(targets, val_share, seed * FOLDS + number, rest)
        folds.append(Fold(train, val, tuple(test.tolist())))
    return folds


def inner_folds(
    labels: Tensor | Sequence[int], fold: Fold, seed: int = 0, val_share: float = VAL_SHARE,
    classes: Sequence[str] | None = None,
) -> list[Fold]:  # fmt: skip
    """Five stratified folds of `fold.rest` alone: what a study may choose on without touching `fold.test`.

    Arguments and errors as for `five_folds`; the indices are those of the whole data set.
    """
    rest = np.asarray(fold.rest)
    inner = five_folds(np.asarray(labels)[rest], seed, val_share, classes)
    return [Fold(*(tuple(rest[list(part)].tolist()) for part in (f.train, f.val, f.test))) for f in inner]


def stratified_split(
    labels: Tensor | Sequence[int], share: float, seed: int = 0, among: Sequence[int] | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(first, second): indices drawn at random so that `second` has `share` of each class, rounded down, 1 at least.

    Args:
        labels: integers (N,).
        share: of `second`.
        seed: of the draw.
        among: indices to share out; all of them unless given.

    Raises:
        DataError: a class has a single member.
    """
    targets = np.asarray(labels)
    among = np.arange(len(targets)) if among is None else np.asarray(among)
    rng = np.random.default_rng(seed)
    first, second = [], []
    for label in np.unique(targets[among]):
        members = rng.permutation(among[targets[among] == label])
        if len(members) < 2:
            raise DataError(f"class {label}: one picture cannot be in two parts; add some or leave the class out.")
        count = max(1, int(len(members) * share + 1e-9))
        second += members[:count].tolist()
        first += members[count:].tolist()
    return tuple(sorted(first)), tuple(sorted(second))


def all_tested(folds: Sequence[Fold]) -> np.ndarray:
    """The indices that the folds test, one fold after the other; each picture occurs once."""
    return np.concatenate([fold.test for fold in folds])


def _pictures(count: int) -> str:
    return f"{count} picture{'' if count == 1 else 's'}"
