"""DenseNets are those of arXiv:1608.06993."""

import paper_checks
import pytest
import torch

from cnnlab.models import build_model, densenet
from cnnlab.models.trace import on_meta

NETWORKS = ["densenet40_12", "densenet_bc_100_12", "densenet121"]


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        ("densenet40_12", 10, 1_019_722),  # 1.0 M in table 2
        ("densenet_bc_100_12", 10, 769_162),  # 0.8 M in table 2; the count is that of liuzhuang13/DenseNet
        ("densenet121", 1000, 7_978_856),  # num_params of torchvision's weights
    ],
)
def test_parameters_are_as_many_as_published(name, classes, count):
    assert sum(p.numel() for p in on_meta(name, classes).parameters()) == count


@pytest.mark.parametrize(("name", "depth"), [("densenet40_12", 40), ("densenet_bc_100_12", 100), ("densenet121", 121)])
def test_depth_is_what_the_name_says(name, depth):
    assert paper_checks.weighted_layers(on_meta(name)) == depth


def test_maps_of_densenet121_are_those_of_table_1():
    blocks = {"denseblock1": (256, 56), "transition1": (128, 28), "denseblock2": (512, 28), "transition2": (256, 14)}
    blocks |= {"denseblock3": (1024, 14), "transition3": (512, 7), "denseblock4": (1024, 7)}
    stem = {"conv0": (64, 112), "norm0": (64, 112), "relu0": (64, 112), "pool0": (64, 56)}
    assert paper_checks.maps("densenet121") == stem | blocks | {"norm5": (1024, 7), "relu5": (1024, 7)}


@pytest.mark.parametrize(
    ("name", "channels"), [("densenet40_12", (16, 160, 304, 448)), ("densenet_bc_100_12", (24, 216, 300, 342))]
)
def test_maps_of_the_cifar_networks(name, channels):
    """Section 3: 16 first channels, or 2k with BC; k more by each layer; BC halves them in between."""
    maps = paper_checks.maps(name, 32)
    assert maps["conv0"] == (channels[0], 32)
    sides = {f"denseblock{i}": (channels[i], 64 // 2**i) for i in (1, 2, 3)}
    assert {block: maps[block] for block in sides} == sides


def test_a_layer_keeps_its_input_and_adds_k_maps():
    layer = densenet.DenseLayer(10, 4, bottleneck=True, dropout=0.0).eval()
    x = torch.randn(2, 10, 6, 6)
    out = layer(x)
    assert out.shape == (2, 14, 6, 6) and torch.equal(out[:, :10], x)
    assert layer.conv1.out_channels == 16 and layer.conv2.kernel_size == (3, 3)


def test_outputs_equal_torchvisions_with_its_weights():
    ours, theirs = paper_checks.assert_equals_torchvision("densenet121")
    in_the_file = {  # its published file still has the names of an older version
        key.replace("norm1.", "norm.1.").replace("conv1.", "conv.1.").replace("norm2.", "norm.2.")
        .replace("conv2.", "conv.2."): value for key, value in theirs.state_dict().items()
    }  # fmt: skip
    assert densenet.rename_torchvision(in_the_file).keys() == ours.state_dict().keys()


@pytest.mark.parametrize(
    ("name", "settings"),
    [("densenet40_12", {}), ("densenet_bc_100_12", {}), ("densenet121", {}), ("densenet121", {"stem": "cifar"})],
)
def test_runs_and_learns(name, settings):
    paper_checks.assert_runs_and_learns(name, **settings)


def test_the_cifar_stem_keeps_a_small_image():
    maps = paper_checks.maps("densenet121", 32, stem="cifar")
    assert [maps[f"denseblock{i}"][1] for i in (1, 2, 3, 4)] == [32, 16, 8, 4] and "pool0" not in maps
    assert on_meta("densenet121", stem="cifar").pyramid_channels == {1: 256, 2: 512, 4: 1024, 8: 1024}
    assert on_meta("densenet121").pyramid_channels == {4: 256, 8: 512, 16: 1024, 32: 1024}


@pytest.mark.parametrize(("name", "count"), [("densenet40_12", 38), ("densenet_bc_100_12", 98)])
def test_dropout_follows_every_convolution_but_the_first(name, count):
    with torch.device("meta"):
        dropouts = [m.p for m in build_model(name, dropout=0.2).modules() if isinstance(m, torch.nn.Dropout)]
    assert dropouts == [0.2] * count
    assert not [m for m in on_meta(name).modules() if isinstance(m, torch.nn.Dropout)]


def test_weights_start_as_he_et_al_have_them():
    torch.manual_seed(0)
    weight = build_model("densenet121").features.denseblock4.denselayer16.conv1.weight
    assert weight.std().item() == pytest.approx((2 / 128) ** 0.5, rel=0.01)


def test_the_module_tells_its_paper():
    paper_checks.assert_tells_its_paper(densenet)
