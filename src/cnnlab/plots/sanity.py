"""What is left of a map when a network's weights are randomised: the maps themselves, and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from cnnlab.plots.explain import scaled
from cnnlab.plots.style import BLUE, GREEN, GREY, VERMILION, clean, new_figure, picture, shorten

_COLOURS = (BLUE, VERMILION, GREEN)


def randomisation_sheet(
    image: np.ndarray, maps: Sequence[Mapping[str, np.ndarray]], stages: Sequence[str],
    correlation: Mapping[str, np.ndarray], title: str = "",
) -> Figure:  # fmt: skip
    """One row for each kind of map, one column for each stage of the cascade; the picture stands in the corner.

    Args:
        image: uint8 (3, H, W).
        maps: for each stage, kind -> (H, W), not negative.
        stages: the layer randomised last at each stage, `trained` first.
        correlation: kind -> rank correlation with the first stage's map (stages,); written below each map.
        title: a line above all.

    Raises:
        ValueError: the counts differ.
    """
    if len(maps) != len(stages) or any(len(values) != len(stages) for values in correlation.values()):
        raise ValueError(f"{len(stages)} stages, but maps of {len(maps)}; give maps and correlations for each stage")
    kinds = list(correlation)
    width = 1.6
    figure = new_figure(width * (len(stages) + 1), (width + 0.45) * len(kinds) + 0.5)
    grid = figure.subplots(len(kinds), len(stages) + 1, squeeze=False)
    figure.suptitle(title, fontsize=11)
    for row, kind in enumerate(kinds):
        for column, place in enumerate(grid[row]):
            picture(place)
            if column == 0:
                place.imshow(image.transpose(1, 2, 0))
                place.set_title(kind, fontsize=8, loc="left", fontweight="bold")
                continue
            stage = column - 1
            place.imshow(colormaps["inferno"](scaled(maps[stage][kind]))[..., :3])
            name = stages[stage] if stage == 0 else f"+ {shorten(stages[stage], 18)}"
            place.set_title(name, fontsize=8, loc="left", color=GREY)
            if stage:
                value = correlation[kind][stage]
                place.set_xlabel(f"{value:.2f}" if np.isfinite(value) else "empty", fontsize=8)
    return figure


def randomisation_curves(
    stages: Sequence[str], correlation: Mapping[str, np.ndarray], ssim: Mapping[str, np.ndarray],
    reference: Mapping[str, np.ndarray], title: str = "",
) -> Figure:  # fmt: skip
    """How alike maps stay while layer after layer is randomised: mean and standard deviation over pictures.

    Args:
        stages: as for `randomisation_sheet`.
        correlation: kind -> rank correlation (stages, B).
        ssim: kind -> structural similarity (stages, B).
        reference: kind -> rank correlation of maps of two different pictures (B,), drawn as a dotted line; or (0,).
        title: a line above both panels.
    """
    figure = new_figure(11.0, 4.2)
    figure.suptitle(title, fontsize=11)
    panels = {"rank correlation with the trained map": correlation, "structural similarity with it": ssim}
    for axes, (name, values) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        clean(axes, grid="y")
        for colour, (kind, of_kind) in zip(_COLOURS, values.items(), strict=False):
            known = np.ma.masked_invalid(of_kind)  # an empty map has no value
            mean, spread = (np.ma.filled(some, np.nan) for some in (known.mean(axis=1), known.std(axis=1)))
            axes.plot(mean, "o-", color=colour, label=kind, markersize=4)
            axes.fill_between(range(len(mean)), mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
            if values is correlation and np.isfinite(reference[kind]).any():
                axes.axhline(float(np.nanmean(reference[kind])), color=colour, linestyle=":", linewidth=1)
        axes.set_xticks(range(len(stages)), [shorten(s, 16) for s in stages], rotation=60, ha="right", fontsize=8)
        axes.set(ylim=(min(-0.1, axes.get_ylim()[0]), 1.05), ylabel=name)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    dotted = " (dotted, left: maps of two different pictures)" if any(len(r) for r in reference.values()) else ""
    axes.set_xlabel(f"layers randomised so far{dotted}", fontsize=9)
    return figure
