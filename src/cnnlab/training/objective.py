"""What is minimised and what is counted: the part of training that differs between tasks."""

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor


class Objective(Protocol):
    """A differentiable loss and a count of right answers."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch, a scalar."""

    def correct(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        """Number of right answers (a scalar tensor) and of answers in a batch."""


class Classification:
    """Cross entropy over one label per image.

    A fully convolutional network gives logits (B, C, 1, 1); they are reshaped to (B, C) here, not in the network, so
    that the same network runs on larger images.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.flatten(1), targets, label_smoothing=self.label_smoothing)

    def correct(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        return (outputs.flatten(1).argmax(1) == targets).sum(), len(targets)
