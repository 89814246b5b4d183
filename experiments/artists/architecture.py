"""D 1.5 · SimpleCNN's architecture: filter size, stride, depth, more layers; pyramid against flat against inverted.

    mlflow run . -e artists_architecture -P data=DIR

Every variant is the baseline with one change, on the same five folds. The three shapes have three convolutions each:
the pyramid's maps become smaller and deeper, the flat one's keep size and depth behind the first, the inverted one's
begin deep and become shallow (larger again they cannot become: no convolution enlarges). Each variant is a child run;
`ablation.md` is the table with its reading, `figures/effects.png` the gains. A run that was stopped goes on with
`-P resume=true`.

Budget on two CPU cores, 2 seeds: 20 minutes.

Result: artists_architecture on artists (train 318, val 42, test 451), seeds 0, 1, AMD EPYC, 1 core, 24 GiB, no GPU,
    2802 s, 2026-11-22, commit 222336664e:
    test_accuracy  0.574 ± 0.042 (5) on 451 samples
"""

from dataclasses import dataclass

from cnnlab.experiment import Outcome, main
from cnnlab.models.trace import on_meta
from cnnlab.reports.ablation import Variant
from cnnlab.reports.ablation_words import compare
from cnnlab.reports.paintings import PaintingConfig, ablate_paintings, layout_variants
from cnnlab.tracking import Run

CHANGES = {
    "filter size": {
        "filters 3x3": {"kernels": (3, 3)},
        "filters 7x7": {"kernels": (7, 7)},
        "filters 9x9": {"kernels": (9, 9)},
        "filters 11x11": {"kernels": (11, 11)},
    },
    "stride": {
        "strides 1": {"strides": (1, 1)},
        "strides 1, 2": {"strides": (1, 2)},
        "strides 3": {"strides": (3, 3)},
        "strides 4": {"strides": (4, 4)},
    },
    "depth": {
        "depth 8": {"depths": (8, 8)},
        "depth 32": {"depths": (32, 32)},
        "depth 64": {"depths": (64, 64)},
    },
    "number of layers": {
        "1 convolution": {"kernels": (5,), "strides": (2,), "depths": (16,)},
        "3 convolutions": {"kernels": (5,) * 3, "strides": (2,) * 3, "depths": (16,) * 3},
        "4 convolutions": {"kernels": (5,) * 4, "strides": (2,) * 4, "depths": (16,) * 4},
    },
    "hidden layer": {
        "32 hidden units": {"hidden": 32},
        "256 hidden units": {"hidden": 256},
    },
    "shape": {
        "pyramid 16-32-64": {"kernels": (5,) * 3, "strides": (2, 2, 2), "depths": (16, 32, 64)},
        "flat 32-32-32": {"kernels": (5,) * 3, "strides": (2, 1, 1), "depths": (32, 32, 32)},
        "inverted 64-32-16": {"kernels": (5,) * 3, "strides": (2, 2, 2), "depths": (64, 32, 16)},
    },
}  # fmt: skip


@dataclass(frozen=True)
class Config(PaintingConfig):
    """Filter sizes, strides, depths, numbers of layers and shapes, one change at a time."""


def run(config: Config, run: Run) -> Outcome:
    """Train all variants on the five folds; table, figure and reading."""
    groups = {group: layout_variants(config, changes) for group, changes in CHANGES.items()}
    return ablate_paintings(config, run, "Architecture", groups, shapes_and_sizes)


def shapes_and_sizes(variants: list[Variant]) -> str:
    """What the table alone does not say."""
    return f"{shapes(variants)}\n\n{sizes(variants)}"


def shapes(variants: list[Variant]) -> str:
    """Pyramid, flat and inverted against each other."""
    members = [v for v in variants if v.group == "shape"]
    pairs = [(second, first) for place, first in enumerate(members) for second in members[place + 1 :]]
    lines = [f"- {compare(first, second)}" for first, second in pairs]
    return "\n".join(["## Pyramid, flat, inverted", "", *(lines or ["Only one of the shapes was trained."])])


def sizes(variants: list[Variant]) -> str:
    """Parameters of every variant: a change of shape is also one of size."""
    lines = ["## Parameters", "", "| variant | parameters | test % |", "| --- | --- | --- |"]
    for v in variants:
        classes = v.results[0][0].probabilities.shape[1]
        network = on_meta("simple_cnn", classes, size=v.config.size, **v.config.layout.settings)
        count = sum(p.numel() for p in network.parameters())
        lines.append(f"| {v.name} | {count:,} | {100 * v.accuracy:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(run, Config, entry_point="artists_architecture", question="D 1.5", doc=__doc__)
