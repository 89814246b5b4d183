"""Networks, one module per family; `build_model(name)` makes any of them. Start at registry.py.

The classifiers that ImageNet weights exist for share backbone.py; `pretrained_model(name)` of pretrained.py builds one
with its weights, saved.py stores trained ones.
"""

from cnnlab.models import alexnet, efficientnet_lite, face, fcn, squeezenet, vgg  # noqa: F401  (registers the families)
from cnnlab.models.registry import build_model, list_models, register_model

__all__ = ["build_model", "list_models", "register_model"]
