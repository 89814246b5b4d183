"""Q2 · Segment street scenes in any folder of images with a trained network: one label PNG for each image.

    mlflow run . -e camvid_predict -P images=DIR -P output=DIR

Without `model` the released weights are used, so nothing needs to be trained; a run id of `camvid_fcn8s` and its kin, a
registered model or a model.pt does as well. Every image gets `<its name>.png` in `output`: grey (mode L), as large as
the image, values 0 to 10 for sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian and bicyclist.
The network sees every image with its longer side as long as that of the scenes it was trained on (`resolution`).
Without `images` the val frames of `data` are segmented, to look at. A sheet of some images in colour is in the run.

Budget on two CPU cores: about an image a second in the six views of the released weights' mean IoU, ten of them in a
single view (`-P tta=false -P tta_scales=1.0`).

Result: no recorded run yet
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from tqdm import tqdm

from cnnlab.data.camvid import load_camvid
from cnnlab.data.images import list_images, read_image
from cnnlab.data.scene_classes import SCENE_CLASSES, class_colours
from cnnlab.errors import ConfigError, DataError
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.files import replacing
from cnnlab.models import build_model
from cnnlab.models.saved import load_model
from cnnlab.plots.segmentation import scene_sheet
from cnnlab.tracking import Run
from cnnlab.tracking.models import model_file
from cnnlab.training.segmentation import SINGLE_VIEW, Inference, segment

RELEASED = "weights/camvid_fcn8s.pt"
SHOWN = 6


@dataclass(frozen=True)
class Config(Experiment):
    """Write a label PNG for every image of a folder."""

    images: str = ""
    """the folder of images; without it the val frames of `data` are segmented"""
    output: str = ""
    """the folder for the label PNGs, made if need be; without it they are in the run only"""
    model: str = "released"
    """`released`, a run id, a registered model, or a model.pt"""
    resolution: int | None = None
    """longer side in pixels at which the network sees an image; 0 is the image's own, by default as it was trained"""
    tta: bool | None = None
    """average over the mirror image too; by default as the model was judged"""
    tta_scales: tuple[float, ...] = ()
    """average over these magnifications; by default as the model was judged"""

    def __post_init__(self) -> None:
        if self.resolution is not None and self.resolution < 0:
            raise ConfigError(f"resolution={self.resolution} is no number of pixels; 0 keeps each image's own.")
        if self.images and self.output and Path(self.images).resolve() == Path(self.output).resolve():
            raise ConfigError(f"output={self.output} is the folder of the images; name another, they would be lost.")
        if self.output and Path(self.output).exists() and not Path(self.output).is_dir():
            raise ConfigError(f"output={self.output} is a file, where a folder is expected.")


def run(config: Config, run: Run) -> Outcome:
    """Segment every readable image; the others are named and left out."""
    model, inference, classes, resolution = load_segmenter(config)
    colours = class_colours(len(classes))
    source = from_folder(config.images) if config.images else from_data(config)
    run.log_data(source.name, source.digest, {source.split: len(source.readers)}, config.images or config.data)
    run.set_tags({"model": config.model, "inference": inference})
    if config.images:  # not the stand-in: the images are the user's own
        run.set_tags({"embedded_data": "false", "mlflow.runName": "camvid_predict"})
    if config.output:
        make_folder(Path(config.output))
    shown, unreadable, counts = [], [], np.zeros(len(classes), np.int64)
    every = max(1, len(source.readers) // SHOWN)
    progress = tqdm(source.readers.items(), desc="segmenting", unit="image", leave=False, disable=None)
    for place, (name, read) in enumerate(progress):
        try:
            image = read()
        except DataError as error:
            unreadable.append(str(error))
            print(error, flush=True)
            continue
        labels = predict_labels(model, image, inference, resolution)
        counts += np.bincount(labels.flatten(), minlength=len(classes))
        if config.output:
            write_labels(Path(config.output) / f"{Path(name).stem}.png", labels)
        if (place % every == 0 or not shown) and len(shown) < SHOWN:
            shown.append((name, image, labels))
    if not shown:
        raise DataError(f"No image in {config.images} can be read; the first of {len(unreadable)}: {unreadable[0]}")
    names, images, labels = zip(*shown, strict=True)
    run.log_figure("predictions", scene_sheet(
        [thumbnail(i).transpose(2, 0, 1) for i in images], None, [thumbnail(m) for m in labels], classes, colours, names
    ))  # fmt: skip
    run.log_text("unreadable.txt", "\n".join(unreadable))
    done = len(source.readers) - len(unreadable)
    shares = {f"share_{c.lower()}": float(n / counts.sum()) for c, n in zip(classes, counts, strict=True)}
    return Outcome(
        {"images": float(done), "unreadable": float(len(unreadable)), **shares},
        f"{done} images segmented into {len(classes)} classes ({inference})"
        + (f", {len(unreadable)} could not be read" if unreadable else "")
        + (f"; label PNGs are in {config.output}." if config.output else "; give output=DIR for label PNGs."),
    )


def load_segmenter(config: Config) -> tuple[nn.Module, Inference, list[str], int]:
    """The network that `config.model` names, how it looks at images, the names of its classes, and its resolution.

    Raises:
        ConfigError: there is no such model, or it is no segmentation network.
    """
    try:
        path = model_file(config.model, released=RELEASED)
    except ConfigError:
        if not (config.quick and config.model == "released"):
            raise
        model = build_model("fcn8s", num_classes=len(SCENE_CLASSES)).eval()  # the path is to be tried, not the labels
        return model, SINGLE_VIEW, list(SCENE_CLASSES), 96
    model, meta = load_model(path)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    if meta.get("task") != "segmentation":
        raise ConfigError(f"model={config.model} is no segmentation network; name one of camvid_fcn8s or its kin.")
    inference = Inference(
        tta=meta["tta"] if config.tta is None else config.tta,
        tta_scales=config.tta_scales or tuple(meta["tta_scales"]),
    )
    resolution = max(meta["size"]) if config.resolution is None else config.resolution
    return model, inference, list(meta["classes"]), resolution


def predict_labels(model: nn.Module, image: np.ndarray, inference: Inference, resolution: int) -> np.ndarray:
    """Class of every pixel: uint8 (H, W, 3) -> uint8 (H, W)."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    size = image.shape[:2]
    scale = resolution / max(size) if resolution else 1.0
    seen = [max(1, round(side * scale)) for side in size]
    if tuple(seen) != size:
        pixels = F.interpolate(pixels.float(), size=seen, mode="bilinear", antialias=True).round().to(torch.uint8)
    scores = segment(model, pixels, inference)
    if tuple(seen) != size:
        scores = F.interpolate(scores, size=size, mode="bilinear", antialias=True)
    return scores.argmax(1)[0].to(torch.uint8).numpy()


def write_labels(path: Path, labels: np.ndarray) -> None:
    """Write labels uint8 (H, W) as a grey PNG; a failed write leaves no half file.

    Raises:
        DataError: it cannot be written.
    """
    try:
        with replacing(path) as partial:
            Image.fromarray(labels).save(partial, format="PNG")
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); free space or choose another output.") from error


def make_folder(path: Path) -> None:
    """Make the output folder before anything is computed.

    Raises:
        DataError: it cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"output={path} cannot be made ({error.strerror}); choose another folder.") from error
    if not os.access(path, os.W_OK):
        raise DataError(f"output={path} cannot be written to; choose another folder.")


def thumbnail(pixels: np.ndarray, longest: int = 960) -> np.ndarray:
    """A large image thinned out for the sheet; labels stay labels."""
    step = -(-max(pixels.shape[:2]) // longest)
    return pixels[::step, ::step]


# ---- what is segmented -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Source:
    """Images to segment, each read when it is its turn."""

    name: str
    digest: str
    split: str
    readers: dict[str, Callable[[], np.ndarray]]


def from_folder(folder: str) -> Source:
    """The images of a folder.

    Raises:
        DataError: there is none, or two would give a label PNG of the same name.
    """
    paths = list_images(folder)
    first = {}
    for path in paths:
        if path.stem in first:
            raise DataError(
                f"{path} and {first[path.stem].name} would both give {path.stem}.png; rename one or move it away."
            )
        first[path.stem] = path
    sha = hashlib.sha256()
    for path in paths:
        sha.update(path.name.encode() + path.read_bytes())
    readers = {path.name: partial(read_image, path) for path in paths}
    return Source(Path(folder).resolve().name, sha.hexdigest()[:16], "images", readers)


def from_data(config: Config) -> Source:
    """The val frames of `config.data`."""
    data = load_camvid(config.data, quick=config.quick, seed=config.seed)
    frames = data.val.images.permute(0, 2, 3, 1).numpy()
    readers = {name.rpartition("/")[2]: frames[i].copy for i, name in enumerate(data.val.names)}
    return Source(data.name, data.digest, "val", readers)


if __name__ == "__main__":
    main(run, Config, entry_point="camvid_predict", question="Q2", doc=__doc__)
