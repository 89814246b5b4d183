"""How sure a difference is: paired bootstrap over the things that were judged (Efron and Tibshirani 1993)."""

from collections.abc import Callable, Sequence

import numpy as np


def paired_difference(
    score: Callable[[Sequence[int], int], float], count: int, rounds: int = 300, seed: int = 0, block: int = 1
) -> tuple[float, float]:
    """Ends of the 95 % interval of `score(items, 1) - score(items, 0)` over resampled items.

    Args:
        score: `(indices of the judged items, which of the two) -> figure`.
        count: number of items (photographs, patches); both are always judged on the same ones.
        rounds: resamplings.
        seed: of the resampling.
        block: so many neighbouring items are drawn together, since frames of one film tell little that the next one
            does not (circular blocks, Politis and Romano 1992); 1 takes all items for independent.
    """
    rng = np.random.default_rng(seed)
    differences = []
    for _ in range(rounds):
        starts = rng.integers(0, count, -(-count // block))
        items = ((starts[:, None] + np.arange(block)) % count).ravel()[:count].tolist()
        differences.append(score(items, 1) - score(items, 0))
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)
