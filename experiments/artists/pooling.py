"""D 1.3 · Max pooling behind each convolution of SimpleCNN: what it does to training and test accuracy.

    mlflow run . -e artists_pooling -P data=DIR

The baseline and pooling with several filter sizes and strides, all else alike, on the same five folds. Each variant is
a child run; `ablation.md` is the table with its reading, `figures/effects.png` the gains. A run that was stopped goes
on with `-P resume=true`.

Budget on two CPU cores, 2 seeds: 5 minutes.

Result: artists_pooling on artists (train 318, val 42, test 451), seeds 0, 1, AMD EPYC, 1 core, 24 GiB, no GPU, 715 s,
    2026-11-22, commit 222336664e:
    test_accuracy  0.574 ± 0.042 (5) on 451 samples
"""

from dataclasses import dataclass
from statistics import fmean

from cnnlab.experiment import Outcome, main
from cnnlab.reports.ablation import Variant
from cnnlab.reports.paintings import PaintingConfig, ablate_paintings, layout_variants
from cnnlab.tracking import Run

POOLINGS = {
    "2x2, stride 2": {"pool": 2, "pool_stride": 2},
    "3x3, stride 2": {"pool": 3, "pool_stride": 2},
    "4x4, stride 2": {"pool": 4, "pool_stride": 2},
    "2x2, stride 1": {"pool": 2, "pool_stride": 1},
    "3x3, stride 1": {"pool": 3, "pool_stride": 1},
    "3x3, stride 3": {"pool": 3, "pool_stride": 3},
}
# with pooling in the place of the convolutions' strides the maps are about as large as the baseline's
INSTEAD = {
    "2x2, stride 2, convolutions of stride 1": {"pool": 2, "pool_stride": 2, "strides": (1, 1)},
    "3x3, stride 2, convolutions of stride 1": {"pool": 3, "pool_stride": 2, "strides": (1, 1)},
}


@dataclass(frozen=True)
class Config(PaintingConfig):
    """Max pooling of several sizes and strides against none."""


def run(config: Config, run: Run) -> Outcome:
    """Train all variants on the five folds; table, figure and reading."""
    groups = {
        "pooling added": layout_variants(config, POOLINGS),
        "pooling instead of stride": layout_variants(config, INSTEAD),
    }
    return ablate_paintings(config, run, "Max pooling", groups, gap)


def gap(variants: list[Variant]) -> str:
    """How training accuracy moves against test accuracy."""
    base, added = variants[0], [v for v in variants if v.group == "pooling added"]
    lines = ["## Training accuracy against test accuracy", ""]
    for v in (base, *added):
        train = v.mean_of("train_accuracy")
        lines.append(
            f"- {v.name}: {100 * train:.1f} % of the training pictures, {100 * v.accuracy:.1f} % of the test "
            f"pictures: a gap of {100 * (train - v.accuracy):.1f} points."
        )
    before = base.mean_of("train_accuracy") - base.accuracy
    after = fmean(v.mean_of("train_accuracy") - v.accuracy for v in added)
    line = f"With pooling the gap is on average {100 * after:.1f} points, without {100 * before:.1f}."
    if after < before:
        line += " The hidden layer has fewer inputs, and where in its window a stroke lies no longer matters."
    lines += ["", line]
    return "\n".join(lines)


if __name__ == "__main__":
    main(run, Config, entry_point="artists_pooling", question="D 1.3", doc=__doc__)
