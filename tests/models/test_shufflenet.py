"""ShuffleNets are those of arXiv:1707.01083 and arXiv:1807.11164."""

import paper_checks
import pytest
import torch

from cnnlab.errors import ConfigError
from cnnlab.models import build_model, shufflenet
from cnnlab.models.trace import on_meta

V2 = ("shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0")


@pytest.mark.parametrize(("groups", "millions"), [(1, 143), (2, 140), (3, 137), (4, 133), (8, 137)])
def test_v1_costs_what_the_paper_says(groups, millions):
    """Table 1, last row."""
    assert paper_checks.traced(f"shufflenet_v1_g{groups}").multiply_adds / 1e6 == pytest.approx(millions, rel=0.011)


@pytest.mark.parametrize(("width", "millions"), [(0.25, 13), (0.5, 38), (1.5, 292), (2.0, 524)])
def test_v1_scaled_costs_what_the_paper_says(width, millions):
    """Tables 2 and 5, three groups."""
    assert round(paper_checks.traced("shufflenet_v1_g3", width=width).multiply_adds / 1e6) == millions


@pytest.mark.parametrize(("groups", "first"), [(1, 144), (2, 200), (3, 240), (4, 272), (8, 384)])
def test_maps_of_v1(groups, first):
    """Table 1."""
    stages = {"stage2": (first, 28), "stage3": (2 * first, 14), "stage4": (4 * first, 7)}
    assert paper_checks.maps(f"shufflenet_v1_g{groups}") == {"conv1": (24, 112), "pool1": (24, 56), **stages}
    units = [unit for stage in on_meta(f"shufflenet_v1_g{groups}").features[2:] for unit in stage]
    assert len(units) == 16
    assert [unit.reduce.conv.groups for unit in units] == [1] + [groups] * 15, "the first sees too few channels"
    assert all(unit.expand.conv.groups == groups for unit in units)


@pytest.mark.parametrize(
    ("name", "multiply_adds", "parameters"), zip(V2, (41, 146, 299, 591), (1.4, 2.3, 3.5, 7.4), strict=True)
)
def test_v2_costs_what_the_paper_says(name, multiply_adds, parameters):
    """Table 5, last rows, in millions."""
    network = paper_checks.traced(name)
    assert network.multiply_adds / 1e6 == pytest.approx(multiply_adds, rel=0.015)
    assert round(network.parameters / 1e6, 1) == parameters


def test_maps_of_v2():
    """Table 5, column 1×."""
    stages = {"stage2": (116, 28), "stage3": (232, 14), "stage4": (464, 7), "conv5": (1024, 7)}
    assert paper_checks.maps("shufflenet_v2_x1_0") == {"conv1": (24, 112), "pool1": (24, 56), **stages}
    assert [len(on_meta("shufflenet_v2_x1_0").features[i]) for i in (2, 3, 4)] == [4, 8, 4]


def test_the_cifar_stem_keeps_a_small_image():
    for name, last in (("shufflenet_v1_g3", 960), ("shufflenet_v2_x0_5", 1024)):
        shapes = paper_checks.maps(name, 32, stem="cifar")
        assert shapes["conv1"] == (24, 32) and "pool1" not in shapes
        assert [*shapes.values()][-1] == (last, 4)
        with pytest.raises(ConfigError, match="neither 'imagenet' nor 'cifar'"):
            build_model(name, stem="small")


@pytest.mark.parametrize("name", V2)
def test_outputs_equal_torchvisions_with_its_weights(name):
    paper_checks.assert_equals_torchvision(name)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("shufflenet_v1_g1", "imagenet"), ("shufflenet_v1_g3", "cifar"), ("shufflenet_v1_g8", "imagenet"),
     ("shufflenet_v2_x0_5", "imagenet"), ("shufflenet_v2_x1_0", "cifar")],
)  # fmt: skip
def test_runs_and_learns(name, stem):
    paper_checks.assert_runs_and_learns(name, stem=stem)


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 8])
def test_every_width_fits_its_groups(groups):
    for width in (0.25, 0.5, 0.7, 1.5, 2.0):
        shapes = paper_checks.maps(f"shufflenet_v1_g{groups}", 32, width=width)
        assert [*shapes.values()][-1][1] == 1


def test_a_width_that_leaves_no_channels():
    with pytest.raises(ConfigError, match="width=0.1 must be at least 0.25"):
        build_model("shufflenet_v1_g3", width=0.1)


def test_the_shuffle_lets_every_group_see_all():
    """Without the shuffle, figure 1 (a): outputs of a group depend on that group of inputs only."""
    torch.manual_seed(0)
    unit = shufflenet.ShuffleUnit(48, 48, 1, groups=3, first_groups=3).eval()
    x = torch.randn(1, 48, 5, 5, requires_grad=True)

    def seen(unit) -> list[bool]:
        residual = unit.expand(unit.depthwise(unit.shuffle(unit.reduce(x))))
        (gradient,) = torch.autograd.grad(residual[:, :16].sum(), x)
        return [bool(part.any()) for part in gradient.chunk(3, 1)]

    assert seen(unit) == [True] * 3
    unit.shuffle = torch.nn.Identity()
    assert seen(unit) == [True, False, False]


def test_half_of_the_channels_pass_a_unit_of_v2():
    unit = shufflenet.SplitUnit(8).eval()
    x = torch.randn(2, 8, 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(unit(x)[:, ::2], x[:, :4])


def test_the_module_tells_its_papers():
    paper_checks.assert_tells_its_paper(shufflenet)
