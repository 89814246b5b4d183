"""EfficientNets are those of arXiv:1905.11946."""

import paper_checks
import pytest
import torch
from torch import nn

from cnnlab.models import build_model, efficientnet
from cnnlab.models.trace import on_meta

NETWORKS = [f"efficientnet_b{size}" for size in range(4)]


@pytest.mark.parametrize(
    ("name", "count"), zip(NETWORKS, (5_288_548, 7_794_184, 9_109_994, 12_233_232), strict=True)
)  # fmt: skip
def test_parameters_are_as_many_as_published(name, count):
    """num_params of torchvision's weights; 5.3, 7.8, 9.2 and 12 M in table 2."""
    assert sum(p.numel() for p in on_meta(name, 1000).parameters()) == count


@pytest.mark.parametrize(("name", "billions"), zip(NETWORKS, (0.39, 0.70, 1.0, 1.8), strict=True))
def test_multiply_adds_are_those_of_table_2(name, billions):
    size = on_meta(name).trained_at
    assert paper_checks.traced(name, size=size).multiply_adds / 1e9 == pytest.approx(billions, rel=0.03)


def test_maps_and_layers_of_b0_are_those_of_table_1():
    """The table prints the size before each stage, we have that after it."""
    assert paper_checks.maps("efficientnet_b0") == {
        "stem": (32, 112), "stage1": (16, 112), "stage2": (24, 56), "stage3": (40, 28), "stage4": (80, 14),
        "stage5": (112, 14), "stage6": (192, 7), "stage7": (320, 7), "last": (1280, 7),
    }  # fmt: skip
    stages = [stage for name, stage in on_meta("efficientnet_b0").features.named_children() if name.startswith("stage")]
    assert [len(stage) for stage in stages] == [1, 2, 2, 3, 3, 4, 1]
    assert [stage[0].block.depthwise.conv.kernel_size[0] for stage in stages] == [3, 3, 5, 3, 5, 5, 3]
    expansions = [s[-1].block.depthwise.conv.in_channels // s[-1].block.project.conv.out_channels for s in stages]
    assert expansions == [2, 6, 6, 6, 6, 6, 3]  # of the outputs: stage 1 halves 32, stage 7 widens 192 to 320


def test_squeeze_and_excitation_weighs_channels():
    """To a quarter of the block's input; with a gate of one half everywhere, it halves."""
    squeeze = efficientnet.SqueezeExcitation(8, 2)
    nn.init.zeros_(squeeze.fc2.weight)
    nn.init.zeros_(squeeze.fc2.bias)
    x = torch.randn(2, 8, 3, 3)
    torch.testing.assert_close(squeeze(x), x / 2)
    assert efficientnet.MBConv(24, 40, 5, 2, 6, 0.0).block.excite.fc1.out_channels == 6


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_equal_torchvisions_with_its_weights(name):
    paper_checks.assert_equals_torchvision(name)


@pytest.mark.parametrize("settings", [{"drop_path": 0.0}, {"drop_path": 0.0, "stem": "cifar"}])
def test_runs_and_learns(settings):
    paper_checks.assert_runs_and_learns("efficientnet_b0", **settings)


@pytest.mark.parametrize("name", NETWORKS)
def test_all_run_on_small_and_large_images(name):
    for side in (32, 224):
        assert paper_checks.traced(name, 10, side).layers[-1].output == (10,)


def test_the_cifar_stem_keeps_a_small_image():
    maps = paper_checks.maps("efficientnet_b0", 32, stem="cifar")
    assert [maps[name][1] for name in ("stem", "stage2", "stage3", "stage5", "last")] == [32, 32, 16, 8, 4]
    assert on_meta("efficientnet_b0", stem="cifar").pyramid_channels == {2: 40, 4: 112, 8: 1280}
    assert on_meta("efficientnet_b3").pyramid_channels == {8: 48, 16: 136, 32: 1536}


def test_regularisation_is_the_papers_and_a_setting():
    model = on_meta("efficientnet_b0")
    drops = [m.drop_path.p for m in model.modules() if isinstance(m, efficientnet.MBConv) and m.adds]
    assert drops[0] == pytest.approx(0.2 * 2 / 16) and drops[-1] == pytest.approx(0.2 * 14 / 16)
    assert [on_meta(name).classifier[0].p for name in NETWORKS] == [0.2, 0.2, 0.3, 0.3]
    with torch.device("meta"):
        assert build_model("efficientnet_b1", dropout=0.0).classifier[0].p == 0.0


def test_the_module_tells_its_paper():
    paper_checks.assert_tells_its_paper(efficientnet)
