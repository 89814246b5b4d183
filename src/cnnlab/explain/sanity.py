"""Does a map show what the network learned, or only the picture? The sanity check of Adebayo et al. 2018.

Randomise a trained network's weights from the output to the input, ask again about the same pictures and classes, and
see how much of each map is still there (https://arxiv.org/abs/1810.03292, "cascading randomization"). A map that stays
the same cannot tell what was learned. Start with `check_sanity`.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from cnnlab.errors import ConfigError
from cnnlab.explain.attribution import Attributions, class_shares, explain, find_cam_layer

KEPT = 0.5
"""A rank correlation above this is called the same map."""
_WINDOW = 7  # of SSIM


@dataclass(frozen=True)
class SanityCheck:
    """How alike maps are before and after randomisation; stage 0 is the trained network, B pictures.

    Attributes:
        stages: name of the layer randomised last at each stage, `trained` first; stage i has lost i layers.
        maps: what `explain` finds at each stage, all for the classes that the trained network was asked about.
        correlation: kind of map -> Spearman's rank correlation with the trained network's map, (stages, B); not a
            number where one of the two is empty.
        ssim: kind of map -> structural similarity with it, (stages, B); likewise.
        other_class: kind of map -> rank correlation of the trained network's maps for two classes, (B,).
        other_picture: kind of map -> rank correlation of its maps of two pictures: what any two maps share, (B,); of
            a single picture empty, (0,).
    """

    stages: tuple[str, ...]
    maps: tuple[Attributions, ...]
    correlation: dict[str, np.ndarray]
    ssim: dict[str, np.ndarray]
    other_class: dict[str, np.ndarray]
    other_picture: dict[str, np.ndarray]

    def kept(self, stage: int = -1) -> dict[str, float]:
        """Kind of map -> mean rank correlation at a stage; by default once every layer is randomised."""
        return {kind: finite_mean(values[stage]) for kind, values in self.correlation.items()}

    def empty(self, stage: int = -1) -> dict[str, int]:
        """Kind of map -> number of pictures of which nothing can be compared at a stage, since a map is empty."""
        return {kind: int(np.isnan(values[stage]).sum()) for kind, values in self.correlation.items()}

    def verdict(self) -> str:
        """Two sentences on which maps depend on the weights and which do not, with their correlations."""
        picture, little = "it shows the picture more than what the network learned", "it says little of why this class"
        every = _told("every layer", self.kept(), self.empty(), picture)
        last = _told("the last layer alone", self.kept(1), self.empty(1), f"{little} and no other")
        return f"{every} {last} In brackets: mean rank correlation with the trained network's map."


def check_sanity(
    model: nn.Module, images: Tensor, target: Tensor | int | None = None, layer: str = "", seed: int = 0
) -> SanityCheck:
    """Randomise the weights from the last layer to the first and compare all maps after each step.

    Args:
        model: a classifier as `explain` takes it, of two classes at least; unchanged.
        images: float32 (B, C, H, W).
        target: the classes asked about, as for `explain`; the trained network's answers unless given.
        layer: of Grad-CAM, as for `explain`.
        seed: of the random weights.

    Raises:
        ConfigError: the network has no layer with weights, or the images are too small to compare.
    """
    if min(images.shape[-2:]) < _WINDOW:
        raise ConfigError(f"Maps of {tuple(images.shape[-2:])} pixels are too small to compare; at least {_WINDOW}.")
    layer = layer or find_cam_layer(model, images[:1])
    trained = explain(model, images, target, layer)
    asked = torch.from_numpy(trained.target)
    shares = class_shares(model, images)
    shares[np.arange(len(shares)), trained.target] = -1
    others = explain(model, images, torch.from_numpy(shares.argmax(1)), layer).strengths()
    stages, found = ["trained"], [trained]
    for name, network in cascade(model, seed):
        stages.append(name)
        found.append(explain(network, images, asked, layer))
    first = trained.strengths()
    return SanityCheck(
        tuple(stages), tuple(found),
        {kind: np.stack([rank_correlation(one, f.strengths()[kind]) for f in found]) for kind, one in first.items()},
        {kind: np.stack([similarity(one, f.strengths()[kind]) for f in found]) for kind, one in first.items()},
        {kind: rank_correlation(one, others[kind]) for kind, one in first.items()},
        {
            kind: rank_correlation(one, np.roll(one, 1, axis=0)) if len(one) > 1 else np.zeros(0)
            for kind, one in first.items()
        },
    )  # fmt: skip


def cascade(model: nn.Module, seed: int = 0) -> Iterator[tuple[str, nn.Module]]:
    """The network with one more layer randomised at each step, from the last with weights to the first.

    A layer's weights are its own values in random order and its biases too: every layer keeps the spread of its
    weights, so that the maps do not change merely because signals die out. Each network given is one and the same copy.

    Raises:
        ConfigError: the network has no layer with weights.
    """
    network = copy.deepcopy(model).eval()
    generator = torch.Generator().manual_seed(seed)
    layers = [(name, m) for name, m in network.named_modules() if any(True for _ in m.parameters(recurse=False))]
    if not layers:
        raise ConfigError("The network has no layer with weights to randomise.")
    for name, module in reversed(layers):
        with torch.no_grad():
            for parameter in module.parameters(recurse=False):
                order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].view_as(parameter))
        yield name, network


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's correlation of two maps (B, H, W) for each pair: (B,); not a number where one of them is constant."""
    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (first, second)]
    centred = [r - r.mean(axis=1, keepdims=True) for r in ranks]
    spread = np.sqrt((centred[0] ** 2).sum(1) * (centred[1] ** 2).sum(1))
    return np.divide((centred[0] * centred[1]).sum(1), spread, out=np.full(len(first), np.nan), where=spread > 0)


def similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Structural similarity (Wang et al. 2004) of two maps (B, H, W), each scaled to its own largest value: (B,).

    Not a number where one of them is constant.
    """
    return np.array([
        structural_similarity(_scaled(a), _scaled(b), win_size=_WINDOW, data_range=1.0)
        if np.ptp(a) > 0 and np.ptp(b) > 0 else np.nan
        for a, b in zip(first, second, strict=True)
    ])  # fmt: skip


def finite_mean(values: np.ndarray) -> float:
    """Of those that are numbers; not a number where none is."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


def _scaled(values: np.ndarray) -> np.ndarray:
    largest = np.abs(values).max()
    return values.astype(np.float64) / largest if largest > 0 else values.astype(np.float64)


def _told(randomised: str, kept: dict[str, float], empty: dict[str, int], meaning: str) -> str:
    same = [f"{kind} ({value:.2f})" for kind, value in kept.items() if value > KEPT]
    changed = [f"{kind} ({value:.2f})" for kind, value in kept.items() if value <= KEPT]
    gone = [f"{kind} (of {empty[kind]} pictures)" for kind in kept if empty[kind]]
    parts = [f"leaves nothing to compare of {_listed(gone)}, whose maps are empty"] if gone else []
    if same:
        parts.append(f"does NOT change {_listed(same)} much: {meaning}")
    if changed:
        parts.append(f"changes {_listed(changed)}")
    return f"Randomising {randomised} {'; it '.join(parts)}."


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
