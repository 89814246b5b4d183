"""Sentences about one paper's network among the others, made from measured figures and saying no more than they do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from cnnlab.reports.paper_runs import Measured


@dataclass(frozen=True)
class Cost:
    """A figure by which networks are set side by side.

    Attributes:
        less: whether less of it is better.
        few, many: the good end and the bad one in words.
        shown: writes a value.
    """

    less: bool
    few: str
    many: str
    shown: Callable[[float], str]


COSTS = {
    "parameters": Cost(True, "few parameters", "many parameters", lambda v: f"{v / 1e6:.2f} M"),
    "multiply_adds": Cost(True, "few multiply-adds", "many multiply-adds", lambda v: f"{v / 1e6:.1f} M"),
    "train_images_per_second": Cost(False, "fast to train", "slow to train", lambda v: f"{v:.0f} images/s"),
    "latency_ms": Cost(True, "quick for one image", "slow for one image", lambda v: f"{v:.1f} ms"),
}
BETTER = {
    "parameters": "with fewer parameters", "multiply_adds": "with fewer multiply-adds",
    "train_images_per_second": "with faster training", "latency_ms": "with less time for one image",
}  # fmt: skip


def ordinal(place: int) -> str:
    """`1st`, `2nd`, `3rd`, `4th`, …, `11th`."""
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"


def cost_sentences(model: str, costs: Mapping[str, Mapping[str, float]]) -> tuple[list[str], list[str]]:
    """Where a network is in the best third of all, and where in the worst.

    Args:
        model: whose sentences these are.
        costs: name of a network -> figures, of those in `COSTS` that are known.
    """
    good, bad = [], []
    for key, cost in COSTS.items():
        values = {name: figures[key] for name, figures in costs.items() if key in figures}
        if model not in values or len(values) < 3 or len(set(values.values())) == 1:
            continue
        place = 1 + sum(_better(cost, value, values[model]) for value in values.values())
        third = max(1, len(values) // 3)
        middle = cost.shown(median(values.values()))
        words = f"{cost.shown(values[model])}, {ordinal(place)} of {len(values)} (median {middle})"
        if place <= third:
            good.append(f"{cost.few}: {words}")
        elif place > len(values) - third:
            bad.append(f"{cost.many}: {words}")
    return good, bad


def accuracy_sentences(one: Measured, ranking: Sequence[Measured]) -> tuple[list[str], list[str]]:
    """What its accuracy says for and against a network, alone and against the costs, under the ranking's budget."""
    good, bad = [], []
    others = [other for other in ranking if other.model != one.model]
    if not others:
        return good, bad
    place = 1 + sum(other.accuracy > one.accuracy for other in others)
    sure = sum(other.above(one)[0] > 0 for other in others)
    below = sum(one.above(other)[0] > 0 for other in others)
    words = f"test accuracy {one.shown}, {ordinal(place)} of {len(ranking)}"
    words += f"; {sure} of the other {len(others)} shown to be above it, {below} below"
    third = max(1, len(ranking) // 3)
    if place <= third:
        good.append(f"accurate: {words}")
    elif place > len(ranking) - third:
        bad.append(f"inaccurate: {words}")
    unmatched, beaten = [], []
    for key, cost in COSTS.items():
        known = [other for other in others if key in other.figures]
        if key not in one.figures or not known:
            continue
        cheaper = [other for other in known if _better(cost, other.figures[key], one.figures[key])]
        if not any(other.accuracy > one.accuracy for other in cheaper):
            unmatched.append(BETTER[key])
        names = [other.model for other in cheaper if other.above(one)[0] > 0]
        if names:
            beaten.append(f"shown to be more accurate {BETTER[key]}: {', '.join(names)}")
    if unmatched:
        good.append(f"no other of the {len(ranking)} is more accurate {', or '.join(unmatched)}")
    return good, bad + beaten


def _better(cost: Cost, value: float, than: float) -> bool:
    return value < than if cost.less else value > than


@dataclass(frozen=True)
class Relation:
    """A claim that two networks of the ranking can be asked about.

    Attributes:
        first, second: networks.
        figure: `test_accuracy`, or one of `COSTS`.
        sign: +1 if the paper says that the first has more of it, -1 less.
        claim: what the paper says, in words that the module's docstring has too.
    """

    first: str
    second: str
    figure: str
    sign: int
    claim: str


def relation_sentence(relation: Relation, ranking: Sequence[Measured]) -> str:
    """What the ranking says of a claim; empty where one of the two is not in it."""
    found = {m.model: m for m in ranking}
    if relation.first not in found or relation.second not in found:
        return ""
    first, second = found[relation.first], found[relation.second]
    if relation.figure == "test_accuracy":
        low, high = first.above(second)
        gap = 100 * (first.accuracy - second.accuracy)
        here = (
            f"{first.model} {100 * first.accuracy:.2f} %, {second.model} {100 * second.accuracy:.2f} %, difference "
            f"{gap:+.2f} points (95 % interval {100 * low:+.2f} to {100 * high:+.2f})"
        )
        verdict = "no difference shown" if low <= 0 <= high else _verdict((low > 0) == (relation.sign > 0))
    else:
        values = [m.figures.get(relation.figure) for m in (first, second)]
        if None in values:
            return ""
        shown = [COSTS[relation.figure].shown(value) for value in values]
        here = f"{first.model} {shown[0]}, {second.model} {shown[1]}"
        verdict = _verdict((values[0] > values[1]) == (relation.sign > 0))
    return f"The paper: {relation.claim}. Here, on CIFAR-10 after {first.budget}: {here}: {verdict}."


def _verdict(agrees: bool) -> str:
    return "the same way round" if agrees else "the other way round"


def against_published(one: Measured, percent: float, where: str) -> str:
    """A measured accuracy beside the paper's own on CIFAR-10.

    Args:
        one: what was measured.
        percent: the paper's test accuracy.
        where: it stands there.
    """
    low, high = one.interval
    gap = 100 * one.accuracy - percent
    words = (
        f"{one.model}: the paper has {percent:.2f} % of CIFAR-10's test images right ({where}); here {one.shown} after "
        f"{one.budget}, pixels: {one.pixels}."
    )
    if 100 * low <= percent <= 100 * high:
        return words + " The paper's figure is within the interval."
    caveats = ["budget"] + ["pixels"] * (one.pixels != "official") + ["recipe"]
    words += f" That is {abs(gap):.2f} points {'below' if gap < 0 else 'above'} the paper; {', '.join(caveats)} "
    return words + "differ from the paper's, and what part each has in it these figures do not tell."
