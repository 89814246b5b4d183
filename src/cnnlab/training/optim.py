"""Optimisers and learning-rate schedules by name."""

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, MultiStepLR, OneCycleLR

from cnnlab.training.config import Training


def make_optimizer(model: nn.Module, training: Training) -> Optimizer:
    """The optimiser of `training`, with weight decay on matrices and kernels only."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if training.optimizer == "sgd":
        return SGD(groups, lr=training.lr, momentum=0.9, nesterov=True)
    return {"adam": Adam, "adamw": AdamW}[training.optimizer](groups, lr=training.lr)


def make_schedule(optimizer: Optimizer, training: Training, steps_per_epoch: int) -> LRScheduler:
    """The schedule of `training`, to be stepped once per optimiser step."""
    steps = training.epochs * steps_per_epoch
    if training.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=steps)
    if training.schedule == "one_cycle":
        return OneCycleLR(optimizer, max_lr=training.lr, total_steps=max(steps, 2), pct_start=0.2)
    if training.schedule == "step":
        return MultiStepLR(optimizer, milestones=[steps // 2, steps * 3 // 4], gamma=0.1)
    return LambdaLR(optimizer, lambda _: 1.0)
