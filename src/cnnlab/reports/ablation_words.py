"""The table, the figure and the sentences of an ablation, made from its variants."""

import re
from collections.abc import Sequence

from cnnlab import plots
from cnnlab.reports.ablation import NO_DIFFERENCE, Variant, reading
from cnnlab.reports.text_tables import percent
from cnnlab.tracking import Run


def log_ablation(run: Run, variants: Sequence[Variant], title: str, more: str = "") -> str:
    """Store `ablation.md` (table and reading) and the figures `effects` and `curves`; returns the summary.

    Args:
        run: the ablation's run.
        variants: the baseline first.
        title: what the question is.
        more: Markdown below, the answers that are the question's own.
    """
    text = "\n\n".join(part for part in (f"# {title}", table(variants), read_groups(variants), more) if part)
    run.log_text("ablation.md", text + "\n")
    print(f"\n{table(variants)}\n", flush=True)
    run.log_figure("effects", effects(variants))
    ranked = _ranked(variants)
    shown = {v.name: v.results[0][0].history for v in (variants[0], ranked[0], ranked[-1])}
    run.log_figure("curves_fold_1", plots.compared_curves(shown))
    return summary(variants)


def effects(variants: Sequence[Variant]):
    """The figure: gain of each variant over the baseline with its 95 % interval."""
    base = variants[0]
    rows = [
        {
            "name": v.name, "changed": v.changed, "mean": v.accuracy, "std": v.std, "n": len(v.fold_accuracies),
            "values": v.fold_accuracies, **({} if v is base else {"interval": v.gain_over(base)[1:]}),
        }
        for v in variants
    ]  # fmt: skip
    return plots.ablation(rows, metric=f"test accuracy ({len(base.fold_accuracies)} folds)")


def table(variants: Sequence[Variant]) -> str:
    """Markdown: accuracies in percent, differences in points."""
    base = variants[0]
    seeds = len(base.results)
    lines = [
        f"Mean ± standard deviation of {len(base.fold_accuracies)} folds, {_times(seeds)} each; every one of the "
        f"{base.right.shape[1]} pictures is tested once by a network that has not seen it. Difference to the baseline "
        "on the same pictures in points, with its 95 % interval.", "",
        "| variant | changed | train % | test % | difference | reading | epoch kept | s per training |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for v in variants:
        gain, words = ("—", "") if v is base else (_points(v, base), reading(*v.gain_over(base)[1:]))
        lines.append(
            f"| {v.name} | {v.changed} | {100 * v.mean_of('train_accuracy'):.1f} | {100 * v.accuracy:.1f} ± "
            f"{100 * v.std:.1f} | {gain} | {words} | {v.mean_of('best_epoch'):.0f} | {v.mean_of('seconds'):.1f} |"
        )
    return "\n".join(lines)


def read_groups(variants: Sequence[Variant]) -> str:
    """A sentence for each kind of change, and one on what so many comparisons mean."""
    base = variants[0]
    lines = []
    for group in dict.fromkeys(v.group for v in variants[1:]):
        members = [v for v in variants if v.group == group]
        best = max(members, key=lambda v: v.accuracy)
        shown = [v for v in members if reading(*v.gain_over(base)[1:]) != NO_DIFFERENCE]
        line = f"- **{group}**: best was {best.name} ({_points(best, base)} points"
        line += f", {reading(*best.gain_over(base)[1:])}). "
        if not shown:
            line += f"For none of its {len(members)} variants a difference to the baseline is shown."
        else:
            line += "A difference is shown for " + ", ".join(
                f"{v.name} ({reading(*v.gain_over(base)[1:])})" for v in shown
            )
            line += "."
        lines.append(line)
    count = len(variants) - 1
    lines.append(
        f"- Of {count} comparisons at 95 %, {count / 20:.1f} would show a difference by chance where there is none, "
        "and the largest of many gains is too large on average: what is chosen here has to be judged anew."
    )
    return "\n".join(lines)


def compare(first: Variant, second: Variant) -> str:
    """One sentence on two variants, neither of them the baseline."""
    words = reading(*second.gain_over(first)[1:], f"{second.name} is better", f"{second.name} is worse")
    return (
        f"{second.name} against {first.name}: {100 * second.accuracy:.1f} against {100 * first.accuracy:.1f} %, "
        f"{_points(second, first)} points: {words}."
    )


def summary(variants: Sequence[Variant]) -> str:
    """The baseline, the best and the worst variant in a few sentences."""
    base, ranked = variants[0], _ranked(variants)
    text = f"Baseline: {percent(base.fold_accuracies)} of {base.right.shape[1]} test pictures right "
    text += f"(mean ± std of {len(base.fold_accuracies)} folds). "
    ends = (("Best variant", ranked[-1]), ("worst", ranked[0]))
    for words, v in ends[: len(ranked)]:
        text += f"{words}: {v.name}, {_points(v, base)} points, {reading(*v.gain_over(base)[1:])}; "
    return text.rstrip("; ") + "."


def metrics(variants: Sequence[Variant]) -> dict[str, list[float]]:
    """Figures for the record: each fold's test accuracy, the baseline's as `test_accuracy`."""
    named = {"test_accuracy": variants[0].fold_accuracies}
    return named | {f"test_accuracy_{slug(v.name)}": v.fold_accuracies for v in variants[1:]}


def slug(name: str) -> str:
    """A variant's name as part of a metric's."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _ranked(variants: Sequence[Variant]) -> list[Variant]:
    return sorted(variants[1:], key=lambda v: v.accuracy)


def _points(variant: Variant, base: Variant) -> str:
    gain, low, high = (100 * value for value in variant.gain_over(base))
    return f"{gain:+.1f} [{low:+.1f}, {high:+.1f}]"


def _times(seeds: int) -> str:
    return "trained once" if seeds == 1 else f"trained with {seeds} seeds"
