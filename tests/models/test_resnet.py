"""ResNets are those of arXiv:1512.03385."""

import paper_checks
import pytest
import torch
from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.models import build_model, resnet
from cnnlab.models.trace import on_meta

CIFAR = ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110")
IMAGENET = ("resnet18", "resnet34", "resnet50", "resnet101")


@pytest.mark.parametrize(("name", "millions"), zip(CIFAR, (0.27, 0.46, 0.66, 0.85, 1.7), strict=True))
def test_parameters_of_the_cifar_networks(name, millions):
    """Table 6."""
    count = paper_checks.traced(name, 10, 32).parameters
    assert round(count / 1e6, 1 if millions > 1 else 2) == millions


@pytest.mark.parametrize(("name", "billions"), zip(IMAGENET, (1.8, 3.6, 3.8, 7.6), strict=True))
def test_multiply_adds_of_the_imagenet_networks(name, billions):
    """Table 1, last row; the paper's bottlenecks have their stride in the first 1x1 convolution."""
    settings = {"stride_in_1x1": True} if name in ("resnet50", "resnet101") else {}
    assert paper_checks.traced(name, **settings).multiply_adds / 1e9 == pytest.approx(billions, rel=0.02)


@pytest.mark.parametrize("name", [*CIFAR, *IMAGENET])
def test_depth_is_what_the_name_says(name):
    assert paper_checks.weighted_layers(on_meta(name)) == int(name.removeprefix("resnet"))


@pytest.mark.parametrize("name", IMAGENET)
def test_maps_of_the_imagenet_networks(name):
    """Table 1: output sizes and channels."""
    wide = 4 if name in ("resnet50", "resnet101") else 1
    stages = {f"conv{n}_x": (wide * 64 * 2 ** (n - 2), 224 // 2**n) for n in (2, 3, 4, 5)}
    assert paper_checks.maps(name) == {"conv1": (64, 112), "pool1": (64, 56), **stages}


def test_maps_of_the_cifar_networks():
    """Section 4.2: 32, 16, 8 pixels and 16, 32, 64 filters in 1 + 2n, 2n, 2n layers."""
    stages = {"conv2_x": (16, 32), "conv3_x": (32, 16), "conv4_x": (64, 8)}
    assert paper_checks.maps("resnet56", 32) == {"conv1": (16, 32), **stages}
    model = on_meta("resnet56")
    assert [len(model.features[i]) for i in (1, 2, 3)] == [9, 9, 9]


def test_the_cifar_stem_keeps_a_small_image():
    stages = {"conv2_x": (64, 32), "conv3_x": (128, 16), "conv4_x": (256, 8), "conv5_x": (512, 4)}
    assert paper_checks.maps("resnet18", 32, stem="cifar") == {"conv1": (64, 32), **stages}
    model = on_meta("resnet50", stem="cifar")
    assert model.pyramid_channels == {1: 256, 2: 512, 4: 1024, 8: 2048}
    assert on_meta("resnet50").pyramid_channels == {4: 256, 8: 512, 16: 1024, 32: 2048}
    with pytest.raises(ConfigError, match="stem='cifar10' is neither 'imagenet' nor 'cifar'"):
        build_model("resnet18", stem="cifar10")


@pytest.mark.parametrize("name", IMAGENET)
def test_outputs_equal_torchvisions_with_its_weights(name):
    paper_checks.assert_equals_torchvision(name)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("resnet20", {}), ("resnet20", {"shortcut": "B"}), ("resnet18", {}), ("resnet18", {"stem": "cifar"}),
     ("resnet50", {})],
)  # fmt: skip
def test_runs_and_learns(name, settings):
    paper_checks.assert_runs_and_learns(name, **settings)


@pytest.mark.parametrize("name", ["resnet110", "resnet34", "resnet101"])
def test_deeper_ones_run(name):
    for side in (32, 224):
        assert paper_checks.traced(name, 10, side).layers[-1].output == (10,)


def test_a_block_adds_its_input_to_the_residual():
    """Equation 1: with F = 0 a block is ReLU(x), whatever its weights elsewhere."""
    block = resnet.BasicBlock(4, 4, stride=1).eval()
    nn.init.zeros_(block.residual[1].norm.weight)
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(block(x), x.relu())


def test_shortcut_a_has_no_parameters_and_pads_with_zeros():
    shortcut = resnet.ZeroPadShortcut(2, 5, stride=2)
    x = torch.randn(1, 2, 5, 4)
    out = shortcut(x)
    assert out.shape == (1, 5, 3, 2) and not list(shortcut.parameters())
    torch.testing.assert_close(out[:, :2], x[:, :, ::2, ::2])
    assert not out[:, 2:].any()


def test_shortcut_b_adds_two_projections():
    """Two 1x1 convolutions with their normalisation: 16 to 32 and 32 to 64 channels."""
    counts = [sum(p.numel() for p in on_meta("resnet20", 10, shortcut=s).parameters()) for s in "AB"]
    assert counts[1] - counts[0] == 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64


def test_regularisation_is_a_setting():
    model = build_model("resnet20", dropout=0.25, drop_path=0.5)
    assert model.classifier[0].p == 0.25
    drops = [block.drop_path.p for stage in model.features[1:] for block in stage]
    assert drops == pytest.approx([0.5 * i / 8 for i in range(9)])


def test_weights_start_as_he_et_al_have_them():
    torch.manual_seed(0)
    model = build_model("resnet18")
    weight = model.features.conv5_x[1].residual[0].conv.weight
    assert float(weight.detach().std()) == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)


def test_the_module_tells_its_paper():
    paper_checks.assert_tells_its_paper(resnet)
