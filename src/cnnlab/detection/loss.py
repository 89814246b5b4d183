"""The loss of a map of cells: is a face here, and where exactly are its edges."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from cnnlab.detection.regression import decode

IGNORE = -1


def detection_loss(outputs: Tensor, targets: Tensor, gamma: float = 2.0, box_weight: float = 1.0) -> Tensor:
    """Loss of `outputs` (B, 6, h, w), or (B, 2, h, w) without boxes, against `targets`.

    targets: (B, 5, h, w) from `FaceCrops` (label 1 face, 0 background, -1 ignored; four box offsets), or labels (B,) of
    patches, which are met with plain cross entropy.
    Focal loss (Lin et al. 2017, arXiv:1708.02002) over the cells that are not ignored plus, on faces, generalised IoU
    (Rezatofighi et al. 2019, arXiv:1902.09630); both per face.
    """
    if targets.ndim == 1:
        return F.cross_entropy(outputs[:, :2].flatten(1), targets)
    outputs = outputs.float()
    labels = targets[:, 0]
    counted, faces = labels != IGNORE, labels == 1
    count = faces.sum().clamp(min=1)
    log_p = outputs[:, :2].log_softmax(dim=1)
    log_right = torch.where(faces, log_p[:, 1], log_p[:, 0])
    focal = -((1 - log_right.exp()) ** gamma) * log_right
    loss = (focal * counted).sum() / count
    if outputs.shape[1] == 2:
        return loss
    # Offsets are relative to the window, so a unit window stands for each.
    unit = outputs.new_tensor((0.0, 0.0, 1.0, 1.0))
    predicted = decode(outputs[:, 2:].permute(0, 2, 3, 1)[faces], unit)
    true = decode(targets[:, 1:].permute(0, 2, 3, 1)[faces], unit)
    return loss + box_weight * generalized_box_iou_loss(predicted, true, reduction="sum") / count


class Detection:
    """Objective of the training loop: `detection_loss`, and the right decisions among the cells that count."""

    def __init__(self, gamma: float = 2.0, box_weight: float = 1.0) -> None:
        self.gamma = gamma
        self.box_weight = box_weight

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch, a scalar."""
        return detection_loss(outputs, targets, self.gamma, self.box_weight)

    def correct(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        """Number of right decisions (a scalar tensor) and of decisions in a batch."""
        labels = targets.reshape(-1, 1, 1) if targets.ndim == 1 else targets[:, 0]
        counted = labels != IGNORE
        return ((outputs[:, :2].argmax(dim=1) == labels) & counted).sum(), int(counted.sum())
