"""A network's outputs over a whole data set, and its score there."""

from collections.abc import Callable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import Dataset

from cnnlab.training.batches import batches, to_float
from cnnlab.training.memory import keep_memory
from cnnlab.training.objective import Objective

PIXELS_AT_ONCE = 2**20  # without gradients, a deep network's widest maps of so many pixels take some hundred megabytes


def batch_size_for(dataset: Dataset, wanted: int = 0, most: int = 256) -> int:
    """Images to judge at once: `wanted`, or, if that is 0, `most` small ones and fewer large ones."""
    if wanted:
        return wanted
    images, _ = dataset.__getitems__([0])
    return max(1, min(most, PIXELS_AT_ONCE // (images.shape[-2] * images.shape[-1])))


@keep_memory()
@torch.no_grad()
def predict(
    model: nn.Module, dataset: Dataset, batch_size: int = 0, keep: Callable[[Tensor], Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Outputs and targets of a whole data set in order, in 32 bit, the network in evaluation mode.

    Args:
        model: the network.
        dataset: gives `(uint8 images, targets)` batches.
        batch_size: images at once; 0 chooses by their size.
        keep: what to keep of the outputs of a batch. The logits of many large images fill the memory; their classes,
            `lambda logits: logits.argmax(1).byte()`, do not.
    """
    model.eval()
    device = next(model.parameters()).device
    outputs, targets = [], []
    for images, target in batches(dataset, batch_size_for(dataset, batch_size)):
        output = model(to_float(images).to(device)).float()
        outputs.append((keep(output) if keep else output).cpu())
        targets.append(target)
    return torch.cat(outputs), torch.cat(targets)


@torch.no_grad()
def validate(model: nn.Module, val: Dataset, objective: Objective, batch_size: int, fabric: Fabric) -> dict[str, float]:
    """`val/loss` and `val/accuracy`, in the precision of training.

    Every process judges the whole of val: it is small, and so no process can disagree about the best epoch.
    """
    model.eval()
    sums = torch.zeros(3, dtype=torch.float64, device=fabric.device)
    for images, targets in batches(val, batch_size):
        inputs = to_float(images).to(fabric.device).contiguous(memory_format=torch.channels_last)
        with fabric.autocast():
            outputs = model(inputs).float()
        targets = targets.to(fabric.device)
        sums += tally(objective, outputs, targets, objective.loss(outputs, targets))
    loss, right, answers = sums.tolist()
    return {"val/loss": loss / max(answers, 1), "val/accuracy": right / max(answers, 1)}


def tally(objective: Objective, outputs: Tensor, targets: Tensor, loss: Tensor) -> Tensor:
    """(summed loss, right answers, answers), kept on the device: reading them back would stall a GPU at every step."""
    right, answers = objective.correct(outputs, targets)
    answers = answers.double() if isinstance(answers, Tensor) else torch.full_like(loss, answers, dtype=torch.float64)
    return torch.stack([loss.double() * answers, right.double(), answers])
