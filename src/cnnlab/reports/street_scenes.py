"""Written answers to Q2-2 and Q2-4: did the skip connections pay, and did fewer classes raise mean IoU, and why.

Every sentence is chosen by measured figures. Two networks are told apart only where the 95 % interval of the
difference of their means over seeds (Welch 1947, unequal variances) leaves out zero; with a single seed nothing is.
"""

from collections.abc import Sequence
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from cnnlab.data.scene_classes import SCENE_CLASSES, THREE_CLASS_NAMES, THREE_CLASSES
from cnnlab.evaluation.segmentation import mean_iou, pixel_accuracy
from cnnlab.reports.scene_figures import Gain, Measured, figure, gain_of, series

_SMALL = 0.02  # a class with a smaller share of the pixels is called small
_EVEN = 0.5  # points: gains closer than this are called alike


def skip_connections(with_skips: Measured, without: Measured) -> str:
    """The answer to Q2-2 as Markdown: overall, per class and along borders.

    Args:
        with_skips: the decoder with skip connections, FCN-8s.
        without: the one without, FCN-32s, on the same split.

    Raises:
        ValueError: the two were not judged on the same classes and split.
    """
    _check_alike(with_skips, without)
    a, b = with_skips.name, without.name
    miou, pixels = gain_of(without, with_skips, mean_iou), gain_of(without, with_skips, pixel_accuracy)
    rows = [("mean IoU", miou), ("pixel accuracy", pixels)]
    text = [
        "## Q2-2 · Are the skip connections quantitatively beneficial?", "",
        f"{_seeds(with_skips, without)} {with_skips.frames} {with_skips.split} frames, void left out.", "",
        *_table(f"{a} (with)", f"{b} (without)", rows), "", _skip_verdict(miou, pixels, a, b),
    ]  # fmt: skip
    text += ["", "**Per class.** " + _per_class(with_skips, without), "", *_class_table(with_skips, without)]
    if with_skips.trimap is not None and without.trimap is not None:
        text += ["", "**Along borders.** " + _borders(with_skips, without)]
    return "\n".join(text) + "\n"


def fewer_classes(eleven: Measured, three: Measured, three_labelled: Measured | None = None) -> str:
    """The answer to Q2-4 as Markdown: was mean IoU raised by fewer classes, and why.

    Args:
        eleven: the network trained on 11 classes.
        three: the one trained on 3, void counted in the second class, as the course says.
        three_labelled: the same network with void left out, as it is for 11 classes.

    Raises:
        ValueError: the networks were not judged on 11 and 3 classes of the same split.
    """
    if len(eleven.classes) != len(SCENE_CLASSES) or len(three.classes) != len(THREE_CLASS_NAMES):
        raise ValueError(f"expected networks of 11 and 3 classes, not {len(eleven.classes)} and {len(three.classes)}")
    merged, total = eleven.merged(), gain_of(eleven, three, mean_iou)
    shown = [("11 classes", eleven), ("the same predictions counted in 3 classes", merged)]
    shown += [("trained on 3 classes, void left out", three_labelled)] if three_labelled else []
    shown += [("trained on 3 classes, void in class 2 (the course's)", three)]
    text = [
        "## Q2-4 · Did mean IoU increase when the number of classes fell?", "",
        f"{_seeds(three, eleven)} {eleven.frames} {eleven.split} frames.", "",
        "| | mean IoU, % | pixel accuracy, % |", "|---|---|---|",
    ]  # fmt: skip
    text += [
        f"| {name} | {figure(one.values(mean_iou))} | {figure(one.values(pixel_accuracy))} |" for name, one in shown
    ]
    text += ["", _rise(total), "", "**Why.** " + _why(eleven, merged, total)]
    text += ["", "**Does training on 3 classes help by itself?** " + _trained(merged, three, three_labelled)]
    text += ["", *_three_table(shown[1:])]
    return "\n".join(text) + "\n"


def _skip_verdict(miou: Gain, pixels: Gain, a: str, b: str) -> str:
    if miou.interval is None:
        return (f"**Not decided.** {a} has {miou.points:+.1f} points of mean IoU against {b}, but with a single seed "
                "nobody knows how much of that is chance: train each with 3 seeds.")  # fmt: skip
    if miou.sign == 0:
        return (f"**No difference shown.** Mean IoU is {figure(miou.after)} with and {figure(miou.before)} without "
                f"skip connections; the interval of the difference ({miou.words}) holds zero.")  # fmt: skip
    side = {1: "rises", -1: "falls", 0: "shows no difference"}[pixels.sign]
    side += " as well" if pixels.sign == miou.sign else ""
    answer = "Yes: the skip connections raise" if miou.sign > 0 else "No: the skip connections lower"
    return (f"**{answer} mean IoU** from {figure(miou.before)} to {figure(miou.after)} ({miou.words}); pixel "
            f"accuracy {side} ({pixels.words}).")  # fmt: skip


def _per_class(with_skips: Measured, without: Measured) -> str:
    gains = _class_gains(with_skips, without)
    if not gains:
        return "No class occurs in both."
    ranked = sorted(gains, key=lambda one: -one[1].points)
    up = [one for one in ranked if one[1].sign > 0]
    down = [one for one in reversed(ranked) if one[1].sign < 0]
    if ranked[0][1].interval is None:
        largest = sorted(gains, key=lambda one: -abs(one[1].points))[:3]
        names = series([f"{name} ({gain.points:+.1f})" for name, gain, _ in largest])
        text = f"With a single seed no class's difference is shown; the largest are those of {names}."
    elif not up and not down:
        text = "No class's difference is shown by these seeds."
    else:
        parts = [f"{verb} for {series([f'{name} ({gain.points:+.1f})' for name, gain, _ in chosen])}"
                 for verb, chosen in (("higher", up), ("lower", down)) if chosen]  # fmt: skip
        text = f"With skip connections IoU is {' and '.join(parts)}; for the other classes no difference is shown."
        if len(up) + len(down) == len(ranked):
            text = f"With skip connections IoU is {' and '.join(parts)}."
    small = [gain.points for _, gain, share in gains if share < _SMALL]
    large = [gain.points for _, gain, share in gains if share >= _SMALL]
    if not small or not large:
        return text
    means = float(np.mean(small)), float(np.mean(large))
    figures = (f"The {len(small)} classes with less than {100 * _SMALL:.0f} % of the pixels each change by "
               f"{means[0]:+.1f} points in the mean, the {len(large)} larger ones by {means[1]:+.1f}")  # fmt: skip
    if not up and not down:
        return f"{text} {figures}."
    if any(share < _SMALL for *_, share in up) and means[0] - means[1] > _EVEN and means[0] > 0:
        return (f"{text} {figures}: what gains is small or thin, as is to be expected where the deepest map, with one "
                "value for 32x32 pixels, has lost the detail that the earlier maps still hold.")  # fmt: skip
    if means[1] - means[0] > _EVEN:
        return f"{text} {figures}: small classes do not gain more, so lost detail does not explain the difference."
    return f"{text} {figures}: small and large classes change alike."


def _borders(with_skips: Measured, without: Measured) -> str:
    assert with_skips.trimap is not None and without.trimap is not None
    widths = with_skips.widths
    chosen = sorted({0, min(range(len(widths)), key=lambda i: abs(widths[i] - 5)), len(widths) - 1})

    def at(place: int) -> Gain:
        return Gain(*(
            100 * np.array([mean_iou(counts) for counts in one.trimap[:, place]]) for one in (without, with_skips)
        ))  # fmt: skip

    gains = {widths[place]: at(place) for place in chosen}
    listed = "; ".join(
        f"less than {width} px: {figure(gain.after)} with, {figure(gain.before)} without ({gain.words})"
        for width, gain in gains.items()
    )
    text = f"Mean IoU of the pixels near a border of the truth: {listed}."
    near = gains[widths[0]]
    if near.interval is None:
        return f"{text} With a single seed this shows a tendency at most."
    if all(gain.sign == 0 for gain in gains.values()):
        return f"{text} No difference is shown at any of these widths."
    if all(gain.sign <= 0 for gain in gains.values()):
        return f"{text} Near borders skip connections do not help."
    whole = gain_of(without, with_skips, mean_iou).points
    width, inner = max(((w, g) for w, g in gains.items() if g.sign > 0), key=lambda item: item[1].points)
    if inner.points - whole > _EVEN:
        said = (f"{text} At less than {width} px from a border the gain ({inner.points:+.1f}) is larger than over "
                f"whole frames ({whole:+.1f}): skip connections draw the outlines better.")  # fmt: skip
        if near.points < whole:
            said += f" At less than {widths[0]} px it is not ({near.points:+.1f})."
        return said
    if whole - inner.points > _EVEN:
        return (f"{text} The gain near borders ({inner.points:+.1f} at most) is smaller than over whole frames "
                f"({whole:+.1f}): the outlines are not where most of it is won.")  # fmt: skip
    return f"{text} Near borders the gain is about that over whole frames ({whole:+.1f})."


def _rise(total: Gain) -> str:
    if total.interval is None:
        verb = "higher" if total.points > 0 else "lower"
        return (f"Mean IoU over 3 classes is {verb} than over 11: {total.after.mean():.1f} against "
                f"{total.before.mean():.1f} ({total.words}).")  # fmt: skip
    if total.sign == 0:
        return f"**No difference shown** between mean IoU over 3 and over 11 classes ({total.words})."
    answer = "Yes, it increased" if total.sign > 0 else "No, it fell"
    return f"**{answer}** from {figure(total.before)} to {figure(total.after)} ({total.words})."


def _why(eleven: Measured, merged: Measured, total: Gain) -> str:
    counting = float(merged.values(mean_iou).mean() - eleven.values(mean_iou).mean())
    text = [
        "The two figures measure different tasks. Counting the very same predictions in 3 classes instead of 11 "
        f"changes mean IoU by {counting:+.1f} points, with nothing learned anew"
        + (f", {100 * counting / total.points:.0f} % of the whole difference." if _share(counting, total) else ".")
    ]
    counts = eleven.counts.sum(0)
    group = torch.as_tensor(THREE_CLASSES[: len(SCENE_CLASSES)].astype(np.int64))
    wrong = counts.clone().fill_diagonal_(0)
    if wrong.sum() > 0:
        inside = wrong * (group[:, None] == group[None, :])
        share = (inside.sum() / wrong.sum()).item()
        text.append(
            f"{100 * share:.0f} % of the pixels that the 11-class network has wrong are confusions inside of a group"
            + (f", most often {_largest(inside, eleven.classes)}, and count as right in 3 classes;" if share else ";")
            + " what is left is confusion between groups"
            + (f", most often {_largest(wrong - inside, eleven.classes)}." if share < 1 else ": there is none.")
        )
    ious, shares = np.nanmean(eleven.class_values(), axis=0), eleven.shares()
    order = [i for i in np.argsort(ious) if isfinite(ious[i])]
    lowest = order[:4]
    names = series([f"{eleven.classes[i]} ({ious[i]:.1f})" for i in lowest])
    text.append(
        f"Mean IoU weighs every class alike: the lowest of the 11, {names}, hold {100 * shares[lowest].sum():.1f} % of "
        f"the pixels and {100 * len(lowest) / len(order):.0f} % of the mean."
    )
    coarse = np.nanmean(merged.class_values(), axis=0)
    absorbed = [
        f"{eleven.classes[i]} goes from {ious[i]:.1f} into {merged.classes[int(group[i])]} with "
        f"{coarse[int(group[i])]:.1f}"
        for i in lowest[:2]
    ]
    text.append(f"In 3 classes they no longer count for themselves: {' and '.join(absorbed)}.")
    return " ".join(text)


def _trained(merged: Measured, three: Measured, three_labelled: Measured | None) -> str:
    fair = gain_of(merged, three_labelled or three, mean_iou)
    caution = "" if three_labelled else " (void is left out of the one and counted in the other)"
    if fair.interval is None:
        text = (f"Against the 11-class network counted in 3 classes it is {fair.points:+.1f} points{caution}; with a "
                "single seed that decides nothing.")  # fmt: skip
    elif fair.sign == 0:
        text = (f"No difference shown against the 11-class network counted in 3 classes ({fair.words}){caution}: "
                "what changed between 11 and 3 classes can be explained by the counting alone.")  # fmt: skip
    elif fair.sign > 0:
        text = f"Yes, against the 11-class network counted in 3 classes ({fair.words}){caution}."
    else:
        text = (f"No: it loses against the 11-class network counted in 3 classes ({fair.words}){caution}; the finer "
                "labels teach more.")  # fmt: skip
    if three_labelled:
        void = gain_of(three_labelled, three, mean_iou).points
        text += f" Void counted in the second class, as the course has it, changes mean IoU by {void:+.1f} points."
    return text


def _class_gains(after: Measured, before: Measured) -> list[tuple[str, Gain, float]]:
    """Name, gain and share of the pixels of every class with an IoU in every seed of both."""
    a, b = after.class_values(), before.class_values()
    return [
        (name, Gain(b[:, i], a[:, i]), float(after.shares()[i]))
        for i, name in enumerate(after.classes)
        if np.isfinite(a[:, i]).all() and np.isfinite(b[:, i]).all()
    ]


def _class_table(after: Measured, before: Measured) -> list[str]:
    lines = [f"| class | pixels, % | {after.name} | {before.name} | difference |", "|---|---|---|---|---|"]
    for name, gain, share in _class_gains(after, before):
        shown = "" if gain.sign else " (not shown)"
        lines.append(f"| {name} | {100 * share:.1f} | {figure(gain.after)} | {figure(gain.before)} | "
                     f"{gain.points:+.1f}{shown} |")  # fmt: skip
    return lines


def _three_table(shown: Sequence[tuple[str, Measured]]) -> list[str]:
    lines = ["| IoU, % | " + " | ".join(THREE_CLASS_NAMES) + " |", "|---" * (len(THREE_CLASS_NAMES) + 1) + "|"]
    for name, one in shown:
        lines.append(f"| {name} | " + " | ".join(figure(values) for values in one.class_values().T) + " |")
    return lines


def _table(first: str, second: str, rows: Sequence[tuple[str, Gain]]) -> list[str]:
    lines = [f"| % | {first} | {second} | difference |", "|---|---|---|---|"]
    return lines + [f"| {name} | {figure(g.after)} | {figure(g.before)} | {g.words} |" for name, g in rows]


def _largest(counts: Tensor, classes: Sequence[str]) -> str:
    truth, taken = divmod(int(counts.argmax()), len(classes))
    return f"{classes[truth]} taken for {classes[taken]}"


def _share(part: float, total: Gain) -> bool:
    """Whether a part can be told as a share of the whole: same direction, no larger."""
    return total.sign != 0 and 0 < part / total.points <= 1


def _seeds(a: Measured, b: Measured) -> str:
    x, y = len(a.counts), len(b.counts)
    if x == y:
        return f"{x} seeds each, mean ± standard deviation, on" if x > 1 else "One seed each, on"
    names = (a.name, b.name) if a.name != b.name else (f"{len(a.classes)} classes", f"{len(b.classes)} classes")
    return ", ".join(f"{name}: {n} seed{'s' * (n > 1)}" for name, n in zip(names, (x, y), strict=True)) + ", on"


def _check_alike(a: Measured, b: Measured) -> None:
    for what in ("classes", "split", "frames"):
        if getattr(a, what) != getattr(b, what):
            raise ValueError(f"{a.name} and {b.name} cannot be compared: they differ in {what}")
