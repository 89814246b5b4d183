"""Comparisons of configurations: what a change gained, and how a study went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, sqrt
from textwrap import wrap
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from cnnlab.plots.style import BLUE, GREEN, GREY, VERMILION, clean, new_figure, shorten


def ablation(rows: Sequence[Mapping[str, Any]], metric: str = "validation metric") -> Figure:
    """What each configuration gains over the first row, the baseline; the largest gain on top.

    The bars are 95 % intervals of the difference: the row's own `interval` where it brings one (a bootstrap over
    photographs, say), else that of two means (Welch 1947, unequal variances). A row with one run and no interval is
    drawn hollow, and the axis says so.

    Args:
        rows: mappings with `name`, `changed` (in words), `mean`, `std` (of the sample), `n` and `values` (n numbers,
            drawn as dots; may be empty), and perhaps `interval`, the ends of the gain's 95 % interval.
        metric: the axis label, higher is better.

    Raises:
        ValueError: there is no row.
    """
    if not rows:
        raise ValueError("an ablation needs at least its first row, the baseline")
    base = rows[0]
    ordered = [base, *sorted(rows[1:], key=lambda row: row["mean"])]
    figure = new_figure(10.5, 0.6 * len(ordered) + 1.5)
    axes = clean(figure.subplots(), grid="x")
    axes.axvline(0, color=GREY, linewidth=1)
    for place, row in enumerate(ordered):
        gain = row["mean"] - base["mean"]
        dots = [value - base["mean"] for value in row.get("values") or ()]
        axes.plot(dots, [place - 0.22] * len(dots), "|", color=GREY, markersize=6, alpha=0.8)
        if row is base:
            axes.plot(0, place, "D", color=GREY, markersize=7)
            continue
        interval = _interval(row, base)
        sure = interval is not None and not interval[0] <= 0 <= interval[1]
        colour = GREY if not sure else (GREEN if gain > 0 else VERMILION)
        if interval is not None:
            ends = [[max(0.0, gain - interval[0])], [max(0.0, interval[1] - gain)]]
            axes.errorbar(gain, place, xerr=ends, color=colour, capsize=4, linewidth=2)
        face = "white" if interval is None else colour
        axes.plot(gain, place, "o", color=colour, markerfacecolor=face, markersize=8)
    axes.set_yticks(range(len(ordered)), [_row_name(row, row is base) for row in ordered], fontsize=9)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.margins(x=0.08)
    axes.set_xlabel(f"gain in {metric} over the baseline\n{_ablation_key(ordered)}", fontsize=9)
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(ordered)), [_row_figures(row, base) for row in ordered], fontsize=9)
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
    return figure


def study_history(
    trials: Sequence[Mapping[str, Any]], metric: str = "objective", direction: str = "maximize"
) -> Figure:
    """Every trial of a study in its order, and the best value so far.

    Args:
        trials: mappings with `number`, `value` (None where none was reached) and `state`: "complete", "pruned",
            "fail" or "running" (in any case).
        metric: the axis label.
        direction: "maximize" or "minimize".

    Raises:
        ValueError: there is no trial.
    """
    if not trials:
        raise ValueError("the study holds no trial yet, so there is no history to draw")
    better = max if direction == "maximize" else min
    ordered = sorted(trials, key=lambda trial: trial["number"])
    figure = new_figure(9.0, 4.2)
    axes = clean(figure.subplots())
    groups = {
        "complete": ("complete", "o", BLUE),
        "pruned": ("pruned (best value it reached)", "v", GREY),
        "running": ("running", "s", GREEN),
    }
    reached: list[tuple[int, float]] = []
    for state, (label, marker, colour) in groups.items():
        points = [(t["number"], t["value"]) for t in ordered if _state(t) == state and _number(t["value"])]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, marker, color=colour, linestyle="none", alpha=0.85, label=f"{label}: {len(points)}")
        if state == "complete":
            reached = points
    if reached:
        best = [better(value for _, value in reached[: end + 1]) for end in range(len(reached))]
        numbers = [number for number, _ in reached]
        last = ordered[-1]["number"]
        axes.step([*numbers, last], [*best, best[-1]], where="post", color=BLUE, alpha=0.5, label="best so far")
        top = next(number for number, value in reached if value == best[-1])
        axes.plot(top, best[-1], "*", color=VERMILION, markersize=17, markeredgecolor="white", zorder=5,
                  label=f"best: trial {top}, {best[-1]:.4g}")  # fmt: skip
    lost = [t["number"] for t in ordered if _state(t) == "fail" or (_state(t) != "running" and not _number(t["value"]))]
    if lost:  # they have no height: a row of crosses on the axis
        axes.plot(lost, [0.02] * len(lost), "x", color=VERMILION, transform=axes.get_xaxis_transform(), clip_on=False,
                  label=f"failed or without a value: {len(lost)}")  # fmt: skip
    axes.margins(y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="trial", ylabel=metric)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _interval(row: Mapping[str, Any], base: Mapping[str, Any]) -> tuple[float, float] | None:
    """Ends of the 95 % interval of the gain, None where one side has a single run and the row brings no interval."""
    if row.get("interval") is not None:
        return tuple(row["interval"])
    if min(row["n"], base["n"]) < 2:
        return None
    gain = row["mean"] - base["mean"]
    parts = [r["std"] ** 2 / r["n"] for r in (row, base)]
    total = sum(parts)
    if total == 0:
        return gain, gain
    degrees = total**2 / sum(part**2 / (r["n"] - 1) for part, r in zip(parts, (row, base), strict=True))
    half = float(stats.t.ppf(0.975, degrees) * sqrt(total))
    return gain - half, gain + half


def _row_name(row: Mapping[str, Any], baseline: bool) -> str:
    name = f"{row['name']} (baseline)" if baseline else str(row["name"])
    changed = str(row.get("changed") or "")
    if not changed or changed == row["name"]:
        return shorten(name, 44)
    return "\n".join([shorten(name, 44), *wrap(shorten(changed, 96), 50)])


def _row_figures(row: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    spread = f" ± {row['std']:.3f}, n={row['n']}" if row["n"] > 1 else ""
    gain = "" if row is base else f"  ({row['mean'] - base['mean']:+.3f})"
    return f"{row['mean']:.3f}{spread}{gain}"


def _ablation_key(rows: Sequence[Mapping[str, Any]]) -> str:
    intervals = [_interval(row, rows[0]) for row in rows[1:]]
    single = None in intervals
    repeated = any(interval is not None for interval in intervals)
    texts = ["bar: 95 % interval of the difference, coloured where it excludes zero"] if repeated else []
    return "; ".join(texts + (["hollow: a single run, no interval"] if single else []))


def _state(trial: Mapping[str, Any]) -> str:
    state = str(trial["state"]).rpartition(".")[2].lower()
    return {"failed": "fail", "completed": "complete", "finished": "complete"}.get(state, state)


def _number(value: float | None) -> bool:
    return value is not None and isfinite(value)
