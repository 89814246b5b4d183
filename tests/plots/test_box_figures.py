"""The lecture's figures draw what they are given and say how much of it."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from cnnlab.plots.boxes import AnchorView, anchor_sheet, ap_by_overlap, overlap_sheet, regression_sheet
from cnnlab.plots.roi import RoIView, roi_sheet
from cnnlab.plots.suppression import soft_sheet, suppression_sheet

IMAGE = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
FACE = np.array([30.0, 20, 70, 80])
BOXES = np.array([[32.0, 20, 72, 78], [30, 25, 66, 80], [20, 10, 60, 60], [80, 10, 110, 50]])
SCORES = np.array([0.9, 0.8, 0.6, 0.1])


def words(figure: Figure) -> str:
    """All words of a figure, after it was drawn: a layout that breaks fails here."""
    figure.canvas.draw()
    return "\n".join(part.get_text() for part in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_overlap_sheet_prints_each_overlap():
    shifts = np.linspace(0, 2, 9)
    figure = overlap_sheet(IMAGE, FACE, BOXES, SCORES, SCORES - 0.5, shifts, 1 - shifts / 2, 1 - shifts)
    assert "IoU 0.90, GIoU +0.40" in words(figure) and "IoU 0.10, GIoU -0.40" in words(figure)


def test_anchor_sheet_counts():
    cell = np.stack((BOXES[:2], BOXES[2:]))
    centres = np.array([[20.0, 20], [60, 60]])
    view = AnchorView(IMAGE, FACE[None], centres, cell, (32, 64), (0.5, 1), BOXES, BOXES[:1], {"background": 7})
    text = words(anchor_sheet(view))
    assert "4 anchors at one of 2 cells" in text and "7 background" in text and "size 64" in text


def test_regression_sheet_tells_the_four_numbers():
    offsets = np.array([0.1, -0.2, np.log(2), 0.0])
    text = words(regression_sheet(IMAGE, FACE, BOXES, BOXES + 1, 0.41, 0.83, offsets))
    assert "mean IoU 0.41" in text and "mean IoU 0.83" in text
    assert "+0.10: +4 px" in text and "40 to 80 px" in text


@pytest.mark.parametrize("most", [1, 4])
def test_suppression_sheet_shows_rounds(most):
    rounds = [(0, np.array([1, 2]), np.array([3])), (3, np.array([], int), np.array([], int))]
    text = words(suppression_sheet(IMAGE, BOXES, SCORES, rounds, 0.3, 0.5, most, FACE[None]))
    assert "4 boxes, 1 below 0.5" in text and "Round 1: best 0.90; 2 skipped, 1 remain" in text
    assert "After 2 rounds: 2 boxes" in text and ("Round 2" in text) == (most > 1)


def test_suppression_of_nothing():
    assert "After 0 rounds: 0 boxes" in words(suppression_sheet(IMAGE, BOXES, SCORES, [], 0.3, 0.95))


def test_soft_sheet_draws_every_method():
    overlaps = np.linspace(0, 1, 5)
    results = {"hard": (np.array([0, 3]), SCORES[[0, 3]]), "gaussian": (np.arange(4), SCORES * 0.5)}
    text = words(soft_sheet(IMAGE, BOXES, SCORES, results, {"hard": overlaps, "gaussian": overlaps}, overlaps, SCORES))
    assert "hard: 1 boxes from 0.3" in text and "gaussian: 3 boxes from 0.3" in text
    assert "4 boxes that touch the best one" in text


def test_roi_sheet_says_how_far_rounding_moves_a_box():
    edges = np.linspace(3, 7, 4)
    bins = np.stack((edges[:-1], edges[1:]), axis=1)
    view = RoIView(
        10, np.random.default_rng(0).random((9, 12)), {"pool": (bins.round(), bins.round()), "align": (bins, bins)},
        {"pool": np.ones((3, 3)), "align": np.zeros((3, 3))}, 3.25,
    )  # fmt: skip
    text = words(roi_sheet(IMAGE, FACE, [view, view]))
    assert "moved by 3.2 pixels" in text and "align: 3x3 features" in text


def test_average_precision_of_several_seeds_has_a_band():
    figure = ap_by_overlap((0.5, 0.75), {"windows": np.array([[0.9, 0.5]]), "both": np.array([[0.9, 0.7], [0.9, 0.8]])})
    assert "windows" in words(figure) and len(figure.axes[0].collections) == 1
