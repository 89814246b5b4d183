"""Nested choice of features: what is best on the other rows is chosen, whatever the test rows say."""

import numpy as np

from cnnlab.evaluation.linear import nested_svm

LABELS = np.arange(60) % 2
FOLDS = [(np.arange(60)[np.arange(60) % 3 != k], np.arange(60)[np.arange(60) % 3 == k]) for k in range(3)]


def test_what_tells_the_classes_apart_is_chosen_and_judged():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(60, 4))
    right, chosen = nested_svm({"noise": noise, "signal": noise + 8 * LABELS[:, None]}, LABELS, FOLDS)
    assert chosen == ["signal"] * 3 and [of_fold.tolist() for of_fold in right] == [[True] * 20] * 3


def test_test_rows_choose_nothing():
    rng = np.random.default_rng(0)
    useful = rng.normal(size=(60, 4)) + 8 * LABELS[:, None]
    test = FOLDS[0][1]
    misled, tempting = useful.copy(), rng.normal(size=(60, 4))
    misled[test] = useful[test][:, :] - 16 * LABELS[test][:, None] + 8  # on these rows it says the opposite
    tempting[test] = useful[test]
    right, chosen = nested_svm({"tempting": tempting, "misled": misled}, LABELS, FOLDS[:1])
    assert chosen == ["misled"] and right[0].mean() < 0.1
