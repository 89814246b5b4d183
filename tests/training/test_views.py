"""Averaging over views: known answers."""

import pytest
import torch
from torch import nn

from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.training.views import SINGLE_VIEW, Views, look, predict_views


class LeftMinusRight(nn.Module):
    """Class 1 is as likely as the left half is brighter than the right one."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(4.0))

    def forward(self, x):
        half = x.shape[-1] // 2
        score = x[..., :half].mean((1, 2, 3)) - x[..., half:].mean((1, 2, 3))
        return self.gain * torch.stack([-score, score], 1)


@pytest.fixture
def lopsided() -> ImageSet:
    images = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
    images[:2, :, :, :4] = 255
    return ImageSet(images, torch.tensor([1, 1, 0]), ("a", "b"), "made", "val")


def test_a_network_that_tells_left_from_right_is_undecided_over_both_mirror_images(lopsided):
    once, labels = predict_views(LeftMinusRight(), lopsided, SINGLE_VIEW)
    both, _ = predict_views(LeftMinusRight(), lopsided, Views(mirror=True))
    assert labels.tolist() == [1, 1, 0] and (once[:2, 1] > 0.95).all()
    torch.testing.assert_close(both, torch.full((3, 2), 0.5), atol=0.01, rtol=0)


def test_probabilities_of_all_views_sum_to_one(lopsided):
    found, _ = predict_views(LeftMinusRight(), lopsided, Views(zooms=(0.8, 1.0, 1.25)))
    torch.testing.assert_close(found.sum(1), torch.ones(3))
    assert len(Views(zooms=(0.8, 1.0, 1.25))) == 6


def test_a_zoom_of_two_shows_the_middle_half():
    ramp = torch.linspace(0, 1, 16).expand(1, 3, 16, 16)
    shown = look(ramp, 2.0, mirrored=False)
    assert shown.min() > ramp[..., 3].max() and shown.max() < ramp[..., 12].min()
    assert torch.equal(look(ramp, 1.0, mirrored=True), ramp.flip(-1))


def test_a_view_without_a_size_is_refused():
    with pytest.raises(ConfigError, match="above 0"):
        Views(zooms=(0.0,))


def test_a_moved_look_keeps_the_size_and_repeats_the_edge():
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    moved = look(image, 1.0, mirrored=False, shift=1)
    assert torch.equal(moved[..., 1:, 1:], image[..., :-1, :-1]) and moved[0, 0, 0, 0] == image[0, 0, 0, 0]
    back = look(image, 1.0, mirrored=False, shift=-1)
    assert torch.equal(back[..., :-1, :-1], image[..., 1:, 1:]) and back.shape == image.shape
    assert len(Views(mirror=True, zooms=(0.9, 1.0), shift=1)) == 12
    with pytest.raises(ConfigError, match="shift must be 0 pixels or more"):
        Views(shift=-1)
