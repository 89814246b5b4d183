"""Networks, one module per family; `build_model(name)` makes any of them. Start at registry.py.

The classifiers that ImageNet weights exist for share backbone.py; `pretrained_model(name)` of pretrained.py builds one
with its weights, saved.py stores trained ones.
"""

from cnnlab.models import (  # noqa: F401  (registers the families)
    alexnet,
    densenet,
    efficientnet,
    efficientnet_lite,
    face,
    fcn,
    googlenet,
    inception_v3,
    inception_v4,
    kernel_machine,
    mlp,
    mobilenet,
    probe,
    resnet,
    resnext,
    shufflenet,
    simple_cnn,
    speednet,
    squeezenet,
    vgg,
    xception,
)
from cnnlab.models.registry import build_model, list_models, register_model

__all__ = ["build_model", "list_models", "register_model"]
