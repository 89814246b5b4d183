"""Intervals of accuracies and of their differences: known answers and how often they hold."""

import numpy as np
import pytest

from cnnlab.evaluation.comparison import paired_interval, unpaired_interval, wilson_interval


def test_wilson_gives_the_known_interval():
    assert wilson_interval(0.9, 400) == pytest.approx((0.8667, 0.9257), abs=2e-4)
    assert wilson_interval(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-3)
    assert wilson_interval(0.0, 10)[0] == 0


def test_the_paired_interval_is_that_of_mcnemar_for_one_seed():
    first = np.ones((1, 400), bool)
    second = first.copy()
    first[0, :30] = False  # 30 that only the second gets right, 10 that only the first does
    second[0, 30:40] = False
    low, high = paired_interval(first, second)
    assert (low + high) / 2 == pytest.approx(20 / 400)
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(40 - 20**2 / 400) / 400, rel=0.01)
    with pytest.raises(ValueError, match="400 samples cannot be paired with 399"):
        paired_interval(first, second[:, 1:])


def test_seeds_that_disagree_widen_the_interval():
    rng = np.random.default_rng(0)
    steady = rng.random((3, 400)) < 0.85
    wild = np.stack([rng.random(400) < share for share in (0.75, 0.85, 0.95)])
    steady_width, wild_width = (high - low for low, high in (paired_interval(steady, x) for x in (steady[::-1], wild)))
    assert wild_width > 2 * steady_width


def test_equal_accuracies_are_told_apart_more_seldom_than_in_one_case_of_twenty():
    """The chance in a seed's answers counts in both parts of the variance, which makes the interval a careful one."""
    rng = np.random.default_rng(0)
    hard = rng.random(400)  # portraits differ in difficulty, as real ones do
    told = 0
    for _ in range(300):
        first, second = (rng.random((3, 400)) < 0.7 + 0.3 * hard for _ in range(2))
        low, high = paired_interval(first, second)
        told += not low <= 0 <= high
    assert told / 300 < 0.03


def test_a_difference_that_is_there_is_told():
    rng = np.random.default_rng(1)
    hard = rng.random(400)
    first, second = (rng.random((3, 400)) < share + 0.2 * hard for share in (0.65, 0.75))
    low, high = paired_interval(first, second)
    assert 0 < low < 0.1 < high


def test_without_pairing_only_the_shares_count():
    low, high = unpaired_interval((0.80, 0.0, 1), (0.85, 0.0, 1), 400)
    assert (low + high) / 2 == pytest.approx(0.05)
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt((0.16 + 0.1275) / 400))


def test_seeds_and_a_second_number_of_samples_count_in_the_unpaired_interval():
    low, high = unpaired_interval((0.80, 0.03, 3), (0.85, 0.0, 1), 400, 100)
    variance = 0.8 * 0.2 / 400 + 0.03**2 / 3 + 0.85 * 0.15 / 100
    assert (low + high) / 2 == pytest.approx(0.05) and (high - low) / 2 == pytest.approx(1.96 * np.sqrt(variance))
