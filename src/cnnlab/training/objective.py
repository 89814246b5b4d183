"""What is minimised and what is counted: the part of training that differs between tasks."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnlab.errors import ConfigError
from cnnlab.training.lovasz import lovasz_softmax


class Objective(Protocol):
    """A differentiable loss and a count of right answers."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch, a scalar."""

    def correct(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, int | Tensor]:
        """Number of right answers (a scalar tensor) and of answers in a batch."""


def main_output(outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    """What a network answers, without the outputs of auxiliary heads, which come after it in a tuple."""
    return outputs if isinstance(outputs, Tensor) else outputs[0]


class Classification:
    """Cross entropy over one label per image, or over probabilities of the classes.

    targets: labels int64 (B,), or float (B, C) that sum to 1.
    A fully convolutional network gives logits (B, C, 1, 1); they are reshaped to (B, C) here, not in the network, so
    that the same network runs on larger images.
    A network with auxiliary heads gives (logits, those of the first head, …) while training; the loss is then the sum,
    the heads' cross entropies weighted by `aux_weight`, 0.3 in Szegedy et al. 2014 (https://arxiv.org/abs/1409.4842).
    """

    def __init__(self, label_smoothing: float = 0.0, aux_weight: float = 0.3) -> None:
        self.label_smoothing, self.aux_weight = label_smoothing, aux_weight

    def loss(self, outputs: Tensor | tuple[Tensor, ...], targets: Tensor) -> Tensor:
        main, *heads = (outputs,) if isinstance(outputs, Tensor) else outputs
        loss = self._cross_entropy(main, targets)
        for head in heads:
            loss = loss + self.aux_weight * self._cross_entropy(head, targets)
        return loss

    def _cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.flatten(1), targets, label_smoothing=self.label_smoothing)

    def correct(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        labels = targets.argmax(1) if targets.ndim == 2 else targets
        return (outputs.flatten(1).argmax(1) == labels).sum(), len(targets)


class Segmentation:
    """Cross entropy over one label per pixel: logits (B, C, H, W) against uint8 or int64 targets (B, H, W).

    The loss is the mean over the pixels that count, weighted if there are weights, and 0 for a batch without any.

    Args:
        ignore_index: label of pixels that are left out of loss and accuracy.
        class_weights: float (C,), weight of each class in the loss.
        label_smoothing: share of each target that is spread over all classes.
        lovasz: weight of the Lovász-softmax loss, which is added; see `training.lovasz`.
        lovasz_stride: it looks at every so-many-th pixel along both axes, since it has to sort them.
    """

    def __init__(
        self, ignore_index: int = 255, class_weights: Tensor | None = None, label_smoothing: float = 0.0,
        lovasz: float = 0.0, lovasz_stride: int = 2,
    ) -> None:  # fmt: skip
        self.ignore_index = ignore_index
        self.class_weights = class_weights
        self.label_smoothing = label_smoothing
        self.lovasz, self.lovasz_stride = lovasz, lovasz_stride

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if outputs.shape[0::2] + outputs.shape[3:] != targets.shape:
            raise ConfigError(f"Outputs {tuple(outputs.shape)} are not (B, C, H, W) of targets {tuple(targets.shape)}.")
        targets = targets.long()
        weights = None if self.class_weights is None else self.class_weights.to(outputs.device, outputs.dtype)
        total = F.cross_entropy(
            outputs, targets, weights, ignore_index=self.ignore_index, reduction="sum",
            label_smoothing=self.label_smoothing,
        )  # fmt: skip
        counted = targets != self.ignore_index
        weight = counted.sum() if weights is None else (weights[targets.where(counted, 0)] * counted).sum()
        loss = total / weight.clamp(min=1e-6)  # a mean by cross_entropy itself would be nan where no pixel counts
        if self.lovasz:
            some = (..., slice(None, None, self.lovasz_stride), slice(None, None, self.lovasz_stride))
            loss = loss + self.lovasz * lovasz_softmax(outputs[some].softmax(1), targets[some], self.ignore_index)
        return loss

    def correct(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        counted = targets != self.ignore_index
        return ((outputs.argmax(1) == targets) & counted).sum(), counted.sum()


def mix(images: Tensor, alpha: float) -> tuple[Tensor, Tensor, float]:
    """Each image blended with another of its batch: (blended, indices of the others, share of the first in [1/2, 1]).

    Zhang et al. 2018, "mixup" (https://arxiv.org/abs/1710.09412). Cross entropy is linear in its targets, so the loss
    of blended targets is the same blend of two losses: this serves every objective.
    """
    share = torch.distributions.Beta(alpha, alpha).sample().item()
    share = max(share, 1 - share)  # the pairs are as likely the other way round; so the first label is the main one
    partners = torch.randperm(len(images)).to(images.device)
    return torch.lerp(images[partners], images, share), partners, share
