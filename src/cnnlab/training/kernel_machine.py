"""Fit support vector machines to the maps of a frozen backbone or to typical patches; see `models.kernel_machine`."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from sklearn.cluster import MiniBatchKMeans
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC
from torch import Tensor

from cnnlab.errors import DataError
from cnnlab.models.kernel_machine import WHOLE, KernelMachine, PatchMaps
from cnnlab.models.pretrained import WeightsReport, load_pretrained
from cnnlab.models.registry import build_model
from cnnlab.training.feature_views import features_of

SAMPLES = 40_000  # patches from which the typical ones are found
FAINT = 1e-3  # added to the variances of patches, so that whitening does not blow noise up


def fit_backbone_machine(
    images: Tensor, labels: Tensor, backbone: str = "squeezenet1_1", weights: str = "auto",
    size: tuple[int, int] = (160, 128), grid: tuple[int, int] = (10, 8), dims: int = 256, penalty: float = 3.0,
    seed: int = 0, part: tuple[float, ...] = WHOLE,
) -> tuple[KernelMachine, WeightsReport]:  # fmt: skip
    """A machine on the maps of a pretrained backbone; its probabilities are calibrated by cross-validation.

    Args:
        images: uint8 (N, 3, H, W).
        labels: (N,), two images of each class at least.
        backbone: whose maps it sees.
        weights: of the backbone, as `pretrained_model` takes them.
        size: height and width in pixels to which the images, or what is seen of them, are brought.
        grid: rows and columns of the averaged maps.
        dims: principal components, fewer where there are fewer images.
        penalty: C of the support vector machines.
        seed: of the folds that calibrate.
        part: left, top, right and bottom of what it looks at, as shares of the image's width and height.

    Raises:
        ConfigError: no such weights, a backbone without a pyramid, or no part of an image.
        DataError: too few images of a class.
    """
    settings = {"backbone": backbone, "size": tuple(size), "grid": tuple(grid), "dims": min(dims, len(images) - 1)}
    machine = build_model("backbone_machine", _classes(labels), **settings, part=tuple(part))
    report = load_pretrained(machine.features.backbone, weights)
    return _fit(machine, images, labels, penalty, seed), report


def fit_patch_machine(
    images: Tensor, labels: Tensor, patches: Sequence[tuple[int, int]] = ((8, 600),), grid: tuple[int, int] = (4, 4),
    colours: int = 0, dims: int = 256, penalty: float = 3.0, seed: int = 0,
) -> KernelMachine:  # fmt: skip
    """A machine on typical patches of the images themselves, from scratch.

    Arguments and errors as for `fit_backbone_machine`, and

    Args:
        patches: (side in pixels, number of typical patches) of each map.
        colours: levels of red, green and blue in a histogram beside the maps; 0 is none.
        seed: of the patches that are drawn too.
    """
    settings = {"patches": [tuple(pair) for pair in patches], "grid": tuple(grid), "colours": colours}
    settings["dims"] = min(dims, len(images) - 1)
    machine = build_model("patch_machine", _classes(labels), **settings)
    learn_patches(machine.features, images, seed)
    return _fit(machine, images, labels, penalty, seed)


def learn_patches(layer: PatchMaps, images: Tensor, seed: int = 0) -> None:
    """Find the whitening and the typical patches of a layer in images uint8 (N, 3, H, W); no labels are needed."""
    drawn = torch.Generator().manual_seed(seed)
    for place, (side, count) in enumerate(layer.patches):
        which = torch.randint(0, len(images), (SAMPLES,), generator=drawn)
        tops, lefts = (torch.randint(0, length - side + 1, (SAMPLES,), generator=drawn) for length in images.shape[-2:])
        rows = tops[:, None, None] + torch.arange(side)[:, None]
        columns = lefts[:, None, None] + torch.arange(side)
        patches = images[which[:, None, None], :, rows, columns].permute(0, 3, 1, 2).flatten(1).float() / 255
        mean = patches.mean(0)
        variances, directions = torch.linalg.eigh(torch.cov((patches - mean).T))
        whitening = directions @ torch.diag((variances.clamp(min=0) + FAINT).rsqrt()) @ directions.T
        white = ((patches - mean) @ whitening).numpy()
        found = MiniBatchKMeans(count, n_init=1, batch_size=4096, max_iter=20, random_state=seed).fit(white)
        values = {"mean": mean, "whitening": whitening, "typical": torch.from_numpy(found.cluster_centers_).float()}
        for name, value in values.items():
            setattr(layer, f"{name}_{place}", value)


def principal_components(points: Tensor, count: int) -> Tensor:
    """Unit directions (count, D) in which points (N, D) spread most about the origin; D may be far above N."""
    values, vectors = torch.linalg.eigh((points @ points.T).double())
    values, vectors = values.flip(0)[:count].clamp(min=1e-12), vectors.flip(1)[:, :count]
    return (vectors / values.sqrt()).T.float() @ points


def _classes(labels: Tensor) -> int:
    counts = labels.bincount()
    if len(counts) < 2 or counts.min() < 2:
        raise DataError("A kernel machine needs two classes with two images of each at least.")
    return len(counts)


def _fit(machine: KernelMachine, images: Tensor, labels: Tensor, penalty: float, seed: int) -> KernelMachine:
    truth, classes = labels.numpy(), len(machine.bias)
    maps = features_of(images, lambda batch: batch.float() / 255, machine.maps)
    machine.mean, machine.scale = maps.mean(0), 1 / maps.std(0).clamp(min=1e-4)
    points = machine.standardise(maps)
    machine.components = principal_components(points, len(machine.components))
    points = points @ machine.components.T
    squares = torch.cdist(points, points) ** 2
    machine.gamma = 1 / squares.median()
    kernel = torch.exp(-machine.gamma * squares).double().numpy()
    judge = OneVsRestClassifier(SVC(C=penalty, kernel="precomputed"))
    folds = StratifiedKFold(min(5, int(labels.bincount().min())), shuffle=True, random_state=seed)
    margins = cross_val_predict(judge, kernel, truth, cv=folds, method="decision_function")
    machine.slope = torch.tensor(_slope(_both(margins), truth))
    judge.fit(kernel, truth)
    coefficients = np.zeros((len(judge.estimators_), len(images)), np.float32)
    for row, one in zip(coefficients, judge.estimators_, strict=True):
        row[one.support_] = one.dual_coef_[0]
    bias = np.array([one.intercept_[0] for one in judge.estimators_], np.float32)
    if classes == 2:  # one machine tells two classes apart
        coefficients, bias = np.stack([-coefficients[0], coefficients[0]]), np.stack([-bias[0], bias[0]])
    used = np.flatnonzero(coefficients.any(0))
    machine.vectors = points[used].contiguous()
    machine.coefficients, machine.bias = torch.from_numpy(coefficients[:, used].copy()), torch.from_numpy(bias)
    name, settings = machine.architecture
    machine.architecture = (name, {**settings, "vectors": len(used)})
    return machine.eval()


def _both(margins: np.ndarray) -> np.ndarray:
    """(N,) of two classes or (N, K) -> (N, K)."""
    return np.stack([-margins, margins], 1) if margins.ndim == 1 else margins


def _slope(margins: np.ndarray, truth: np.ndarray) -> float:
    """The factor on margins (N, K) that makes their softmax the likeliest for the true classes."""
    values, labels = torch.from_numpy(margins), torch.from_numpy(truth).long()
    found = minimize_scalar(
        lambda power: F.cross_entropy(np.exp(power) * values, labels).item(), bounds=(-3, 4), method="bounded"
    )
    return float(np.exp(found.x))
