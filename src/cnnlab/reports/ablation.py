"""One change at a time, on the same folds: child runs, one table, one figure of effect sizes, and the reading in words.

`run_variants` trains a baseline and its variants on every fold (several at a time), and can be stopped: what is trained
is kept beside the checkpoints and not trained again by the same command with `resume`. A painting is tested once in
each variant, by the network that has not seen it, so two variants are compared picture by picture.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from cnnlab import plots
from cnnlab.data.folds import Fold
from cnnlab.evaluation.comparison import paired_interval
from cnnlab.experiment import Experiment, checkpoint_path, fingerprint, flatten
from cnnlab.reports.text_tables import percent
from cnnlab.tracking import Run
from cnnlab.training.checkpoint import load_checkpoint, save_checkpoint
from cnnlab.training.folds import FoldResult, pooled, run_jobs

BASELINE = "baseline"
NO_DIFFERENCE = "no difference shown"
_NOT_TRAINED = ("data", "seeds", "workers", "resume", "record")  # settings that say nothing of one training

TrainOne = Callable[[Any, int, int], FoldResult]


@dataclass
class Variant:
    """One configuration and what it reached.

    Attributes:
        name: as the table has it.
        group: what kind of change it is; empty for the baseline.
        changed: the settings that differ from the baseline's, in words.
        config: all settings.
        results: [seed][fold] of its trainings.
        right: bool (seeds, N), whether each picture was recognised, in the data set's order.
    """

    name: str
    group: str
    changed: str
    config: Any
    results: list[list[FoldResult]] = field(default_factory=list)
    right: np.ndarray | None = None

    @property
    def fold_accuracies(self) -> list[float]:
        """Test accuracy of each fold, the seeds averaged."""
        return [fmean(result.test_accuracy for result in fold) for fold in zip(*self.results, strict=True)]

    @property
    def accuracy(self) -> float:
        """Mean of the folds."""
        return fmean(self.fold_accuracies)

    @property
    def std(self) -> float:
        """Standard deviation of the folds."""
        return stdev(self.fold_accuracies)

    def mean_of(self, name: str) -> float:
        """Mean of an attribute over all trainings: `train_accuracy`, `val_accuracy`, `best_epoch`, `seconds`."""
        return fmean(getattr(result, name) for fold in self.results for result in fold)

    def gain_over(self, other: "Variant") -> tuple[float, float, float]:
        """(difference, ends of its 95 % interval) of the accuracies on the same pictures."""
        return self.accuracy - other.accuracy, *paired_interval(other.right, self.right)


def reading(low: float, high: float, better: str = "better", worse: str = "worse") -> str:
    """What an interval of a difference shows, in words."""
    return better if low > 0 else worse if high < 0 else NO_DIFFERENCE


def run_variants(
    run: Run, base: Experiment, groups: Mapping[str, Mapping[str, Experiment]], train_one: TrainOne,
    folds: Sequence[Fold], seeds: Sequence[int], *, digest: str, workers: int = 0,
) -> list[Variant]:  # fmt: skip
    """Train the baseline and every variant with each seed on each fold; each is a child run of `run`.

    Args:
        run: the ablation's run.
        base: the baseline's settings; its `resume` says whether kept trainings are taken over.
        groups: kind of change -> name -> the baseline's settings with that one change.
        train_one: `(settings, number of the fold, seed) -> result`, at the top level of a module (or a partial of it).
        folds: they test every picture once.
        seeds: of the trainings.
        digest: of the data.
        workers: processes of one thread; see `training.folds.run_jobs`.

    Returns:
        The baseline, then the variants in their order.
    """
    variants = [Variant(BASELINE, "", "", base)]
    for group, members in groups.items():
        variants += [Variant(name, group, changed_words(base, config), config) for name, config in members.items()]
    found: dict[tuple[int, int, int], FoldResult] = {}
    places: dict[tuple[int, int, int], tuple[Path, str]] = {}
    for number, variant in enumerate(variants):
        for seed in seeds:
            for index in range(len(folds)):
                stamp = training_stamp(variant.config, index, seed, digest)
                key = (number, seed, index)
                places[key] = checkpoint_path(run.entry_point, stamp, base.resume), stamp
                if (kept := load_result(*places[key])) is not None:
                    found[key] = kept
    if found:
        print(f"{len(found)} of {len(places)} trainings are taken over from a run that was stopped.", flush=True)
    logged: set[int] = set()
    _log_complete(run, variants, found, folds, seeds, logged)
    waiting = [key for key in places if key not in found]
    jobs = [(variants[number].config, index, seed) for number, seed, index in waiting]
    progress = tqdm(total=len(places), initial=len(found), desc=run.entry_point, unit="training", disable=None)
    for place, result in run_jobs(train_one, jobs, workers) if jobs else ():
        key = waiting[place]
        save_result(*places[key], result)
        found[key] = result
        progress.update()
        _log_complete(run, variants, found, folds, seeds, logged)
    progress.close()
    run.disposable += [path for path, _ in places.values()]
    return variants


def _log_complete(
    run: Run, variants: Sequence[Variant], found: Mapping[tuple[int, int, int], FoldResult], folds: Sequence[Fold],
    seeds: Sequence[int], logged: set[int],
) -> None:  # fmt: skip
    """Store the child run of each variant whose trainings have all come in, and that has none yet."""
    for number, variant in enumerate(variants):
        keys = [[(number, seed, index) for index in range(len(folds))] for seed in seeds]
        if number in logged or not all(key in found for row in keys for key in row):
            continue
        variant.results = [[found[key] for key in row] for row in keys]
        variant.right = np.stack([pooled(row, folds) for row in variant.results])
        log_variant(run, variant)
        logged.add(number)


def log_variant(run: Run, variant: Variant) -> None:
    """The child run of one variant: settings, the first seed's epochs on each fold, accuracies, what was recognised."""
    with run.child(variant.name, {"variant": variant.name, "changed": variant.changed or "nothing"}) as child:
        child.log_config(flatten(variant.config))
        histories = [result.history for result in variant.results[0]]
        for epoch in range(max(map(len, histories))):
            values = {
                f"fold_{index}/{key}": history[epoch][key]
                for index, history in enumerate(histories) if epoch < len(history)
                for key in ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "lr")
            }  # fmt: skip
            child.log_metrics(values, epoch + 1)
        child.log_metrics({
            "test_accuracy": variant.accuracy, "test_accuracy_std": variant.std,
            **{name: variant.mean_of(name) for name in ("train_accuracy", "val_accuracy", "best_epoch", "seconds")},
        })  # fmt: skip
        child.log_arrays("right.npz", {"right": variant.right})
        child.log_figure("curves", plots.compared_curves({f"fold {k}": h for k, h in enumerate(histories, 1)}))
    print(f"{variant.name}: {percent(variant.fold_accuracies)}", flush=True)


# ---- what is kept of a training --------------------------------------------------------------------------------------
def training_stamp(config: Experiment, fold: int, seed: int, digest: str) -> str:
    """16 hex digits for one training of one fold."""
    flat = {key: value for key, value in flatten(config).items() if key not in _NOT_TRAINED}
    return fingerprint({**flat, "fold": fold, "training seed": seed}, digest)


def save_result(path: Path, stamp: str, result: FoldResult) -> None:
    """Keep what a training left, without its network."""
    save_checkpoint(path, {
        "fingerprint": stamp, "right": torch.from_numpy(result.right),
        "probabilities": torch.from_numpy(result.probabilities), "train_accuracy": result.train_accuracy,
        "val_accuracy": result.val_accuracy, "history": result.history, "best_epoch": result.best_epoch,
        "seconds": result.seconds,
    })  # fmt: skip


def load_result(path: Path, stamp: str) -> FoldResult | None:
    """What `save_result` kept, or None."""
    content = load_checkpoint(path, stamp)
    if content is None:
        return None
    del content["fingerprint"]
    arrays = {name: content.pop(name).numpy() for name in ("right", "probabilities")}
    return FoldResult(**arrays, **content)


def changed_words(base: Experiment, config: Experiment) -> str:
    """The settings of `config` that are not `base`'s, as `name=value`."""
    before = flatten(base)
    changed = {key: value for key, value in flatten(config).items() if before[key] != value}
    return ", ".join(f"{key.rpartition('.')[2]}={_short(value)}" for key, value in changed.items())


def _short(value: Any) -> str:
    return (
        " ".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else value
    )
