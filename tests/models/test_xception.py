"""Xception is that of arXiv:1610.02357."""

import paper_checks
import pytest
import torch
from torch import nn

from cnnlab.models import build_model, xception
from cnnlab.models.trace import on_meta


def test_parameters_are_those_of_table_3():
    assert sum(p.numel() for p in on_meta("xception", 1000).parameters()) == 22_855_952


def test_maps_are_those_of_figure_5():
    middle = {f"middle{i}": (728, 19) for i in range(1, 9)}
    assert paper_checks.maps("xception", 299) == {
        "conv1": (32, 149), "conv2": (64, 147), "entry1": (128, 74), "entry2": (256, 37), "entry3": (728, 19),
        **middle, "exit1": (1024, 10), "exit2": (1536, 10), "exit3": (2048, 10),
    }  # fmt: skip


def test_it_has_36_convolutional_layers_in_14_blocks():
    """Section 4: a separable convolution is one layer; the shortcuts of four blocks do not count."""
    model = on_meta("xception")
    depthwise = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    plain = [name for name in ("conv1", "conv2") if hasattr(model.features, name)]
    assert len(depthwise) + len(plain) == 36
    projected = [
        m for m in model.modules() if isinstance(m, xception.Block) and not isinstance(m.shortcut, nn.Identity)
    ]
    blocks = [m for m in model.modules() if isinstance(m, xception.Block)]
    assert len(blocks) == 12 and len(projected) == 4  # and the first and the last, which have no shortcut


def test_multiply_adds_are_as_many_as_published():
    """8.4 billion at 299 pixels: timm's table of legacy_xception."""
    assert paper_checks.traced("xception", size=299).multiply_adds / 1e9 == pytest.approx(8.4, rel=0.01)


def test_no_rectifier_between_depthwise_and_pointwise():
    """Figure 10."""
    assert list(dict(xception.separable_conv(4, 8).named_children())) == ["depthwise", "pointwise", "norm"]


def test_the_cifar_stem_keeps_a_small_image():
    maps = paper_checks.maps("xception", 32, stem="cifar")
    assert [maps[name][1] for name in ("conv2", "entry1", "entry2", "middle8", "exit3")] == [32, 32, 16, 8, 4]
    assert on_meta("xception", stem="cifar").pyramid_channels == {2: 256, 4: 728, 8: 2048}


def test_a_block_with_nothing_to_add_is_its_shortcut():
    block = xception.Block(8, (8, 8, 8)).eval()
    nn.init.zeros_(block.residual[-1].norm.weight)
    x = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(block(x), x)


def test_runs_and_learns():
    paper_checks.assert_runs_and_learns("xception", stem="cifar")
    assert paper_checks.traced("xception", 10, 32).layers[-1].output == (10,)


def test_regularisation_is_a_setting():
    with torch.device("meta"):
        model = build_model("xception", num_classes=3, dropout=0.25, drop_path=0.22)
    assert model.classifier[0].p == 0.25
    drops = [m.drop_path.p for m in model.features if isinstance(m, xception.Block)]
    assert drops == pytest.approx([0.02 * i for i in range(12)])


def test_the_module_tells_its_paper():
    paper_checks.assert_tells_its_paper(xception)
