"""Mirroring by turns."""

import torch

from cnnlab.data.alternating import AlternatingFlips
from cnnlab.data.imageset import ImageSet


def test_two_epochs_show_both_sides_of_every_image_and_leave_the_pixels_alone():
    images = torch.randint(0, 256, (40, 3, 4, 6), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    original = images.clone()
    flips = AlternatingFlips(ImageSet(images, torch.arange(40) % 2, ("a", "b"), "made", "train"), seed=3)
    order = list(range(39, -1, -1))
    shown = []
    for epoch in (1, 2, 3):
        flips.set_epoch(epoch)
        pixels, labels = flips.__getitems__(order)
        assert torch.equal(labels, torch.tensor(order) % 2)
        mirrored = (pixels == original[order].flip(-1)).flatten(1).all(1)
        straight = (pixels == original[order]).flatten(1).all(1)
        assert torch.equal(mirrored, ~straight)
        shown.append(mirrored)
    assert torch.equal(shown[0], ~shown[1]) and torch.equal(shown[0], shown[2])
    assert 10 < shown[0].sum() < 30
    assert torch.equal(images, original)
    assert torch.equal(flips[5][0], flips.__getitems__([5])[0][0])
