"""Optimisers and learning-rate schedules by name."""

from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LambdaLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

from cnnlab.training.config import Training
from cnnlab.training.groups import LayerGroups
from cnnlab.training.muon import Muon, split_hidden


def make_optimizer(groups: LayerGroups, training: Training) -> Optimizer:
    """The optimiser of `training` over all layer groups, frozen ones too: it passes over what has no gradient."""
    # One kernel for all of a parameter's arithmetic: on a CPU several times faster, which AlexNet's 57 million feel at
    # every step. In 16 bit it would unscale the gradients itself, and they could not be clipped.
    settings = {"lr": training.lr, "fused": training.precision != "16-mixed"}
    parameters = groups.optimizer_groups()
    if training.optimizer == "muon":
        return Muon(split_hidden(parameters), lr=training.lr)
    if training.optimizer == "sgd":
        return SGD(parameters, momentum=0.9, nesterov=True, **settings)
    if training.optimizer == "rmsprop":  # torch has no fused one
        return RMSprop(parameters, lr=training.lr)
    named = {"adam": Adam, "adamw": AdamW, "sgd_plain": SGD, "adagrad": Adagrad}
    return named[training.optimizer](parameters, **settings)


def make_schedule(optimizer: Optimizer, training: Training, steps_per_epoch: int) -> LRScheduler:
    """The schedule of `training`, to be stepped once per optimiser step; every group keeps its factor.

    That of `plateau` is stepped once per epoch instead, with the metric `training.watched`.
    """
    steps = training.epochs * steps_per_epoch
    if training.schedule == "linear":
        return LambdaLR(optimizer, lambda step: 1 - step / steps)
    if training.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=steps)
    if training.schedule == "one_cycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        # of exactly 5 steps a fifth is one, and torch would divide by the none that are left before the peak
        return OneCycleLR(
            optimizer, max_lr=peaks, total_steps=max(steps, 2), pct_start=0.3 if steps == 5 else 0.2,
            # torch would give momentum to those that are to have none
            cycle_momentum=training.optimizer not in ("sgd_plain", "rmsprop", "adagrad"),
        )  # fmt: skip
    if training.schedule == "plateau":
        mode = "min" if "loss" in training.watched else "max"
        # it acts after more than `patience` epochs without a better one; a threshold would ask for a step of some size
        patience = (training.step_epochs or 5) - 1
        return ReduceLROnPlateau(optimizer, mode, training.step_gamma, patience, threshold=0.0, eps=0.0)
    if training.schedule == "step" and training.step_epochs:
        return StepLR(optimizer, step_size=training.step_epochs * steps_per_epoch, gamma=training.step_gamma)
    if training.schedule == "step":
        return MultiStepLR(optimizer, milestones=[steps // 2, steps * 3 // 4], gamma=training.step_gamma)
    return LambdaLR(optimizer, lambda _: 1.0)
