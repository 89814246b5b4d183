"""Layer by layer what a network really does to a picture: geometry, parameters, multiply-adds, receptive fields.

    trace(build_model("vgg16", num_classes=1000), (224, 224)).multiply_adds
    trace(*on_meta("resnet50", 1000), (224, 224))      # neither memory nor arithmetic: shapes alone

One forward pass is watched from two sides: hooks on the modules say whose turn it is, and a dispatch mode sees every
operation, also those that no module does (concatenations, additions, `F.pad`, a pooling by function). So branches,
grouped, dilated and transposed convolutions need no special case, and no network has to describe itself.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.models.arithmetic import Pair
from cnnlab.models.fields import Field
from cnnlab.models.layers import device_of
from cnnlab.models.registry import build_model, builder, list_models
from cnnlab.models.watch import Layer, Watch


@dataclass(frozen=True)
class Traced:
    """A network as it was seen to work.

    Attributes:
        name: in the registry, or the class.
        size: height and width of the picture.
        layers: in the order of execution.
        others: (module, class, parameters) of what is no layer here, such as PReLU, and of what did not run, such as
            auxiliary heads.
        parameters: all of the network's.
    """

    name: str
    size: Pair
    layers: tuple[Layer, ...]
    others: tuple[tuple[str, str, int], ...]
    parameters: int

    @property
    def multiply_adds(self) -> int:
        """For one picture."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def receptive_field(self) -> Pair:
        """Rows and columns that a unit of the last map sees by the formula: the largest of all maps."""
        seen = [layer.receptive_field for layer in self.maps()]
        return max((rows for rows, _ in seen), default=1), max((columns for _, columns in seen), default=1)

    def maps(self) -> list[Layer]:
        """The layers that see a neighbourhood of the layer before them, and still give a map."""
        return [x for x in self.windows() if len(x.output) == 3 and "global" not in x.kind and "adaptive" not in x.kind]

    def windows(self) -> list[Layer]:
        """The layers that see a neighbourhood: convolutions and poolings larger than one unit."""
        return [layer for layer in self.layers if layer.kernel != (1, 1) and "norm" not in layer.kind]


def usual_settings(name: str) -> dict[str, object]:
    """Defaults of a registered network's settings, `num_classes` among them; empty for an unknown one."""
    parameters = inspect.signature(builder(name)).parameters.values() if name in list_models() else ()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def on_meta(name: str, num_classes: int = 0, **settings: object) -> nn.Module:
    """A registered network without memory for its weights: enough for `trace`, whatever its size.

    `num_classes=0` takes what the network has by default.
    """
    num_classes = num_classes or usual_settings(name).get("num_classes", 1000)
    with torch.device("meta"):
        return build_model(name, num_classes=num_classes, **settings)


def input_size(model: nn.Module) -> Pair:
    """Height and width of the pictures that a network is made for.

    That is its setting `size`, its `trained_at` or `window`; else CIFAR's 32 where it has ten classes by default or
    CIFAR's stem, and ImageNet's 224.
    """
    name, given = getattr(model, "architecture", ("", {}))
    usual = usual_settings(name)
    small = usual.get("num_classes") == 10 or (usual | given).get("stem") == "cifar"
    size = (usual | given).get("size") or getattr(model, "trained_at", 0) or getattr(model, "window", 0)
    size = size or (32 if small else 224)
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def trace(model: nn.Module, size: Pair, channels: int = 3) -> Traced:
    """Run a network once on an empty picture, in evaluation mode, and note what happens.

    Args:
        model: on any device, also `meta`; afterwards as it was.
        size: height and width of the picture.
        channels: of the picture.

    Raises:
        ConfigError: the network does not take pictures of this size.
    """
    name = getattr(model, "architecture", (type(model).__name__, {}))[0]
    device = device_of(model)
    picture = torch.zeros(1, channels, *size, device=device)
    with evaluating(model), torch.no_grad(), Watch(model) as watch:
        watch.fields[picture] = Field.of_picture(*size)
        try:
            model(picture)
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise ConfigError(
                f"{name} does not take pictures of {size[0]}x{size[1]} pixels ({reason}); give the size that it is "
                "made for, or a larger one."
            ) from error
    total = sum(parameter.numel() for parameter in model.parameters())
    return Traced(name, size, tuple(watch.layers), tuple(watch.unclaimed()), total)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """In evaluation mode within the block; afterwards every module is as it was."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
