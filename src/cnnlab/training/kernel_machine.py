"""Fit a support vector machine to the maps of a frozen backbone; models.kernel_machine says what it is good for."""

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.svm import SVC
from torch import Tensor

from cnnlab.errors import ConfigError, DataError
from cnnlab.models.kernel_machine import KernelMachine
from cnnlab.models.pretrained import WeightsReport, load_pretrained
from cnnlab.models.registry import build_model
from cnnlab.training.feature_views import features_of


def fit_kernel_machine(
    images: Tensor, labels: Tensor, backbone: str = "squeezenet1_1", weights: str = "auto",
    size: tuple[int, int] = (160, 128), grid: tuple[int, int] = (10, 8), dims: int = 256, penalty: float = 3.0,
    seed: int = 0,
) -> tuple[KernelMachine, WeightsReport]:  # fmt: skip
    """Train a machine on images; its probabilities are calibrated by cross-validation on the same images (Platt).

    Args:
        images: uint8 (N, 3, H, W).
        labels: 0 or 1, (N,), four of each at least.
        backbone: whose maps it sees.
        weights: of the backbone, as `pretrained_model` takes them.
        size: height and width in pixels to which the images are brought.
        grid: rows and columns of the averaged maps.
        dims: principal components, fewer where there are fewer images.
        penalty: C of the support vector machine.
        seed: of the folds that calibrate.

    Raises:
        ConfigError: more than two classes, or no such weights.
        DataError: too few images of a class.
    """
    if (classes := int(labels.max()) + 1) != 2:
        raise ConfigError(f"kernel_machine tells two classes apart, not {classes}.")
    if (fewest := int(labels.bincount().min())) < 4:
        raise DataError(f"A kernel machine needs four images of each class to be calibrated, not {fewest}.")
    settings = {"backbone": backbone, "size": tuple(size), "grid": tuple(grid), "dims": min(dims, len(images) - 1)}
    machine = build_model("kernel_machine", **settings)
    report = load_pretrained(machine.backbone, weights)
    maps = features_of(images, lambda batch: batch.float() / 255, machine.maps)
    machine.mean, machine.scale = maps.mean(0), 1 / maps.std(0).clamp(min=1e-4)
    points = machine.standardise(maps)
    del maps
    machine.components = principal_components(points, settings["dims"])
    points = points @ machine.components.T
    squares = torch.cdist(points, points) ** 2
    machine.gamma = 1 / squares.median()
    kernel = torch.exp(-machine.gamma * squares).double().numpy()
    judge = SVC(C=penalty, kernel="precomputed")
    folds = StratifiedKFold(min(5, fewest), shuffle=True, random_state=seed)
    margins = cross_val_predict(judge, kernel, labels.numpy(), cv=folds, method="decision_function")
    line = LogisticRegression().fit(margins[:, None], labels.numpy())
    judge.fit(kernel, labels.numpy())
    machine.vectors = points[judge.support_].contiguous()
    machine.coefficients = torch.from_numpy(judge.dual_coef_[0]).float()
    machine.bias = torch.tensor(judge.intercept_[0], dtype=torch.float32)
    machine.line = torch.tensor([line.coef_[0, 0], line.intercept_[0]], dtype=torch.float32)
    machine.architecture = ("kernel_machine", {"num_classes": 2, **settings, "vectors": len(machine.vectors)})
    return machine.eval(), report


def principal_components(points: Tensor, count: int) -> Tensor:
    """Unit directions (count, D) in which points (N, D) spread most about the origin; D may be far above N."""
    values, vectors = torch.linalg.eigh((points @ points.T).double())
    values, vectors = values.flip(0)[:count].clamp(min=1e-12), vectors.flip(1)[:, :count]
    return (vectors / values.sqrt()).T.float() @ points
