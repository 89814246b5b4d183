"""VGG's networks are those of arXiv:1409.1556."""

import paper_checks
import pytest

from cnnlab.models import vgg


@pytest.mark.parametrize(("depth", "millions"), [(11, 133), (13, 133), (16, 138), (19, 144)])
def test_parameters(depth, millions):
    """Table 2: configurations A, B, D, E."""
    assert round(paper_checks.traced(f"vgg{depth}").parameters / 1e6) == millions


def test_layers_of_vgg16():
    """Table 1, configuration D: 3x3 convolutions of stride 1, and a pooling behind 2, 4, 7, 10 and 13 of them."""
    layers = [layer for layer in paper_checks.traced("vgg16").windows() if "adaptive" not in layer.kind]
    convolutions = [layer for layer in layers if layer.kind == "convolution"]
    assert {layer.kernel for layer in convolutions} == {(3, 3)} and {layer.stride for layer in convolutions} == {(1, 1)}
    assert [layer.output[0] for layer in convolutions] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    poolings = [index for index, layer in enumerate(layers) if layer.kind == "max pooling"]
    assert poolings == [2, 5, 9, 13, 17]
    assert [layers[index].output[:2] for index in poolings] == [(64, 112), (128, 56), (256, 28), (512, 14), (512, 7)]


@pytest.mark.parametrize("name", ["vgg11", "vgg16_bn"])
def test_runs_and_learns(name):
    paper_checks.assert_runs_and_learns(name, stem="cifar")


def test_the_module_tells_its_paper():
    paper_checks.assert_tells_its_paper(vgg)
