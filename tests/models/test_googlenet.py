"""GoogLeNet is that of arXiv:1409.4842, and its auxiliary heads only train."""

import paper_checks
import pytest
import torch
from torch import nn

from cnnlab.models import build_model, googlenet
from cnnlab.models.local_response import LocalResponseNorm
from cnnlab.models.trace import on_meta

# table 1: side at 224 pixels, channels, thousands (1024) of weights as the paper counts them
TABLE = {
    "pool1": (64, 56), "conv2": (192, 56), "pool2": (192, 28), "inception3a": (256, 28), "inception3b": (480, 28),
    "pool3": (480, 14), "inception4a": (512, 14), "inception4b": (512, 14), "inception4c": (512, 14),
    "inception4d": (528, 14), "inception4e": (832, 14), "pool4": (832, 7), "inception5a": (832, 7),
    "inception5b": (1024, 7),
}  # fmt: skip
PARAMETERS = {"3a": 159, "3b": 380, "4a": 364, "4b": 437, "4c": 463, "4d": 580, "4e": 840, "5a": 1072, "5b": 1388}


def weights_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.ndim > 1)


def test_maps_are_those_of_table_1():
    maps = paper_checks.maps("googlenet")
    assert {name: maps[name] for name in TABLE} == TABLE
    assert maps["conv1"] == (64, 112) and list(maps)[-1] == "inception5b"


def test_parameters_are_those_of_table_1():
    """The paper rounds its own widths by up to a tenth (4c most); the first convolution has 9.2 K, not its 2.7."""
    features = on_meta("googlenet", batch_norm=False).features
    for name, thousands in PARAMETERS.items():
        assert weights_of(features.get_submodule(f"inception{name}")) / 1024 == pytest.approx(thousands, rel=0.1)
    assert weights_of(features.inception3a) // 1024 == 159 and weights_of(features.inception3b) // 1024 == 379
    assert weights_of(nn.ModuleList([features.conv2_reduce, features.conv2])) == 112 * 1024
    assert weights_of(features.conv1) == 7 * 7 * 3 * 64


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"batch_norm": False}, 6_998_552),  # bvlc_googlenet.caffemodel of Caffe's model zoo without its two heads
        ({"like_torchvision": True}, 6_624_904),  # num_params of torchvision's weights
        ({"like_torchvision": True, "aux_logits": True}, 13_004_888),  # torchvision's class with its heads
    ],
)
def test_parameters_are_as_many_as_published(settings, count):
    assert sum(p.numel() for p in on_meta("googlenet", 1000, **settings).parameters()) == count


def test_multiply_adds_keep_the_papers_budget():
    """Section 1: 1.5 billion."""
    assert paper_checks.traced("googlenet").multiply_adds / 1e9 == pytest.approx(1.5, abs=0.1)


def test_outputs_equal_torchvisions_with_its_weights_and_so_do_the_heads():
    ours, theirs = paper_checks.assert_equals_torchvision("googlenet", like_torchvision=True, aux_logits=True)
    ours.training = theirs.training = True  # the heads answer; normalisation and dropout stay in evaluation mode
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        logits, first, second = ours(images)
        expected = theirs(images)
    for got, want in ((logits, expected.logits), (first, expected.aux_logits1), (second, expected.aux_logits2)):
        assert want.std() > 1e-2
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"stem": "cifar"}, {"batch_norm": False}])
def test_runs_and_learns(settings):
    paper_checks.assert_runs_and_learns("googlenet", **settings)


def test_the_cifar_stem_keeps_a_small_image():
    maps = paper_checks.maps("googlenet", 32, stem="cifar")
    assert [maps[name] for name in ("conv2", "inception3b", "inception4e", "inception5b")] == [
        (192, 32), (480, 32), (832, 16), (1024, 8),
    ]  # fmt: skip
    assert on_meta("googlenet", stem="cifar").pyramid_channels == {1: 480, 2: 832, 4: 1024}
    assert paper_checks.maps("googlenet", 32)["inception5b"] == (1024, 1)


def test_auxiliary_heads_only_train():
    torch.manual_seed(0)
    model = build_model("googlenet", num_classes=3, aux_logits=True)
    images = torch.rand(2, 3, 32, 32)
    outputs = model.train()(images)
    assert [tuple(logits.shape) for logits in outputs] == [(2, 3)] * 3
    sum(logits.square().sum() for logits in outputs).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    assert model.eval()(images).shape == (2, 3)
    plain = build_model("googlenet", num_classes=3)
    assert plain.train()(images).shape == (2, 3)
    assert not plain.load_state_dict(model.state_dict(), strict=False).missing_keys


def test_auxiliary_heads_are_in_the_group_of_the_head():
    model = on_meta("googlenet", aux_logits=True)
    groups = model.groups()
    grouped = [id(p) for group in groups for p in group.parameters()]
    assert grouped == [id(p) for p in model.parameters()]
    assert {id(p) for p in model.aux.parameters()} < {id(p) for p in groups[-1].parameters()}
    assert len(groups) == len(on_meta("googlenet").groups()) == 5


def test_without_batch_norm_the_signal_neither_dies_nor_explodes():
    torch.manual_seed(0)
    model = build_model("googlenet", num_classes=4, batch_norm=False, stem="cifar").eval()
    with torch.no_grad():
        last = model.forward_features(torch.rand(4, 3, 32, 32))
    assert 0.01 < last.mean() < 10
    assert {type(m) for m in model.features} >= {LocalResponseNorm}


def test_the_module_tells_its_paper():
    paper_checks.assert_tells_its_paper(googlenet)
