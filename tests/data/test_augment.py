from dataclasses import fields

import pytest
import torch
import torch.nn.functional as F

from cnnlab.data.augment import MOVING, STRENGTHS, Augmentation, _rotate, _shift
from cnnlab.data.resample import resized_crops
from cnnlab.errors import ConfigError

EVERYTHING = Augmentation(
    flip=0.5, shift=4, grey=0.5, colour=0.2, gamma=0.7, contrast=0.4, brightness=0.2, blur=0.5, coarse=0.5, noise=0.5,
    blocks=0.5, invert=0.2, crop_scale=(0.3, 1.0), crop_ratio=(0.8, 1.25), rotate=10, erase=0.5, saturation=0.5,
)  # fmt: skip


def images(n=6, height=52, width=44):
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_off_by_default():
    torch.testing.assert_close(Augmentation()(images()), images().float() / 255)


def test_shifted_images_are_slices_of_the_padded_ones():
    x, largest = images(64, 12, 9).float(), 3
    corners = torch.randint(0, 2 * largest + 1, (64, 2), generator=torch.Generator().manual_seed(5)).tolist()
    padded = F.pad(x, (largest,) * 4, mode="replicate")
    expected = torch.stack([padded[i, :, v : v + 12, u : u + 9] for i, (v, u) in enumerate(corners)])
    assert torch.equal(_shift(x, largest, torch.Generator().manual_seed(5)), expected)
    across = x.permute(0, 1, 3, 2)  # not contiguous
    assert torch.equal(_shift(across, 2, torch.Generator().manual_seed(1)),
                       _shift(across.contiguous(), 2, torch.Generator().manual_seed(1)))  # fmt: skip
    picture = torch.arange(6.0).view(1, 1, 2, 3).expand(40, 3, 2, 3)
    seen = {tuple(one[0].flatten().tolist()) for one in _shift(picture, 1, torch.Generator().manual_seed(0))}
    assert (0.0, 0.0, 1.0, 0.0, 0.0, 1.0) in seen, "down and right by one, the corner repeated"
    assert len(seen) == 9


def test_everything_keeps_shape_and_range_and_follows_the_generator():
    first, same, other = (EVERYTHING(images(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == images().shape and first.dtype == torch.float32
    assert 0 <= first.min() and first.max() <= 1
    assert torch.equal(first, same) and not torch.equal(first, other)


@pytest.mark.parametrize(
    "name",
    [
        "flip", "shift", "grey", "colour", "gamma", "contrast", "brightness", "blur", "coarse", "noise", "blocks",
        "rotate", "erase", "saturation",
    ],
)  # fmt: skip
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


@pytest.mark.parametrize(
    "wrong", [{"crop_scale": (0.5, 1.5)}, {"crop_scale": (0.0, 1.0)}, {"crop_ratio": (2.0, 1.0)}, {"multi_scale": 1.0}]
)
def test_ranges_that_make_no_crop_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=f"'{next(iter(wrong))}' is"):
        Augmentation(**wrong)


def slopes(n=16, height=48, width=64):
    """Images whose first two channels are the row and the column: a pixel says where it came from."""
    rows = torch.arange(height).view(-1, 1).expand(height, width)
    columns = torch.arange(width).expand(height, width)
    return torch.stack([rows, columns, rows])[None].repeat(n, 1, 1, 1).mul(3).to(torch.uint8)


def test_crops_show_the_share_and_the_shape_that_were_asked_for():
    crops = Augmentation(crop_scale=(0.25, 0.25))(slopes(), torch.Generator().manual_seed(0)) * 255 / 3
    spans = [(crop[0].max() - crop[0].min(), crop[1].max() - crop[1].min()) for crop in crops]
    assert all(abs(v - 23) < 1 and abs(u - 31) < 1 for v, u in spans)  # half of 48 and half of 64
    assert len({round(crop[0].min().item()) for crop in crops}) > 4  # each image alone
    wide = Augmentation(crop_scale=(0.25, 0.25), crop_ratio=(2.0, 2.0))(slopes()) * 255 / 3
    v, u = (wide[0, axis].max() - wide[0, axis].min() for axis in (0, 1))
    assert abs(v - 16) < 1 and abs(u - 44) < 1


def test_a_whole_image_crop_is_the_image():
    x = images()
    whole = resized_crops(x, (1.0, 1.0), (1.0, 1.0))
    assert torch.equal(whole, x)
    assert resized_crops(x, (0.1, 1.0), (0.5, 2.0), size=(20, 30)).shape == (6, 3, 20, 30)


def test_multi_scale_gives_batches_of_several_sizes_and_one_shape():
    generator = torch.Generator().manual_seed(0)
    change = Augmentation(multi_scale=0.5)
    sizes = {tuple(change(images(2, 96, 64), generator).shape[-2:]) for _ in range(20)}
    assert len(sizes) > 3 and all(h % 16 == w % 16 == 0 and 48 <= h <= 144 and 32 <= w <= 96 for h, w in sizes)


def test_turning_keeps_the_centre_and_turns_the_way_it_says():
    x = torch.zeros(1, 3, 41, 61, dtype=torch.uint8)
    x[..., 20, 30] = 255  # the centre
    x[..., 20, 50] = 255  # 20 pixels to the right of it
    turned = _rotate(x.float() / 255, torch.tensor([90.0]), torch.ones(1))[0, 0]
    assert turned[20, 30] > 0.99 and turned[20, 50] < 0.01
    assert max(turned[0, 30], turned[40, 30]) > 0.99  # above or below, at the same distance
    constant = torch.full((2, 3, 24, 24), 100, dtype=torch.uint8)
    torch.testing.assert_close(Augmentation(rotate=30)(constant), constant.float() / 255, atol=1e-5, rtol=0)


def test_erasing_leaves_one_rectangle_of_the_mean_colour():
    x = images(8, 60, 40)
    out, plain = Augmentation(erase=1)(x, torch.Generator().manual_seed(3)), x.float() / 255
    for after, before in zip(out, plain, strict=True):
        changed = (after != before).any(0)
        rows, columns = changed.any(1).nonzero()[:, 0], changed.any(0).nonzero()[:, 0]
        box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        assert 0.01 < after[0][box].numel() / after[0].numel() < 0.23
        torch.testing.assert_close(after[:, *box], before.mean((1, 2))[:, None, None].expand_as(after[:, *box]))


def test_saturation_keeps_grey_pictures_and_luminance():
    grey = images()[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(Augmentation(saturation=0.5)(grey), grey.float() / 255, atol=1e-6, rtol=0)
    colours = torch.full((1, 3, 2, 2), 120, dtype=torch.uint8)
    colours[:, 0] = 140
    weights = torch.tensor((0.299, 0.587, 0.114)).view(3, 1, 1)
    changed = Augmentation(saturation=0.5)(colours, torch.Generator().manual_seed(1))
    assert not torch.allclose(changed, colours / 255, atol=1e-3)
    torch.testing.assert_close((changed * weights).sum(1), (colours / 255 * weights).sum(1))


def test_a_zoom_of_two_shows_the_middle_twice_as_large():
    ramp = torch.linspace(0, 1, 16).expand(1, 3, 16, 16).contiguous()
    shown = _rotate(ramp, torch.zeros(1), torch.tensor([2.0]))
    assert shown.min() > ramp[..., 3].max() and shown.max() < ramp[..., 12].min()
    smaller = _rotate(ramp, torch.zeros(1), torch.tensor([0.5]))
    assert (smaller[..., :4] == 0).all() and (smaller[..., 12:] == 1).all(), "beyond the border the edge is repeated"


def test_all_that_moves_or_covers_pixels_is_known_to_those_who_have_masks():
    """Whatever leaves a picture's coordinates alone changes a picture of columns into one of columns."""
    strong = {"shift": 6, "rotate": 20.0, "zoom": 0.4, "crop_scale": (0.3, 0.5)}
    strong |= {"crop_ratio": (0.5, 0.6)}
    step = torch.zeros(16, 3, 32, 32, dtype=torch.uint8)
    step[..., 9:] = 200  # not in the middle, where a magnified edge would stay
    for field in fields(Augmentation):
        if field.name == "multi_scale":  # another size of the whole batch, if it is drawn
            continue
        value = strong.get(field.name, 0.5 if field.name in STRENGTHS else 1.0)
        out = Augmentation(**{field.name: value})(step, torch.Generator().manual_seed(1))
        contrast = (out[..., 24:].mean((1, 2, 3)) - out[..., :6].mean((1, 2, 3))).abs()
        edges = (out[..., 1:] - out[..., :-1]).abs().mean((1, 2))
        there = out.shape[-2:] == (32, 32) and bool((edges.argmax(1) == 8).all() and (contrast > 0.05).all())
        there = there and bool((out[:, :, :8, 24:].mean((1, 2, 3)) > out[:, :, :8, :6].mean((1, 2, 3))).all())
        if field.name in ("noise", "blocks", "invert"):  # they change values, not places
            assert field.name not in MOVING
        else:
            assert there == (field.name not in MOVING), field.name
