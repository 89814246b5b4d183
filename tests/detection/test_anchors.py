import pytest
import torch
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import box_iou

from cnnlab.detection import anchor_grid, assign, base_anchors
from cnnlab.errors import ConfigError

SIZES, RATIOS = (64, 128, 256), (0.5, 1.0, 1.5)  # those of the slide


def test_sizes_are_roots_of_areas_and_ratios_width_over_height():
    base = base_anchors(SIZES, RATIOS)
    width, height = (base[:, 2:] - base[:, :2]).T
    torch.testing.assert_close((width * height).sqrt(), torch.tensor(SIZES * 3, dtype=torch.float32))
    torch.testing.assert_close(width / height, torch.tensor(RATIOS).repeat_interleave(3))
    assert (base[:, :2] == -base[:, 2:]).all()


def test_an_anchor_stands_in_the_middle_of_its_cell():
    grid = anchor_grid((3, 5), 16, (32,), (1.0,))
    assert grid.shape == (3, 5, 1, 4)
    assert grid[0, 0, 0].tolist() == [-8, -8, 24, 24]
    assert grid[2, 4, 0].tolist() == [64 - 8, 32 - 8, 64 + 24, 32 + 24]


def test_equal_to_torchvision_where_comparable():
    """Its ratios are height over width, its anchors stand in the cell's corner, and its base anchors are rounded."""
    theirs = AnchorGenerator((SIZES,), (tuple(1 / ratio for ratio in RATIOS),))
    torch.testing.assert_close(base_anchors(SIZES, RATIOS).round(), theirs.cell_anchors[0])
    stride = torch.tensor(16)
    (grid,) = theirs.grid_anchors([[4, 6]], [[stride, stride]])
    ours = anchor_grid((4, 6), 16, SIZES, RATIOS, centre=0).reshape(-1, 4)
    assert ours.shape == grid.shape and (ours - grid).abs().max() <= 0.5 + 1e-4


def test_assign_by_overlap():
    truths = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]])
    boxes = torch.tensor([[0.0, 0, 10, 9], [20, 0, 30, 5], [50, 50, 60, 60], [21, 0, 31, 10]])
    target, overlap = assign(boxes, truths, high=0.7, low=0.3)
    assert target.tolist() == [0, -2, -1, 1]
    assert overlap.tolist() == pytest.approx([0.9, 0.5, 0, 9 / 11])
    assert assign(boxes, torch.zeros(0, 4))[0].tolist() == [-1] * 4
    assert assign(torch.zeros(0, 4), truths)[0].tolist() == []


@pytest.mark.parametrize("best_of_each", [False, True])
def test_assign_equals_torchvisions_matcher(random_boxes, best_of_each):
    boxes, truths = random_boxes(200, 1), random_boxes(8, 2)
    theirs = Matcher(0.5, 0.2, allow_low_quality_matches=best_of_each)(box_iou(truths, boxes))
    assert assign(boxes, truths, 0.5, 0.2, best_of_each)[0].tolist() == theirs.tolist()


def test_bad_settings_are_named():
    with pytest.raises(ConfigError, match="sizes above 0"):
        base_anchors((), (1,))
    with pytest.raises(ConfigError, match="ratios above 0"):
        base_anchors((1,), (0, 1))
    with pytest.raises(ConfigError, match="below 0.6 cannot be background"):
        assign(torch.zeros(1, 4), torch.zeros(1, 4), high=0.5, low=0.6)
