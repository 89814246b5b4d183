"""D 2.2 · AlexNet as a fixed feature extractor: a fully connected network names the person from conv4's activations.

    mlflow run . -e facescrub_alexnet_features -P data=DIR                 # DIR holds facescrub/, or is it
    mlflow run . -e facescrub_alexnet_features -P data=DIR -P layer=conv5
    mlflow run . -e facescrub_alexnet_features -P data=DIR -P sizes=227    # at AlexNet's own input size alone

Activations of each training face, of its mirror image and of some augmented views are computed once, at three sizes: a
convolution knows patterns of one size, and a face is made of small and large ones. The square roots of each face's
activations are divided by their length, and turned into the principal components of the training vectors, of which all
are kept: a turn of the axes that loses nothing of the training set, but makes training a matter of seconds. On them a
fully connected network learns: one hidden layer, ReLU, dropout, the people. The best epoch is chosen by the loss on
validation; test is judged once, at the end, on the mean over each face, its mirror image and both a little enlarged.
The stored network (model.pt) is one piece, AlexNet up to conv4 and the fully connected network, with the turn folded
into its first layer; `facescrub_predict`, `explain` and `facescrub_guided_backprop` take it.

The same recipe on every other convolution and on the last pooled map makes the curve of accuracy by layer; AlexNet's
layers of 4096 units are not in it. Sizes and scaling were chosen by cross-validation within the training and
validation faces, views and training on the validation faces.

Budget on two CPU cores: 420 faces, five seeds, about a minute for conv4 and eight with the curve.

Result: facescrub_alexnet_features on facescrub (train 419, val 119, test 120), seeds 0 to 4, AMD EPYC, 1 cores, 24
    GiB, no GPU, 1702 s, 2026-11-22, commit 37a00af57f:
    val_accuracy   0.9798 ± 0.0046 (5) on 119 samples
    test_accuracy  0.9983 ± 0.0037 (5) on 120 samples
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from cnnlab import plots
from cnnlab.data.augment import Augmentation
from cnnlab.data.facescrub import FaceSplits, load_facescrub
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.models import build_model
from cnnlab.models.backbone import Backbone
from cnnlab.models.pretrained import pretrained_model
from cnnlab.models.probe import Activations, Projection, activation_layers, fully_connected
from cnnlab.plots.features import layer_curve
from cnnlab.reports.classifier import log_classifier
from cnnlab.reports.identification import judge, log_data, told
from cnnlab.tracking import Run
from cnnlab.training import Fit, Training, fit
from cnnlab.training.feature_views import FeatureViews, View, looks
from cnnlab.training.views import Views


@dataclass(frozen=True)
class Config(Experiment):
    """Train a fully connected network on AlexNet's activations."""

    layer: str = "conv4"
    """whose activations: conv1 to conv5, or pool5"""
    weights: str = "auto"
    """auto, torchvision, packages, random, or the path of a .pth file"""
    sizes: tuple[int, ...] = (112, 160, 227)
    """heights and widths at which AlexNet sees a face; the activations of all sizes together are the features"""
    scaling: Literal["none", "l2", "root"] = "root"
    """each face's activations as they are, over their length, or their square roots over their length"""
    hidden: int = 300
    """units of the hidden layer"""
    dropout: float = 0.5
    """share of hidden units left out in a training step"""
    draws: int = 16
    """augmented views of each training face, beside the face and its mirror image"""
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            flip=0.5, crop_scale=(0.75, 1.0), crop_ratio=(0.9, 1.1), rotate=10, brightness=0.1, contrast=0.2,
            saturation=0.3, colour=0.1,
        )
    )  # fmt: skip
    """what these views are"""
    training: Training = field(
        default_factory=lambda: Training(
            epochs=200, batch_size=64, optimizer="adamw", lr=1e-3, weight_decay=0.01, schedule="cosine",
            precision="32-true",
        )
    )  # fmt: skip
    views: Views = field(default_factory=lambda: Views(mirror=True, zooms=(1.0, 1.05, 1.1, 1.15, 1.2)))
    """what is looked at to judge a face: the mean probability counts"""
    seeds: int = 5
    """number of trainings from seeds seed, seed+1, …; mean ± standard deviation over them"""
    curve: bool = True
    """judge every other layer too"""

    def __post_init__(self) -> None:
        for name, lowest in (("seeds", 1), ("hidden", 1), ("draws", 0)):
            if getattr(self, name) < lowest:
                raise ConfigError(f"{name} must be at least {lowest}, not {getattr(self, name)}.")
        if not self.sizes or min(self.sizes) < 63:
            raise ConfigError(f"sizes must be at least 63 each, AlexNet's smallest input, not {self.sizes}.")
        if self.weights == "random" and not self.quick:
            raise ConfigError(
                "facescrub_alexnet_features wants pretrained weights: random ones have nothing to extract."
            )

    @property
    def largest(self) -> tuple[int, int]:
        """Height and width of the faces held in memory."""
        return max(self.sizes), max(self.sizes)

    def shrunk(self) -> "Config":
        training = replace(self.training, epochs=3)
        return replace(self, training=training, seeds=1, sizes=(63, 71), weights="random", draws=1)


@dataclass(frozen=True)
class Judged:
    """What the recipe gives on one layer.

    Attributes:
        heads: the trained network of each seed, on projected activations.
        stories: of their trainings.
        projection: of the activations.
        shares: split -> each seed's probabilities (N, K).
        width: number of activations of one face.
    """

    heads: list[nn.Sequential]
    stories: list[Fit]
    projection: Projection
    shares: dict[str, list[np.ndarray]]
    width: int

    def accuracies(self, part: ImageSet) -> list[float]:
        """Of each seed on a split."""
        truth = part.labels.numpy()
        return [float((shares.argmax(1) == truth).mean()) for shares in self.shares[part.split]]


def run(config: Config, run: Run) -> Outcome:
    """Train on the chosen layer, then on all others; test is judged when everything is chosen."""
    data = load_facescrub(config.data, config.largest, config.quick, config.seed)
    log_data(run, data, config.data)
    backbone, report = pretrained_model("alexnet", len(data.people), config.weights, conv_only=True)
    run.log_weights(report)
    layers = list(activation_layers(backbone))
    if config.layer not in layers:
        raise ConfigError(f"layer={config.layer} is unknown; there are {', '.join(layers)}.")
    chosen = learn(config, backbone, config.layer, data, run)
    metrics: dict[str, float | list[float]] = {}
    for part in (data.val, data.test):
        metrics |= judge(run, data, part, chosen.shares[part.split], config.seed)
    run.log_text("system.md", describe(config, chosen, data))
    store(config, run, backbone, chosen, data)
    if config.curve:
        metrics |= compare_layers(config, run, backbone, layers, chosen, data)
    return Outcome(
        metrics,
        f"A fully connected network of {config.hidden} hidden units on {chosen.width} activations of {config.layer}: "
        f"{told(metrics['test_accuracy'], len(data.test), 'test')}; val {np.mean(metrics['val_accuracy']):.1%} "
        f"({data.name}). {report.sentence}",
        list(range(config.seed, config.seed + config.seeds)),
    )


def learn(config: Config, backbone: Backbone, layer: str, data: FaceSplits, run: Run | None = None) -> Judged:
    """The recipe on one layer, every seed; curves go into `run` if there is one."""
    activations = (
        Activations(backbone, layer, config.scaling, config.sizes).eval().to(memory_format=torch.channels_last)
    )
    projection, train = training_views(config, activations, data.train)
    project = _projected(activations, projection)
    seen = {part.split: FeatureViews.of(part, looks(config.views), project) for part in (data.val, data.test)}
    heads, stories = [], []
    shares: dict[str, list[np.ndarray]] = {split: [] for split in seen}
    for seed in range(config.seed, config.seed + config.seeds):
        torch.manual_seed(seed)
        head = fully_connected(projection.matrix.shape[1], len(data.people), config.hidden, config.dropout)
        prefix, name = ("", "") if seed == config.seed else (f"seed_{seed}/", f"_seed_{seed}")
        train.seed = seed
        story = fit(
            head, train, seen["val"], config.training, seed=seed, title=f"{layer} seed {seed}",
            on_epoch=_listener(run, prefix) if run else None,
        )  # fmt: skip
        if run:
            run.log_figure(f"curves{name}", plots.learning_curves(story.history))
        heads.append(head)
        stories.append(story)
        for split, views in seen.items():
            shares[split].append(mean_shares(head, views.views))
    return Judged(heads, stories, projection, shares, activations.width(config.largest))


def training_views(config: Config, activations: Activations, train: ImageSet) -> tuple[Projection, FeatureViews]:
    """The projection that faces and their mirror images span, and all training views in it.

    Augmented views are projected batch by batch: their activations as they are would fill gigabytes.
    """
    both = FeatureViews.of(train, looks(Views(mirror=True)), activations)
    projection = Projection.of(both.views.flatten(0, 1))
    generator = torch.Generator().manual_seed(config.seed)
    drawn: list[View] = [lambda images: config.augmentation(images, generator)] * config.draws
    views = [projection(both.views.flatten(0, 1)).unflatten(0, both.views.shape[:2])]
    del both
    if drawn:
        views.append(FeatureViews.of(train, drawn, _projected(activations, projection)).views)
    return projection, FeatureViews(torch.cat(views, 1), train.labels)


@torch.no_grad()
def mean_shares(head: nn.Sequential, views: Tensor) -> np.ndarray:
    """Probabilities (N, K), the mean over the views (N, V, P) of each face."""
    head.eval()
    return torch.stack([head(views[:, v]).softmax(1) for v in range(views.shape[1])]).mean(0).numpy()


# ---- what the run stores ---------------------------------------------------------------------------------------------
def store(config: Config, run: Run, backbone: Backbone, chosen: Judged, data: FaceSplits) -> None:
    """The seed with the lowest validation loss as one network, from pixels to people."""
    best = int(np.argmin([story.best["val/loss"] for story in chosen.stories]))
    probe = build_model(
        "alexnet_probe", len(data.people), layer=config.layer, scaling=config.scaling, sizes=config.sizes,
        hidden=config.hidden, dropout=config.dropout,
    )  # fmt: skip
    probe.activations.features.load_state_dict(
        Activations(backbone, config.layer, config.scaling).features.state_dict()
    )
    probe.set_head(chosen.heads[best], chosen.projection)
    log_classifier(
        run, probe.eval(), data.people, config.largest, data.val.images[:2], half=True, meta=asdict(config.views)
    )


def compare_layers(
    config: Config, run: Run, backbone: Backbone, layers: list[str], chosen: Judged, data: FaceSplits
) -> dict[str, list[float]]:
    """The recipe on every layer: figure, table and metrics."""
    every = {layer: chosen if layer == config.layer else learn(config, backbone, layer, data) for layer in layers}
    curves = {
        part.split: {layer: one.accuracies(part) for layer, one in every.items()} for part in (data.val, data.test)
    }
    widths = {layer: one.width for layer, one in every.items()}
    counts = {part.split: len(part) for part in (data.val, data.test)}
    run.log_figure("layers", layer_curve(curves, widths, counts, config.layer))
    rows = ["layer,activations,split,mean,std"]
    metrics = {}
    for split, curve in curves.items():
        for layer, values in curve.items():
            spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
            rows.append(f"{layer},{widths[layer]},{split},{np.mean(values):.4f},{spread:.4f}")
            metrics[f"{split}_accuracy_{layer}"] = values
    run.log_text("layers.csv", "\n".join(rows) + "\n")
    return metrics


def describe(config: Config, chosen: Judged, data: FaceSplits) -> str:
    """The description that the question asks for, from the settings and what they led to."""
    scaled = {
        "none": "as they are", "l2": "divided by the vector's length",
        "root": "their square roots, divided by the vector's length",
    }[config.scaling]  # fmt: skip
    epochs = ", ".join(str(story.best_epoch) for story in chosen.stories)
    sizes = " and ".join(f"{side}x{side}" for side in config.sizes)
    zooms = " and ".join(f"{zoom:g}" for zoom in config.views.zooms)
    components = chosen.projection.matrix.shape[1]
    return f"""# A fully connected network on AlexNet's {config.layer}

- Input: faces at {sizes} pixels, colour, normalised as AlexNet's weights want it.
- Features: the {chosen.width} activations of {config.layer} after ReLU, {scaled}; AlexNet is not trained.
- Turned into {components} principal components, all that the {len(data.train)} training faces and their mirror images
  span; scaled to mean square 1.
- Network: {components} -> {config.hidden} (ReLU, dropout {config.dropout}) -> {len(data.people)}.
- Training: {config.training.optimizer}, learning rate {config.training.lr}, {config.training.schedule} schedule, weight
  decay {config.training.weight_decay}, label smoothing {config.training.label_smoothing}, batches of
  {config.training.batch_size}, {config.training.epochs} epochs; each epoch sees one of {2 + config.draws} views of each
  face (itself, its mirror image, {config.draws} augmented ones).
- Chosen by the loss on validation: epochs {epochs}.
- Judged: mean probability over {len(config.views)} views of a face: magnified {zooms} times, and mirrored.
"""


def _projected(activations: Activations, projection: Projection) -> Callable[[Tensor], Tensor]:
    return lambda images: projection(activations(images))


def _listener(run: Run, prefix: str) -> Callable[[int, dict[str, float]], None]:
    return lambda epoch, values: run.log_metrics({prefix + k: v for k, v in values.items()}, epoch)


if __name__ == "__main__":
    main(run, Config, entry_point="facescrub_alexnet_features", question="D 2.2", doc=__doc__)
