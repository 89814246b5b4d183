"""A ranking of networks under one budget: who shares a rank, how well the budget was kept, and the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from cnnlab.evaluation.comparison import paired_interval, wilson_interval
from cnnlab.models.families import family

TOLERANCE = 0.1  # share of the budget by which a training may miss it without being marked


@dataclass
class Entry:
    """One network and what was measured.

    Attributes:
        name: in the registry.
        figures: by name, one value for each seed.
        right: whether each test image is recognised, bool (seeds, N).
    """

    name: str
    figures: dict[str, list[float]]
    right: np.ndarray

    @property
    def means(self) -> dict[str, float]:
        """The figures' means over seeds."""
        return {key: fmean(values) for key, values in self.figures.items()}

    @property
    def accuracy(self) -> float:
        """Test accuracy, a share, the mean over seeds."""
        return fmean(self.figures["test_accuracy"])

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the test accuracy, of so many test images."""
        return wilson_interval(self.accuracy, self.right.shape[1])

    def join(self, other: "Entry") -> "Entry":
        """This network's seeds and those of another entry of it."""
        figures = {key: values + other.figures[key] for key, values in self.figures.items()}
        return Entry(self.name, figures, np.concatenate([self.right, other.right]))

    def off(self, seconds: float) -> float:
        """By what share its training time misses a budget most, with its sign."""
        return max((spent / seconds - 1 for spent in self.figures["train_seconds"]), key=abs)


@dataclass(frozen=True)
class Conditions:
    """What a ranking was made under.

    Attributes:
        budget: in words.
        seconds: training time that each network was to have; 0 where the budget is no time.
        seeds: trainings of each network.
        trained, judged: training and test images.
        pixels: which ones, in words.
    """

    budget: str
    seconds: float
    seeds: int
    trained: int
    judged: int
    pixels: str


def ranks(entries: Sequence[Entry]) -> list[int]:
    """Rank of each entry (sorted, best first); it shares the rank above where no difference to its first is shown."""
    out, leader = [], 0
    for place, entry in enumerate(entries):
        low, _ = paired_interval(entry.right, entries[leader].right)
        if place and low > 0:
            leader = place
        out.append(leader + 1)
    return out


def kept_budget(entries: Sequence[Entry], seconds: float) -> str:
    """How long the trainings really were, and which ones missed the budget; empty where the budget is no time."""
    if not seconds or not entries:
        return ""
    spent = [value for entry in entries for value in entry.figures["train_seconds"]]
    missed = [f"{e.name} ({100 * e.off(seconds):+.0f} %)" for e in entries if abs(e.off(seconds)) > TOLERANCE]
    words = f"more than {100 * TOLERANCE:.0f} % off the budget: {', '.join(missed)}" if missed else ""
    words = words or f"all within {100 * TOLERANCE:.0f} % of the budget"
    return f"Real training took {min(spent):.3g} to {max(spent):.3g} s; {words}."


def ranking_table(
    entries: Sequence[Entry], under: Conditions, elsewhere: Mapping[str, float], diverged: Sequence[str] = ()
) -> str:
    """The ranking as Markdown.

    Args:
        entries: sorted, best first.
        under: the conditions.
        elsewhere: by network the best test accuracy, %, that is known of others.
        diverged: networks whose training did not come to its end; they have a row and no rank.
    """
    seeds = "one seed" if under.seeds == 1 else f"{under.seeds} seeds, means and ± their standard deviation"
    lines = [
        "# CIFAR-10 under one budget", "",
        f"{under.budget} Pixels: {under.pixels}. {under.trained} training images, {under.judged} test images "
        f"judged once, {seeds}. A network shares the rank above it where the 95 % interval of its difference to that "
        "rank's first, on the same test images, has zero in it"
        + ("; another seed may move an accuracy by more than that" if under.seeds == 1 else "")
        + ". Memory is the peak in training, on a CPU that of the whole process, libraries and data set included. "
        "`elsewhere` has the best figures of public repositories after full trainings on the official pixels: not "
        "measured here.", "",
        *([kept_budget(entries, under.seconds), ""] if under.seconds and entries else []),
        "| rank | network | paper | test accuracy, % | ± over seeds | 95 % interval | val, % | parameters, M | "
        "multiply-adds, M | training, s | train images/s | images seen | latency, ms | memory, MB | % per minute | "
        "elsewhere, % |",
        "|---" * 16 + "|",
    ]  # fmt: skip
    for rank, entry in zip(ranks(entries), entries, strict=True):
        f = entry.means
        low, high = entry.interval
        accuracies = entry.figures["test_accuracy"]
        spread = f"{100 * stdev(accuracies):.2f}" if len(accuracies) > 1 else "–"
        off = entry.off(under.seconds) if under.seconds else 0.0
        lines.append(
            f"| {rank} | {entry.name} | {family(entry.name)} | {100 * entry.accuracy:.2f} | {spread} | "
            f"{100 * low:.2f}–{100 * high:.2f} | {100 * f['val_accuracy']:.2f} | {f['parameters'] / 1e6:.2f} | "
            f"{f['multiply_adds'] / 1e6:.1f} | {f['train_seconds']:.0f}{_marked(off)} | "
            f"{f['train_images_per_second']:.0f} | {f['images_seen']:.0f} | {f['latency_ms']:.1f} | "
            f"{f['memory_mb']:.0f} | {100 * entry.accuracy / (f['train_seconds'] / 60):.1f} | "
            f"{elsewhere.get(entry.name, '–')} |"
        )
    for name in diverged:
        lines.append(f"| – | {name} | {family(name)} | diverged |" + " – |" * 11 + f" {elsewhere.get(name, '–')} |")
    return "\n".join(lines) + "\n"


def _marked(off: float) -> str:
    return f" ({100 * off:+.0f} %)" if abs(off) > TOLERANCE else ""
