"""Features put to use: what retrieval finds, how the images lie beside each other, how good each layer is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnlab.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, clean, new_figure, picture, shorten

_FEW = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)
_MOST_NAMES = 24  # a legend with more is longer than the figure


def retrieval_sheet(
    queries: np.ndarray, query_names: Sequence[str], neighbours: np.ndarray, neighbour_names: Sequence[Sequence[str]],
    right: np.ndarray | None, similarities: np.ndarray, title: str = "",
) -> Figure:  # fmt: skip
    """One row for each query: the query, then its nearest neighbours, framed green (its class) or red (another).

    Args:
        queries: uint8 (Q, 3, H, W).
        query_names: Q class names; of pictures without classes, their own.
        neighbours: uint8 (Q, K, 3, H, W), nearest first.
        neighbour_names: class names of the neighbours, Q x K; written above the wrong ones.
        right: bool (Q, K); None where there are no classes.
        similarities: cosine (Q, K).
        title: a line above all.

    Raises:
        ValueError: there is no query.
    """
    if len(queries) == 0:
        raise ValueError("there is no query to show")
    count, shown = neighbours.shape[:2]
    width = 1.25
    height = width * queries.shape[2] / queries.shape[3] + 0.3
    figure = new_figure(width * (shown + 1) + 0.4, height * count + 0.6)
    grid = figure.subplots(count, shown + 1, squeeze=False)
    hits = "" if right is None else f"; {int(right.sum())} of {right.size} neighbours are of its class"
    figure.suptitle(f"{title}\nfirst column: the query{hits}".strip(), fontsize=11)
    for row, axes in enumerate(grid):
        picture(axes[0]).imshow(queries[row].transpose(1, 2, 0))
        axes[0].set_title(shorten(query_names[row], 16), fontsize=8, fontweight="bold")
        for column, place in enumerate(axes[1:]):
            picture(place).imshow(neighbours[row, column].transpose(1, 2, 0))
            name = f" {shorten(neighbour_names[row][column], 12)}"
            if right is None:
                place.set_title(f"{similarities[row, column]:.2f}{name}", fontsize=7)
                continue
            hit = bool(right[row, column])
            told = "" if hit else name
            place.set_title(f"{similarities[row, column]:.2f}{told}", fontsize=7, color="black" if hit else VERMILION)
            place.add_patch(Rectangle(
                (0, 0), 1, 1, transform=place.transAxes, fill=False, linewidth=4, clip_on=False,
                edgecolor=GREEN if hit else VERMILION, linestyle="-" if hit else (0, (2, 1)),
            ))  # fmt: skip
    return figure


def embedding_map(
    plane: np.ndarray, labels: np.ndarray, clusters: np.ndarray, classes: Sequence[str], title: str = ""
) -> Figure:
    """The images as points on a plane, coloured by class (left) and by cluster (right); of one class, by cluster alone.

    Args:
        plane: (N, 2).
        labels: (N,), indices into `classes`.
        clusters: (N,), numbers from 0.
        classes: names.
        title: a line above both.
    """
    several = len(classes) > 1
    figure = new_figure(12.0 if several else 6.5, 6.2)
    *left, right = np.ravel(figure.subplots(1, 1 + several))
    if title:
        figure.suptitle(title, fontsize=12)
    names = [f"cluster {number}" for number in range(int(clusters.max()) + 1)]
    panels = [(axes, labels, classes, "classes") for axes in left] + [(right, clusters, names, "clusters")]
    for axes, groups, of, kind in panels:
        colours = _FEW if len(of) <= len(_FEW) else colormaps["turbo"](np.linspace(0.03, 0.97, len(of)))
        size = float(np.clip(6000 / len(plane), 4, 40))
        for index, name in enumerate(of):
            x, y = plane[groups == index].T
            marker = "osD^vP"[index % 6]
            axes.scatter(x, y, s=size, color=colours[index], marker=marker, linewidths=0, alpha=0.8,
                         label=f"{shorten(name, 18)} ({len(x)})")  # fmt: skip
        axes.set_title(f"{len(of)} {kind}", fontsize=10, loc="left", color=GREY)
        axes.set(xticks=[], yticks=[])
        if len(of) <= _MOST_NAMES:
            columns = 2 if len(of) <= 4 else 3
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=columns, frameon=False, fontsize=8)
    return figure


def layer_curve(
    accuracies: Mapping[str, Mapping[str, Sequence[float]]], widths: Mapping[str, int], counts: Mapping[str, int],
    chosen: str = "", title: str = "",
) -> Figure:  # fmt: skip
    """Accuracy by layer, one line for each split: the mean over seeds, each seed's own value as a dash.

    Args:
        accuracies: split -> layer -> one accuracy for each seed; the layers in their order.
        widths: layer -> number of its activations, written below its name.
        counts: split -> number of its images.
        chosen: the layer to set apart.
        title: a line above, such as which layers are not there and why.
    """
    layers = list(next(iter(accuracies.values())))
    figure = new_figure(1.2 * len(layers) + 2, 4.4)
    if title:
        figure.suptitle(title, fontsize=9, color=GREY)
    axes = clean(figure.subplots(), grid="y")
    for colour, marker, (split, curve) in zip((VERMILION, BLUE, GREEN), "so^", accuracies.items(), strict=False):
        means = [float(np.mean(curve[layer])) for layer in layers]
        axes.plot(means, f"{marker}-", color=colour, label=f"{split} ({counts[split]} images)")
        for place, layer in enumerate(layers):
            axes.plot([place] * len(curve[layer]), curve[layer], "_", color=colour, markersize=12, alpha=0.7)
            axes.annotate(f"{means[place]:.1%}", (place, means[place]), (0, 8), textcoords="offset points",
                          fontsize=8, color=colour, ha="center")  # fmt: skip
    if chosen in layers:
        axes.axvspan(layers.index(chosen) - 0.4, layers.index(chosen) + 0.4, color=GREY, alpha=0.12, linewidth=0)
    axes.set_xticks(range(len(layers)), [f"{layer}\n{widths[layer]:,}" for layer in layers], fontsize=9)
    axes.margins(y=0.15)
    axes.set(xlabel="layer and number of its activations", ylabel="accuracy")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    return figure
