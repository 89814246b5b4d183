"""The paired bootstrap: certain where the figures are, wide where they are not."""

import numpy as np

from cnnlab.evaluation.bootstrap import paired_difference


def accuracy(right: np.ndarray):
    return lambda items, which: float(right[which][list(items)].mean())


def test_equal_answers_differ_by_nothing():
    right = np.tile(np.arange(50) % 2, (2, 1))
    assert paired_difference(accuracy(right), 50) == (0.0, 0.0)


def test_a_clear_gain_excludes_zero_and_a_small_one_does_not():
    rng = np.random.default_rng(0)
    base = (rng.random(400) < 0.7).astype(float)
    clear, small = base.copy(), base.copy()
    clear[np.flatnonzero(base == 0)[:80]] = 1
    small[np.flatnonzero(base == 0)[:2]] = 1
    small[np.flatnonzero(base == 1)[:1]] = 0
    low, high = paired_difference(accuracy(np.stack([base, clear])), 400)
    assert 0.1 < low < 0.2 < high < 0.3
    low, high = paired_difference(accuracy(np.stack([base, small])), 400)
    assert low < 0 < high


def test_the_same_seed_gives_the_same_interval():
    right = np.random.default_rng(1).random((2, 30))
    assert paired_difference(accuracy(right), 30, seed=4) == paired_difference(accuracy(right), 30, seed=4)
