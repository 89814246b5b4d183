"""The one list of networks: a name, the function that builds it, and its settings."""

import difflib
import inspect
from collections.abc import Callable

from torch import nn

from cnnlab.errors import ConfigError

_MODELS: dict[str, Callable[..., nn.Module]] = {}


def register_model(builder: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Decorator: lists `builder(num_classes=..., **settings) -> nn.Module` under its own name."""
    name = builder.__name__
    if name in _MODELS:
        raise ConfigError(f"Two models are called '{name}'; rename one of them.")
    _MODELS[name] = builder
    return builder


def list_models() -> list[str]:
    """Names that `build_model` knows, sorted."""
    return sorted(_MODELS)


def builder(name: str) -> Callable[..., nn.Module]:
    """The function that builds a registered network.

    Raises ConfigError for an unknown name, with the nearest known one.
    """
    if name not in _MODELS:
        raise ConfigError(f"Unknown model '{name}'. {_nearest(name, list_models())}")
    return _MODELS[name]


def model_settings(name: str) -> list[str]:
    """Names of the settings that `build_model` takes for this network, `num_classes` among them.

    Raises ConfigError for an unknown name, with the nearest known one.
    """
    return [p.name for p in inspect.signature(builder(name)).parameters.values() if p.kind is not p.VAR_KEYWORD]


def build_model(name: str, num_classes: int = 2, **settings: object) -> nn.Module:
    """Build a registered network.

    The network remembers what it was built from in `model.architecture` = (name, settings), so that a file of
    weights can name it.

    Raises ConfigError for an unknown name or setting, with the nearest known one.
    """
    known = model_settings(name)
    for setting in settings:
        if setting not in known:
            raise ConfigError(f"Model '{name}' has no setting '{setting}'. {_nearest(setting, known)}")
    model = builder(name)(num_classes=num_classes, **settings)
    model.architecture = (name, {"num_classes": num_classes, **settings})
    return model


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(known)}."
