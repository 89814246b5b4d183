"""Support vector machines that judge beside networks: on a frozen backbone's maps, or on typical patches.

Those of a nested cross-validation are fitted once each. What a network is judged on, its partner must not have seen
either: for the study of a fold that is the machine fitted without this fold and the one that judges; for the last
trainings the one fitted without the fold alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cnnlab.data.folds import Fold
from cnnlab.data.imageset import ImageSet
from cnnlab.models.kernel_machine import WHOLE, Committee, KernelMachine
from cnnlab.models.pretrained import WeightsReport
from cnnlab.models.saved import load_model, save_model
from cnnlab.training.checkpoint import load_checkpoint, save_checkpoint
from cnnlab.training.folds import run_jobs
from cnnlab.training.kernel_machine import fit_backbone_machine, fit_patch_machine
from cnnlab.training.views import SINGLE_VIEW, Views, predict_views


def backbone_machine(
    train: ImageSet, backbone: str, weights: str, seed: int, part: tuple[float, ...] = WHOLE
) -> tuple[KernelMachine, WeightsReport] | tuple[None, None]:
    """The machine on a frozen backbone's maps of `part`, and what the backbone started from; none where none is named.

    Arguments and errors as for `fit_backbone_machine`.
    """
    if not backbone:
        return None, None
    return fit_backbone_machine(train.images, train.labels, backbone, weights, seed=seed, part=part)


def ask_machine(machine: KernelMachine, pictures: ImageSet, views: Views) -> torch.Tensor:
    """Its mean probabilities (N, K) over the views; it sees the mirror image of each itself."""
    return predict_views(machine, pictures, replace(views, mirror=False))[0]


def ask_together(model: nn.Module, views: Views, pictures: ImageSet) -> torch.Tensor:
    """Probabilities (N, K) as the nested study takes them: a network's in all views, a patch machine's in one look.

    Args:
        model: a network, or a committee of one and a machine.
        views: of the network.
        pictures: N.
    """
    members = list(model.members) if isinstance(model, Committee) else [model]
    said = [
        predict_views(member, pictures, SINGLE_VIEW if isinstance(member, KernelMachine) else views)[0]
        for member in members
    ]
    return torch.stack(said).mean(0)


class Partners:
    """What the machines say of the folds that they have not seen.

    Args:
        pictures: all of them.
        folds: the outer ones; only their test parts matter.
        settings: of `fit_patch_machine`.
        path: a checkpoint file, written after every fit; the machines lie beside it.
        workers: processes; 0 takes one for each core.
        pool: of `worker_pool`.
    """

    def __init__(
        self, pictures: ImageSet, folds: Sequence[Fold], settings: dict[str, Any], path: Path, workers: int = 0,
        pool=None,
    ) -> None:  # fmt: skip
        self.path = path
        kept = load_checkpoint(path) or {}
        self._said: dict[str, dict[str, torch.Tensor]] = kept.get("said", {})
        self.wanted = [(one,) for one in range(len(folds))] + list(combinations(range(len(folds)), 2))
        missing = [places for places in self.wanted if _key(places) not in self._said]
        fit = partial(fit_without, pictures, [fold.test for fold in folds], settings, path)
        for place, said in run_jobs(fit, [(places,) for places in missing], workers, pool):
            self._said[_key(missing[place])] = said
            save_checkpoint(path, {"said": self._said})
            if place % 5 == 4 or len(self._said) == len(self.wanted):
                print(f"machines on typical patches: {len(self._said)} of {len(self.wanted)}", flush=True)

    def of(self, fold: int, *others: int) -> np.ndarray:
        """Probabilities (N, K) of a fold's pictures by the machine that saw neither them nor those of `others`."""
        return self._said[_key((fold, *others))][str(fold)].numpy()

    def machine(self, fold: int) -> KernelMachine:
        """The one that was fitted on all folds but one."""
        return load_model(machine_file(self.path, fold))[0]


def fit_without(
    pictures: ImageSet, parts: Sequence[Sequence[int]], settings: dict[str, Any], path: Path, left_out: Sequence[int]
) -> dict[str, torch.Tensor]:
    """Fit a machine to all parts but some, and ask it about these: probabilities by part."""
    rows = sorted(i for place, part in enumerate(parts) if place not in left_out for i in part)
    machine = fit_patch_machine(pictures.images[rows], pictures.labels[rows], **settings)
    if len(left_out) == 1:
        save_model(machine_file(path, left_out[0]), machine, {})
    return {str(place): predict_views(machine, pictures.take(parts[place]))[0] for place in left_out}


def machine_file(path: Path, fold: int) -> Path:
    """Where the machine that was fitted without a fold lies."""
    return path.with_name(f"{path.stem}_without_{fold + 1}.pt")


def _key(places: Sequence[int]) -> str:
    return " ".join(map(str, sorted(places)))
