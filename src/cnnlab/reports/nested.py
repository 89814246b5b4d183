"""Nested cross-validation: for each fold a search that has not seen it, with trainings shared between the searches.

A network trained on all folds but i and j judges a configuration for the search of fold i (on j) and for that of fold j
(on i). `PairCache` keeps both accuracies, so that a configuration that two searches ask for is trained once, and that a
search which was stopped goes on where it was.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from torch import nn

from cnnlab.data.folds import Fold
from cnnlab.data.imageset import ImageSet
from cnnlab.models.saved import save_model
from cnnlab.search import DIVERGED, LABEL, params_digest, trial_rows
from cnnlab.tracking import Run
from cnnlab.training.checkpoint import load_checkpoint, save_checkpoint
from cnnlab.training.views import Views


def pair_fold(folds: Sequence[Fold], outer: int, inner: int) -> Fold:
    """Train on every fold but two; `val` is the inner one's test part, `test` the outer one's."""
    train = [i for number, fold in enumerate(folds) if number not in (outer, inner) for i in fold.test]
    return Fold(tuple(sorted(train)), folds[inner].test, folds[outer].test)


def outer_fold(folds: Sequence[Fold], outer: int) -> Fold:
    """Train on every fold but one, which is `test`, and `val` too: nothing may be chosen on it."""
    train = [i for number, fold in enumerate(folds) if number != outer for i in fold.test]
    return Fold(tuple(sorted(train)), folds[outer].test, folds[outer].test)


class PairCache:
    """Accuracies of trainings on all folds but two, by configuration; written after every training.

    Args:
        path: a checkpoint file, made as needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, dict[str, float]] = (load_checkpoint(path) or {}).get("pairs", {})

    def get(self, params: Mapping[str, Any], outer: int, inner: int) -> float | None:
        """Accuracy on the inner fold of a network that has seen neither, or None."""
        return self._known.get(_key(params, outer, inner), {}).get(str(inner))

    def put(self, params: Mapping[str, Any], accuracies: Mapping[int, float]) -> None:
        """Keep what one network reached on each of the two folds that it has not seen.

        Raises:
            CheckpointError: the file cannot be written.
        """
        outer, inner = accuracies
        self._known[_key(params, outer, inner)] = {str(fold): value for fold, value in accuracies.items()}
        save_checkpoint(self.path, {"pairs": self._known})

    def __len__(self) -> int:
        return len(self._known)


def _key(params: Mapping[str, Any], outer: int, inner: int) -> str:
    return f"{params_digest(params)} {min(outer, inner)} {max(outer, inner)}"


# ---- the last trainings ----------------------------------------------------------------------------------------------
def as_test(history: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """What followed a last training, and chose nothing in it, under its right name: the fold's test part."""
    return [{key.replace("val/", "test/"): value for key, value in epoch.items()} for epoch in history]


def log_fold_models(
    run: Run, models: Sequence[nn.Module], views: Sequence[Views], pictures: ImageSet, seed: int
) -> None:
    """Store `model_fold_1.pt`, …, whose meta tells pictures and folds, and how its network looks at a picture.

    Args:
        run: where to.
        models: of each fold.
        views: of each fold's network; see `cnnlab.reports.partners.ask_together`.
        pictures: that they were trained on.
        seed: that dealt out the folds.
    """
    known = {"classes": list(pictures.classes), "size": list(pictures.images.shape[-2:])}
    known |= {"folds_seed": seed, "data_digest": pictures.digest}
    with tempfile.TemporaryDirectory() as folder:
        for number, (model, looks) in enumerate(zip(models, views, strict=True), 1):
            path = Path(folder) / f"model_fold_{number}.pt"
            save_model(path, model, known | {"fold": number} | asdict(looks))
            run.log_file(path)


# ---- the studies, fold by fold ---------------------------------------------------------------------------------------
def labelled(trial: optuna.trial.FrozenTrial) -> str:
    """Its name, or its number."""
    return trial.user_attrs.get(LABEL) or f"trial {trial.number}"


def nested_table(studies: Sequence[optuna.Study], plain: Mapping[str, Any]) -> str:
    """Markdown: each configuration in each fold's study, as mean accuracy within the other folds.

    Args:
        studies: one for each fold.
        plain: the parameters that all others are told apart from.
    """
    values: dict[str, dict[int, str]] = {}
    params: dict[str, dict[str, Any]] = {}
    for number, study in enumerate(studies):
        for trial in trial_rows(study):
            key = trial.user_attrs.get(LABEL) or f"sampled {params_digest(trial.params)[:4]}"
            pruned = trial.state == optuna.trial.TrialState.PRUNED
            shown = "diverged" if DIVERGED in trial.user_attrs else f"{100 * trial.value:.1f}{' (pruned)' * pruned}"
            values.setdefault(key, {})[number] = f"**{shown}**" if trial.number == study.best_trial.number else shown
            params[key] = trial.params
    lines = [
        "Accuracy in %, mean of the inner folds of each fold's study; bold is what the study chose.", "",
        "| configuration | " + " | ".join(f"fold {n + 1}" for n in range(len(studies))) + " | changed |",
        "|---|" + "---|" * (len(studies) + 1),
    ]  # fmt: skip
    for key, row in values.items():
        changed = ", ".join(f"{k}={_short(v)}" for k, v in params[key].items() if v != plain[k])
        lines.append(f"| {key} | " + " | ".join(row.get(n, "") for n in range(len(studies))) + f" | {changed} |")
    return "\n".join(lines) + "\n"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
