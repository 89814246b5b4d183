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


def test_blocks_make_the_interval_of_alike_neighbours_wider():
    rng = np.random.default_rng(0)
    gain = np.repeat(rng.random(20) < 0.3, 10).astype(float)  # films of ten frames, each gained wholly or not at all
    right = np.stack([np.zeros(200), gain])
    low, high = paired_difference(accuracy(right), 200)
    blocked = paired_difference(accuracy(right), 200, block=10)
    assert blocked[1] - blocked[0] > 1.7 * (high - low)
    drawn = []
    paired_difference(lambda items, which: drawn.append(items) or 0.0, 7, rounds=3, block=3)
    assert all(len(items) == 7 and items[1] == (items[0] + 1) % 7 for items in drawn)


def test_the_same_seed_gives_the_same_interval():
    right = np.random.default_rng(1).random((2, 30))
    assert paired_difference(accuracy(right), 30, seed=4) == paired_difference(accuracy(right), 30, seed=4)
    assert paired_difference(accuracy(right), 30, seed=4) != paired_difference(accuracy(right), 30, seed=5)
