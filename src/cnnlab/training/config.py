"""Settings of the training loop; their defaults live here and nowhere else."""

from dataclasses import dataclass
from typing import Literal

from cnnlab.errors import ConfigError


@dataclass(frozen=True)
class Training:
    """How a network is trained."""

    epochs: int = 10
    """passes over the training data"""
    batch_size: int = 64
    """samples per optimiser step (per process)"""
    optimizer: Literal["adam", "adamw", "sgd", "sgd_plain", "rmsprop", "adagrad", "muon"] = "adam"
    """sgd has Nesterov momentum 0.9, sgd_plain none; muon takes dense convolutions, at 12 times lr, AdamW the rest"""
    lr: float = 3e-4
    """peak learning rate"""
    weight_decay: float = 0.0
    """applied to weights of two or more dimensions, not to biases or norms"""
    schedule: Literal["constant", "linear", "cosine", "one_cycle", "step", "plateau"] = "constant"
    """per step; linear falls from lr to nearly 0 without a warm-up; step divides by 10 at 1/2 and 3/4 of the epochs,
    plateau after 5 epochs without a better `monitor` (val/loss with `last`); or as step_epochs and step_gamma say"""
    step_epochs: int = 0
    """with schedule=step: multiply the rate by step_gamma after every so many epochs; 0 is at 1/2 and 3/4 of them; with
    schedule=plateau: after so many without a better `monitor`, 0 is 5"""
    step_gamma: float = 0.1
    """with schedule=step and plateau: the factor"""
    lr_factors: tuple[float, ...] = ()
    """factor on lr of each layer group, the head's first and then backwards; the last one goes for all earlier groups
    (1 0.1 0.01: the head, the group below it, all others); none is the same rate everywhere"""
    trained_groups: int = 0
    """train only so many layer groups, the head and those below it, and leave the others frozen; 0 trains all"""
    unfreeze_every: int = 0
    """staged unfreezing: start with trained_groups (0: the head), one more after every so many epochs; 0 is off"""
    label_smoothing: float = 0.0
    """share of each training target that is spread over all classes"""
    mixup: float = 0.0
    """alpha of the Beta distribution by which pairs of images and their losses are mixed; 0 is off"""
    ema: float = 0.0
    """decay of an exponential moving average of the weights, which is then the network judged and kept; 0 is off"""
    clip_grad: float = 0.0
    """largest norm of the gradient; 0 is off"""
    patience: int = 0
    """stop after this many epochs without a better `monitor`; 0 is off"""
    monitor: str = "val/loss"
    """metric that chooses the best epoch (`last` keeps the last one); a loss is minimised, all else maximised"""
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    """auto is bf16 where the processor computes in it, else 32-bit"""
    prefetch: int = 1
    """batches that a thread makes ahead of the network; 0 makes each when its step wants it"""
    val_batch_size: int = 0
    """images per step of validation; 0 takes 256, or fewer of large images so that memory stays small"""

    def __post_init__(self) -> None:
        for name, lowest in (
            ("epochs", 1), ("batch_size", 1), ("patience", 0), ("step_epochs", 0), ("trained_groups", 0),
            ("unfreeze_every", 0), ("mixup", 0), ("prefetch", 0), ("val_batch_size", 0),
        ):  # fmt: skip
            if getattr(self, name) < lowest:
                raise ConfigError(f"training.{name} must be at least {lowest}, not {getattr(self, name)}.")
        if self.lr <= 0:
            raise ConfigError(f"training.lr must be above 0, not {self.lr}.")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"training.ema must be in [0, 1), not {self.ema}.")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"training.label_smoothing must be in [0, 1), not {self.label_smoothing}.")
        if self.step_gamma <= 0:
            raise ConfigError(f"training.step_gamma must be above 0, not {self.step_gamma}.")
        if self.schedule == "plateau" and self.step_gamma >= 1:
            raise ConfigError(f"training.step_gamma must be below 1 with schedule=plateau, not {self.step_gamma}.")
        if self.patience and self.monitor == "last":
            raise ConfigError(
                "training.patience waits for a better epoch, and with training.monitor=last none is better: name a "
                "metric, such as val/loss."
            )
        if any(factor <= 0 for factor in self.lr_factors):
            raise ConfigError(
                f"training.lr_factors must all be above 0, not {' '.join(map(str, self.lr_factors))}; "
                "training.trained_groups freezes groups."
            )

    @property
    def minimise(self) -> bool:
        """Whether a smaller `monitor` is better."""
        return "loss" in self.monitor

    @property
    def watched(self) -> str:
        """The metric that schedule=plateau goes by."""
        return "val/loss" if self.monitor == "last" else self.monitor
