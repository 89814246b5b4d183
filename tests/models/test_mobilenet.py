"""MobileNets are those of arXiv:1704.04861 and arXiv:1801.04381."""

import paper_checks
import pytest
import torch
from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.models import build_model, mobilenet
from cnnlab.models.trace import on_meta


@pytest.mark.parametrize(
    ("width", "multiply_adds", "parameters"), [(1.0, 569, 4.2), (0.75, 325, 2.6), (0.5, 149, 1.3), (0.25, 41, 0.5)]
)
def test_v1_costs_what_the_paper_says(width, multiply_adds, parameters):
    """Table 6, in millions."""
    network = paper_checks.traced("mobilenet_v1", width=width)
    assert int(network.multiply_adds / 1e6 + 0.5) == pytest.approx(multiply_adds, abs=0.5)
    assert round(network.parameters / 1e6, 1) == parameters


def test_v1_spends_it_where_the_paper_says():
    """Table 2: shares of the multiply-adds in per cent, by the type of layer."""
    network = paper_checks.traced("mobilenet_v1")
    shares = {}
    for layer in network.layers:
        kind = layer.kind if layer.kernel != (1, 1) or "linear" in layer.kind else "1x1"
        shares[kind] = shares.get(kind, 0) + 100 * layer.multiply_adds / network.multiply_adds
    assert shares["1x1"] == pytest.approx(94.86, abs=0.01)
    assert shares["depthwise convolution"] == pytest.approx(3.06, abs=0.01)
    assert shares["convolution"] == pytest.approx(1.91, abs=0.01)  # the table's 1.19 has its digits exchanged
    assert shares["linear"] == pytest.approx(0.18, abs=0.01)


def test_maps_of_v1():
    """Table 1."""
    shapes = list(paper_checks.maps("mobilenet_v1").values())
    assert shapes[:2] == [(32, 112), (64, 112)]
    assert shapes[2:] == [(128, 56)] * 2 + [(256, 28)] * 2 + [(512, 14)] * 6 + [(1024, 7)] * 2


@pytest.mark.parametrize(("width", "multiply_adds"), [(1.0, 300), (1.4, 585)])
def test_v2_costs_what_the_paper_says(width, multiply_adds):
    """Table 4, in millions."""
    network = paper_checks.traced("mobilenet_v2", width=width)
    assert network.multiply_adds / 1e6 == pytest.approx(multiply_adds, rel=0.01)


def test_parameters_of_v2():
    """Table 4 has 3.4 M: the 3.47 M of convolutions and linear layer, without normalisation, cut after a digit."""
    model = on_meta("mobilenet_v2")
    norms = sum(p.numel() for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters())
    total = sum(p.numel() for p in model.parameters())
    assert (total - norms) // 1e4 / 100 == 3.47 and total == 3_504_872


def test_maps_of_v2():
    """Table 2: channels and sides of the bottlenecks' outputs."""
    shapes = list(paper_checks.maps("mobilenet_v2").values())
    assert shapes[:2] == [(32, 112), (16, 112)] and shapes[-2:] == [(320, 7), (1280, 7)]
    assert shapes[2:-2] == [(24, 56)] * 2 + [(32, 28)] * 3 + [(64, 14)] * 4 + [(96, 14)] * 3 + [(160, 7)] * 3


def test_the_cifar_stem_keeps_a_small_image():
    for name in ("mobilenet_v1", "mobilenet_v2"):
        shapes = list(paper_checks.maps(name, 32, stem="cifar").values())
        assert shapes[0] == (32, 32) and shapes[-1][1] == 4
        assert list(paper_checks.maps(name, 32).values())[-1][1] == 1
        plain, small = on_meta(name), on_meta(name, stem="cifar")
        assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in small.parameters())
        with pytest.raises(ConfigError, match="neither 'imagenet' nor 'cifar'"):
            build_model(name, stem="small")


def test_outputs_equal_torchvisions_with_its_weights():
    paper_checks.assert_equals_torchvision("mobilenet_v2")


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
def test_runs_and_learns(name, stem):
    paper_checks.assert_runs_and_learns(name, stem=stem, width=0.5)
    paper_checks.traced(name, 10, 32, stem=stem)


def test_the_bottleneck_is_linear():
    """Section 3.2 of v2: no rectifier after the projection; shortcuts only where shapes agree."""
    model = build_model("mobilenet_v2", num_classes=2)
    blocks = [m for m in model.modules() if isinstance(m, mobilenet.InvertedResidual)]
    assert len(blocks) == 17 and sum(block.adds for block in blocks) == 10
    assert all([*block.project._modules] == ["conv", "norm"] for block in blocks)
    torch.manual_seed(0)
    model.eval()
    block = blocks[2]
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(1, 24, 4, 4)
    torch.testing.assert_close(block(x), x)


def test_regularisation_is_a_setting():
    model = build_model("mobilenet_v2", dropout=0.1, drop_path=0.4)
    assert model.classifier[0].p == 0.1
    drops = [m.drop_path.p for m in model.modules() if isinstance(m, mobilenet.InvertedResidual) and m.adds]
    assert drops == sorted(drops) and 0 < drops[0] and drops[-1] == pytest.approx(0.4 * 15 / 16)


def test_the_module_tells_its_papers():
    paper_checks.assert_tells_its_paper(mobilenet)
