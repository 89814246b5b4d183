"""D 2.3 · What hidden units of the perceptron look for: 300 and 800 units, with and without L2 regularisation.

    mlflow run . -e facescrub_weights -P data=DIR          # DIR holds facescrub/, or is it

Four networks differ in size and penalty alone: none, or L2. They are not trained as `facescrub_mlp` trains its own: by
Adam, whose weight decay is the penalty in the gradient, L2 as the question means it, which AdamW's is not; on faces
with light and shade taken out (`scaling=local`), so that each unit has one picture and not two; and for 150 epochs
instead of 400, since there are four of them. report.md names the differences, from the settings themselves.

Of each network the two most telling units are shown, found by the rule that report.md states, as pictures: their
weights, whom they speak for and against, and the validation faces that excite them most. A figure sets the 18 most
telling units of the four beside each other, and a table says what L2 does to the pictures (the correlation of
neighbouring weights, 0 for noise) and to the accuracy on validation. Test is not touched.

Budget on two CPU cores: 420 faces, four networks, three seeds, a few minutes.

Result: facescrub_weights on facescrub (train 419, val 119, test 120), seeds 0, 1, 2, AMD EPYC, 1 core, 24 GiB, no
    GPU, 356 s, 2026-11-22, commit 222336664e:
    smoothness_300     0.70986 ± 0.00065 (3)
    smoothness_300_l2  0.7632 ± 0.0017 (3)
    smoothness_800     0.6974 ± 0.0015 (3)
    smoothness_800_l2  0.7641 ± 0.0012 (3)
"""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import torch
from mlp import SIZE, Recipe, shares_of, train_once
from mlp import Config as Perceptron

from cnnlab.data.facescrub import FaceSplits, load_facescrub
from cnnlab.errors import ConfigError
from cnnlab.experiment import Outcome, main
from cnnlab.explain.units import Unit, smoothness, telling_units
from cnnlab.models.mlp import MLP, InputScaling
from cnnlab.plots.units import unit_grids, unit_sheet
from cnnlab.reports.ablation import changed_words
from cnnlab.reports.hidden_units import Trained, weights_report
from cnnlab.reports.identification import FaceConfig, log_data
from cnnlab.tracking import Run
from cnnlab.training import Training

_SHOWN = 18


@dataclass(frozen=True)
class Config(Recipe):
    """Train perceptrons of several sizes with and without L2 and show what their units look for."""

    sizes: tuple[int, ...] = (300, 800)
    """hidden units of the networks"""
    l2: float = 0.01
    """weight decay of the networks that have it; the others have none"""
    units: int = 2
    """most telling units to show of each network"""
    training: Training = field(
        default_factory=lambda: replace(Recipe().training, epochs=150, optimizer="adam", weight_decay=0.0)
    )
    """training.weight_decay is set by l2"""
    scaling: InputScaling = "local"
    """as facescrub_mlp has it; but with `both` a unit has two pictures, of which the drawing's is shown"""
    seeds: int = 3
    """number of trainings from seeds seed, seed+1, …; the pictures are the first one's"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sizes or min(self.sizes) < self.units or self.units < 1:
            raise ConfigError(f"sizes must be hidden units, at least units={self.units} each, not {self.sizes}.")
        if self.l2 <= 0:
            raise ConfigError(f"l2 must be above 0, not {self.l2}: the networks without it are trained in any case.")

    def shrunk(self) -> "Config":
        return replace(super().shrunk(), sizes=self.sizes[:1])


def run(config: Config, run: Run) -> Outcome:
    """Train the networks and show their units."""
    data = load_facescrub(config.data, SIZE, config.quick, config.seed, config.least, find_repeats=False)
    log_data(run, data, config.data)
    kept: list[Path] = []
    trained = [train(config, data, run, hidden, l2, kept) for hidden in config.sizes for l2 in (0.0, config.l2)]
    faces = data.val.images.numpy()
    for network in trained:
        slug = network.name.replace(",", "").replace(" ", "_")
        run.log_figure(f"units_{slug}", unit_sheet(network.units, faces, data.people, network.name))
    run.log_figure("with_and_without_l2", unit_grids(
        {network.title: most_telling(network.model, data, _SHOWN) for network in trained},
        f"the {_SHOWN} units of each network with the largest say; grey is zero",
    ))  # fmt: skip
    report = weights_report(trained, data, otherwise(config))
    run.log_text("report.md", report.text)
    for checkpoint in kept:
        checkpoint.unlink(missing_ok=True)
    metrics: dict[str, float | list[float]] = {}
    for network in trained:
        metrics |= {f"val_accuracy_{network.key}": network.accuracies, f"smoothness_{network.key}": network.smoothness}
    return Outcome(metrics, report.sentence, list(range(config.seed, config.seed + config.seeds)))


def perceptron_of(config: Config, hidden: int, l2: float) -> Perceptron:
    """The settings of one network as `facescrub_mlp` has them."""
    shared = {item.name: getattr(config, item.name) for item in fields(Recipe)}
    return Perceptron(**shared | {"training": replace(config.training, weight_decay=l2)}, hidden=hidden)


def otherwise(config: Config) -> str:
    """The settings that `facescrub_mlp` has otherwise, but for the penalty and what says nothing of one training."""
    usual = Perceptron()
    own = {"hidden", "seeds", *(item.name for item in fields(FaceConfig))}
    mine = perceptron_of(config, usual.hidden, usual.training.weight_decay)
    return changed_words(usual, replace(mine, **{name: getattr(usual, name) for name in own}))


def train(config: Config, data: FaceSplits, run: Run, hidden: int, l2: float, kept: list[Path]) -> Trained:
    """One network with every seed, in a child run; the pictures are the first seed's.

    `kept` gets the checkpoints, which a stopped run takes over as long as the whole is not told.
    """
    perceptron = perceptron_of(config, hidden, l2)
    name = f"{hidden} units, {f'L2 {l2:g}' if l2 else 'no L2'}"
    accuracies, smooth, models = [], [], []
    with run.child(name, {"hidden": str(hidden), "l2": f"{l2:g}"}) as child:
        for seed in range(config.seed, config.seed + config.seeds):
            model, _, checkpoint = train_once(perceptron, data, child, seed, "facescrub_weights")
            right = torch.from_numpy(shares_of(model, data.val, config.mirror)).argmax(1) == data.val.labels
            accuracies.append(right.double().mean().item())
            smooth.append(smoothness(model.unit_pictures()).mean().item())
            models.append(model)
            kept.append(checkpoint)
        child.log_metrics({"val_accuracy": np.mean(accuracies), "smoothness": np.mean(smooth)})
    return Trained(name, hidden, l2, models[0], accuracies, smooth, telling_units(models[0], data.val, config.units))


def most_telling(model: MLP, data: FaceSplits, count: int) -> np.ndarray:
    """Pictures (count, C, H, W) of the units with the largest say, alike or not."""
    units: list[Unit] = telling_units(model, data.val, count, apart=1.1)
    return np.stack([unit.picture for unit in units])


if __name__ == "__main__":
    main(run, Config, entry_point="facescrub_weights", question="D 2.3", doc=__doc__)
