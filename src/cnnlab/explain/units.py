"""Hidden units of a perceptron: which of them say most, whom they speak for, and how smooth their pictures are."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cnnlab.data.imageset import ImageSet
from cnnlab.models.mlp import MLP
from cnnlab.training.batches import to_float

RULE = (
    "A unit's say is the standard deviation, over the validation faces, of what it adds to the logits: that of its "
    "activation times the root mean square of its output weights, after their mean over the people (which softmax does "
    "not see) is taken away. Most telling is the unit with the largest say; the next is the one with the largest say "
    "among those whose picture correlates with that of none chosen before by more than {apart}."
)
"""The rule of `telling_units` in words."""
APART = 0.5


@dataclass(frozen=True)
class Unit:
    """One hidden unit.

    Attributes:
        index: its number in the layer, from 0.
        say: its say (see `RULE`) over that of the layer's average unit.
        picture: float32 (C, H, W), its input weights.
        speaks: float32 (people,), its output weights without their mean: for whom it speaks, and against whom.
        activation: float32 (people,), its mean activation on the faces of each.
        exciting: indices of the faces that excite it most, the strongest first.
    """

    index: int
    say: float
    picture: np.ndarray
    speaks: np.ndarray
    activation: np.ndarray
    exciting: tuple[int, ...]


@torch.no_grad()
def telling_units(model: MLP, faces: ImageSet, count: int = 2, shown: int = 5, apart: float = APART) -> list[Unit]:
    """The units that say most, by `RULE`; fewer than `count` where all others look like those chosen.

    Args:
        model: with one hidden layer.
        faces: what they are measured on; not what was trained on.
        count: units wanted.
        shown: faces of `Unit.exciting`.
        apart: the largest correlation of two chosen pictures, in either direction.
    """
    model.eval()
    hidden = model.hidden(model.scale(to_float(faces.images)))
    output = model.classifier.weight - model.classifier.weight.mean(0)
    say = hidden.std(0) * output.square().mean(0).sqrt()
    pictures = model.unit_pictures()
    flat = functional.normalize(pictures.flatten(1) - pictures.flatten(1).mean(1, keepdim=True))
    people = functional.one_hot(faces.labels, len(faces.classes)).float()
    means = (people.T @ hidden) / people.sum(0).clamp(min=1)[:, None]
    chosen: list[int] = []
    for index in say.argsort(descending=True).tolist():
        if len(chosen) == count:
            break
        if not chosen or (flat[chosen] @ flat[index]).abs().max() <= apart:
            chosen.append(index)
    return [
        Unit(
            i, (say[i] / say.mean()).item(), pictures[i].numpy(), output[:, i].numpy(), means[:, i].numpy(),
            tuple(hidden[:, i].argsort(descending=True)[:shown].tolist()),
        )
        for i in chosen
    ]  # fmt: skip


def smoothness(pictures: Tensor) -> Tensor:
    """Correlation of neighbouring weights in each picture: 0 for noise, near 1 for a smooth picture.

    Args:
        pictures: float (units, C, H, W).

    Returns:
        float (units,); 0 for a picture without any contrast.
    """
    centred = pictures - pictures.mean((2, 3), keepdim=True)
    right = (centred[..., :, 1:] * centred[..., :, :-1]).mean((1, 2, 3))
    below = (centred[..., 1:, :] * centred[..., :-1, :]).mean((1, 2, 3))
    variance = centred.square().mean((1, 2, 3))
    return torch.where(variance > 0, (right + below) / 2 / variance.clamp(min=1e-20), 0.0)
