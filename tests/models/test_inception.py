"""Inception-v3 and -v4 are those of arXiv:1512.00567 and arXiv:1602.07261."""

import paper_checks
import pytest
import torch

from cnnlab.models import build_model, inception_v3, inception_v4
from cnnlab.models.inception_blocks import Branches, EnlargingNormalize, chain
from cnnlab.models.trace import on_meta
from cnnlab.training import Classification

NETWORKS = ["inception_v3", "inception_v4"]


@pytest.mark.parametrize(
    ("name", "settings", "count"),
    [
        ("inception_v3", {}, 23_834_568),  # "less than 25 million" (abstract); torchvision's class without its head
        ("inception_v3", {"aux_logits": True}, 27_161_264),  # num_params of torchvision's weights
        ("inception_v4", {}, 42_679_816),  # 42.7 M: timm's inception_v4, ported from the authors' weights
    ],
)
def test_parameters_are_as_many_as_published(name, settings, count):
    assert sum(p.numel() for p in on_meta(name, 1000, **settings).parameters()) == count


@pytest.mark.parametrize(("name", "billions"), [("inception_v3", 5.7), ("inception_v4", 12.3)])
def test_multiply_adds_are_as_many_as_published(name, billions):
    """torchvision's _ops of Inception-v3 (5.713); timm's table of 12.28 for v4. Both of 299 pixels."""
    assert paper_checks.traced(name, size=299).multiply_adds / 1e9 == pytest.approx(billions, rel=0.01)


def test_maps_of_inception_v3():
    """Sizes of table 1; for its last three convolutions of the stem the authors have a 1x1, a 3x3 and a pooling."""
    maps = paper_checks.maps("inception_v3", 299)
    assert maps == {
        "Conv2d_1a_3x3": (32, 149), "Conv2d_2a_3x3": (32, 147), "Conv2d_2b_3x3": (64, 147), "maxpool1": (64, 73),
        "Conv2d_3b_1x1": (80, 73), "Conv2d_4a_3x3": (192, 71), "maxpool2": (192, 35),
        "Mixed_5b": (256, 35), "Mixed_5c": (288, 35), "Mixed_5d": (288, 35), "Mixed_6a": (768, 17),
        "Mixed_6b": (768, 17), "Mixed_6c": (768, 17), "Mixed_6d": (768, 17), "Mixed_6e": (768, 17),
        "Mixed_7a": (1280, 8), "Mixed_7b": (2048, 8), "Mixed_7c": (2048, 8),
    }  # fmt: skip


def test_maps_of_inception_v4():
    """Figures 3 and 9."""
    maps = paper_checks.maps("inception_v4", 299)
    stem = {"conv1": (32, 149), "conv2": (32, 147), "conv3": (64, 147)}
    stem |= {"mixed1": (160, 73), "mixed2": (192, 71), "mixed3": (384, 35)}
    modules = {f"inception_a{i}": (384, 35) for i in range(1, 5)} | {"reduction_a": (1024, 17)}
    modules |= {f"inception_b{i}": (1024, 17) for i in range(1, 8)} | {"reduction_b": (1536, 8)}
    assert maps == stem | modules | {f"inception_c{i}": (1536, 8) for i in range(1, 4)}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_cifar_stem_keeps_a_small_image(name):
    maps, model = paper_checks.maps(name, 32, stem="cifar"), on_meta(name, stem="cifar")
    names = list(maps)
    assert [maps[names[model._ends[stride]]][1] for stride in (2, 4, 8)] == [16, 8, 4]
    assert not isinstance(model.normalize, EnlargingNormalize)
    published = sum(p.numel() for p in on_meta(name).parameters())
    assert sum(p.numel() for p in model.parameters()) == published


@pytest.mark.parametrize("name", NETWORKS)
def test_images_too_small_for_the_published_network_are_enlarged_to_the_smallest_that_works(name):
    model = on_meta(name).eval()
    smallest = model.normalize.smallest
    assert model.features(torch.empty(1, 3, smallest, smallest, device="meta")).shape[2:] == (1, 1)
    with pytest.raises(RuntimeError):
        model.features(torch.empty(1, 3, smallest - 1, smallest - 1, device="meta"))
    assert paper_checks.traced(name, 10, 32).layers[-1].output == (10,)


def test_enlarging_keeps_proportions_and_leaves_large_images_alone():
    normalize = EnlargingNormalize((0.5,) * 3, (0.5,) * 3, 75)
    assert normalize(torch.rand(1, 3, 32, 64)).shape[2:] == (75, 150)
    images = torch.rand(2, 3, 80, 75)
    assert torch.equal(normalize(images), (images - 0.5) / 0.5)
    small = torch.full((1, 3, 10, 20), 0.75)
    torch.testing.assert_close(normalize(small), torch.full((1, 3, 75, 150), 0.5))


def test_branches_see_the_same_map_and_are_joined_in_order():
    branches = Branches(wide=chain(4, (5, (1, 3))), small=chain(4, (6, 1), (7, 3))).eval()
    x = torch.randn(1, 4, 6, 8)
    out = branches(x)
    assert out.shape == (1, 12, 6, 8)
    torch.testing.assert_close(out[:, 5:], branches.small(x))
    assert chain(4, (8, 3), stride=2, padding=0)(torch.randn(2, 4, 9, 9)).shape == (2, 8, 4, 4)


def test_outputs_equal_torchvisions_with_its_weights_and_so_does_the_head():
    ours, theirs = paper_checks.assert_equals_torchvision("inception_v3", 107, aux_logits=True)
    ours.training = theirs.training = True  # the head answers; normalisation and dropout stay in evaluation mode
    images = torch.randn(1, 3, 299, 299)
    with torch.no_grad():
        logits, side = ours(images)
        expected = theirs(images)
    for got, want in ((logits, expected.logits), (side, expected.aux_logits)):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_runs_and_learns(name):
    paper_checks.assert_runs_and_learns(name, stem="cifar")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("stem", "side"), [("imagenet", 32), ("imagenet", 299), ("imagenet", 350), ("cifar", 32)])
def test_auxiliary_heads_answer_for_every_size_in_training_only(name, stem, side):
    with torch.device("meta"):
        model = build_model(name, num_classes=3, aux_logits=True, stem=stem)
        images = torch.empty(2, 3, side, side)
        assert [tuple(logits.shape) for logits in model.train()(images)] == [(2, 3), (2, 3)]
        assert model.eval()(images).shape == (2, 3)
    assert {id(p) for p in model.aux.parameters()} < {id(p) for p in model.groups()[-1].parameters()}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_auxiliary_loss_reaches_head_and_lower_layers(name):
    """Of the head's loss alone nothing passes above the layer that it stands on."""
    torch.manual_seed(0)
    model = build_model(name, num_classes=3, aux_logits=True, stem="cifar").train()
    main, side = model(torch.rand(2, 3, 32, 32))
    targets = torch.tensor([0, 2])
    objective = Classification(aux_weight=0.3)
    part = objective.loss((main.detach(), side), targets)
    part.backward()
    assert all(p.grad is not None and p.grad.any() for p in model.aux.parameters())
    assert next(model.features.parameters()).grad.any() and model.classifier[1].weight.grad is None
    alone = torch.nn.functional.cross_entropy
    torch.testing.assert_close(part, alone(main, targets) + 0.3 * alone(side, targets))


@pytest.mark.parametrize("module", [inception_v3, inception_v4])
def test_the_module_tells_its_paper(module):
    paper_checks.assert_tells_its_paper(module)
