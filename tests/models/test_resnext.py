"""ResNeXts are those of arXiv:1611.05431."""

import paper_checks
import pytest
import torch
from torch import nn

from cnnlab.models import resnext
from cnnlab.models.trace import on_meta


@pytest.mark.parametrize(("name", "millions"), [("resnext29_8x64d", 34.4), ("resnext29_16x64d", 68.1)])
def test_parameters_of_the_cifar_networks(name, millions):
    """Table 7, cut after its digit."""
    assert paper_checks.traced(name, 10, 32).parameters // 1e5 / 10 == millions


def test_parameters_and_multiply_adds_of_the_imagenet_network():
    """Table 1, last rows: 25.0 M and 4.2 billion, beside 25.5 M and 4.1 billion of ResNet-50."""
    ours, base = paper_checks.traced("resnext50_32x4d"), paper_checks.traced("resnet50")
    assert round(ours.parameters / 1e6, 1) == 25.0 and ours.parameters // 1e5 / 10 == 25.0
    assert round(ours.multiply_adds / 1e9, 1) == 4.2
    assert base.parameters // 1e5 / 10 == 25.5 and round(base.multiply_adds / 1e9, 1) == 4.1


def test_maps_and_widths():
    """Table 1: the 3x3 convolutions have 128, 256, 512, 1024 channels in 32 groups; sizes are ResNet's."""
    assert paper_checks.maps("resnext50_32x4d") == paper_checks.maps("resnet50")
    model = on_meta("resnext50_32x4d")
    grouped = [stage[0].residual[1].conv for stage in model.features[2:]]
    assert [(conv.out_channels, conv.groups) for conv in grouped] == [(128, 32), (256, 32), (512, 32), (1024, 32)]
    assert paper_checks.weighted_layers(model) == 50


def test_maps_of_the_cifar_network():
    """Section 5.3: 29 layers, three stages of three blocks, 32, 16, 8 pixels; first template 64 channels to 256."""
    stages = {"conv2_x": (256, 32), "conv3_x": (512, 16), "conv4_x": (1024, 8)}
    assert paper_checks.maps("resnext29_8x64d", 32) == {"conv1": (64, 32), **stages}
    model = on_meta("resnext29_8x64d", 10)
    assert paper_checks.weighted_layers(model) == 29
    grouped = [stage[0].residual[1].conv for stage in model.features[1:]]
    assert [(conv.out_channels, conv.groups) for conv in grouped] == [(512, 8), (1024, 8), (2048, 8)]


def test_a_grouped_block_is_a_sum_of_paths():
    """Figure 3: (a), the sum of four transformations T_i of width 6, equals (c), one with four groups."""
    torch.manual_seed(0)
    block = resnext.AggregatedBlock(96, 24, 1, cardinality=4, path_width=16).eval()
    reduce, grouped, restore = block.residual
    x = torch.randn(2, 96, 5, 5)
    total = torch.zeros(2, 96, 5, 5)
    for path in range(4):
        own = slice(6 * path, 6 * path + 6)
        y = nn.functional.conv2d(x, reduce.conv.weight[own])
        y = (y / (1 + 1e-5) ** 0.5).relu()
        y = nn.functional.conv2d(y, grouped.conv.weight[own], padding=1)
        y = (y / (1 + 1e-5) ** 0.5).relu()
        total += nn.functional.conv2d(y, restore.conv.weight[:, own]) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(block(x), (x + total).relu(), atol=1e-5, rtol=1e-5)


def test_outputs_equal_torchvisions_with_its_weights():
    paper_checks.assert_equals_torchvision("resnext50_32x4d")


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
def test_runs_and_learns(stem):
    paper_checks.assert_runs_and_learns("resnext50_32x4d", stem=stem)


def test_the_cifar_network_runs_and_learns():
    paper_checks.assert_runs_and_learns("resnext29_8x64d", sides=(16, 32, 224))


def test_the_wide_cifar_network_runs():
    for side in (32, 224):
        assert paper_checks.traced("resnext29_16x64d", 10, side).layers[-1].output == (10,)


def test_the_module_tells_its_paper():
    paper_checks.assert_tells_its_paper(resnext)
