"""Figures of robustness and of the ranking show what they are given."""

import io

import numpy as np
import pytest
import torch

from cnnlab.evaluation.robustness import CHANGES
from cnnlab.plots.ranking import accuracy_against_cost, accuracy_over_time
from cnnlab.plots.robustness import change_sheet, strength_curves


def texts(figure) -> list[str]:
    figure.savefig(io.BytesIO(), dpi=40)  # drawing runs the layout
    return [part.get_text() for part in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_curves_of_both_networks_begin_at_the_unchanged_pictures():
    found = {
        name: {c: np.full((1 + len(change.strengths), 5), level) for c, change in CHANGES.items()}
        for name, level in (("baseline", 0.5), ("best", 0.75))
    }
    figure = strength_curves(CHANGES, found, 0.2)
    panels = [axes for axes in figure.axes if axes.axison]
    assert len(panels) == len(CHANGES)
    for axes, change in zip(panels, CHANGES.values(), strict=True):
        levels = [line.get_ydata() for line in axes.lines]
        assert [set(map(float, y)) for y in levels] == [{50.0}, {75.0}, {20.0}]
        assert [t.get_text() for t in axes.get_xticklabels()] == ["none", *map(change.label, change.strengths)]
    assert {"baseline", "best", "left-right"} <= set(texts(figure))


def test_the_sheet_shows_the_picture_and_each_change():
    image = torch.randint(0, 256, (3, 10, 10), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    figure = change_sheet(image, CHANGES)
    grid = np.array(figure.axes).reshape(len(CHANGES), -1)
    for line, change in zip(grid, CHANGES.values(), strict=True):
        assert np.array_equal(line[0].images[0].get_array(), image.permute(1, 2, 0))
        assert sum(bool(axes.images) for axes in line) == 1 + len(change.strengths)
    negative = grid[list(CHANGES).index("inverted")]
    last = [axes for axes in negative if axes.images][-1]
    assert np.array_equal(last.images[0].get_array(), 255 - image.permute(1, 2, 0))
    assert set(CHANGES) <= set(texts(figure))


def row(name, accuracy, cost):
    return {
        "name": name, "test_accuracy": accuracy, "interval": (accuracy - 0.05, accuracy + 0.05), "parameters": cost,
        "multiply_adds": 10 * cost, "latency_ms": 2.0, "train_images_per_second": 100.0,
    }  # fmt: skip


def test_each_network_stands_at_its_cost_in_four_panels():
    figure = accuracy_against_cost([row("small", 0.5, 1e6), row("large", 0.9, 2e7)])
    assert len(figure.axes) == 4 and texts(figure).count("small") == 4 == texts(figure).count("large")
    points = [container.lines[0].get_xydata()[0].tolist() for container in figure.axes[0].containers]
    assert points == [pytest.approx([1.0, 50.0]), pytest.approx([20.0, 90.0])]
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in axes.texts]
        assert not boxes[0].overlaps(boxes[1])
    with pytest.raises(ValueError, match="no network to draw"):
        accuracy_against_cost([])


@pytest.mark.filterwarnings("error")
def test_one_network_alone_and_two_at_one_place():
    texts(accuracy_against_cost([row("alone", 0.5, 1e6)]))
    figure = accuracy_against_cost([row("first", 0.5, 1e6), row("second", 0.5, 1e6)])
    first, second = (label.get_window_extent() for label in figure.axes[0].texts)
    assert not first.overlaps(second), "names are kept off each other"


def test_names_of_outer_points_stay_in_their_panel():
    names = ("a_rather_long_name_of_a_small_network", "a_rather_long_name_of_a_large_network")
    figure = accuracy_against_cost([row(names[0], 0.5, 1e6), row(names[1], 0.52, 2e7)])
    for axes in figure.axes:
        panel = axes.get_window_extent()
        for label in axes.texts:
            box = label.get_window_extent()
            assert panel.x0 <= box.x0 and box.x1 <= panel.x1


def test_accuracy_over_time_with_its_target():
    figure = accuracy_over_time({"ours": [(1.0, 0.5), (2.0, 0.9)], "recipe": [(5.0, 0.4)]}, target=0.9)
    lines = figure.axes[0].lines
    assert lines[0].get_xydata().tolist() == [[1.0, 50.0], [2.0, 90.0]] and lines[2].get_ydata()[0] == 90.0
    assert {"ours", "recipe"} <= set(texts(figure)) and figure.axes[0].get_xscale() == "log"
