"""What a network looked at: each image beside its saliency, guided back-propagation and Grad-CAM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from cnnlab.plots.style import BLUE, GREY, LIGHT, VERMILION, clean, new_figure, picture, shorten

_COLUMNS = ("image", "saliency", "guided back-propagation", "Grad-CAM")


def attribution_sheet(
    images: np.ndarray,
    saliency: np.ndarray,
    guided: np.ndarray,
    grad_cam: np.ndarray,
    titles: Sequence[str],
    shares: Mapping[str, np.ndarray] | None = None,
    region: str = "",
    title: str = "",
    wrong: Sequence[bool] | None = None,
) -> Figure:
    """One row for each image: the image, then the three maps, each scaled to its own largest values.

    Args:
        images: uint8 (N, 3, H, W).
        saliency: (N, H, W), not negative.
        guided: (N, 3, H, W), signed; grey stands for zero.
        grad_cam: (N, H, W), not negative; laid over the grey image.
        titles: a line above each row, such as prediction and probability.
        shares: for some columns (`saliency`, `guided back-propagation`, `Grad-CAM`), the share of each map in `region`.
        region: its name, put beside the shares.
        title: a line above all.
        wrong: rows whose title is set apart, such as wrong predictions.

    Raises:
        ValueError: there is no image, or the counts differ.
    """
    count = len(images)
    if count == 0 or {len(saliency), len(guided), len(grad_cam), len(titles)} != {count}:
        raise ValueError(f"{count} images, but maps and titles for {len(saliency)} and {len(titles)}; give one each")
    width = 2.6
    height = width * images.shape[2] / images.shape[3]
    figure = new_figure(width * 4, (height + 0.5) * count + 0.4)
    grid = figure.subplots(count, 4, squeeze=False)
    if title:
        figure.suptitle(title, fontsize=12)
    for index, axes in enumerate(grid):
        image = images[index].transpose(1, 2, 0)
        shown = (image, _heat(saliency[index]), _signed(guided[index]), _overlay(image, grad_cam[index]))
        for place, pixels, name in zip(axes, shown, _COLUMNS, strict=True):
            picture(place).imshow(pixels, interpolation="nearest")
            place.spines[:].set(visible=True, color=LIGHT, linewidth=0.8)  # a white image ends somewhere
            if index == 0 and name != "image":
                # to the right, clear of a long title over the first image
                place.set_title(name, fontsize=10, loc="right", color=GREY)
            if shares and name in shares:
                share = shares[name][index]
                text = "no evidence for the class" if np.isnan(share) else f"{share:.0%} in {region}"
                place.set_xlabel(text, fontsize=9)
        colour = VERMILION if wrong is not None and wrong[index] else "black"
        axes[0].set_title(shorten(titles[index], 60), fontsize=10, loc="left", color=colour)
    return figure


def region_shares(
    shares: Mapping[str, Mapping[str, np.ndarray]], area: float, region: str, title: str = ""
) -> Figure:
    """How much of each kind of map lies in a region, for several networks side by side.

    Args:
        shares: `{network: {kind of map: share of each image (N,)}}`, nan where a map says nothing.
        area: the region's share of the image, which a map without preference has.
        region: its name.
        title: a line above.
    """
    kinds = list(next(iter(shares.values())))
    figure = new_figure(1.2 + 1.9 * len(kinds), 3.6)
    axes = clean(figure.subplots(), grid="y")
    thick = 0.8 / len(shares)
    for place, (network, values) in enumerate(shares.items()):
        where = np.arange(len(kinds)) + (place - (len(shares) - 1) / 2) * thick
        boxes = axes.boxplot(
            [values[kind][np.isfinite(values[kind])] for kind in kinds], positions=where, widths=0.8 * thick,
            patch_artist=True, manage_ticks=False, showfliers=False, medianprops={"color": "black"}, label=network,
        )  # fmt: skip
        for box in boxes["boxes"]:
            box.set_facecolor((BLUE, VERMILION, GREY)[place % 3])
    axes.axhline(area, color=GREY, linestyle=":", label=f"share of the area: {area:.0%}")
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set(ylim=(0, 1), ylabel=f"share of the map in {region}")
    axes.set_title(title, fontsize=11, loc="left")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def scaled(values: np.ndarray) -> np.ndarray:
    """A map over its own largest values, in [-1, 1]."""
    # a single glaring pixel would leave all the others dark
    top = np.percentile(np.abs(values), 99.5) or np.abs(values).max()
    return np.clip(values / top, -1, 1) if top > 0 else np.zeros_like(values)


def _heat(values: np.ndarray) -> np.ndarray:
    return colormaps["inferno"](scaled(values))[..., :3]


def _signed(values: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * scaled(values).transpose(1, 2, 0)


def _overlay(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    grey = 0.25 + 0.75 * np.repeat(image.mean(2, keepdims=True) / 255, 3, axis=2)  # black would hide the colours
    return 0.4 * grey + 0.6 * colormaps["turbo"](scaled(values))[..., :3]
