"""What a run stores about a network that it trained: the file to use it with, and the model for MLflow."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cnnlab.models.saved import save_model
from cnnlab.tracking import Run
from cnnlab.tracking.models import MODEL_FILE


def log_classifier(
    run: Run, model: nn.Module, classes: Sequence[str], size: tuple[int, int], example: torch.Tensor | None = None,
    register: str = "", half: bool = False, meta: Mapping[str, Any] | None = None, file: str = MODEL_FILE,
) -> str | None:  # fmt: skip
    """Store `model.pt` (see `cnnlab.models.saved`) and, given example images, the network as an MLflow model.

    Classifiers of images and of pixels alike. Trials of a study go without the MLflow model: it takes seconds.

    Args:
        run: where to.
        model: made by `build_model`.
        classes: their names, in the order of the logits.
        size: (height, width) in pixels of the images that it was trained on.
        example: uint8 (B, 3, H, W), B at least 2.
        register: name in the model registry, if it is to be registered.
        half: store the weights of model.pt in 16 bits.
        meta: what else the file is to say about the network, plain values; `fit` is how images came to that size, where
            they were not stretched.
        file: its name in the run.

    Returns:
        The registered version, if it is registered.
    """
    with tempfile.TemporaryDirectory() as folder:
        known = {"classes": list(classes), "size": list(size), **(meta or {})}
        save_model(Path(folder) / file, model, known, half)
        run.log_file(Path(folder) / file)
    return None if example is None else run.log_model(model, example.float() / 255, register=register)
