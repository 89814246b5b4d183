"""The Lovász-softmax loss: a smooth stand-in for 1 - IoU, averaged over the classes of a batch.

Berman, Triki and Blaschko, "The Lovász-Softmax loss", CVPR 2018 (https://arxiv.org/abs/1705.08790). Cross entropy
counts pixels, so classes of few pixels weigh little; mean IoU counts classes, and this loss follows it.
"""

import torch
from torch import Tensor


def lovasz_softmax(probabilities: Tensor, targets: Tensor, ignore_index: int = 255) -> Tensor:
    """Mean over the classes that occur in `targets` of the Lovász extension of 1 - IoU; 0 where no pixel counts.

    Args:
        probabilities: float (B, C, H, W).
        targets: int64 (B, H, W).
        ignore_index: label of pixels that are left out.
    """
    counted = targets != ignore_index
    scores, labels = probabilities.movedim(1, -1)[counted], targets[counted]
    losses = []
    for label in labels.unique().tolist():
        truth = (labels == label).to(scores.dtype)
        errors, order = (truth - scores[:, label]).abs().sort(descending=True)
        losses.append(errors @ _steps_of_jaccard_loss(truth[order]))
    return torch.stack(losses).mean() if losses else probabilities.sum() * 0


def _steps_of_jaccard_loss(truth: Tensor) -> Tensor:
    """By how much 1 - IoU grows as the pixels, worst first, are got wrong one after the other; sums to 1."""
    total = truth.sum()
    intersection = total - truth.cumsum(0)
    union = total + (1 - truth).cumsum(0)
    loss = 1 - intersection / union
    return torch.cat([loss[:1], loss.diff()])
