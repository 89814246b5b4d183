"""Why did it decide so? Saliency, guided back-propagation and Grad-CAM of any trained classifier on any image.

    mlflow run . -e explain -P model=RUN_ID -P images=DIR      # or one file; class folders tell the truth too
    mlflow run . -e explain                                    # the lesson of the two cartoon worlds, in seconds

`model` is a run id, a registered model or a model.pt file; `target` a class's name, or `predicted`. The sheet in the
run shows each image beside its three maps; beneath each map stands the share of it that lies in `region` (the outer
tenth of the image, its plain background, or a box), to be held against the region's share of the area.

Without a model the experiment draws two worlds of cartoon creatures, once with the leak of the tutorial (one world on
black, the other on white) and once on random backgrounds, trains the same small network on each and asks both about
the same pictures. The one that was offered the background looks at the background, and fails where it tells nothing.

Result: explain on drawn cartoon worlds (leak/train 320, leak/val 80, no_leak/train 320, no_leak/val 80), seeds 0, AMD
    EPYC, 1 core, 24 GiB, no GPU, 17 s, 2026-11-22, commit 222336664e:
    val_leak_accuracy_of_leak        1.000 (1)
    val_no_leak_accuracy_of_leak     0.5125 (1)
    val_saliency_share_of_leak       0.6968 (1)
    val_guided_share_of_leak         0.7575 (1)
    val_grad_cam_share_of_leak       0.8296 (1)
    val_leak_accuracy_of_no_leak     1.000 (1)
    val_no_leak_accuracy_of_no_leak  1.000 (1)
    val_saliency_share_of_no_leak    0.4680 (1)
    val_guided_share_of_no_leak      0.4420 (1)
    val_grad_cam_share_of_no_leak    0.6632 (1)
    val_region_area                  0.8043 (1)
"""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cnnlab.data.folders import Fitting, load_image_folder, resize_image, spread_evenly
from cnnlab.data.images import list_images, read_image
from cnnlab.data.imageset import ImageSet
from cnnlab.data.made_leak import make_leaky_folder
from cnnlab.data.picture_tree import read_tree
from cnnlab.errors import ConfigError, DataError
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.explain import Attributions, class_shares, explain, share_within
from cnnlab.explain.regions import find_region
from cnnlab.explain.sanity import finite_mean
from cnnlab.models.kernel_machine import KernelMachine, trained_network
from cnnlab.models.saved import load_model
from cnnlab.plots.explain import attribution_sheet, region_shares
from cnnlab.tracking import Run
from cnnlab.tracking.models import model_file
from cnnlab.training import Training, fit, predict

ROWS = 8  # images on one sheet
SIDE = 64  # of the cartoon worlds


@dataclass(frozen=True)
class Config(Experiment):
    """Show what a classifier looks at."""

    model: str = ""
    """a run id, a registered model or a model.pt file; empty: the lesson of the two cartoon worlds"""
    images: str = ""
    """an image file, a folder of images, or one with class folders"""
    target: str = "predicted"
    """the class to explain: its name, or `predicted`"""
    layer: str = ""
    """layer whose map Grad-CAM uses; empty: the last one before pooling"""
    region: str = ""
    """count the maps' shares in `border`, `background` or a box x1,y1,x2,y2 (shares of width and height, 0 to 1);
    empty: border, and in the lesson background"""
    count: int = 16
    """most images explained"""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"count must be at least 1, not {self.count}.")
        if self.images and not self.model:
            raise ConfigError("images need a model to explain: model=RUN_ID, a registered model or a model.pt file.")
        if self.model and not self.images and self.data == "embedded":
            raise ConfigError("model needs images=FILE or images=DIR to be explained on.")


def run(config: Config, run: Run) -> Outcome:
    """Explain a trained model on the user's images, or show the lesson."""
    return explain_model(config, run) if config.model else show_lesson(config, run)


# ---- any model on any images -----------------------------------------------------------------------------------------
def explain_model(config: Config, run: Run) -> Outcome:
    """Sheets, maps and shares for images of the user's."""
    source = config.images or config.data
    if config.data == "embedded":  # the images are the user's own
        run.set_tags({"embedded_data": "false", "mlflow.runName": "explain"})
    stored, meta = load_model(model_file(config.model))
    model = trained_network(stored)
    if isinstance(model, KernelMachine):  # its backbone runs twice, on the image and on its mirror image
        raise ConfigError(f"model={config.model} is a kernel machine, which no gradient of this kind explains.")
    classes, size = tuple(meta["classes"]), tuple(meta["size"])
    target = None if config.target == "predicted" else _class_index(config.target, classes)
    count = 4 if config.quick else config.count
    pixels, names, truths = read_pictures(source, size, count, meta.get("fit", "stretch"))
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()[:16]
    run.log_data(Path(source).resolve().name, digest, {"images": len(pixels)}, source)
    run.set_tags({"model": config.model, "classes": ", ".join(classes)})
    images = torch.from_numpy(pixels).float() / 255
    maps = explain(model, images, target, config.layer)
    area, shares = log_maps(run, config, pixels, maps, class_shares(model, images), classes, names, truths)
    means = {f"images_{_metric(kind)}_share": finite_mean(values) for kind, values in shares.items()}
    region = config.region or "border"
    told = ", ".join(f"{finite_mean(values):.0%} of {kind}" for kind, values in shares.items())
    note = "" if maps.rectifiers else " The network has no ReLU module: guided back-propagation is its plain gradient."
    if model is not stored:
        note += " The model is a committee, of which the network that gradients trained is explained, not its partner."
    return Outcome(
        {k: v for k, v in means.items() if np.isfinite(v)} | {"images_region_area": area},
        f"{len(pixels)} images explained ({config.target} class; Grad-CAM at layer {maps.layer}): {told} lies in "
        f"{region}, which is {area:.0%} of the area.{note}",
        [config.seed],
    )


def read_pictures(
    source: str, size: tuple[int, int], count: int, fit: Fitting = "stretch"
) -> tuple[np.ndarray, list[str], list[str]]:
    """At most about `count` images: uint8 (N, 3, H, W), their names, and their class folders' names or empty ones.

    Of splits the last one is taken (val or test), of classes about as many each; unreadable files are named and left
    out.

    Raises:
        DataError: there is no image, or none that can be read.
    """
    path = Path(source)
    if path.is_file():
        chosen = [(path, "")]
    else:
        try:
            chosen = [(file, "") for file in spread_evenly(list_images(path), count)]
        except DataError:
            if not path.is_dir():
                raise
            tree = read_tree(path)
            held_out = tree.subset(np.flatnonzero(tree.splits == tree.splits.max()))
            order = held_out.draw(count, seed=0)
            told = tree.target == "class"
            chosen = [(held_out.paths[i], tree.classes[held_out.labels[i]] if told else "") for i in order]
    pixels, names, truths, unreadable = [], [], [], []
    for file, truth in chosen:
        try:
            pixels.append(resize_image(read_image(file), size, fit).transpose(2, 0, 1))
        except DataError as error:
            unreadable.append(str(error))
            print(error, flush=True)
            continue
        names.append(file.name)
        truths.append(truth)
    if not pixels:
        raise DataError(f"None of the images in {source} can be read; the first: {unreadable[0]}")
    return np.stack(pixels), names, truths


def log_maps(
    run: Run, config: Config, pixels: np.ndarray, maps: Attributions, probabilities: np.ndarray,
    classes: Sequence[str], names: Sequence[str], truths: Sequence[str], name: str = "", title: str = "",
) -> tuple[float, dict[str, np.ndarray]]:  # fmt: skip
    """Store sheets and maps; returns the region's share of the area and the shares of each kind of map."""
    region = config.region or ("border" if config.model else "background")
    inside = find_region(region, pixels)
    shares = {kind: share_within(values, inside) for kind, values in maps.strengths().items()}
    predicted = probabilities.argmax(1)
    titles, wrong = [], []
    for index, answer in enumerate(predicted):
        text = f"{classes[answer]} {probabilities[index, answer]:.0%}"
        if maps.target[index] != answer:
            text += f", asked: {classes[maps.target[index]]} {probabilities[index, maps.target[index]]:.0%}"
        wrong.append(bool(truths[index]) and truths[index] != classes[answer])
        titles.append(text + (f", is {truths[index]}" if wrong[-1] else "") + (f" · {names[index]}" if names else ""))
    for page, start in enumerate(range(0, len(pixels), ROWS), 1):
        rows = slice(start, start + ROWS)
        figure = attribution_sheet(
            pixels[rows], maps.saliency[rows], maps.guided[rows], maps.grad_cam[rows], titles[rows],
            {kind: values[rows] for kind, values in shares.items()}, region, title, wrong[rows],
        )  # fmt: skip
        run.log_figure(f"attributions{name}" + (f"_{page}" if len(pixels) > ROWS else ""), figure)
    run.log_arrays(f"attributions{name}.npz", {
        "images": pixels, "target": maps.target, "saliency": maps.saliency.astype(np.float16),
        "guided": maps.guided.astype(np.float16), "grad_cam": maps.grad_cam.astype(np.float16), "region": inside,
    })  # fmt: skip
    return float(inside.mean()), shares


# ---- the lesson ------------------------------------------------------------------------------------------------------
def show_lesson(config: Config, run: Run) -> Outcome:
    """Train the same network on a data set with a planted leak and on one without, and ask both."""
    per_class, epochs = (24, 4) if config.quick else (160, 16)
    worlds = {name: draw_worlds(name == "leak", config.seed, per_class) for name in ("leak", "no_leak")}
    digest = hashlib.sha256("".join(part.digest for pair in worlds.values() for part in pair).encode()).hexdigest()
    sizes = {f"{name}/{part.split}": len(part) for name, pair in worlds.items() for part in pair}
    run.log_data("drawn cartoon worlds", digest[:16], sizes, "embedded")
    asked = worlds["leak"][1]  # plain backgrounds: it is known where they are
    pixels, images = asked.images.numpy(), asked.images.float() / 255
    truths = [asked.classes[label] for label in asked.labels]
    shown = _of_each_class(asked.labels, min(ROWS, config.count) // 2)
    metrics: dict[str, float | list[float]] = {}
    region = config.region or "background"
    inside = find_region(region, pixels)
    area = float(inside.mean())
    compared = {}
    for name, (train, val) in worlds.items():
        told = "trained with the leak" if name == "leak" else "trained without the leak"
        model = train_small(train, val, epochs, config.seed, told)
        for judged, (_, other) in worlds.items():
            metrics[f"val_{judged}_accuracy_of_{name}"] = _accuracy(model, other)
        maps = explain(model, images, layer=config.layer)
        every = {kind: share_within(values, inside) for kind, values in maps.strengths().items()}
        compared[told] = every
        metrics |= {f"val_{_metric(kind)}_share_of_{name}": finite_mean(values) for kind, values in every.items()}
        part = Attributions(maps.target[shown], maps.saliency[shown], maps.guided[shown], maps.grad_cam[shown],
                            maps.layer, maps.rectifiers)  # fmt: skip
        log_maps(
            run, config, pixels[shown], part, class_shares(model, images[shown]), asked.classes, [],
            [truths[i] for i in shown], f"_{name}", f"The network {told}",
        )  # fmt: skip
    title = f"Where two networks look on the same {len(pixels)} pictures"
    run.log_figure("background_shares", region_shares(compared, area, region, title))
    leaky, honest = (metrics[f"val_saliency_share_of_{name}"] for name in worlds)
    return Outcome(
        {k: v for k, v in metrics.items() if np.isfinite(v)} | {"val_region_area": area},
        f"Trained with the leak: {metrics['val_leak_accuracy_of_leak']:.0%} of {len(pixels)} validation pictures with "
        f"the leak right, {metrics['val_no_leak_accuracy_of_leak']:.0%} without it, and {leaky:.0%} of its saliency in "
        f"the {region}. Trained without: {metrics['val_no_leak_accuracy_of_no_leak']:.0%} right without the leak, "
        f"{honest:.0%} of its saliency in the {region} of the same pictures.",
        [config.seed],
    )


def draw_worlds(leak: bool, seed: int, per_class: int) -> tuple[ImageSet, ImageSet]:
    """Train and val pictures of the two cartoon worlds; the leak is a black or white background."""
    with tempfile.TemporaryDirectory() as folder:
        path = make_leaky_folder(folder, leak, seed, per_class, max(8, per_class // 4), SIDE, background="black")
        name = "cartoon worlds with a leak" if leak else "cartoon worlds without a leak"
        return tuple(load_image_folder(path / split, (SIDE, SIDE), split, name=name) for split in ("train", "val"))


def small_network(classes: int = 2) -> nn.Sequential:
    """Four convolutions of 16 to 64 channels, for pictures of 64x64; (B, 3, H, W) in [0, 1] -> (B, classes)."""
    layers: list[nn.Module] = []
    inputs = 3
    for width in (16, 32, 48, 64):
        convolution = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        inputs = width
    return nn.Sequential(*layers[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def train_small(train: ImageSet, val: ImageSet, epochs: int, seed: int, title: str = "") -> nn.Module:
    """The small network, trained for seconds."""
    torch.manual_seed(seed)
    model = small_network(len(train.classes))
    settings = Training(epochs=epochs, batch_size=32, lr=3e-3, schedule="one_cycle", monitor="last")
    fit(model, train, val, settings, seed=seed, title=title)
    return model


# ---- small change ----------------------------------------------------------------------------------------------------
def _accuracy(model: nn.Module, data: ImageSet) -> float:
    outputs, labels = predict(model, data)
    return float((outputs.argmax(1) == labels).float().mean())


def _class_index(name: str, classes: Sequence[str]) -> int:
    if name not in classes:
        raise ConfigError(f"target={name} is no class of this model; there are {', '.join(classes)}, or `predicted`.")
    return list(classes).index(name)


def _of_each_class(labels: torch.Tensor, count: int) -> list[int]:
    return [int(i) for label in labels.unique() for i in (labels == label).nonzero()[:count, 0]]


def _metric(kind: str) -> str:
    return {"saliency": "saliency", "guided back-propagation": "guided"}.get(kind, "grad_cam")


if __name__ == "__main__":
    main(run, Config, entry_point="explain", question="B · why did it decide so", doc=__doc__)
