import pytest
import torch

from cnnlab.detection import roi_features
from cnnlab.detection.roi import pooling_bins
from cnnlab.errors import ConfigError


@pytest.mark.parametrize("box", [[32.0, 64, 160, 128], [37.0, 50.5, 150.2, 139.9], [8.0, 8, 40, 24], [100, 3, 101, 5]])
def test_pooling_takes_the_largest_of_the_cells_of_each_bin(box):
    values = torch.rand(1, 3, 12, 14, generator=torch.Generator().manual_seed(0))
    (pooled,) = roi_features({16: values}, [torch.tensor([box])], size=4, method="pool")
    x, y = (bins.int().tolist() for bins in pooling_bins(torch.tensor(box), 16, 4, "pool"))
    for row, (y1, y2) in enumerate(y):
        for column, (x1, x2) in enumerate(x):
            expected = values[0, :, y1:y2, x1:x2].amax(dim=(1, 2))
            torch.testing.assert_close(pooled[:, row, column], expected)


def test_align_reads_a_slope_exactly_where_its_bins_lie():
    """On a map that grows evenly, the mean of a bin is the value at its middle: nothing was rounded."""
    stride, cells = 8, 20
    slope = (torch.arange(cells) + 0.5) * stride  # the x of each cell's centre, in pixels
    box = torch.tensor([21.0, 33, 93, 101])
    (aligned,) = roi_features({stride: slope.expand(1, 1, cells, cells)}, [box[None]], size=6)
    x, _ = pooling_bins(box, stride, 6)
    torch.testing.assert_close(aligned[0, 0], x.mean(dim=1) * stride)
    (pooled,) = roi_features({stride: slope.expand(1, 1, cells, cells)}, [box[None]], size=6, method="pool")
    assert (pooled[0, 0] - x.mean(dim=1) * stride).abs().max() > 1


def test_bins_share_the_box_without_gaps():
    box = torch.tensor([21.0, 33, 93, 101])
    x, y = pooling_bins(box, 8, 7)
    assert (x[0, 0], x[-1, 1], y[0, 0], y[-1, 1]) == pytest.approx([v / 8 for v in box[[0, 2, 1, 3]].tolist()])
    torch.testing.assert_close(x[1:, 0], x[:-1, 1])
    pooled, _ = pooling_bins(box, 8, 7, "pool")
    assert (pooled == pooled.round()).all() and (pooled[1:, 0] <= pooled[:-1, 1]).all()


def test_channels_of_all_maps_and_boxes_of_all_images_in_order():
    maps = {8: torch.rand(2, 3, 16, 16), 16: torch.rand(2, 5, 8, 8)}
    boxes = [torch.tensor([[0.0, 0, 64, 64]]), torch.tensor([[0.0, 0, 64, 64], [32, 32, 100, 90]])]
    features = roi_features(maps, boxes, size=7)
    assert features.shape == (3, 8, 7, 7)
    alone = roi_features({8: maps[8][1:]}, [boxes[1]], size=7)
    torch.testing.assert_close(features[1:, :3], alone)
    assert roi_features(maps, [torch.zeros(0, 4)] * 2).shape == (0, 8, 7, 7)


def test_bad_settings_are_named():
    with pytest.raises(ConfigError, match="not crop"):
        roi_features({8: torch.zeros(1, 1, 4, 4)}, [torch.zeros(1, 4)], method="crop")
    with pytest.raises(ConfigError, match="at least one map"):
        roi_features({}, [])
