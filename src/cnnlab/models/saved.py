"""One file for a trained network: its name, settings, weights and what one must know to use it."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cnnlab.errors import CheckpointError, ConfigError
from cnnlab.files import replacing
from cnnlab.models.layouts import read_torch
from cnnlab.models.registry import build_model

FORMAT = "cnnlab-model-1"


def save_model(path: str | Path, model: nn.Module, meta: dict[str, Any], half: bool = False) -> None:
    """Write a network that `build_model` made; a failed write leaves an older file whole.

    Args:
        path: the file to make; its folder is made as needed.
        model: on any device, unchanged.
        meta: plain values, such as `classes` and `size`.
        half: store floating-point weights in 16 bits (except those too large for it).

    Raises:
        ConfigError: the network was not made by `build_model`, so that nothing could build it again.
        CheckpointError: the file cannot be written.
    """
    if not hasattr(model, "architecture"):
        raise ConfigError("Only a network made by build_model can be saved: the file names its architecture.")
    name, settings = model.architecture
    state = {key: _stored(value, half) for key, value in model.state_dict().items()}
    content = {"format": FORMAT, "architecture": name, "settings": dict(settings), "state": state, "meta": dict(meta)}
    try:
        with replacing(path) as partial:
            torch.save(content, partial)
    except (OSError, RuntimeError) as error:  # torch reports a failed write inside its zip as a RuntimeError
        raise CheckpointError(f"The model could not be written to {path} ({error}).") from error


def _stored(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu()
    if not (half and value.is_floating_point()):
        return value.clone()
    short = value.half()
    return short if bool(torch.isfinite(short).all()) else value.clone()


def is_saved_model(content: dict[str, Any]) -> bool:
    """Whether the content of a file is what `save_model` wrote."""
    return content.get("format") == FORMAT


def load_model(path: str | Path, num_classes: int | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """The network in evaluation mode on the CPU, in 32 bits, and its meta.

    Args:
        path: a file that `save_model` wrote.
        num_classes: the number of classes it must have, if that matters.

    Raises:
        CheckpointError: there is no such file or it is not one that `save_model` wrote.
        DataError: it is damaged.
        ConfigError: it has another number of classes.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no model file {path}: give one that a run stored as model.pt.")
    content = read_torch(path)
    if not is_saved_model(content):
        raise CheckpointError(f"{path} is not a model file that save_model wrote (format {content.get('format')}).")
    check_classes(path, content, num_classes)
    try:
        model = build_model(content["architecture"], **content["settings"])
        model.load_state_dict(content["state"])
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} does not fit the network it names ({reason}).") from error
    return model.eval(), content["meta"]


def check_classes(path: Path, content: dict[str, Any], num_classes: int | None) -> None:
    """Refuse a saved model whose number of classes is not the wanted one.

    Raises:
        ConfigError: with both numbers and the names of its classes.
    """
    have = content["settings"].get("num_classes")
    if num_classes is not None and have != num_classes:
        names = ", ".join(map(str, content["meta"].get("classes", ())))
        raise ConfigError(
            f"{path} knows {have} classes{f' ({names})' if names else ''}, but {num_classes} are wanted; choose a "
            f"model for {num_classes} classes or train one."
        )
