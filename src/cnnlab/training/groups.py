"""Layer groups of a network: a learning rate for each, and which of them train in which epoch."""

from collections.abc import Iterable, Sequence

from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.training.config import Training


class LayerGroups:
    """The layer groups of `model`, counted from the head backwards; group 0 is the head.

    A network names its groups by `groups()`, a list of modules from the input to the output; one without it is a single
    group. Parameters in no group go with the one at the input. Parameters that the network itself has fixed
    (`requires_grad` off) stay fixed.

    Raises:
        ConfigError: `training` speaks of more groups than the network has.
    """

    def __init__(self, model: nn.Module, training: Training) -> None:
        self.modules: list[nn.Module] = list(model.groups())[::-1] if hasattr(model, "groups") else [model]
        self.training = training
        self.parameters = _share_out(self.modules, model.parameters())
        self.trained = 0  # number of groups that train now
        self._refuse_more_than_there_are()

    def __len__(self) -> int:
        return len(self.modules)

    @property
    def told_apart(self) -> bool:
        """Whether the settings treat the groups differently."""
        training = self.training
        return bool(len(self) > 1 and (training.lr_factors or training.trained_groups or training.unfreeze_every))

    def count_trained(self, epoch: int) -> int:
        """How many groups, the head first, train in an epoch (from 1)."""
        training = self.training
        if not training.unfreeze_every:
            return training.trained_groups or len(self)
        return min(len(self), (training.trained_groups or 1) + (epoch - 1) // training.unfreeze_every)

    def set_epoch(self, epoch: int) -> bool:
        """Freeze and unfreeze as the epoch wants; whether that changed anything."""
        before, self.trained = self.trained, self.count_trained(epoch)
        for index, parameters in enumerate(self.parameters):
            for parameter in parameters:
                parameter.requires_grad_(index < self.trained)
                if index >= self.trained:
                    parameter.grad = None  # the optimiser passes over what has no gradient: no decay, no momentum
        return self.trained != before

    def eval_frozen(self) -> None:
        """Evaluation mode for frozen groups: their batch-norm statistics stay, nothing is dropped out."""
        for module in self.modules[self.trained :]:
            module.eval()

    def release(self) -> None:
        """Leave every parameter as trainable as it came."""
        for parameters in self.parameters:
            for parameter in parameters:
                parameter.requires_grad_(True)

    def factor(self, index: int) -> float:
        """What the learning rate of a group is multiplied by."""
        factors = self.training.lr_factors or (1.0,)
        return factors[min(index, len(factors) - 1)]

    def optimizer_groups(self) -> list[dict]:
        """Parameter groups for the optimiser, the head's first; weight decay on matrices and kernels only."""
        out = []
        for index, parameters in enumerate(self.parameters):
            lr = self.training.lr * self.factor(index)
            for decay, chosen in (
                (self.training.weight_decay, [p for p in parameters if p.ndim > 1]),
                (0.0, [p for p in parameters if p.ndim <= 1]),
            ):
                if chosen:
                    out.append({"params": chosen, "weight_decay": decay, "lr": lr})
        return out

    def rates(self, head_lr: float) -> dict[str, float]:
        """`lr/group_1` (at the input), `lr/group_2`, …: rate of each group, 0 where frozen; none if all are alike."""
        if not self.told_apart:
            return {}
        head = self.factor(0)
        rates = [head_lr * self.factor(i) / head if i < self.trained else 0.0 for i in range(len(self))]
        return {f"lr/group_{number}": rate for number, rate in enumerate(rates[::-1], 1)}

    def _refuse_more_than_there_are(self) -> None:
        training, have = self.training, len(self)
        for name, wanted in (("lr_factors", len(training.lr_factors)), ("trained_groups", training.trained_groups)):
            if wanted > have:
                raise ConfigError(f"training.{name} speaks of {wanted} layer groups, but this network has {have}.")
        if training.unfreeze_every and have == 1:
            raise ConfigError("training.unfreeze_every needs a network of several layer groups; this one has 1.")


def _share_out(modules: Sequence[nn.Module], every: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    owner = {}
    for index, module in enumerate(modules):
        for parameter in module.parameters():
            owner.setdefault(parameter, index)
    parts: list[list[nn.Parameter]] = [[] for _ in modules]
    for parameter in every:  # in the network's order, whatever the groups' is
        if parameter.requires_grad:
            parts[owner.get(parameter, len(modules) - 1)].append(parameter)
    return parts
