"""How far each cue alone gives the class away: a shallow decision tree on the cue's measurements, cross-validated.

A tree with a few leaves per class stands for what any network could pick up. Its predictions for pictures that it was
not grown on give a balanced accuracy (mean recall of the classes; chance is one over their number). Whether that is
more than luck is asked of permuted labels (Ojala and Garriga 2010) within the held-out parts, corrected for the number
of cues (Holm 1979). Copies of one picture stay in one part, for else a cue would be known by heart. The accuracy is the
mean over several ways of making the parts, judged by the luck of one: trees of one round share most of their pictures,
which alone would let luck pass too often. Trees are not grown anew for every permutation, which would be exact but
slow; where pictures are so few that this matters, a cue that seems to tell something is held against trees that were.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import pearson3
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.tree import DecisionTreeClassifier

from cnnlab.errors import DataError
from cnnlab.evaluation.image_cues import CUES, Cue

FOLDS = 5
REPEATS = 3
PERMUTATIONS = 4000
SIGNIFICANCE = 0.01  # chance of any false alarm where no cue tells anything
FEW = 150  # pictures up to which luck is wider than permutations of grown trees' answers make it
SURE = 6.0  # spreads above chance that no luck explains, however wide
REGROWN = 100  # permutations for which trees are grown anew then: enough for mean and spread, not for the tail,
SKEW = 0.3  # which is that of a gamma distribution: on noise such accuracies lean a little to the right
CLEAR = 0.1  # share of the way from chance to perfection below which a cue is too weak to mislead a network
ALMOST_ALL = 0.8
LEVELS = ("quiet", "beats chance", "almost all")
_WORDS = {
    "file": ("quiet", "could give the class away", "gives the class away"),
    "pixels": ("quiet", "beats chance: look whether the subject explains it", "tells almost all: look at it first"),
}


@dataclass(frozen=True)
class CueResult:
    """What one cue reaches.

    Attributes:
        cue: what was measured.
        accuracy: balanced accuracy on held-out pictures.
        interval: its 95 % interval.
        chance: balanced accuracy of guessing.
        noticeable: the smallest balanced accuracy that would have counted as more than luck here.
        p_value: corrected for the number of cues.
        level: index into `LEVELS`.
        constant: whether all pictures are alike in it.
        by_class: in words, what distinguishes the classes.
    """

    cue: Cue
    accuracy: float
    interval: tuple[float, float]
    chance: float
    noticeable: float
    p_value: float
    level: int
    constant: bool
    by_class: str

    @property
    def skill(self) -> float:
        """Share of the way from chance (0) to perfection (1)."""
        return (self.accuracy - self.chance) / (1 - self.chance)

    @property
    def verdict(self) -> str:
        """The level in words that fit the kind of cue."""
        return "the same in every picture" if self.constant else _WORDS[self.cue.kind][self.level]


def judge_cues(
    columns: Mapping[str, np.ndarray], labels: np.ndarray, classes: Sequence[str], groups: np.ndarray | None = None,
    seed: int = 0, cues: Sequence[Cue] = CUES,
) -> list[CueResult]:
    """Judge every cue, the most telling first; at equal accuracy file-bound cues come first.

    Args:
        columns: name -> (N,) numbers or texts.
        labels: (N,) indices into `classes`.
        classes: names of the classes.
        groups: (N,) pictures with the same number are copies of each other, of which one counts in each class; None:
            there are no copies.
        seed: of the parts and permutations.
        cues: which to judge.

    Raises:
        DataError: fewer than two classes, or a class with fewer than two pictures that are no copies.
    """
    labels = np.asarray(labels)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    _, different = np.unique(np.stack([groups, labels]), axis=1, return_index=True)
    different.sort()
    labels, groups = labels[different], groups[different]
    columns = {name: np.asarray(values)[different] for name, values in columns.items()}
    rounds = [_parts(labels, groups, classes, seed + 1000 * repeat) for repeat in range(REPEATS)]
    shuffled = _shuffled(labels, rounds[0], np.random.default_rng(seed))
    sizes, chance = np.bincount(labels, minlength=len(classes)), 1 / len(classes)
    raw = []
    for cue in cues:
        features = design(cue, columns)
        if features.shape[1]:
            predictions = np.stack([_held_out(features, labels, parts, seed) for parts in rounds])
        else:
            predictions = np.zeros((1, len(labels)), labels.dtype)
        weights = 1 / (len(classes) * sizes[predictions])  # of a hit, so that hits add up to the balanced accuracy
        hits = (predictions == labels).mean(axis=0)
        accuracy = float(((predictions == labels) * weights).sum(axis=1).mean())
        predicted, weight = predictions[0], weights[0]
        luck = np.zeros(PERMUTATIONS)
        for start in range(0, PERMUTATIONS, 500):
            luck[start : start + 500] = ((shuffled[start : start + 500] == predicted) * weight).sum(axis=1)
        if len(labels) <= FEW and (luck >= accuracy).mean() < SIGNIFICANCE and accuracy < chance + SURE * luck.std():
            regrown = _regrown(features, labels, groups, classes, seed)
            shares = (np.arange(PERMUTATIONS) + 0.5) / PERMUTATIONS
            luck = pearson3.ppf(shares, SKEW, regrown.mean(), regrown.std())
        raw.append((cue, features.shape[1] == 0, hits, accuracy, luck))
    corrected = holm([(1 + (luck >= accuracy - 1e-12).sum()) / (1 + PERMUTATIONS) for *_, accuracy, luck in raw])
    results = []
    for (cue, constant, hits, accuracy, luck), p_value in zip(raw, corrected, strict=True):
        skill = (accuracy - chance) / (1 - chance)
        level = 0 if constant or p_value >= SIGNIFICANCE or skill < CLEAR else 1 if skill < ALMOST_ALL else 2
        results.append(CueResult(
            cue, accuracy, _interval(hits, labels, sizes), chance,
            chance if constant else float(np.quantile(luck, 1 - SIGNIFICANCE / len(cues))), p_value, level, constant,
            _by_class(cue, columns, labels, classes),
        ))  # fmt: skip
    return sorted(results, key=lambda r: (-r.level, -round(r.accuracy, 3), r.cue.kind, list(cues).index(r.cue)))


def design(cue: Cue, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The cue's measurements as a matrix (N, D), texts one-hot; columns that never vary are left out."""
    out = []
    for name in cue.columns:
        values = np.asarray(columns[name])
        if values.dtype.kind in "US":
            out += [values == text for text in np.unique(values)[1:]]
        elif np.ptp(values) > 0:
            out.append(values)
    return np.stack(out, axis=1).astype(np.float64) if out else np.zeros((len(np.asarray(columns[cue.columns[0]])), 0))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number (Holm 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    steps = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    out = np.empty(len(p_values))
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return out.tolist()


def _parts(labels: np.ndarray, groups: np.ndarray, classes: Sequence[str], seed: int) -> list[np.ndarray]:
    """Indices of each held-out part; every class is in all of them as evenly as copies allow."""
    if len(classes) < 2:
        raise DataError("Cues tell classes apart, but there is only one; give two class folders or two splits.")
    different = [len(set(groups[labels == k].tolist())) for k in range(len(classes))]
    if min(different) < 2:
        raise DataError(
            f"{classes[int(np.argmin(different))]}: {min(different)} different picture(s) that can be read; a class "
            "needs two at least: add some, or remove the class."
        )
    with warnings.catch_warnings():  # a class split over fewer parts than there are is no reason to stop
        warnings.simplefilter("ignore", UserWarning)
        folds = StratifiedGroupKFold(min(FOLDS, *different), shuffle=True, random_state=seed)
        return [held_out for _, held_out in folds.split(np.zeros(len(labels)), labels, groups) if len(held_out)]


def _shuffled(labels: np.ndarray, parts: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Labels (PERMUTATIONS, N), permuted within each part: what they could as well have been if no cue mattered."""
    out = np.empty((PERMUTATIONS, len(labels)), np.int16)
    for part in parts:
        out[:, part] = rng.permuted(np.tile(labels[part].astype(np.int16), (PERMUTATIONS, 1)), axis=1)
    return out


def _regrown(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: Sequence[str], seed: int
) -> np.ndarray:
    """Balanced accuracies (REGROWN,) on permuted labels, the parts made and the trees grown anew for each."""
    rng, found = np.random.default_rng(seed), []
    for number in range(REGROWN):
        mixed = rng.permutation(labels)
        rounds = [_parts(mixed, groups, classes, seed + number + 1000 * repeat) for repeat in range(REPEATS)]
        hits = np.mean([_held_out(features, mixed, parts, seed) == mixed for parts in rounds], axis=0)
        found.append(np.mean([hits[mixed == k].mean() for k in range(len(classes))]))
    return np.array(found)


def _held_out(features: np.ndarray, labels: np.ndarray, parts: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """Each picture's class as a tree says it that was grown on the other parts."""
    predicted = np.empty(len(labels), labels.dtype)
    leaves = 2 * (labels.max() + 1) + 2
    for part in parts:
        rest = np.setdiff1d(np.arange(len(labels)), part)
        smallest = np.bincount(labels[rest])[np.unique(labels[rest])].min()
        tree = DecisionTreeClassifier(
            max_leaf_nodes=int(leaves), min_samples_leaf=int(np.clip(smallest // 10, 1, 10)), class_weight="balanced",
            random_state=seed,
        )  # fmt: skip
        predicted[part] = tree.fit(features[rest], labels[rest]).predict(features[part])
    return predicted


def _interval(hits: np.ndarray, labels: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean recall; two hits and two misses per class widen it (after Agresti and Coull 1998)."""
    right = np.bincount(labels, weights=hits, minlength=len(sizes))
    share = (right + 2) / (sizes + 4)
    half = 1.96 * np.sqrt((share * (1 - share) / (sizes + 4)).sum()) / len(sizes)
    mean = float((right / sizes).mean())
    return max(0.0, mean - float(half)), min(1.0, mean + float(half))


def _by_class(cue: Cue, columns: Mapping[str, np.ndarray], labels: np.ndarray, classes: Sequence[str]) -> str:
    """The measurement that differs most: its mean, or a category's share, in the two classes farthest apart."""
    best, said = 0.0, ""
    for name in cue.columns:
        values = np.asarray(columns[name])
        if values.dtype.kind in "US":
            for text in np.unique(values):
                gap, ends, share = _farthest(values == text, labels, len(classes))
                if gap > best:
                    words = [f"{classes[k]} {100 * share[k]:.0f} %" for k in ends]
                    best, said = gap, f"{text}: {words[0]}, {words[1]}"
        elif values.std() > 0:
            gap, ends, mean = _farthest(values, labels, len(classes))
            if gap / (2 * values.std()) > best:
                words = [f"{classes[k]} {mean[k]:.4g}" for k in ends]
                best, said = gap / (2 * values.std()), f"{name.replace('_', ' ')}: {words[0]}, {words[1]}"
    return said


def _farthest(values: np.ndarray, labels: np.ndarray, count: int) -> tuple[float, tuple[int, int], np.ndarray]:
    """Largest difference of class means, the two classes, and the means of all."""
    means = np.array([values[labels == k].mean() for k in range(count)])
    return float(np.ptp(means)), (int(means.argmin()), int(means.argmax())), means
