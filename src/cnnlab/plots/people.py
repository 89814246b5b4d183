"""Faces and who a network takes them for."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Rectangle

from cnnlab.plots.style import BLUE, GREY, LIGHT, LIME, VERMILION, clean, new_figure, picture, shorten

_ACROSS = 3  # faces on one line


def people_sheet(
    faces: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], titles: Sequence[str],
    wrong: Sequence[bool] | None = None, photo: np.ndarray | None = None, boxes: np.ndarray | None = None,
    title: str = "",
) -> Figure:  # fmt: skip
    """Each face beside the probabilities of all people; perhaps the photograph they were found in above them.

    Args:
        faces: uint8 (N, 3, H, W).
        probabilities: (N, K).
        classes: K names.
        titles: a line above each face.
        wrong: faces whose title is set apart.
        photo: uint8 (H, W, 3), the whole photograph.
        boxes: (N, 4) as (x1, y1, x2, y2), where the faces are in it; numbered from 1.
        title: a line above all.

    Raises:
        ValueError: there is no face, or the counts differ.
    """
    if len(faces) == 0 or {len(probabilities), len(titles)} != {len(faces)}:
        raise ValueError(f"{len(faces)} faces with {len(probabilities)} answers and {len(titles)} titles; one each")
    lines, top = ceil(len(faces) / _ACROSS), 0 if photo is None else 3
    across = min(_ACROSS, max(len(faces), 1 if photo is None else 2))
    figure = new_figure(4.4 * across, 2.3 * lines + 1.5 * top + 0.3)
    if title:
        figure.suptitle(title, fontsize=11)
    # the photograph has the height of `top` times 1.5 inches, each line of faces 2.3
    heights = [1.5 * top] * bool(top) + [2.3] * lines
    grid = GridSpec(len(heights), 2 * across, figure, height_ratios=heights)
    if photo is not None:
        whole = picture(figure.add_subplot(grid[0, :]))
        whole.imshow(photo)
        for number, (x1, y1, x2, y2) in enumerate(boxes if boxes is not None else (), 1):
            whole.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=LIME, linewidth=2))
            whole.text(x1, y1, f" {number}", color=LIME, fontsize=11, va="bottom", fontweight="bold")
    for place, (face, shares) in enumerate(zip(faces, probabilities, strict=True)):
        line, column = bool(top) + place // _ACROSS, 2 * (place % _ACROSS)
        left = picture(figure.add_subplot(grid[line, column]))
        left.imshow(face.transpose(1, 2, 0))
        apart = wrong is not None and wrong[place]
        left.set_title(shorten(titles[place], 48), fontsize=9, loc="left", color=VERMILION if apart else "black")
        right = clean(figure.add_subplot(grid[line, column + 1]), grid="none")
        best = int(shares.argmax())
        colours = [LIGHT] * len(shares)
        colours[best] = VERMILION if apart else BLUE
        right.barh(range(len(shares)), shares, color=colours)
        for row, share in enumerate(shares):
            right.text(max(share, 0) + 0.02, row, f"{share:.1%}", va="center", fontsize=7, color=GREY)
        right.set_yticks(range(len(shares)), [shorten(name, 14) for name in classes], fontsize=8)
        right.set(xlim=(0, 1.25), xticks=[])
        right.invert_yaxis()
        right.spines["bottom"].set_visible(False)
    return figure
