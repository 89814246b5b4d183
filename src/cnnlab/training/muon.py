"""Muon: momentum whose step for every hidden layer is made orthogonal.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon. A step then moves all directions of a layer by the same
amount, rare ones too. PyTorch's own takes matrices only; this one takes convolutions, as matrices of (out, in x k x k).
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of Jordan's quintic: steep at 0, singular values end near 1


def orthogonalise(matrix: Tensor, steps: int = 3) -> Tensor:
    """The nearest matrix whose singular values are all near 1 (0.7 to 1.2), by Newton-Schulz iterations.

    Args:
        matrix: (rows, columns), floating point; computed in bfloat16.
        steps: iterations; small singular values need more.
    """
    a, b, c = _COEFFICIENTS
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)


class Muon(Optimizer):
    """Muon for dense convolutions, AdamW for all else (biases, norms, the first and the last layer).

    Args:
        params: parameters, or groups of them; a group with `hidden=True` takes Muon's steps, see `split_hidden`.
        lr: of AdamW; a Muon step is `muon_factor` times it, relative to the layer's norm.
        weight_decay: of AdamW's part, decoupled.
        momentum: of Muon, Nesterov's.
        muon_factor: how much longer Muon's steps are.
        betas: of AdamW.

    A hidden layer keeps the norm it began with: the steps turn it, and the rate is the angle. (Behind a batch norm, the
    length of a filter means nothing anyway.)
    """

    def __init__(
        self, params: Iterable, lr: float = 1e-2, weight_decay: float = 0.0, momentum: float = 0.6,
        muon_factor: float = 12.0, betas: tuple[float, float] = (0.9, 0.99),
    ) -> None:  # fmt: skip
        defaults = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "muon_factor": muon_factor, "betas": betas,
            "hidden": False,
        }  # fmt: skip
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One step; parameters without a gradient stay."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    (self._turn if group["hidden"] else self._adamw)(parameter, group)
        return loss

    def _turn(self, parameter: nn.Parameter, group: dict) -> None:
        state = self.state[parameter]
        if not state:
            state |= {"momentum": torch.zeros_like(parameter), "norm": parameter.norm()}
        state["momentum"].mul_(group["momentum"]).add_(parameter.grad)
        direction = parameter.grad.add(state["momentum"], alpha=group["momentum"])
        step = orthogonalise(direction.flatten(1)).view_as(parameter)
        length = group["lr"] * group["muon_factor"] * state["norm"] / step.norm().clamp(min=1e-7)
        parameter.sub_(step * length)
        parameter.mul_(state["norm"] / parameter.norm().clamp(min=1e-7))

    def _adamw(self, parameter: nn.Parameter, group: dict) -> None:
        state = self.state[parameter]
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}
        state["step"] += 1
        first, second = group["betas"]
        state["mean"].lerp_(parameter.grad, 1 - first)
        state["square"].lerp_(parameter.grad.square(), 1 - second)
        spread = (state["square"] / (1 - second ** state["step"])).sqrt_().add_(1e-8)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(state["mean"], spread, value=-group["lr"] / (1 - first ** state["step"]))


def split_hidden(groups: list[dict]) -> list[dict]:
    """Parameter groups with the dense convolutions apart, which Muon takes.

    Not the first layer, whose input is the image's channels, and not depthwise ones: there is nothing to decorrelate.
    Not the last ones either, those in the first group with as many outputs as its last weight: the length of the scores
    is to grow.
    """
    weights = [p for p in groups[0]["params"] if p.ndim > 1]
    scores = {id(p) for p in weights if len(p) == len(weights[-1])}

    def turns(p: nn.Parameter) -> bool:
        return p.ndim == 4 and p.shape[1] > 3 and id(p) not in scores

    out = []
    for group in groups:
        hidden = [p for p in group["params"] if turns(p)]
        others = [p for p in group["params"] if not turns(p)]
        out += [{**group, "params": some, "hidden": some is hidden} for some in (others, hidden) if some]
    return out
