"""How far a linear classifier comes on given features: a support vector machine whose C cross-validation chooses."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, StratifiedKFold, StratifiedShuffleSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from cnnlab.errors import DataError

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""C on standardised features of a network: with a thousand numbers an image, more fits the training images exactly."""
MANY = 6000  # rows from which on so many fits take tens of minutes


def fit_linear_svm(features: np.ndarray, labels: np.ndarray, seed: int = 0, folds: int = 5) -> GridSearchCV:
    """Standardise and fit a linear SVM; C has the best accuracy in cross-validation on these rows alone.

    With more than `MANY` rows, C is chosen by one split of a part of them; the machine is fitted to all.

    Args:
        features: (N, D).
        labels: (N,).
        seed: of folds and solver.
        folds: fewer where the rarest class has fewer rows.

    Returns:
        The fitted search: `predict`, `best_params_["svm__C"]`, `best_score_` (mean accuracy over the folds).

    Raises:
        DataError: a class has a single row, or there is one class only.
    """
    parts = StratifiedKFold(_folds(labels, folds), shuffle=True, random_state=seed)
    if len(labels) > MANY:
        parts = StratifiedShuffleSplit(1, train_size=MANY // 2, test_size=MANY // 4, random_state=seed)
    pipeline = Pipeline([("scale", StandardScaler()), ("svm", LinearSVC(dual="auto", random_state=seed))])
    search = GridSearchCV(pipeline, {"svm__C": STRENGTHS}, cv=parts)
    with warnings.catch_warnings():  # the solver's last digits do not change an accuracy
        warnings.simplefilter("ignore", ConvergenceWarning)
        return search.fit(features, labels)


def cross_validated(
    features: np.ndarray, labels: np.ndarray, seed: int = 0, folds: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy of each outer fold and every row's held-out prediction; C is chosen within each training part.

    Arguments and errors as for `fit_linear_svm`; each class needs three rows, so that its training parts hold two.
    """
    if np.bincount(labels)[np.unique(labels)].min() < 3:
        raise DataError("A class has fewer than three images, too few to hold some out; add some or remove the class.")
    predicted = np.empty_like(labels)
    scores = []
    for train, test in StratifiedKFold(_folds(labels, folds), shuffle=True, random_state=seed).split(features, labels):
        predicted[test] = fit_linear_svm(features[train], labels[train], seed, folds).predict(features[test])
        scores.append((predicted[test] == labels[test]).mean())
    return np.array(scores), predicted


def nested_svm(
    features: Mapping[str, np.ndarray], labels: np.ndarray, folds: Sequence[tuple[Sequence[int], Sequence[int]]],
    seed: int = 0,
) -> tuple[list[np.ndarray], list[str]]:  # fmt: skip
    """What is right of each fold's test rows, and which features were chosen for it by cross-validation on the others.

    Args:
        features: name -> (N, D).
        labels: (N,).
        folds: (rows to choose and fit on, rows to test on) of each.
        seed: of inner folds and solver.

    Returns:
        bool (number of its test rows,) of each fold, and the names.
    """
    right, chosen = [], []
    for rest, test in folds:
        rest, test = np.asarray(rest), np.asarray(test)
        fitted = {name: fit_linear_svm(rows[rest], labels[rest], seed) for name, rows in features.items()}
        best = max(fitted, key=lambda name: fitted[name].best_score_)
        right.append(fitted[best].predict(features[best][test]) == labels[test])
        chosen.append(best)
    return right, chosen


def _folds(labels: np.ndarray, wanted: int) -> int:
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2 or counts.min() < 2:
        raise DataError("A linear classifier needs two classes with two images each at least.")
    return int(min(wanted, counts.min()))
