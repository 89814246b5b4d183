"""What the hidden units of perceptrons look for, in words that are made from the weights themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cnnlab.data.facescrub import FaceSplits
from cnnlab.explain.units import APART, RULE, Unit, smoothness
from cnnlab.models.mlp import MLP

_ROWS, _COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")


@dataclass(frozen=True)
class Trained:
    """One network of the comparison.

    Attributes:
        name: in words.
        hidden: number of units.
        l2: weight decay, 0 for none.
        model: of the first seed.
        accuracies: on validation, of every seed.
        smoothness: mean over the units, of every seed.
        units: the most telling ones of the first seed.
    """

    name: str
    hidden: int
    l2: float
    model: MLP
    accuracies: list[float]
    smoothness: list[float]
    units: list[Unit]

    @property
    def key(self) -> str:
        """For names of metrics."""
        return f"{self.hidden}{'_l2' if self.l2 else ''}"

    @property
    def title(self) -> str:
        """Name, smoothness and accuracy."""
        return f"{self.name}: smoothness {np.mean(self.smoothness):.2f}, val {np.mean(self.accuracies):.1%}"


@dataclass(frozen=True)
class WeightsReport:
    """A page and its first sentence."""

    text: str
    sentence: str


def weights_report(networks: Sequence[Trained], data: FaceSplits, otherwise: str = "") -> WeightsReport:
    """The rule, what L2 does, and each chosen unit in words.

    Args:
        networks: with and without L2.
        data: whom they name.
        otherwise: the settings in which their training is not that of `facescrub_mlp`.
    """
    training = (
        f"**Training.** Not as `facescrub_mlp` trains its own, but with {otherwise}, and the penalty that each name "
        "tells. Adam's weight decay is the penalty in the gradient, which is L2, and AdamW's is not; with "
        "`scaling=local` each unit has one picture. So the accuracies are not those of `facescrub_mlp`."
    )  # fmt: skip
    sentence = " ".join(_effect(plain, with_l2) for plain, with_l2 in _pairs(networks))
    lines = [
        "# Hidden units", "", f"{sentence} ({data.name}, {len(data.val)} validation faces)", "",
        f"**Rule.** {RULE.format(apart=APART)}", "", *([training, ""] if otherwise else []),
        "| network | accuracy on validation | smoothness of all units | of the chosen ones |",
        "| --- | --- | --- | --- |",
        *(_row(network) for network in networks), "",
        "Smoothness is the correlation of neighbouring weights in a unit's picture: 0 for noise, near 1 where the "
        "picture changes gradually.", "",
    ]  # fmt: skip
    for network in networks:
        lines += [f"## {network.name}", "", *(f"- {describe_unit(unit, data.people)}" for unit in network.units), ""]
    return WeightsReport("\n".join(lines), sentence)


def describe_unit(unit: Unit, people: Sequence[str]) -> str:
    """Whom a unit speaks for and against, and where in the picture it wants light and dark."""
    order = np.argsort(-unit.speaks)
    told = [f"{people[k]} ({unit.speaks[k]:+.2f})" for k in order]
    for_whom = [text for text, k in zip(told, order, strict=True) if unit.speaks[k] > 0][:2]
    against = [text for text, k in zip(told, order, strict=True) if unit.speaks[k] < 0][::-1][:2]
    light, dark = _light_and_dark(unit.picture.mean(0))
    excited = people[int(unit.activation.argmax())]
    surprise = "" if excited == people[order[0]] else ", though it does not speak for them most"
    return (
        f"Unit {unit.index}, {unit.say:.1f} times the say of the average unit, speaks for {' and '.join(for_whom)} and "
        f"against {' and '.join(against)}. It wants the {light} light and the {dark} dark, and faces of {excited} "
        f"excite it most on average{surprise}. Smoothness {_smooth(unit):.2f}."
    )


def _light_and_dark(lightness: np.ndarray) -> tuple[str, str]:
    """The lightest and the darkest ninth of a picture (H, W) of weights, as `top left` or `middle centre`."""
    parts = [np.array_split(band, 3, axis=1) for band in np.array_split(lightness, 3, axis=0)]
    means = np.array([[part.mean() for part in band] for band in parts])

    def place(flat: int) -> str:
        return f"{_ROWS[flat // 3]} {_COLUMNS[flat % 3]}"

    return place(int(means.argmax())), place(int(means.argmin()))


def _pairs(networks: Sequence[Trained]) -> list[tuple[Trained, Trained]]:
    return [(a, b) for a in networks for b in networks if a.hidden == b.hidden and not a.l2 and b.l2]


def _effect(plain: Trained, with_l2: Trained) -> str:
    smooth = [float(np.mean(network.smoothness)) for network in (plain, with_l2)]
    change = smooth[1] - smooth[0]
    verb = "smooths" if change > 0.02 else "roughens" if change < -0.02 else "hardly changes"
    accuracies = [float(np.mean(network.accuracies)) for network in (plain, with_l2)]
    return (
        f"With {plain.hidden} units L2 {verb} the pictures: neighbouring weights correlate {smooth[1]:.2f} instead of "
        f"{smooth[0]:.2f}, and {accuracies[1]:.1%} instead of {accuracies[0]:.1%} of the validation faces are right."
    )


def _row(network: Trained) -> str:
    spread = [f" ± {np.std(v, ddof=1):.3f}" if len(v) > 1 else "" for v in (network.accuracies, network.smoothness)]
    chosen = np.mean([_smooth(unit) for unit in network.units])
    return (
        f"| {network.name} | {np.mean(network.accuracies):.3f}{spread[0]} | "
        f"{np.mean(network.smoothness):.2f}{spread[1]} | {chosen:.2f} |"
    )


def _smooth(unit: Unit) -> float:
    return smoothness(torch.from_numpy(unit.picture)[None]).item()
