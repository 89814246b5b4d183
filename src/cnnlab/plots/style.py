"""One look for all figures: the Okabe-Ito palette (safe for colour-blind readers) and light axes."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design", 2008.
BLUE = "#0072B2"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
ORANGE = "#E69F00"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#6E6E6E"
LIGHT = "#D9D9D9"
# brighter kin of green and vermilion for lines on photographs
LIME = "#2BE3A4"
FLAME = "#FF7A33"

DPI = 110


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` by `height` inches whose layout keeps titles and labels apart."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def clean(axes: Axes, grid: str = "both") -> Axes:
    """Drop the upper and right spine and draw a faint grid along `grid` ("x", "y", "both" or "none")."""
    axes.spines[["top", "right"]].set_visible(False)
    if grid != "none":
        axes.grid(True, axis=grid, color=LIGHT, linewidth=0.6)
        axes.set_axisbelow(True)
    return axes


def picture(axes: Axes) -> Axes:
    """Turn `axes` into a bare frame for an image."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return axes


def shorten(text: str, limit: int = 40) -> str:
    """`text` cut to `limit` characters, with an ellipsis where something was dropped."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
