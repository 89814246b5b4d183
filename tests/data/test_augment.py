import pytest
import torch

from cnnlab.data.augment import Augmentation
from cnnlab.errors import ConfigError

EVERYTHING = Augmentation(
    flip=0.5, shift=4, grey=0.5, colour=0.2, gamma=0.7, contrast=0.4, brightness=0.2, blur=0.5, coarse=0.5, noise=0.5,
    blocks=0.5, invert=0.2,
)  # fmt: skip


def images(n=6, height=52, width=44):
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_off_by_default():
    torch.testing.assert_close(Augmentation()(images()), images().float() / 255)


def test_everything_keeps_shape_and_range_and_follows_the_generator():
    first, same, other = (EVERYTHING(images(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == images().shape and first.dtype == torch.float32
    assert 0 <= first.min() and first.max() <= 1
    assert torch.equal(first, same) and not torch.equal(first, other)


@pytest.mark.parametrize(
    "name", ["flip", "shift", "grey", "colour", "gamma", "contrast", "brightness", "blur", "coarse", "noise", "blocks"]
)
def test_each_changes_pictures_alone(name):
    changed = Augmentation(**{name: 2 if name == "shift" else 0.9})(images(), torch.Generator().manual_seed(0))
    assert not torch.allclose(changed, images().float() / 255, atol=1e-3)


def test_known_answers():
    x = images()
    torch.testing.assert_close(Augmentation(flip=1)(x), x.flip(-1).float() / 255)
    torch.testing.assert_close(Augmentation(invert=1)(x), 1 - x.float() / 255)
    grey = Augmentation(grey=1)(x)
    torch.testing.assert_close(grey[:, 0], grey[:, 2])
    constant = torch.full((2, 3, 24, 24), 100, dtype=torch.uint8)
    for change in (Augmentation(blur=1), Augmentation(coarse=1)):
        torch.testing.assert_close(change(constant), constant.float() / 255, atol=1e-5, rtol=0)


def test_a_share_above_one_is_refused():
    with pytest.raises(ConfigError, match="'grey' is 1.5"):
        Augmentation(grey=1.5)
    with pytest.raises(ConfigError, match="'noise' is -1"):
        Augmentation(noise=-1)
