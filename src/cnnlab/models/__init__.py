"""Networks, one module per family; `build_model(name)` makes any of them. Start at registry.py."""

from cnnlab.models import face  # noqa: F401  (registers the family)
from cnnlab.models.registry import build_model, list_models, register_model

__all__ = ["build_model", "list_models", "register_model"]
