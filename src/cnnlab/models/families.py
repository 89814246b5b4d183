"""The course's eleven papers: which network belongs to which, and each network as images of 32x32 need it."""

import torch
from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.models.registry import build_model, list_models, model_settings
from cnnlab.models.trace import evaluating

CIFAR_SIDE = 32

FAMILIES = (
    "vgg", "mobilenet", "resnet", "shufflenet", "googlenet", "inception_v3", "inception_v4", "xception", "resnext",
    "densenet", "efficientnet",
)  # fmt: skip
"""The papers in the course's order; the name of each of their networks begins with its family's."""


def family(name: str) -> str:
    """The paper that a network belongs to, one of `FAMILIES`; empty for any other network."""
    if name.startswith("efficientnet_lite"):  # a later one, for mobile processors
        return ""
    return next((known for known in FAMILIES if name.startswith(known)), "")


def of_family(name: str) -> list[str]:
    """The registered networks of a paper."""
    return [model for model in list_models() if family(model) == name]


def cifar_model(name: str, num_classes: int = 10, **settings: object) -> nn.Module:
    """`build_model` for images of 32x32: a stem that does not throw them away, and VGG without its 4096-unit layers.

    Raises ConfigError for an unknown name or setting, with the nearest known one.
    """
    small = {"stem": "cifar"} if "stem" in model_settings(name) else {}
    return build_model(name, num_classes=num_classes, **(small | settings))


def check_cifar(name: str, num_classes: int = 10, **settings: object) -> None:
    """See that `cifar_model` gives a network that answers an image of 32x32 with one logit for each class.

    It is built without memory and asked for shapes alone, which takes a second at most.

    Raises ConfigError for one that does not, and for an unknown name or setting.
    """
    model_settings(name)
    try:
        with torch.device("meta"):
            model = cifar_model(name, num_classes, **settings)
            with evaluating(model), torch.no_grad():
                shape = tuple(model(torch.zeros(1, 3, CIFAR_SIDE, CIFAR_SIDE)).shape)
    except (RuntimeError, ValueError, ConfigError):
        shape = ()
    if shape != (1, num_classes):
        raise ConfigError(
            f"model={name} cannot classify images of {CIFAR_SIDE}x{CIFAR_SIDE} pixels: it is made for larger ones or "
            "for another task; take one such as resnet20, mobilenet_v2 or vgg16_bn."
        )
