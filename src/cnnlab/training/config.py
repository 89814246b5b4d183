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
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """sgd has Nesterov momentum 0.9"""
    lr: float = 3e-4
    """peak learning rate"""
    weight_decay: float = 0.0
    """applied to weights of two or more dimensions, not to biases or norms"""
    schedule: Literal["constant", "cosine", "one_cycle", "step"] = "constant"
    """per step; step divides by 10 at 1/2 and 3/4 of the epochs"""
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

    def __post_init__(self) -> None:
        for name, lowest in (("epochs", 1), ("batch_size", 1), ("patience", 0)):
            if getattr(self, name) < lowest:
                raise ConfigError(f"training.{name} must be at least {lowest}, not {getattr(self, name)}.")
        if self.lr <= 0:
            raise ConfigError(f"training.lr must be above 0, not {self.lr}.")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"training.ema must be in [0, 1), not {self.ema}.")

    @property
    def minimise(self) -> bool:
        """Whether a smaller `monitor` is better."""
        return "loss" in self.monitor
