"""Training of segmentation networks on random crops of scenes, and their use on whole images.

`train_scenes` composes crops, objective and the training loop; `segment` runs a network over images of any size,
averaged over mirrored and resized views if asked; `judge_scenes` counts its pixels on a split.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from cnnlab.data.scene_crops import SceneCrops, SceneSet
from cnnlab.devices import native_bf16
from cnnlab.errors import ConfigError
from cnnlab.evaluation.segmentation import confusion, mean_iou, pixel_accuracy, trimap_counts
from cnnlab.training.config import Training
from cnnlab.training.loop import Fit, Metrics, Transform, fit, to_float
from cnnlab.training.objective import Segmentation

TRIMAP_WIDTHS = tuple(range(1, 21))
ClassWeights = Literal["none", "root_median_frequency", "median_frequency"]


@dataclass(frozen=True)
class Crops:
    """The random crops that are trained on."""

    size: tuple[int, int] = (288, 384)
    """height and width in pixels"""
    scales: tuple[float, float] = (0.8, 2.4)
    """smallest and largest magnification; enlarged, poles and signs are more than a cell of the finest map wide"""
    stretch: float = 0.0
    """largest change of width against height, a share"""
    flip: float = 0.5
    """probability of mirroring left and right"""
    rare: float = 0.0
    """share of crops centred on a class drawn with equal chances"""
    per_scene: int = 1
    """crops of every scene in an epoch"""

    def __post_init__(self) -> None:
        if self.per_scene < 1:
            raise ConfigError(f"crops.per_scene must be at least 1, not {self.per_scene}.")


@dataclass(frozen=True)
class SceneLoss:
    """What is minimised: cross entropy, and what is added to it for the sake of mean IoU."""

    lovasz: float = 1.0
    """weight of the Lovász-softmax loss; 0 is cross entropy alone"""
    class_weights: ClassWeights = "none"
    """weight of each class in the cross entropy: its frequency against the median one, or the root of that"""

    def __post_init__(self) -> None:
        if self.lovasz < 0:
            raise ConfigError(f"loss.lovasz must be 0 or above, not {self.lovasz}.")


@dataclass(frozen=True)
class Inference:
    """How a trained network looks at an image: the class probabilities are averaged over all views."""

    tta: bool = True
    """look at the mirror image too"""
    tta_scales: tuple[float, ...] = (1.0, 1.5, 2.0)
    """magnifications to look at"""

    def __post_init__(self) -> None:
        if not self.tta_scales or min(self.tta_scales) <= 0:
            raise ConfigError(f"tta_scales must be magnifications above 0, not {self.tta_scales}.")

    def __str__(self) -> str:
        views = len(self.tta_scales) * (2 if self.tta else 1)
        return f"{views} views (mirrored: {self.tta}, scales: {self.tta_scales})" if views > 1 else "single view"


SINGLE_VIEW = Inference(tta=False, tta_scales=(1.0,))


@dataclass(frozen=True)
class Judged:
    """What a network did on a split.

    Attributes:
        counts: int64 (C, C), row = true class, column = predicted class.
        predictions: uint8 (N, H, W).
        trimap: int64 (len(TRIMAP_WIDTHS), C, C), counts near borders, or None.
        images_per_second: of inference alone.
    """

    counts: Tensor
    predictions: Tensor
    trimap: Tensor | None
    images_per_second: float

    @property
    def figures(self) -> dict[str, float]:
        """`miou` and `pixel_accuracy`."""
        return {"miou": mean_iou(self.counts), "pixel_accuracy": pixel_accuracy(self.counts)}


def class_weights(scenes: SceneSet, kind: ClassWeights) -> Tensor | None:
    """Weight of each class, float32 (C,), 1 for a class of median frequency; None for `none`.

    After Eigen and Fergus, ICCV 2015 (https://arxiv.org/abs/1411.4734): a class's frequency is its share of the pixels
    of those images that show it.
    """
    if kind == "none":
        return None
    count = len(scenes.classes)
    pixels = torch.stack([torch.bincount(mask.flatten(), minlength=256)[:count] for mask in scenes.masks]).double()
    labelled = (pixels > 0).double() * pixels.sum(1, keepdim=True)
    frequency = pixels.sum(0) / labelled.sum(0).clamp(min=1)
    seen = frequency > 0
    weights = torch.ones(count, dtype=torch.float64)
    weights[seen] = frequency[seen].median() / frequency[seen]
    return (weights.sqrt() if kind == "root_median_frequency" else weights).float()


def train_scenes(
    model: nn.Module,
    train: SceneSet,
    judged: SceneSet,
    crops: Crops,
    loss: SceneLoss,
    training: Training,
    *,
    seed: int = 0,
    transform: Transform = to_float,
    judge_every: int = 5,
    on_epoch: Callable[[int, Metrics], None] | None = None,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    title: str = "",
) -> Fit:
    """Train `model` in place on crops of `train`.

    Every `judge_every` epochs, and after the last, all of `judged` is segmented in a single view (`val/miou`,
    `val/pixel_accuracy`); `val/loss` and `val/accuracy` of every epoch are on `followed(judged)`.
    """
    cut = SceneCrops(
        train, crops.size, crops.scales, flip=crops.flip, length=crops.per_scene * len(train), seed=seed,
        rare=crops.rare, stretch=crops.stretch,
    )  # fmt: skip
    weights = class_weights(train, loss.class_weights)

    def evaluate(network: nn.Module, epoch: int) -> Metrics:
        if epoch % judge_every and epoch != training.epochs:
            return {}
        figures = judge_scenes(network, judged, SINGLE_VIEW).figures
        return {f"val/{name}": value for name, value in figures.items()}

    return fit(
        model, cut, followed(judged), training, seed=seed, transform=transform, evaluate=evaluate, on_epoch=on_epoch,
        objective=Segmentation(
            class_weights=weights, label_smoothing=training.label_smoothing, lovasz=loss.lovasz
        ),
        val_objective=Segmentation(), checkpoint=checkpoint, fingerprint=fingerprint, title=title,
    )  # fmt: skip


def followed(scenes: SceneSet) -> SceneSet:
    """The eight or so scenes on which a training is followed epoch by epoch, spread over a set."""
    return scenes.take(range(0, len(scenes), max(1, len(scenes) // 8)))


@torch.no_grad()
def segment(model: nn.Module, images: Tensor, inference: Inference = SINGLE_VIEW) -> Tensor:
    """Probabilities of the classes of every pixel: uint8 (B, 3, H, W) -> float32 (B, C, H, W), on the CPU."""
    model.eval()
    device = next(model.parameters()).device
    pixels = to_float(images.to(device))
    size = pixels.shape[-2:]
    total: Tensor | None = None
    for scale in inference.tta_scales:
        view = pixels
        if scale != 1:
            scaled = [max(1, round(side * scale)) for side in size]
            view = F.interpolate(pixels, size=scaled, mode="bilinear", antialias=True)
        for mirrored in (False, True) if inference.tta else (False,):
            shown = (view.flip(-1) if mirrored else view).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=native_bf16(device.type)):
                logits = model(shown)
            scores = logits.float().softmax(1)
            scores = scores.flip(-1) if mirrored else scores
            if scores.shape[-2:] != size:
                scores = F.interpolate(scores, size=size, mode="bilinear", antialias=True)
            total = scores if total is None else total + scores
    views = len(inference.tta_scales) * (2 if inference.tta else 1)
    return (total / views).cpu()


def judge_scenes(
    model: nn.Module, scenes: SceneSet, inference: Inference, trimap: bool = False, title: str = "judging"
) -> Judged:
    """Segment every scene at its full size and count pixels, and those near borders if asked."""
    count = len(scenes.classes)
    counts = torch.zeros(count, count, dtype=torch.int64)
    borders = torch.zeros(len(TRIMAP_WIDTHS), count, count, dtype=torch.int64) if trimap else None
    predictions = torch.empty_like(scenes.masks)
    seconds = 0.0
    for part in _parts(len(scenes), batch=4, title=title):
        began = time.perf_counter()
        predictions[part] = segment(model, scenes.images[part], inference).argmax(1).to(torch.uint8)
        seconds += time.perf_counter() - began
        counts += confusion(predictions[part], scenes.masks[part], count)
        if borders is not None:
            borders += trimap_counts(predictions[part], scenes.masks[part], TRIMAP_WIDTHS, count)
    return Judged(counts, predictions, borders, len(scenes) / seconds)


def _parts(count: int, batch: int, title: str) -> Iterator[slice]:
    starts = range(0, count, batch)
    for start in tqdm(starts, desc=title, unit="batch", leave=False, disable=None if count > 40 else True):
        yield slice(start, start + batch)
