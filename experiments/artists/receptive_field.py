"""D 1.1 · What does a unit of a convolutional network see? By the formula, and measured on the network itself.

    mlflow run . -e artists_receptive_field
    mlflow run . -e artists_receptive_field -P image=PATH                     # drawn on a picture (or folder) of yours
    mlflow run . -e artists_receptive_field -P models=resnet18,squeezenet1_1  # any network of the registry
    mlflow run . -e artists_receptive_field -P models=RUN_ID                  # a trained one; `face_detector`: released

The question's own answer comes first: a 3x3 layer on a 5x5 layer, by the formula, by one pass over the two layers, and
by gradient. Then, for each network, a table of kernel, stride, padding, output size, parameters and receptive field of
each layer; the formula is tried on the network with pixels that are not numbers; and the effective field, where the
gradient really is, stands beside it in the table and on the picture. Two cores: a minute or two, most of it VGG-16.

Result: artists_receptive_field on pictures (pictures 4), seeds 0, AMD EPYC, 1 core, 24 GiB, no GPU, 14 s, 2026-11-22,
    commit 222336664e:
    answer_formula                 7.000 (1)
    answer_traced                  7.000 (1)
    answer_gradient                7.000 (1)
    simple_cnn_receptive_field     13.00 (1)
    simple_cnn_effective_field     13.00 (1)
    alexnet_receptive_field        195.0 (1)
    alexnet_effective_field        144.0 (1)
    vgg16_receptive_field          212.0 (1)
    vgg16_effective_field          138.0 (1)
    face_detector_receptive_field  48.00 (1)
    face_detector_effective_field  42.00 (1)
    fields_tried                   225.0 (1)
    fields_disagreeing             0 (1)
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cnnlab.data.embedded import package_file
from cnnlab.data.folders import resize_image
from cnnlab.data.images import list_images, read_image
from cnnlab.data.picture_tree import read_tree
from cnnlab.detection import FaceDetector
from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.explain.receptive_field import SHARE, disagreements, effective_box, effective_fields, probe_pixels
from cnnlab.models import build_model, list_models
from cnnlab.models.arithmetic import receptive_field
from cnnlab.models.fcn import backbone_settings
from cnnlab.models.pretrained import pretrained_model
from cnnlab.models.saved import load_model
from cnnlab.models.sources import PACKAGES, TORCHVISION
from cnnlab.models.trace import Layer, Traced, input_size, on_meta, trace, usual_settings
from cnnlab.plots.receptive_field import SeenField, chain_on_picture, fields_on_picture, growth
from cnnlab.reports.arithmetic import network_page, pair
from cnnlab.reports.depth import QUESTION, answer_page
from cnnlab.reports.text_tables import as_markdown
from cnnlab.tracking import Run
from cnnlab.tracking.models import detector_file, model_file

PICTURES = (
    ("skimage", "astronaut.png"), ("skimage", "chelsea.png"), ("sklearn", "china.jpg"), ("skimage", "coffee.png"),
    ("sklearn", "flower.jpg"), ("skimage", "rocket.jpg"), ("matplotlib", "grace_hopper.jpg"),
)  # fmt: skip
DETECTOR = "face_detector"


@dataclass(frozen=True)
class Config(Experiment):
    """Show what the units of networks see."""

    models: str = f"simple_cnn,alexnet,vgg16,{DETECTOR}"
    """networks, separated by commas: names of the registry, `face_detector` (the released one), run ids, model.pt"""
    image: str = ""
    """a picture, or a folder of them, to measure and draw on; empty: `data`'s"""
    pictures: int = 4
    """pictures that the effective field is averaged over; the first is drawn on"""
    layers: int = 8
    """most layers of a network whose effective field is measured"""
    weights: str = "auto"
    """of networks that have pretrained ones: auto, torchvision, packages, or random"""
    size: int = 0
    """side of the pictures; 0: what each network is made for"""

    def __post_init__(self) -> None:
        if self.pictures < 1 or self.layers < 1 or self.size < 0:
            raise ConfigError("pictures and layers are at least 1, and size is at least 1, or 0 for the network's own.")
        if not self.names:
            raise ConfigError("models is empty; name a network, such as models=simple_cnn.")

    @property
    def names(self) -> list[str]:
        """The networks' names."""
        return [name.strip() for name in self.models.split(",") if name.strip()]

    def shrunk(self) -> "Config":
        first = self.names[:2]  # VGG-16 alone takes seconds
        return replace(self, models=",".join(first), weights="random", pictures=2, layers=2)


@dataclass(frozen=True)
class Measured:
    """A layer, how strongly each pixel moves its middle unit, and the square that holds most of it."""

    layer: Layer
    strength: np.ndarray
    box: tuple[int, int, int, int]

    @property
    def side(self) -> int:
        """The larger side of the square, in pixels."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


def run(config: Config, run: Run) -> Outcome:
    """Answer the question, then look at the networks."""
    pictures, source = load_pictures(config)
    digest = hashlib.sha256(b"".join(picture.tobytes() for picture in pictures)).hexdigest()[:16]
    run.log_data("pictures", digest, {"pictures": len(pictures)}, source)
    if source != "embedded":
        run.set_tags({"embedded_data": "false", "mlflow.runName": "artists_receptive_field"})
    answered = answer(pictures[0], run, config.seed)
    networks = [load_network(name, config, run) for name in config.names]  # a misspelt one stops here
    metrics: dict[str, float | list[float]] = {f"answer_{way}": side for way, side in answered.items()}
    curves, told, compared, wrong = {}, [], 0, []
    for name, model, weights in networks:
        traced, measured, checks, lines = look(name, model, weights, pictures, config, run)
        compared, wrong = compared + checks, wrong + [f"{name}, {line}" for line in lines]
        found = {m.layer.name: m.side for m in measured}
        curves[name] = [(x.name, max(x.receptive_field), found.get(x.name)) for x in traced.maps()]
        last = measured[-1]
        side = max(last.layer.receptive_field)
        metrics |= {f"{name}_receptive_field": side, f"{name}_effective_field": last.side}
        told.append(f"{name} {side} (effective {last.side}) at {last.layer.name}")
    run.log_figure("growth", growth(curves))
    run.log_text("checks.md", check_words(compared, wrong))
    metrics |= {"fields_tried": compared, "fields_disagreeing": len(wrong)}
    return Outcome(
        metrics,
        f"A unit behind a 5x5 and a 3x3 layer sees {answered['formula']}x{answered['formula']} pixels (by gradient "
        f"{answered['gradient']}x{answered['gradient']}). Side of the field, pixels: {'; '.join(told)}. "
        f"{compared} fields tried with pixels that are not numbers, {len(wrong)} differ from the formula.",
        [config.seed],
    )


# ---- the question ----------------------------------------------------------------------------------------------------
def answer(image: np.ndarray, run: Run, seed: int) -> dict[str, int]:
    """Question 1.1 by the formula, by tracing two real layers, and by the gradient of one unit; stores page and figure.

    Returns the side in pixels that each way gives.
    """
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv2d(3, 8, QUESTION[0]), nn.Conv2d(8, 8, QUESTION[1]))
    small = as_batch([image], 21)
    traced = trace(layers, (21, 21))
    last = traced.layers[-1]
    rows, columns = np.nonzero(effective_fields(layers, small, ["1"])["1"])
    touched = (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
    sides = {
        "formula": receptive_field([(kernel, 1) for kernel in QUESTION])[0],
        "traced": max(last.receptive_field), "gradient": max(touched),
    }  # fmt: skip
    with torch.no_grad():
        first_map = layers[0](small)
        second_map = layers[1](first_map)
    x1, y1, x2, y2 = last.box
    middle = second_map.shape[-1] // 2
    inner = (middle, middle, middle + QUESTION[1], middle + QUESTION[1])
    run.log_figure("question_1_1", chain_on_picture(
        [(small[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8), first_map[0].mean(0).numpy(),
         second_map[0].mean(0).numpy()],
        [(x1, y1, x2, y2), inner, (middle, middle, middle + 1, middle + 1)],
        [f"image: {x2 - x1}x{y2 - y1} pixels", f"Z1 (5x5 filters): {QUESTION[1]}x{QUESTION[1]} nodes",
         "Z2 (3x3 filters): one node"],
        f"A node of Z2 sees {sides['formula']}x{sides['formula']} pixels",
    ))  # fmt: skip
    page = answer_page(sides)
    print(page, flush=True)
    run.log_text("answer_1_1.md", page)
    return sides


# ---- networks --------------------------------------------------------------------------------------------------------
def look(
    name: str, model: nn.Module, weights: str, pictures: list[np.ndarray], config: Config, run: Run
) -> tuple[Traced, list[Measured], int, list[str]]:
    """One network: stores table and figure; returns what the table is of, measured layers, and the checks' outcome."""
    window = getattr(model, "window", 0)  # of a network that slides: show it within a larger picture
    size = (config.size, config.size) if config.size else (2 * window, 2 * window) if window else input_size(model)
    here = trace(model, size)
    # with its whole head, where the weights at hand leave some of it out
    traced = trace(on_meta(name), size) if name in list_models() else here
    shown = chosen(here.maps(), dict(model.named_modules()), config.layers)
    if not shown:
        raise ConfigError(f"{name} has no convolution or pooling, so its units have no receptive field to show.")
    compared, wrong = disagreements(model, here, probe_pixels(size, 2 if config.quick else 5))
    images = as_batch(pictures, *size)
    strengths = effective_fields(model, images, [layer.name for layer in shown], config.seed)
    measured = [
        Measured(layer, strengths[layer.name], effective_box(strengths[layer.name], layer.rows, layer.columns))
        for layer in shown
    ]
    run.log_figure(f"fields_{name}", fields_on_picture(
        (images[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8),
        [SeenField(f"{m.layer.name} · {m.layer.kind}\nsees {pair(m.layer.receptive_field)}, effective {m.side}",
                   m.layer.box, m.box, m.strength) for m in measured],
        f"{name}: what the middle unit of each layer sees",
    ))  # fmt: skip
    rows = [
        {
            "layer": m.layer.name, "kind": m.layer.kind, "receptive field": pair(m.layer.receptive_field),
            "effective": f"{m.side}×{m.side}", "share of the side": f"{m.side / max(m.layer.receptive_field):.0%}",
        }
        for m in measured
    ]  # fmt: skip
    effective = (
        f"\n## Effective fields\n\nSide of the smallest square around the field's middle that holds {SHARE:.0%} of the "
        f"gradient's size, mean of {len(images)} pictures. {weights}\n\n{as_markdown(rows)}"
    )
    run.log_text(f"networks/{name}.md", network_page(name, traced) + effective)
    return traced, measured, compared, wrong


def load_network(name: str, config: Config, run: Run) -> tuple[str, nn.Module, str]:
    """A network by its name, run or file: its name for figures, itself in evaluation mode, and what its weights are."""
    torch.manual_seed(config.seed)
    if name == DETECTOR:
        weights = "The released detector's weights."
        detector = FaceDetector.load(detector_file("released"))
        architecture, settings = detector.architecture
        model = build_model(architecture, **settings)
        model.load_state_dict(detector.state)
    elif name not in list_models() and (Path(name).is_file() or len(name) == 32 or name.startswith("models:/")):
        model, _ = load_model(model_file(name))
        weights = f"Trained weights: {name}."
        told = hashlib.sha256(name.encode()).hexdigest()[:6]  # files of several runs have one name
        name = f"{model.architecture[0]}_{Path(name).stem[-8:]}_{told}"
    elif config.weights != "random" and (name in PACKAGES or name in TORCHVISION):
        model, report = pretrained_model(name, 1000, config.weights, **backbone_settings(name))
        weights = report.sentence
        print(weights, flush=True)
        run.log_weights(report)
    else:
        # 4096-unit layers see the whole picture anyway
        classes = usual_settings(name).get("num_classes", 1000)
        model = build_model(name, num_classes=classes, **backbone_settings(name))
        weights = "Random initial weights: training changes the effective field, not what can be seen."
    return name, model.eval(), weights


def chosen(layers: list[Layer], modules: dict[str, nn.Module], most: int) -> list[Layer]:
    """About evenly, the last one always; only such that are modules of their own, which a hook can reach."""
    own = {x.name: x for x in layers if x.name in modules and not list(modules[x.name].children())}
    found = list(own.values())
    places = np.unique(np.linspace(len(found) - 1, 0, min(most, len(found))).round().astype(int))
    return [found[place] for place in places]


def check_words(compared: int, wrong: list[str]) -> str:
    """What the tried fields say."""
    lines = "".join(f"- {line}\n" for line in wrong[:200])
    return (
        "# The formula tried on the networks\n\nA pixel is set to \"not a number\", which then is every unit that sees "
        f"it, whatever the weights. {compared} pairs of layer and pixel were compared with the traced fields; "
        f"{len(wrong)} differ.\n\n{lines}"
    )  # fmt: skip


# ---- pictures --------------------------------------------------------------------------------------------------------
def load_pictures(config: Config) -> tuple[list[np.ndarray], str]:
    """The pictures, uint8 (H, W, 3) each, and where they come from."""
    if config.image:
        paths = [Path(config.image)] if not Path(config.image).is_dir() else list_images(config.image)
    elif config.data == "embedded":
        return [read_image(package_file(*file)) for file in PICTURES[: config.pictures]], "embedded"
    else:
        folder = Path(config.data)
        tree = read_tree(folder / "artists" if (folder / "artists").is_dir() else folder)
        paths = [tree.paths[i] for i in tree.draw(config.pictures, config.seed)]
    return [read_image(path) for path in paths[: config.pictures]], config.image or config.data


def as_batch(pictures: list[np.ndarray], height: int, width: int = 0) -> Tensor:
    """The middle square of each picture, float32 (B, 3, height, width) in [0, 1]."""
    squares = []
    for image in pictures:
        side = min(image.shape[:2])
        top, left = ((length - side) // 2 for length in image.shape[:2])
        squares.append(resize_image(image[top : top + side, left : left + side], (height, width or height)))
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float() / 255


if __name__ == "__main__":
    main(run, Config, entry_point="artists_receptive_field", question="D 1.1", doc=__doc__)
