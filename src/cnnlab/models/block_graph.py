"""A building block of a network as a graph of operations, taken from the code that runs: what plots/blocks.py draws.

    block_graph(cifar_model("resnet18"), "features.conv2_x.0")

The block is traced symbolically by torch.fx (https://pytorch.org/docs/stable/fx.html), with modules that have no parts
as single operations. Normalisations and activations belong to the operation before them; what does nothing at test
time, such as dropout, is left out.
"""

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torchvision.ops import StochasticDepth

from cnnlab.errors import ConfigError
from cnnlab.models.inception_blocks import Join
from cnnlab.models.layers import ChannelShuffle, device_of
from cnnlab.models.trace import evaluating

Shape = tuple[int, ...]
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d, StochasticDepth)
_POOLS = {
    nn.MaxPool2d: "max pooling", nn.AvgPool2d: "average pooling", nn.AdaptiveAvgPool2d: "adaptive average pooling",
    nn.AdaptiveMaxPool2d: "adaptive max pooling",
}  # fmt: skip
_ATTACHED = {nn.BatchNorm2d: "batch norm", nn.LocalResponseNorm: "local response norm", nn.ReLU: "ReLU",
             nn.ReLU6: "ReLU6", nn.SiLU: "SiLU", nn.Sigmoid: "sigmoid", nn.Hardswish: "hard swish"}  # fmt: skip
_JOINTS = {
    operator.add: "addition", operator.iadd: "addition", torch.add: "addition", operator.mul: "multiplication",
    operator.imul: "multiplication", torch.mul: "multiplication", torch.cat: "concatenation",
}  # fmt: skip


@dataclass
class Operation:
    """One operation of a block.

    Attributes:
        name: unique in the block; that of its module, if one did it.
        kind: such as `convolution`, `depthwise convolution`, `max pooling`, `addition`, `concatenation`, `split`,
            `channel shuffle`; `input` and `output` at the ends; `batch norm` or `ReLU` where it follows no operation.
        inputs: names of the operations whose results it takes, in order.
        output: shape of the result without the batch, (C, H, W).
        channels: of input and output, where there is one input.
        kernel, stride: rows and columns, where it has a window.
        groups: of a convolution or a shuffle.
        then: normalisations and activations right behind it.
    """

    name: str
    kind: str
    inputs: tuple[str, ...] = ()
    output: Shape = ()
    channels: tuple[int, int] = (0, 0)
    kernel: tuple[int, int] = ()
    stride: tuple[int, int] = ()
    groups: int = 1
    then: list[str] = field(default_factory=list)


def block_graph(model: nn.Module, path: str, size: tuple[int, int] = (32, 32)) -> list[Operation]:
    """The operations of a part of a network, in the order of execution, from `input` to `output`.

    Args:
        model: on any device, also `meta`.
        path: of the part, as in `named_modules`, and `[a:b]` behind it for some layers of a sequence.
        size: height and width of the picture that the network gets.

    Raises:
        ConfigError: there is no such part, or it does not run on such a picture.
    """
    block, first = submodule(model, path)
    seen: list[Tensor] = []
    hook = first.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    device = device_of(model)
    with evaluating(model), torch.no_grad():
        try:
            model(torch.zeros(1, 3, *size, device=device))
        finally:
            hook.remove()
        if not seen:
            raise ConfigError(f"{path} does not run in a forward pass; name a part that does.")
        traced = fx.GraphModule(block, _Leaves().trace(block))
        shapes = _Shapes(traced)
        shapes.run(seen[0])
    return _merged(_operations(traced, shapes.seen))


def submodule(model: nn.Module, path: str) -> tuple[nn.Module, nn.Module]:
    """The part of a network at `path`, see `block_graph`, and the module that sees its input first.

    Raises:
        ConfigError: there is no such part.
    """
    name, begin, end = re.fullmatch(r"(.*?)(?:\[(\d+):(\d+)\])?", path).groups()
    try:
        block = model.get_submodule(name)
    except AttributeError as error:
        raise ConfigError(f"There is no part '{name}' in this network ({error}).") from error
    if begin is None:
        return block, block
    block = nn.Sequential(*list(block.children())[int(begin) : int(end)])
    if not len(block):
        raise ConfigError(f"'{name}' has no parts {begin} to {end}.")
    return block, block[0]


def depends_on(operations: Sequence[Operation], name: str) -> list[Operation]:
    """The operations that take the result of operation `name`."""
    return [operation for operation in operations if name in operation.inputs]


class _Leaves(fx.Tracer):
    """Opens every module that has parts."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not isinstance(m, Join) and not any(True for _ in m.children())


class _Shapes(fx.Interpreter):
    """Notes the shape of every result without its batch."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.seen: dict[str, Shape] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        one = result[0] if isinstance(result, list | tuple) else result
        if isinstance(one, Tensor):
            self.seen[n.name] = tuple(one.shape[1:])
        return result


def _operations(traced: fx.GraphModule, shapes: dict[str, Shape]) -> list[Operation]:
    found: dict[str, Operation] = {}
    same: dict[str, str] = {}  # node that does nothing -> the operation whose result it hands on
    for node in traced.graph.nodes:
        inputs = tuple(same[arg.name] for arg in node.all_input_nodes)
        if node.op == "call_function" and node.target in _JOINTS and len(node.all_input_nodes) < 2:
            inputs *= 2  # x + x
        module = traced.get_submodule(node.target) if node.op == "call_module" else None
        if isinstance(module, _NOTHING) or node.target is operator.getitem:
            same[node.name] = inputs[0]
            continue
        operation = Operation(node.name, _kind(node, module), inputs, shapes.get(node.name, ()))
        if node.op == "call_module":
            operation.name = node.target
        if len(inputs) == 1:
            operation.channels = (found[inputs[0]].output[0], (operation.output or found[inputs[0]].output)[0])
        _describe(operation, module)
        while operation.name in found:
            operation.name += "'"
        found[operation.name] = operation
        same[node.name] = operation.name
    return list(found.values())


def _kind(node: fx.Node, module: nn.Module | None) -> str:
    if node.op in ("placeholder", "output"):
        return "input" if node.op == "placeholder" else "output"
    if node.op == "call_function":
        return _JOINTS.get(node.target, getattr(node.target, "__name__", str(node.target)).replace("_", " "))
    if node.op == "call_method":
        return "split" if node.target in ("chunk", "split") else str(node.target).replace("_", " ")
    if isinstance(module, nn.Conv2d):
        kinds = {1: "", module.in_channels: "depthwise "}
        return ("" if module.in_channels == 1 else kinds.get(module.groups, "grouped ")) + "convolution"
    if isinstance(module, ChannelShuffle):
        return "channel shuffle"
    known = next((word for kind, word in (_POOLS | _ATTACHED).items() if isinstance(module, kind)), "")
    return known or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(module).__name__).lower()


def _describe(operation: Operation, module: nn.Module | None) -> None:
    for key in ("kernel", "stride"):
        value = getattr(module, "kernel_size" if key == "kernel" else key, None)
        if isinstance(value, int | tuple):
            setattr(operation, key, (value, value) if isinstance(value, int) else tuple(value))
    if isinstance(groups := getattr(module, "groups", 1), int):
        operation.groups = groups
    if isinstance(module, nn.AdaptiveAvgPool2d) and operation.output[1:] == (1, 1):
        operation.kind = "global average pooling"


def _merged(operations: list[Operation]) -> list[Operation]:
    """Normalisations and activations go into the operation before them (no joint) if nothing else takes its result."""
    words, apart = set(_ATTACHED.values()), {"input", "split", *_JOINTS.values()}
    kept: dict[str, Operation] = {}
    renamed: dict[str, str] = {}
    for operation in operations:
        before = kept.get(renamed.get(operation.inputs[0])) if len(operation.inputs) == 1 else None
        alone = before is not None and len(depends_on(operations, operation.inputs[0])) == 1
        if operation.kind in words and alone and before.kind not in apart:
            before.then.append(operation.kind)
            renamed[operation.name] = before.name
            continue
        operation.inputs = tuple(renamed[name] for name in operation.inputs)
        kept[operation.name], renamed[operation.name] = operation, operation.name
    return list(kept.values())
