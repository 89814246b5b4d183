"""What segmentation networks measured over several seeds, and how sure a difference between two of them is."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from cnnlab.data.scene_classes import SCENE_CLASSES, THREE_CLASS_NAMES, THREE_CLASSES
from cnnlab.evaluation.segmentation import iou_per_class, merge_counts


@dataclass(frozen=True)
class Measured:
    """What a network, trained with one or several seeds, did on a split.

    Attributes:
        name: name of the network.
        classes: C names.
        frames: number of images in the split.
        split: name of the split.
        counts: int64 (S, C, C) of S seeds, row = true class, column = predicted class.
        trimap: int64 (S, W, C, C), counts near borders in bands of `widths`, or None.
        widths: W widths in pixels.
    """

    name: str
    classes: tuple[str, ...]
    frames: int
    split: str
    counts: Tensor
    trimap: Tensor | None = None
    widths: tuple[int, ...] = ()

    @classmethod
    def from_numbers(cls, numbers: Mapping[str, Any], judged: str = "val") -> "Measured":
        """From what a run stores as `segmentation.json`; `judged` is `val`, `val_plain`, `test`, …

        Raises:
            KeyError: the run did not judge that.
        """
        parts = [one[judged] for one in numbers["seeds"]]
        trimap = torch.tensor([part["trimap"] for part in parts]) if parts[0].get("trimap") else None
        split = judged.split("_")[0]
        return cls(
            numbers["decoder"], tuple(numbers["classes"]), numbers["splits"][split], split,
            torch.tensor([part["counts"] for part in parts]), trimap, tuple(numbers["trimap_widths"]),
        )  # fmt: skip

    def values(self, measure: Callable[[Tensor], float]) -> np.ndarray:
        """`measure` of each seed's counts, in percent, float64 (S,)."""
        return 100 * np.array([measure(counts) for counts in self.counts], np.float64)

    def class_values(self) -> np.ndarray:
        """IoU of each seed and class in percent, float64 (S, C)."""
        return 100 * torch.stack([iou_per_class(counts) for counts in self.counts]).numpy()

    def shares(self) -> np.ndarray:
        """Share of the counted pixels of each true class, float64 (C,)."""
        totals = self.counts.sum(0).double().sum(1)
        return (totals / totals.sum()).numpy()

    def merged(self) -> "Measured":
        """The same predictions of 11 classes, counted in 3."""
        counts = torch.stack([merge_counts(one, THREE_CLASSES[: len(SCENE_CLASSES)]) for one in self.counts])
        return Measured(f"{self.name}, merged", THREE_CLASS_NAMES, self.frames, self.split, counts)


@dataclass(frozen=True)
class Gain:
    """How much higher `after` is than `before`, in points, with the 95 % interval where there are enough seeds."""

    before: np.ndarray
    after: np.ndarray

    @property
    def points(self) -> float:
        """Difference of the means."""
        return float(self.after.mean() - self.before.mean())

    @property
    def interval(self) -> tuple[float, float] | None:
        """Ends of the 95 % interval; None where one side has a single seed."""
        if min(len(self.before), len(self.after)) < 2:
            return None
        if max(self.before.std(), self.after.std()) < 1e-9:
            return self.points, self.points
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # one side may have no spread at all, the other has
            ends = stats.ttest_ind(self.after, self.before, equal_var=False).confidence_interval(0.95)
        return float(ends.low), float(ends.high)

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies above or below zero, else 0."""
        if self.interval is None:
            return 0
        return int(self.interval[0] > 0) - int(self.interval[1] < 0)

    @property
    def words(self) -> str:
        """The difference with its interval."""
        if self.interval is None:
            return f"{self.points:+.1f} points, a single seed"
        return f"{self.points:+.1f} points, 95 % interval {self.interval[0]:+.1f} to {self.interval[1]:+.1f}"


def gain_of(before: Measured, after: Measured, measure: Callable[[Tensor], float]) -> Gain:
    """How much `measure`, in percent, is higher for `after`."""
    return Gain(before.values(measure), after.values(measure))


def figure(values: np.ndarray) -> str:
    """`65.3 ± 0.4` of several seeds, `65.3` of one, a dash where nothing was counted."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return "–"
    return f"{finite.mean():.1f}" + (f" ± {finite.std(ddof=1):.1f}" if len(finite) > 1 else "")


def series(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
