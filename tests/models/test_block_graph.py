"""Building blocks as graphs of operations: known answers, and weights that add up."""

from math import prod

import pytest
import torch
from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.models.block_graph import block_graph, submodule
from cnnlab.models.families import cifar_model
from cnnlab.reports.papers import BLOCKS

EVERY = {block.name: block for blocks in BLOCKS.values() for block in blocks}


def graph_of(name: str):
    block = EVERY[name]
    with torch.device("meta"):
        model = cifar_model(block.model)
    return block_graph(model, block.path), submodule(model, block.path)[0]


def kinds(operations) -> list[str]:
    return [operation.kind for operation in operations]


def only(operations, kind):
    (one,) = [operation for operation in operations if operation.kind == kind]
    return one


def test_a_residual_block_adds_its_input():
    operations, _ = graph_of("resnet_basic")
    assert kinds(operations) == ["input", "convolution", "convolution", "addition", "ReLU", "output"]
    assert only(operations, "addition").inputs == (operations[2].name, operations[0].name)
    assert [o.kernel for o in operations[1:3]] == [(3, 3)] * 2
    assert operations[1].then == ["batch norm", "ReLU"] and operations[2].then == ["batch norm"]
    assert operations[1].channels == (64, 64) and operations[0].output == (64, 32, 32)


def test_a_projection_halves_the_map_on_both_ways():
    operations, _ = graph_of("resnet_projection")
    by_name = {o.name: o for o in operations}
    ways = [by_name[name] for name in only(operations, "addition").inputs]
    assert [way.output for way in ways] == [(128, 16, 16)] * 2 and ways[1].stride == (2, 2)


def test_an_inception_module_joins_four_branches():
    operations, _ = graph_of("googlenet")
    join = only(operations, "concatenation")
    by_name = {o.name: o for o in operations}
    assert [by_name[name].output[0] for name in join.inputs] == [64, 128, 32, 32] and join.output[0] == 256
    assert sum(o.inputs == (operations[0].name,) for o in operations) == 4


def test_dense_layers_concatenate_and_never_add():
    operations, _ = graph_of("densenet")
    joins = [o for o in operations if o.kind == "concatenation"]
    assert [o.output[0] for o in joins] == [36, 48] and "addition" not in kinds(operations)
    assert joins[0].name in joins[1].inputs and operations[0].name in joins[0].inputs


def test_shuffle_units_shuffle():
    second, _ = graph_of("shufflenet_v2")
    split = only(second, "split")
    assert split.channels == (116, 58) and split.name in only(second, "concatenation").inputs
    assert kinds(second)[-2] == "channel shuffle" and second[-2].groups == 2
    first, _ = graph_of("shufflenet_v1")
    order = kinds(first)
    assert order[1:5] == ["grouped convolution", "channel shuffle", "depthwise convolution", "grouped convolution"]
    assert only(first, "channel shuffle").groups == 3 and only(first, "addition")


def test_squeeze_and_excitation_multiplies():
    operations, _ = graph_of("efficientnet")
    gate = only(operations, "multiplication")
    shapes = {o.name: o.output for o in operations}
    assert [shapes[name] for name in gate.inputs] == [(144, 32, 32), (144, 1, 1)]
    assert only(operations, "global average pooling").output == (144, 1, 1)
    assert only(operations, "addition").inputs[0] == operations[0].name


@pytest.mark.parametrize("name", EVERY)
def test_the_convolutions_of_a_graph_have_all_of_the_blocks_weights(name):
    operations, block = graph_of(name)
    assert kinds(operations)[0] == "input" and kinds(operations)[-1] == "output"
    weights = sum(p.numel() for p in block.parameters() if p.ndim == 4)
    seen = [o for o in operations if "convolution" in o.kind]
    assert weights == sum(prod(o.kernel) * o.channels[0] // o.groups * o.channels[1] for o in seen) > 0 or not weights


def test_the_network_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    model.train()
    assert kinds(block_graph(model, "[0:2]")) == ["input", "convolution", "output"]
    assert model.training and not model[0]._forward_pre_hooks


@pytest.mark.parametrize(
    ("path", "words"),
    [("features.nothing", "no part"), ("features[9:12]", "no parts 9 to 12"), ("unused", "does not run")],
)
def test_what_cannot_be_drawn_is_named(path, words):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(3, 4, 3))
            self.unused = nn.ReLU()

        def forward(self, x):
            return self.features(x)

    with pytest.raises(ConfigError, match=words):
        block_graph(Net(), path)
