"""Drawings of building blocks: every operation has a box, none covers another, lines enter from above or the sides."""

from itertools import combinations

import pytest
from matplotlib.patches import Circle

from cnnlab.models.block_graph import Operation
from cnnlab.plots.blocks import building_block, label


def convolution(name, source, kernel=(3, 3), **more):
    return Operation(name, "convolution", (source,), (8, 4, 4), (8, 8), kernel, (1, 1), **more)


def ends(first, *middle):
    last = middle[-1]
    return [Operation("x", "input", (), (8, 4, 4)), first, *middle, Operation("y", "output", (last.name,), (8, 4, 4))]


RESIDUAL = ends(
    convolution("a", "x"), convolution("b", "a"), Operation("plus", "addition", ("b", "x"), (8, 4, 4)),
)  # fmt: skip
INCEPTION = ends(
    convolution("a", "x", (1, 1)), convolution("b", "x", (1, 1)), convolution("b2", "b"),
    Operation("c", "max pooling", ("x",), (8, 4, 4), (8, 8), (3, 3), (1, 1)),
    Operation("join", "concatenation", ("a", "b2", "c"), (24, 4, 4)),
)  # fmt: skip
NESTED = ends(
    convolution("a", "x"), convolution("b", "a"), convolution("c", "a"),
    Operation("inner", "concatenation", ("b", "c"), (16, 4, 4)), convolution("d", "x"),
    Operation("join", "concatenation", ("inner", "d"), (24, 4, 4)),
)  # fmt: skip


def boxes_of(figure):
    found = []
    for patch in figure.axes[0].patches:
        if isinstance(patch, Circle):
            (x, y), r = patch.center, patch.radius
            found.append((x - r, y - r, x + r, y + r))
        elif hasattr(patch, "get_width"):
            x, y = patch.get_x(), patch.get_y()
            found.append((x, y, x + patch.get_width(), y + patch.get_height()))
    return found


@pytest.mark.parametrize("operations", [RESIDUAL, INCEPTION, NESTED], ids=["residual", "inception", "nested"])
def test_every_operation_has_a_box_of_its_own_inside_of_the_figure(operations):
    figure = building_block(operations, "title", "subtitle")
    axes, boxes = figure.axes[0], boxes_of(figure)
    assert len(boxes) == len(operations)
    for (a, b, c, d), (e, f, g, h) in combinations(boxes, 2):
        assert c <= e or g <= a or d <= f or h <= b
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert all(left < a and c < right and bottom < b and d < top for a, b, c, d in boxes)


@pytest.mark.parametrize("operations", [RESIDUAL, INCEPTION, NESTED], ids=["residual", "inception", "nested"])
def test_there_is_a_line_for_every_input(operations):
    lines = building_block(operations, "title").axes[0].lines
    assert len(lines) >= sum(len(operation.inputs) for operation in operations)
    for line in lines:  # along the axes only
        for (x1, y1), (x2, y2) in zip(line.get_xydata()[:-1], line.get_xydata()[1:], strict=True):
            assert x1 == pytest.approx(x2) or y1 == pytest.approx(y2)


def test_branches_stand_side_by_side_below_their_source():
    figure = building_block(INCEPTION, "title")
    heights = {text.get_text(): text.get_position()[1] for text in figure.axes[0].texts}
    assert heights["input"] > heights["1×1 convolution"] > heights["concatenation, 24 channels"] > heights["output"]


def test_a_box_says_kernel_stride_and_channels():
    one = Operation("a", "grouped convolution", ("x",), (64, 8, 8), (32, 64), (1, 7), (2, 2), 4, ["batch norm", "ReLU"])
    assert label(one) == ["1×7 convolution, 4 groups", "32 → 64 channels, stride 2", "batch norm, ReLU"]
    assert label(Operation("p", "max pooling", ("x",), (8, 2, 2), (8, 8), (3, 3), (2, 2))) == [
        "3×3 max pooling", "8 channels, stride 2",
    ]  # fmt: skip
    assert label(Operation("s", "split", ("x",), (58, 8, 8), (116, 58)))[1] == "116 → 58 + 58 channels"
