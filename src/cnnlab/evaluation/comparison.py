"""How sure an accuracy is, and whether one is above another: so many samples, so many seeds."""

from math import sqrt

import numpy as np

Z = 1.96  # 95 % of the normal distribution


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Ends of the 95 % interval of a binomial share (Wilson 1927), which stays within [0, 1].

    Args:
        share: right answers over answers.
        count: number of samples.
    """
    centre = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_interval(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Ends of the 95 % interval of the second accuracy minus the first, both on the same samples in the same order.

    The variance is that of the samples' own differences, the seeds averaged (McNemar's test does so for one seed),
    and that of either accuracy between its seeds. What is chance in a seed's answers counts in both parts, so that with
    several seeds the interval is wider than it had to be: what it tells apart is apart.

    Args:
        first: bool (seeds, N), whether each answer is right.
        second: bool (other seeds, N).

    Raises:
        ValueError: the samples differ in number.
    """
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"{first.shape[1]} samples cannot be paired with {second.shape[1]}")
    difference = second.mean(axis=0) - first.mean(axis=0)
    variance = difference.var(ddof=1) / len(difference) + _of_seeds(first.mean(axis=1)) + _of_seeds(second.mean(axis=1))
    return float(difference.mean() - Z * sqrt(variance)), float(difference.mean() + Z * sqrt(variance))


def unpaired_interval(
    first: tuple[float, float, int], second: tuple[float, float, int], count: int, second_count: int = 0
) -> tuple[float, float]:
    """The same where only accuracies are known; wider, since samples that both get wrong are not known.

    Args:
        first: mean, standard deviation over seeds (0 for one) and number of seeds.
        second: the same of the other.
        count: number of samples.
        second_count: of the second, where it was judged on others.
    """
    both = ((first, count), (second, second_count or count))
    variance = sum(mean * (1 - mean) / samples + std**2 / seeds for (mean, std, seeds), samples in both)
    gain = second[0] - first[0]
    return gain - Z * sqrt(variance), gain + Z * sqrt(variance)


def _of_seeds(accuracies: np.ndarray) -> float:
    return float(accuracies.var(ddof=1) / len(accuracies)) if len(accuracies) > 1 else 0.0
