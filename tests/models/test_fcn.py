"""The FCN decoders: sizes, bilinear upsampling, skips, alignment, and the layers of the paper."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.models import build_model
from cnnlab.models.fcn import FCN, BilinearUpsample, fit_grid

DECODERS = {"fcn32s": 32, "fcn16s": 16, "fcn8s": 8}


class Averages(nn.Module):
    """A backbone whose maps are the image's averages over blocks of 8, 16 and 32 pixels."""

    pyramid_channels = {8: 3, 16: 3, 32: 3}

    def pyramid(self, x):
        return {stride: F.avg_pool2d(x, stride) for stride in (8, 16, 32)}

    def groups(self):
        return []


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("learn_last", [False, True])
def test_what_the_maps_say_of_a_place_is_said_of_that_place(decoder, learn_last):
    """Scores that pass the map on give a ramp back as the ramp, whatever strides it went through."""
    model = FCN(Averages(), num_classes=1, finest=DECODERS[decoder], learn_last=learn_last).eval()
    with torch.no_grad():
        for stride in model.strides:
            model.head[f"score{stride}"].weight.fill_(1 / 3 / len(model.strides))
        down, right = torch.meshgrid(torch.arange(192.0), torch.arange(256.0), indexing="ij")
        image = (down + 2 * right).expand(1, 3, 192, 256)
        found = model(image)
    inside = (..., slice(40, 150), slice(40, 210))
    torch.testing.assert_close(found[inside], image[:, :1][inside], atol=1e-3, rtol=1e-5)


def fcn(finest, **settings):
    torch.manual_seed(0)
    return FCN(Averages(), num_classes=4, finest=finest, **settings).eval()


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("size", [(360, 480), (97, 131), (33, 64), (5, 3)])
def test_logits_have_the_size_of_the_image(decoder, size):
    assert fcn(DECODERS[decoder])(torch.rand(2, 3, *size)).shape == (2, 4, *size)


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_upsampling_starts_bilinear_up_to_the_border(factor):
    learned, fixed = BilinearUpsample(3, factor), BilinearUpsample(3, factor, learn=False)
    x = torch.randn(2, 3, 5, 7)
    expected = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    torch.testing.assert_close(learned(x), expected)
    torch.testing.assert_close(fixed(x), expected)
    assert not list(fixed.parameters()) and learned.kernel.weight.requires_grad


def test_upsampling_keeps_a_constant_and_a_ramp():
    up = BilinearUpsample(1, 2)
    torch.testing.assert_close(up(torch.full((1, 1, 4, 4), 3.0)), torch.full((1, 1, 8, 8), 3.0))
    ramp = torch.arange(6.0).expand(1, 1, 6, 6)
    inner = up(ramp)[0, 0, 0, 1:-1]
    torch.testing.assert_close(inner, torch.arange(0.25, 5, 0.5))


@pytest.mark.parametrize("finest", [32, 16, 8])
def test_scores_start_small_but_not_at_zero(finest):
    model = fcn(finest)
    for name, layer in model.head.items():
        if name.startswith("score"):
            assert 0 < layer.weight.abs().max() < 0.1 and not layer.bias.any()
    model(torch.rand(1, 3, 64, 64)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters() if p.ndim > 1)


def test_without_its_skips_fcn8s_upsamples_the_deepest_scores():
    eight, deep = fcn(8), fcn(32)
    deep.head["score32"].load_state_dict(eight.head["score32"].state_dict())
    x = torch.rand(1, 3, 128, 160)
    with torch.no_grad():
        with_skips = eight(x)
        for stride in (16, 8):
            eight.head[f"score{stride}"].weight.zero_()
        # twice by 2 and once by 8, or once by 32: bilinear steps add up to nearly the same
        difference = (eight(x) - deep(x)).abs().max()
    assert difference < 0.2 * deep(x).std() < (with_skips - deep(x)).abs().max()


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_shift_by_the_stride_shifts_the_scores(decoder):
    model = fcn(DECODERS[decoder])
    x = torch.rand(1, 3, 256, 320)
    with torch.no_grad():
        here, there = model(x), model(x.roll((32, 32), dims=(2, 3)))
    inside = (..., slice(96, 192), slice(96, 256))
    torch.testing.assert_close(there[inside], here.roll((32, 32), dims=(2, 3))[inside])


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "alexnet"])
def test_scores_lie_where_the_pixels_are(backbone):
    """A bright square moves the scores around its own place most, also for AlexNet, which pools without padding."""
    torch.manual_seed(0)
    model = build_model("fcn8s", num_classes=2, backbone=backbone).eval()
    image = torch.full((1, 3, 256, 256), 0.5)
    lit = image.clone()
    lit[..., 96:160, 96:160] = 1.0
    with torch.no_grad():
        change = (model(lit) - model(image)).abs().sum((0, 1))
    where = torch.arange(256.0) + 0.5
    centre = [(change.sum(axis) * where).sum() / change.sum() for axis in (1, 0)]
    assert all(abs(float(c) - 128) < 12 for c in centre)


def test_a_map_that_lost_a_cell_is_laid_on_the_grid_half_a_cell_further_in():
    cells = torch.arange(1.0, 8).expand(1, 1, 7, 7)  # cell j lies at j + 1 on a grid of 8
    laid = fit_grid(cells, (8, 8))
    torch.testing.assert_close(laid[0, 0, 0, 1:-1], torch.arange(1.5, 7))
    assert fit_grid(cells, (7, 7)) is cells and fit_grid(cells, (9, 12)).shape == (1, 1, 9, 12)
    two, three = fit_grid(cells, (7, 9))[0, 0, 0], fit_grid(cells, (7, 10))[0, 0, 0]
    torch.testing.assert_close(two, torch.tensor([1.0, *range(1, 8), 7]))
    torch.testing.assert_close(three[1:-1], torch.tensor([1.0, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.0]))


def test_vgg16_fcn8s_is_the_papers_decoder():
    """Pool3 (256), pool4 (512) and the last map are scored by 1x1 convolutions; 2x upsampling is learned, 8x is not."""
    model = build_model("fcn8s", num_classes=21, backbone="vgg16")
    scores = {s: model.head[f"score{s}"] for s in (32, 16, 8)}
    assert {s: (c.in_channels, c.out_channels, c.kernel_size) for s, c in scores.items()} == {
        32: (512, 21, (1, 1)), 16: (512, 21, (1, 1)), 8: (256, 21, (1, 1)),
    }  # fmt: skip
    kernels = {name: up.kernel for name, up in model.head.items() if isinstance(up, BilinearUpsample)}
    assert kernels["up16"].kernel_size == kernels["up8"].kernel_size == (4, 4) and kernels["last"] is None
    assert len([m for m in model.backbone.modules() if isinstance(m, nn.Conv2d)]) == 13
    assert not [m for m in model.modules() if isinstance(m, nn.Linear)]


def test_the_decoder_is_counted():
    counts = {
        decoder: sum(p.numel() for p in build_model(decoder, num_classes=11).head.parameters()) for decoder in DECODERS
    }
    score = {32: 1280 * 11 + 11, 16: 112 * 11 + 11, 8: 40 * 11 + 11}
    up = 11 * 11 * 4 * 4
    assert counts == {
        "fcn32s": score[32], "fcn16s": score[32] + score[16] + up, "fcn8s": sum(score.values()) + 2 * up,
    }  # fmt: skip


def test_a_context_layer_stands_before_the_deepest_scores():
    model = fcn(8, head_channels=16, dropout=0.5)
    assert model.head["score32"].in_channels == 16 and model.head["context"][0].kernel_size == (3, 3)
    x = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(model(x), model(x))
    model.train()
    assert not torch.equal(model(x.expand(2, -1, -1, -1)), model(x.expand(2, -1, -1, -1)))


def test_groups_run_from_the_image_to_the_scores_and_hold_every_parameter_once():
    model = build_model("fcn8s", num_classes=3)
    groups = model.groups()
    assert groups[-1] is model.head
    in_groups = [p for group in groups for p in group.parameters()]
    assert len(in_groups) == len({id(p) for p in in_groups}) == len(list(model.parameters()))


def test_a_backbone_without_the_map_is_named():
    backbone = Averages()
    backbone.pyramid_channels = {16: 3, 32: 3}
    with pytest.raises(ConfigError, match="no feature map of stride 8 .it has 16, 32."):
        FCN(backbone, 2, finest=8)


@pytest.mark.parametrize("backbone", ["simple_cnn", "alexnet_probe", "fcn8s"])
def test_a_backbone_without_maps_is_refused_in_a_sentence(backbone):
    with pytest.raises(ConfigError, match=f"needs a backbone with a pyramid of maps, which {backbone} has not"):
        build_model("fcn8s", backbone=backbone)


def test_an_unknown_backbone_or_setting_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'efficientnet_lite.'"):
        build_model("fcn8s", backbone="efficientnet_lite")
    with pytest.raises(ConfigError, match="no setting 'head_chanels'"):
        build_model("fcn8s", head_chanels=3)
