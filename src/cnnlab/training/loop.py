"""The training loop: one for every experiment, resumable at each epoch, the same on CPU, GPU or several processes."""

import copy
import time
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from cnnlab.errors import ConfigError
from cnnlab.training.checkpoint import load_checkpoint, save_checkpoint
from cnnlab.training.config import Training
from cnnlab.training.objective import Classification, Objective
from cnnlab.training.optim import make_optimizer, make_schedule
from cnnlab.training.precision import make_fabric

Transform = Callable[[Tensor, torch.Generator], Tensor]
Metrics = dict[str, float]


@dataclass
class Fit:
    """What training leaves: the metrics of every epoch and the number of the one that was kept (from 1)."""

    history: list[Metrics] = field(default_factory=list)
    best_epoch: int = 0

    @property
    def best(self) -> Metrics:
        """Metrics of the kept epoch."""
        return self.history[self.best_epoch - 1]


def to_float(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """uint8 (B, C, H, W) to float32 in [0, 1]; the transform of an experiment without augmentation."""
    return images.float().div_(255)


def batches(dataset: Dataset, batch_size: int, generator: torch.Generator | None = None) -> DataLoader:
    """A DataLoader over a data set that hands out whole batches by `__getitems__`; shuffled if given a generator."""
    return DataLoader(
        dataset, batch_size=batch_size, shuffle=generator is not None, generator=generator, collate_fn=_as_is
    )


def _as_is(batch: Any) -> Any:
    return batch


def fit(
    model: nn.Module,
    train: Dataset,
    val: Dataset,
    training: Training,
    *,
    seed: int = 0,
    objective: Objective | None = None,
    val_objective: Objective | None = None,
    transform: Transform = to_float,
    evaluate: Callable[[nn.Module, int], Metrics] | None = None,
    on_epoch: Callable[[int, Metrics], None] | None = None,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    fabric: Fabric | None = None,
    title: str = "",
) -> Fit:
    """Train `model` in place and leave it with the weights of the best epoch by `training.monitor`.

    Every epoch draws its shuffling, augmentation and dropout from (seed, epoch), so a run that is resumed after epoch k
    continues exactly as the unbroken run would.

    Args:
        model: the network; trained in place.
        train: gives `(uint8 images, targets)` batches; if it has `set_epoch`, that is called first in every epoch.
        val: the same for validation.
        training: the settings.
        seed: seeds everything random in the loop (not the initial weights).
        objective: loss and accuracy on train; cross entropy over labels unless given.
        val_objective: the same on val; `objective` unless given.
        transform: `(uint8 images, generator) -> float images`, the augmentation of whole training batches.
        evaluate: `(network, epoch) -> metrics` added after each epoch, under names of its own.
        on_epoch: told epoch (from 1) and metrics after the checkpoint is written, and first of all those of a
            checkpoint that is resumed; what it raises ends training.
        checkpoint: file to write after every epoch and to resume from if it exists.
        fingerprint: stands for settings and data; a checkpoint with another one is refused.
        fabric: devices and precision; made from `training.precision` unless given.
        title: shown before the progress bar.
    """
    fabric = fabric or make_fabric(training.precision)
    objective = objective or Classification()
    generator = torch.Generator()
    loader = fabric.setup_dataloaders(batches(train, training.batch_size, generator), move_to_device=True)
    network, optimizer = fabric.setup(
        model.to(memory_format=torch.channels_last), make_optimizer(model, training), _reapply_compile=False
    )
    schedule = make_schedule(optimizer, training, len(loader))
    average = AveragedModel(model, multi_avg_fn=_warm_average(training.ema), use_buffers=True) if training.ema else None
    result, best_state = Fit(), None

    state = load_checkpoint(checkpoint, fingerprint) if checkpoint else None
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        if average:
            average.load_state_dict(state["average"])
        result, best_state = Fit(state["history"], state["best_epoch"]), state["best"]
        for epoch, metrics in enumerate(result.history, 1):  # whoever listens hears the whole story
            if on_epoch:
                on_epoch(epoch, metrics)

    start = len(result.history) + 1
    progress = tqdm(
        total=training.epochs * len(loader), initial=(start - 1) * len(loader), desc=title or "training", unit="batch",
        disable=None if fabric.is_global_zero else True, mininterval=1.0, dynamic_ncols=True, leave=False,
    )
    for epoch in range(start, training.epochs + 1):
        if _exhausted(result, training):
            break
        began = time.perf_counter()
        torch.manual_seed(_mix(seed, epoch, fabric.global_rank))
        generator.manual_seed(_mix(seed, epoch))
        augmenting = torch.Generator().manual_seed(_mix(seed, epoch, fabric.global_rank) + 1)
        if hasattr(train, "set_epoch"):
            train.set_epoch(epoch)
        if hasattr(loader.sampler, "set_epoch"):  # several processes: Fabric's DistributedSampler
            loader.sampler.set_epoch(_mix(seed, epoch))
        network.train()
        sums = torch.zeros(3, dtype=torch.float64, device=fabric.device)
        for images, targets in loader:
            inputs = transform(images, augmenting).contiguous(memory_format=torch.channels_last)
            outputs = network(inputs)
            loss = objective.loss(outputs, targets)
            fabric.backward(loss)
            if training.clip_grad:
                fabric.clip_gradients(network, optimizer, max_norm=training.clip_grad)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            if average:
                average.update_parameters(model)
            sums += _counts(objective, outputs.detach(), targets, loss.detach())
            progress.update()
        sums = fabric.all_reduce(sums, reduce_op="sum")
        seconds = time.perf_counter() - began
        judged = average.module if average else model
        metrics = {
            "epoch": epoch,
            "train/loss": sums[0].item() / max(sums[2].item(), 1),
            "train/accuracy": sums[1].item() / max(sums[2].item(), 1),
            **_validate(judged, val, val_objective or objective, training, fabric),
            "lr": schedule.get_last_lr()[0],
            "epoch_seconds": seconds,
            "images_per_second": len(train) / seconds if isinstance(train, Sized) else 0.0,
        }
        if evaluate:
            metrics |= evaluate(judged, epoch)
        result.history.append(metrics)
        if _is_best(result, training):
            result.best_epoch = epoch
            best_state = copy.deepcopy(judged.state_dict())
        if checkpoint and fabric.is_global_zero:
            save_checkpoint(checkpoint, {
                "fingerprint": fingerprint, "model": model.state_dict(), "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(), "average": average.state_dict() if average else None,
                "history": result.history, "best_epoch": result.best_epoch, "best": best_state,
            })  # fmt: skip
        progress.set_postfix({k: f"{metrics[k]:.3f}" for k in ("train/loss", "val/loss", "val/accuracy")})
        if on_epoch:
            on_epoch(epoch, metrics)
    progress.close()
    model.load_state_dict(best_state)
    return result


@torch.no_grad()
def predict(model: nn.Module, dataset: Dataset, batch_size: int = 256) -> tuple[Tensor, Tensor]:
    """Outputs and targets of a whole data set in order, in 32 bit, the network in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    outputs, targets = [], []
    for images, target in batches(dataset, batch_size):
        outputs.append(model(to_float(images).to(device)).float().cpu())
        targets.append(target)
    return torch.cat(outputs), torch.cat(targets)


@torch.no_grad()
def _validate(model: nn.Module, val: Dataset, objective: Objective, training: Training, fabric: Fabric) -> Metrics:
    # Every process judges the whole of val: it is small, and so no process can disagree about the best epoch.
    model.eval()
    sums = torch.zeros(3, dtype=torch.float64, device=fabric.device)
    for images, targets in batches(val, max(256, training.batch_size)):
        inputs = to_float(images).to(fabric.device).contiguous(memory_format=torch.channels_last)
        with fabric.autocast():
            outputs = model(inputs).float()
        targets = targets.to(fabric.device)
        sums += _counts(objective, outputs, targets, objective.loss(outputs, targets))
    return {"val/loss": sums[0].item() / sums[2].item(), "val/accuracy": sums[1].item() / sums[2].item()}


def _counts(objective: Objective, outputs: Tensor, targets: Tensor, loss: Tensor) -> Tensor:
    # (summed loss, right answers, answers), kept on the device: reading them back would stall a GPU at every step
    right, answers = objective.correct(outputs, targets)
    return torch.stack([loss.double() * answers, right.double(), torch.full_like(loss, answers, dtype=torch.float64)])


def _warm_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    @torch.no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        # a full decay from the start would drag the initial weights along for thousands of steps
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, share)
            else:
                old.copy_(new)

    return update


def _mix(seed: int, epoch: int, rank: int = 0) -> int:
    return (seed * 1_000_003 + epoch) * 1009 + 2 * rank


def _is_best(result: Fit, training: Training) -> bool:
    if training.monitor == "last":
        return True
    if training.monitor not in result.history[-1]:
        known = ", ".join(result.history[-1])
        raise ConfigError(f"training.monitor={training.monitor} is not a metric of this training; there are {known}.")
    if result.best_epoch == 0:
        return True
    old, new = result.best[training.monitor], result.history[-1][training.monitor]
    return new <= old if training.minimise else new >= old  # of equals the later one: it was trained longer


def _exhausted(result: Fit, training: Training) -> bool:
    return bool(training.patience) and len(result.history) - result.best_epoch >= training.patience
