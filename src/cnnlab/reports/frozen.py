"""How far frozen features of pretrained networks come on folds: what a network from scratch is measured against."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from cnnlab.data.folds import Fold
from cnnlab.data.imageset import ImageSet
from cnnlab.evaluation.linear import nested_svm
from cnnlab.models.pretrained import WeightsReport
from cnnlab.tracking import Run
from cnnlab.training.feature_views import features_of, looks
from cnnlab.training.views import Views


def frozen_features(
    run: Run, backbones: Mapping[str, tuple[nn.Module, WeightsReport]], sizes: Sequence[int],
    load: Callable[[int], ImageSet], folds: Sequence[Fold], seed: int = 0,
) -> tuple[list[np.ndarray], str]:  # fmt: skip
    """A linear classifier on frozen features; backbone, size and strength are chosen within the folds that train it.

    Args:
        run: is told which were chosen, and what the first backbone started from.
        backbones: name -> network with an `embed`, and where its weights are from.
        sizes: heights and widths of the pictures.
        load: size -> the same pictures at that size.
        folds: each is tested by a classifier of its `rest`.
        seed: of the inner folds.

    Returns:
        Whether each test picture of each fold was recognised, bool, and a sentence on the weights.
    """
    features = {}
    for size in sizes:
        pictures = load(size)
        for name, (model, _) in backbones.items():
            features[f"{name} at {size}"] = both_sides(model.eval(), pictures)
    right, chosen = nested_svm(features, pictures.labels.numpy(), [(f.rest, f.test) for f in folds], seed)
    print(f"Frozen features, chosen within the other folds: {', '.join(chosen)}", flush=True)
    reports = [report for _, report in backbones.values()]
    run.log_weights(reports[0])
    run.set_tags({"pretrained.chosen": chosen})
    return right, " ".join(report.sentence for report in reports)


def both_sides(model: nn.Module, pictures: ImageSet) -> np.ndarray:
    """(N, D): mean of the embeddings of each picture and its mirror image."""
    sides = [features_of(pictures.images, view, model.embed) for view in looks(Views(mirror=True))]
    return torch.stack(sides).mean(0).numpy()
