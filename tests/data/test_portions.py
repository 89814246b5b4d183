"""Epochs of any length."""

import torch

from cnnlab.data.imageset import ImageSet
from cnnlab.data.portions import Portions


def seen(portions, epoch):
    portions.set_epoch(epoch)
    return portions.__getitems__(list(range(len(portions))))[0][:, 0, 0, 0].tolist()


def test_every_image_is_drawn_once_before_any_is_drawn_again():
    images = torch.arange(10).reshape(10, 1, 1, 1).to(torch.uint8)
    data = ImageSet(images, torch.zeros(10, dtype=torch.long), ("a", "b"), "made", "train")
    portions = Portions(data, 4, seed=1)
    drawn = [number for epoch in range(1, 6) for number in seen(portions, epoch)]
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert drawn[:10] != drawn[10:]
    assert seen(portions, 2) == drawn[4:8], "an epoch is the same whenever it is asked for"
    long = Portions(data, 25, seed=1)
    assert seen(long, 1)[:20] == drawn
    assert seen(Portions(data, 4, seed=2), 1) != drawn[:4]
