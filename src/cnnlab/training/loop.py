"""The training loop: one for every experiment, resumable at each epoch, the same on CPU, GPU or several processes."""

import copy
import math
import time
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import Dataset
from tqdm import tqdm

from cnnlab.errors import ConfigError
from cnnlab.training.batches import Feed, Transform, batches, to_float
from cnnlab.training.checkpoint import load_checkpoint, save_checkpoint
from cnnlab.training.config import Training
from cnnlab.training.groups import LayerGroups
from cnnlab.training.inference import batch_size_for, predict, tally, validate
from cnnlab.training.memory import keep_memory, peak_memory_mb, reset_peak_memory
from cnnlab.training.objective import Classification, Objective, main_output, mix
from cnnlab.training.optim import make_optimizer, make_schedule
from cnnlab.training.precision import make_fabric

__all__ = ["Fit", "Metrics", "Transform", "fit", "predict", "to_float"]

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


@keep_memory()
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
    title: str | None = "",
) -> Fit:
    """Train `model` in place and leave it with the weights of the best epoch by `training.monitor`.

    Every epoch draws its shuffling, augmentation and dropout from (seed, epoch), so a run that is resumed after epoch k
    continues exactly as the unbroken run would.

    Args:
        model: the network; trained in place.
        train: gives `(uint8 images, targets)` batches; if it has `set_epoch`, that is called first in every epoch.
        val: the same for validation.
        training: the settings. Layer-wise rates and freezing go by `model.groups()`, modules from input to output.
        seed: seeds everything random in the loop (not the initial weights).
        objective: loss and accuracy on train; cross entropy over labels unless given.
        val_objective: the same on val; `objective` unless given.
        transform: `(uint8 images, generator) -> float images`, the augmentation of whole training batches; what is
            random in it comes from that generator.
        evaluate: `(network, epoch) -> metrics` added after each epoch, under names of its own.
        on_epoch: told epoch (from 1) and metrics after the checkpoint is written, and first of all those of a
            checkpoint that is resumed; what it raises ends training.
        checkpoint: file to write after every epoch and to resume from if it exists.
        fingerprint: stands for settings and data; a checkpoint with another one is refused.
        fabric: devices and precision; made from `training.precision` unless given.
        title: shown before the progress bar; None shows no bar.

    The metrics of an epoch are loss and accuracy of both splits, the head's learning rate (`lr`) and those of the layer
    groups where they differ, seconds, images per second, the share of the time in which a step waited for data
    (`data_wait`) and the peak of memory so far (`memory_mb`: the device's, on a CPU the process's).
    """
    fabric = fabric or make_fabric(training.precision)
    objective, val_objective = _objectives(objective, val_objective, training)
    generator = torch.Generator()
    loader = fabric.setup_dataloaders(batches(train, training.batch_size, generator), move_to_device=True)
    val_batch = batch_size_for(val, training.val_batch_size, most=max(256, training.batch_size))
    groups = LayerGroups(model, training)
    fabric.to_device(model.to(memory_format=torch.channels_last))
    optimizer = fabric.setup_optimizers(make_optimizer(groups, training))
    schedule = make_schedule(optimizer, training, len(loader))
    by_epoch = isinstance(schedule, ReduceLROnPlateau)
    average = AveragedModel(model, multi_avg_fn=_warm_average(training.ema), use_buffers=True) if training.ema else None
    network: nn.Module | None = None
    reset_peak_memory(fabric.device)
    result, best_state = Fit(), None

    state = load_checkpoint(checkpoint, fingerprint) if checkpoint else None
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        if average:
            average.load_state_dict(state["average"])
        fabric.strategy.precision.load_state_dict(state.get("precision", {}))  # 16-mixed: its scaler
        result, best_state = Fit(state["history"], state["best_epoch"]), state["best"]
        for epoch, metrics in enumerate(result.history, 1):  # whoever listens hears the whole story
            if on_epoch:
                on_epoch(epoch, metrics)

    start = len(result.history) + 1
    progress = tqdm(
        total=training.epochs * len(loader),
        initial=(start - 1) * len(loader),
        desc=title or "training",
        unit="batch",
        disable=None if fabric.is_global_zero and title is not None else True,
        mininterval=1.0,
        dynamic_ncols=True,
        leave=False,
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
        # several processes: Fabric seeds its DistributedSampler with this count, which knows no seed and no resume
        loader._num_iter_calls = _mix(seed, epoch)
        if groups.set_epoch(epoch) or network is None:  # wrapped anew: several processes exchange what trains, no more
            network = None
            network = fabric.setup_module(model, _reapply_compile=False)
        network.train()
        groups.eval_frozen()
        sums = torch.zeros(3, dtype=torch.float64, device=fabric.device)
        feed = Feed(loader, transform, augmenting, training.prefetch)
        for inputs, targets in feed:
            if training.mixup:
                inputs, partners, share = mix(inputs, training.mixup)
            outputs = network(inputs)
            loss = objective.loss(outputs, targets)
            if training.mixup:
                loss = share * loss + (1 - share) * objective.loss(outputs, targets[partners])
            fabric.backward(loss)
            if training.clip_grad:
                # 16-mixed: the first steps overflow, and the optimiser's scaler skips them
                fabric.clip_gradients(network, optimizer, max_norm=training.clip_grad, error_if_nonfinite=False)
            optimizer.step()
            optimizer.zero_grad()
            if not by_epoch:
                schedule.step()
            if average:
                average.update_parameters(model)
            sums += tally(objective, main_output(outputs).detach(), targets, loss.detach())
            progress.update()
        sums = fabric.all_reduce(sums, reduce_op="sum").cpu()  # waits for the device
        seconds = time.perf_counter() - began
        if not sums[0].isfinite():
            raise FloatingPointError(f"training diverged in epoch {epoch}: the loss is no longer a number")
        judged = average.module if average else model
        lr = schedule.get_last_lr()[0]  # of the head, which comes first
        metrics = {
            "epoch": epoch,
            "train/loss": sums[0].item() / max(sums[2].item(), 1),
            "train/accuracy": sums[1].item() / max(sums[2].item(), 1),
            **validate(judged, val, val_objective, val_batch, fabric),
            "lr": lr,
            **groups.rates(lr),
            "epoch_seconds": seconds,
            "images_per_second": len(train) / seconds if isinstance(train, Sized) else 0.0,
            "data_wait": min(feed.waited / seconds, 1.0),
            "memory_mb": peak_memory_mb(fabric.device),
        }
        if evaluate:
            metrics |= evaluate(judged, epoch)
        metrics = fabric.broadcast(metrics)  # batch-norm statistics differ between processes; the best epoch must not
        result.history.append(metrics)
        if _is_best(result, training):
            result.best_epoch = epoch
            best_state = copy.deepcopy(judged.state_dict())
        if by_epoch:
            schedule.step(_watched(metrics, training.watched))
        if checkpoint and fabric.is_global_zero:
            save_checkpoint(checkpoint, {
                "fingerprint": fingerprint, "model": model.state_dict(), "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(), "average": average.state_dict() if average else None,
                "precision": fabric.strategy.precision.state_dict(),
                "history": result.history, "best_epoch": result.best_epoch, "best": best_state,
            })  # fmt: skip
        progress.set_postfix({k: f"{metrics[k]:.3f}" for k in ("train/loss", "val/loss", "val/accuracy")})
        if on_epoch:
            on_epoch(epoch, metrics)
    progress.close()
    groups.release()
    if math.isnan(result.best["val/loss"]):
        told = f"after epoch {result.best_epoch} the network's outputs are no numbers"
        raise FloatingPointError(f"training diverged: {told}")
    model.load_state_dict(best_state)
    return result


def _objectives(
    objective: Objective | None, val_objective: Objective | None, training: Training
) -> tuple[Objective, Objective]:
    # Smoothing is for training; the loss on val stays that of the true targets, comparable between settings.
    smoothing = training.label_smoothing
    objective = objective or Classification(smoothing)
    if getattr(objective, "label_smoothing", 0.0) != smoothing and smoothing:
        raise ConfigError(
            f"training.label_smoothing is {smoothing}, which this training's objective, "
            f"{type(objective).__name__}, does not have."
        )
    if val_objective is None:
        val_objective = copy.copy(objective)
        if getattr(val_objective, "label_smoothing", 0.0):
            val_objective.label_smoothing = 0.0
    return objective, val_objective


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
    new = _watched(result.history[-1], training.monitor)
    if result.best_epoch == 0:
        return True
    old = result.best[training.monitor]
    if math.isnan(old):  # nothing compares with it
        return True
    return new <= old if training.minimise else new >= old  # of equals the later one: it was trained longer


def _watched(metrics: Metrics, name: str) -> float:
    if name not in metrics:
        known = ", ".join(metrics)
        raise ConfigError(f"training.monitor={name} is not a metric of this training; there are {known}.")
    return metrics[name]


def _exhausted(result: Fit, training: Training) -> bool:
    return bool(training.patience) and len(result.history) - result.best_epoch >= training.patience
