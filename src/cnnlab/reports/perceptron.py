"""A trained perceptron described in words, from the network itself and the settings that trained it."""

from dataclasses import fields

from torch import nn

from cnnlab.data.augment import Augmentation
from cnnlab.data.facescrub import FaceSplits
from cnnlab.models.mlp import INITS, MLP, SCALINGS
from cnnlab.training import Training


def describe_system(model: MLP, training: Training, augmentation: Augmentation, data: FaceSplits, mirror: bool) -> str:
    """Markdown: preprocessing, architecture, activation, initial weights, training and judging."""
    channels, height, width = model.input_shape
    colours = "in colour" if channels == 3 else "in grey"
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    sizes = " → ".join(str(n) for n in (linear[0].in_features, *(layer.out_features for layer in linear)))
    others = (nn.Linear, nn.Flatten, nn.Dropout)
    activations = sorted({type(m).__name__ for m in model.hidden if not isinstance(m, others)})
    dropouts = [m.p for m in model.hidden if isinstance(m, nn.Dropout)]
    counts = data.train.labels.bincount(minlength=len(data.people)).tolist()
    per_person = ", ".join(f"{n} of {name}" for name, n in zip(data.people, counts, strict=True))
    count = sum(p.numel() for p in model.parameters())
    layers = [f"- {layer.in_features} × {layer.out_features} weights, {layer.out_features} biases" for layer in linear]
    return "\n".join([
        "# The system", "",
        "## Data", "",
        f"{data.name}: {data.sizes['train']} faces to train on ({per_person}), {data.sizes['val']} for validation, "
        f"{data.sizes['test']} for test. {' '.join(data.notes)}".rstrip(), "",
        "## Preprocessing", "",
        f"Each crop is resized to {height}×{width} pixels {colours} (bicubic, smoothed as it shrinks) and read as "
        f"{channels * height * width} numbers. In the network {SCALINGS[model.scaling]}. In training each face is "
        f"changed at random in every epoch: {_augmentation(augmentation)}.", "",
        "## Architecture", "",
        f"A fully connected network {sizes}, {count:,} parameters:", "", *layers, "",
        f"Activation of the hidden units: {', '.join(activations)}; the outputs are logits of a softmax over the "
        f"{linear[-1].out_features} people. Dropout in training: {dropouts[0]:g} of the pixel values, "
        f"{dropouts[-1]:g} of the hidden units.", "",
        "## Initial weights", "", f"Drawn {INITS[model.init]}{_gain(model)}.", "",
        "## Training", "", _training(training), "",
        "## Judging", "",
        _judging(training, mirror), "",
    ])  # fmt: skip


def _gain(model: MLP) -> str:
    return "" if model.gain == 1 else f"; the weights of the hidden layer then times {model.gain:g}"


def _augmentation(augmentation: Augmentation) -> str:
    standard = Augmentation()
    on = [
        f"{field.name.replace('_', ' ')} {_plain(getattr(augmentation, field.name))}"
        for field in fields(augmentation)
        if getattr(augmentation, field.name) != getattr(standard, field.name)
    ]
    return ", ".join(on) or "not at all"


def _training(training: Training) -> str:
    smoothing = f" with {training.label_smoothing:g} of each target spread over all people"
    parts = [
        f"Cross entropy{smoothing if training.label_smoothing else ''}",
        f"minimised by {training.optimizer} at a rate of {training.lr:g} ({training.schedule} schedule)",
        f"{training.epochs} epochs in batches of {training.batch_size}",
        f"weight decay {training.weight_decay:g}",
    ]
    parts += [f"mixup with alpha {training.mixup:g}"] * bool(training.mixup)
    parts += [f"weights averaged with decay {training.ema:g}"] * bool(training.ema)
    return ", ".join(parts) + "."


def _judging(training: Training, mirror: bool) -> str:
    face = "the mean of the probabilities of itself and of its mirror image" if mirror else "one look at it as it is"
    epoch = f"best epoch by {training.monitor}"
    kept = "last epoch: no split chooses it" if training.monitor == "last" else epoch
    return f"A face is judged by {face}, by the network of the {kept}."


def _plain(value: object) -> str:
    return " to ".join(f"{v:g}" for v in value) if isinstance(value, tuple) else f"{value:g}"
