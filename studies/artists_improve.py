"""D 1.6 · The best network for the paintings, from scratch at 50×50, judged by folds that did not choose it.

    mlflow run . -e artists_improve -P data=DIR

Nested cross-validation: each of the five folds has a study of its own, in which a trial is the mean of four trainings,
each on three of the other four folds and judged on the fourth; the fold itself is out of it. Five configurations come
first: a plain network, all ideas together (batch norm, augmentation, dropout, label smoothing, weight decay, averaged
weights and looks), that with local response or weight norm instead, and deeper. Then the sampler (TPE) draws, mixup
among the rest (once where search.trials=6); the median rule ends hopeless draws. No idea is tried alone. The winner of
each fold is trained on the other four with each of `seeds` seeds and tested on the fold: `test_accuracy` has these five
figures, `test_seeds_together_accuracy` those of the seeds' mean probabilities. A training serves the two folds that it
has not seen, so that what two studies try is trained once. `val_accuracy` is of the four other folds.

The second row knows ImageNet: a linear classifier on frozen features of a backbone, which, with the size of the images
and the classifier's strength, is chosen by cross-validation within the other four folds (`test_pretrained_accuracy`).

A classifier here is a committee: the network, and a support vector machine on colours and on typical patches that
k-means finds in the training pictures (`partner`); their probabilities are averaged. Nothing in it is pretrained.
Network and machine alone are told as well (`test_network_accuracy`, `test_machine_accuracy`); `differences.md` pairs
them. The machine's settings (`PATCHES`) were fixed beforehand, exploring on trainings with three of these five folds:
for them alone a fold's test part is not wholly new. The network alone has none of them, but was chosen beside it.

The same command continues a stopped study; finished trainings are kept in `mlruns/checkpoints`. The five networks of
the first seed are stored as `model_fold_1.pt`, …; `artists_robustness` judges them on changed pictures.

Budget on two CPU cores: an hour and a half. (The seconds below are those of the last part of a study that was stopped.)

Result: artists_improve on artists (train 360, test 451, val 360), seeds 0, 1, 2, AMD EPYC, 1 core, 24 GiB, no GPU,
    653 s, 2026-11-22, commit 6116ccfae2:
    test_accuracy                 0.840 ± 0.035 (5) on 451 samples
    test_seeds_together_accuracy  0.842 ± 0.038 (5) on 451 samples
    val_accuracy                  0.842 ± 0.016 (5) on 360 samples
    test_network_accuracy         0.803 ± 0.032 (5) on 451 samples
    test_machine_accuracy         0.831 ± 0.044 (5) on 451 samples
    test_pretrained_accuracy      0.867 ± 0.047 (5) on 451 samples
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.metrics import confusion_matrix

from cnnlab import plots
from cnnlab.data.artists import AUGMENTATIONS, FIT, is_stand_in, load_artists
from cnnlab.data.augment import Augmentation
from cnnlab.data.folds import Fold
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.experiment import CHECKPOINTS, Outcome, main
from cnnlab.models.kernel_machine import committee_of
from cnnlab.models.pretrained import pretrained_model
from cnnlab.models.registry import model_settings
from cnnlab.models.simple_cnn import Layout
from cnnlab.reports.classifier import log_classifier
from cnnlab.reports.differences import log_differences, nested_answers, nested_shares
from cnnlab.reports.frozen import frozen_features
from cnnlab.reports.nested import PairCache, as_test, labelled, log_fold_models, nested_table, pair_fold
from cnnlab.reports.paintings import (
    BASIS,
    PaintingConfig,
    load_paintings,
    sizes_of_nesting,
    train_outer_folds,
    train_painter,
)
from cnnlab.reports.partners import Partners
from cnnlab.reports.text_tables import percent
from cnnlab.search import Report, Search, constants_digest, params_digest, search
from cnnlab.tracking import Run
from cnnlab.tracking.models import promote
from cnnlab.training import Training
from cnnlab.training.folds import FoldResult, run_jobs, worker_pool
from cnnlab.training.views import SINGLE_VIEW, Views

SPACE = {
    "depths": CategoricalDistribution(["32-64-128", "32-64-128-256", "48-96-192"]),
    "first_kernel": CategoricalDistribution([3, 5]),
    "norm": CategoricalDistribution(["none", "batch", "lrn", "weight"]),
    "head": CategoricalDistribution(["flatten", "average"]),
    "dropout": CategoricalDistribution([0.0, 0.3, 0.5]),
    "lr": FloatDistribution(3e-4, 1e-2, log=True),
    "weight_decay": CategoricalDistribution([1e-3, 5e-2]),
    "label_smoothing": CategoricalDistribution([0.0, 0.1]),
    "mixup": CategoricalDistribution([0.0, 0.2, 0.8]),
    "ema": CategoricalDistribution([0.0, 0.99]),
    "augmentation": CategoricalDistribution(["none", "light", "medium", "strong"]),
    "views": CategoricalDistribution([1, 6]),
}
PLAIN = {
    "depths": "32-64-128", "first_kernel": 5, "norm": "none", "head": "flatten", "dropout": 0.0, "lr": 1e-3,
    "weight_decay": 1e-3, "label_smoothing": 0.0, "mixup": 0.0, "ema": 0.0, "augmentation": "none", "views": 1,
}  # fmt: skip
TOGETHER = PLAIN | {
    "norm": "batch", "lr": 3e-3, "weight_decay": 5e-2, "label_smoothing": 0.1, "dropout": 0.3, "ema": 0.99, "views": 6,
    "augmentation": "medium",
}  # fmt: skip
FIRST = {
    "plain": PLAIN,
    "all together": TOGETHER,
    "local response norm": TOGETHER | {"norm": "lrn", "lr": 1e-3},
    "weight norm": TOGETHER | {"norm": "weight", "lr": 1e-3},
    "deeper": TOGETHER | {"depths": "32-64-128-256", "head": "average", "first_kernel": 3},
}
PATCHES = {"patches": ((8, 600),), "grid": (4, 4), "colours": 6, "penalty": 10.0}
QUICK_PATCHES = {"patches": ((8, 20),), "grid": (2, 2), "colours": 3}
LOOKS = {1: SINGLE_VIEW, 6: Views(mirror=True, zooms=(0.9, 1.0, 1.1))}


@dataclass(frozen=True)
class Config(PaintingConfig):
    """Search for the best network for the paintings, by nested cross-validation."""

    search: Search = field(default_factory=lambda: Search(trials=6))
    """of each fold's study"""
    epochs: int = 0
    """of every training; 0 is 10 with the drawn pictures, 100 with your own"""
    partner: bool = True
    """a support vector machine on typical patches judges beside the network"""
    seeds: int = 3
    """last trainings of each fold, from seeds seed, seed+1, …"""
    backbones: tuple[str, ...] = ("efficientnet_lite0", "efficientnet_lite2")
    """of the second row; none leaves it out"""
    sizes: tuple[int, ...] = (192, 256)
    """heights and widths of the images that the backbones see"""
    weights: str = "auto"
    """of the backbones: auto, torchvision, packages"""
    register: bool = True
    """register the first fold's network and let it have the alias `champion`"""
    resume: bool = True
    """take over the last trainings of a stopped run; its studies go on in any case"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs < 0:
            raise ConfigError(f"epochs must be at least 0, not {self.epochs}.")
        chosen = (self.layout, self.training, self.augmentation, self.views)
        if chosen != (Layout(), BASIS, Augmentation(), SINGLE_VIEW):
            raise ConfigError(
                "The study chooses layout, training, augmentation and views itself; of these settings it takes the "
                "number of epochs only, as epochs."
            )
        for backbone in self.backbones:
            model_settings(backbone)  # an unknown name ends here, before hours of training
        if self.backbones and (not self.sizes or min(self.sizes) < 32):
            raise ConfigError(f"sizes must be one or more, each at least 32 pixels, not {self.sizes}.")
        if self.weights == "random" and not self.quick:
            raise ConfigError("weights=random knows nothing of ImageNet; leave the second row out with backbones=().")

    def shrunk(self) -> "Config":
        return replace(
            self, search=replace(self.search, trials=1), epochs=1, seeds=1, workers=1, weights="random", sizes=(64,),
            backbones=self.backbones[:1],
        )  # fmt: skip


def config_of(params: dict[str, Any], base: Config, epochs: int) -> PaintingConfig:
    """The settings of a training that the parameters of a trial stand for."""
    depths = tuple(int(number) for number in params["depths"].split("-"))
    layout = Layout(
        kernels=(params["first_kernel"], *[3] * (len(depths) - 1)), strides=(1,) * len(depths), depths=depths, pool=2,
        hidden=128, **{name: params[name] for name in ("norm", "head", "dropout")},
    )  # fmt: skip
    training = Training(
        epochs=epochs, batch_size=32, optimizer="adamw", schedule="one_cycle", monitor="last", clip_grad=2.0,
        precision="32-true", prefetch=0,
        **{name: params[name] for name in ("lr", "weight_decay", "label_smoothing", "mixup", "ema")},
    )  # fmt: skip
    return PaintingConfig(
        data=base.data, seed=base.seed, size=base.size, layout=layout, training=training,
        augmentation=AUGMENTATIONS[params["augmentation"]], views=LOOKS[params["views"]],
    )  # fmt: skip


def constants() -> dict[str, Any]:
    """What the parameters of a trial stand for, beside `SPACE`."""
    settings = config_of(PLAIN, Config(), epochs=1)
    return {"augmentations": AUGMENTATIONS, "looks": LOOKS, "first": FIRST, "settings": settings}


def train_pair(
    pictures: ImageSet, folds: Sequence[Fold], config: PaintingConfig, outer: int, inner: int, seed: int
) -> FoldResult:
    """One training on all folds but two."""
    return train_painter(pictures, [pair_fold(folds, outer, inner)], config, 0, seed)


def run(config: Config, run: Run) -> Outcome:
    """A study for each fold, the last trainings, the second row."""
    pictures, folds = load_paintings(config, run, sizes_of_nesting)
    backbones = {  # first of all, since weights that are not to be had end the run
        name: pretrained_model(name, len(pictures.classes), config.weights) for name in config.backbones
    }
    epochs = config.epochs or (10 if is_stand_in(pictures) else 100)
    name = f"artists_improve {pictures.name} {pictures.digest[:8]} {epochs} epochs seed {config.seed}"
    name += " quick" * config.quick
    settings = (QUICK_PATCHES if config.quick else PATCHES) | {"seed": config.seed}
    name += f" beside {params_digest(settings)[:6]}" if config.partner else " alone"
    stem = f"{name} {constants_digest(constants())[:6]}".replace(" ", "_")
    cache = PairCache(CHECKPOINTS / "artists_improve" / f"{stem}.pt")
    winners, studies, partners = [], [], None
    with worker_pool(config.workers) as pool:
        if config.partner:
            beside = CHECKPOINTS / "artists_improve" / f"patches_{stem}.pt"
            partners = Partners(pictures, folds, settings, beside, config.workers, pool)
        for outer in range(len(folds)):
            label = f"fold {outer + 1}"
            with run.child(label, {"fold": outer + 1}) as child:
                objective = partial(judge, config, pictures, folds, cache, partners, outer, epochs, pool)
                study = search(
                    child, replace(config.search, study=config.search.study and f"{config.search.study} {label}"),
                    SPACE, objective, name=f"{name} {label}", seed=config.seed + outer, first=first_trials(config),
                    warmup_epochs=0, constants=constants(),
                )  # fmt: skip
                best = study.best_trial
                child.set_tags({"winner": labelled(best), "winner.params": best.params})
                child.log_metrics({"val_accuracy": best.value})
                print(f"{label}: {labelled(best)}, {100 * best.value:.1f} % within the other folds.", flush=True)
            winners.append(best)
            studies.append(study)
        configs = [config_of(winner.params, config, epochs) for winner in winners]
        results = train_outer_folds(
            pictures, folds, configs, config.training_seeds, CHECKPOINTS / "artists_improve", config.resume,
            config.workers, pool,
        )  # fmt: skip
    text = nested_table(studies, PLAIN)
    run.log_text("studies.md", text)
    print(text, flush=True)
    run.set_tags({"winners": [labelled(w) for w in winners], "winner.params": [w.params for w in winners]})
    at_size = partial(at, config)
    pretrained = frozen_features(run, backbones, config.sizes, at_size, folds, config.seed) if backbones else None
    return conclude(config, run, pictures, folds, winners, results, partners, pretrained)


def at(config: Config, size: int) -> ImageSet:
    """The same pictures in another size, for the second row."""
    return load_artists(config.data, (size, size), config.quick, config.seed)


def first_trials(config: Config) -> dict[str, dict[str, Any]]:
    """What every study begins with."""
    return {"all together": TOGETHER} if config.quick else FIRST


def judge(
    config: Config, pictures: ImageSet, folds: Sequence[Fold], cache: PairCache, partners: Partners | None, outer: int,
    epochs: int, pool, params: dict[str, Any], child: Run, report: Report,
) -> float:  # fmt: skip
    """Mean accuracy over the inner folds, two at a time; after the first two the trial may be pruned."""
    inner = [fold for fold in range(len(folds)) if fold != outer]
    found: dict[int, float] = {}
    for step, part in enumerate((inner[:2], inner[2:]), 1):
        found |= {fold: value for fold in part if (value := cache.get(params, outer, fold)) is not None}
        missing = [fold for fold in part if fold not in found]
        jobs = [(config_of(params, config, epochs), outer, fold, config.seed) for fold in missing]
        work = partial(train_pair, pictures, folds)
        for place, result in run_jobs(work, jobs, config.workers, pool):
            fold = missing[place]
            said = {outer: result.probabilities, fold: result.val_probabilities}
            if partners:
                said = {k: shares + partners.of(k, fold if k == outer else outer) for k, shares in said.items()}
            accuracies = {k: accuracy(shares, pictures, folds[k]) for k, shares in said.items()}
            cache.put(params, accuracies)
            found[fold] = accuracies[fold]
            child.log_metrics({f"network_accuracy_fold_{fold + 1}": result.val_accuracy})
            child.log_figure(f"curves_fold_{fold + 1}", plots.learning_curves(result.history, kept=result.best_epoch))
        child.log_metrics({f"val_accuracy_fold_{fold + 1}": found[fold] for fold in part})
        if step == 1:
            report(step, float(np.mean([found[fold] for fold in part])))
    return float(np.mean([found[fold] for fold in inner]))


def accuracy(shares: np.ndarray, pictures: ImageSet, fold: Fold) -> float:
    """Share of a fold's test pictures whose largest probability is that of their class."""
    return float((shares.argmax(1) == pictures.labels.numpy()[list(fold.test)]).mean())


def conclude(
    config: Config, run: Run, pictures: ImageSet, folds: Sequence[Fold], winners, results: list[list[FoldResult]],
    partners: Partners | None, pretrained: tuple[list[np.ndarray], str] | None,
) -> Outcome:  # fmt: skip
    """Figures, models and the outcome."""
    labels = pictures.labels.numpy()
    beside = [partners.of(outer) for outer in range(len(folds))] if partners else None
    shares = nested_shares(folds, results, beside)
    answers = nested_answers(labels, folds, results, beside, pretrained and pretrained[0])
    right, guessed = shares.argmax(-1) == labels, shares.mean(0).argmax(1)  # (seeds, N) and (N,)
    by_fold, together = ([float(r[..., list(f.test)].mean()) for f in folds] for r in (right, guessed == labels))
    matrix = confusion_matrix(labels, guessed, labels=range(len(pictures.classes)))
    run.log_figure("confusion_test", plots.confusion_matrix(matrix, pictures.classes))
    followed = {f"fold {k}": as_test(result.history) for k, result in enumerate(results[0], 1)}
    run.log_figure("curves", plots.compared_curves(followed))
    run.log_arrays("right.npz", {"right": right})
    models = [result.network for result in results[0]]
    if partners:
        models = [committee_of([network, partners.machine(outer)]) for outer, network in enumerate(models)]
    size, looks = pictures.images.shape[-2:], [LOOKS[winner.params["views"]] for winner in winners]
    log_fold_models(run, models, looks, pictures, config.seed)
    registered = ""
    if config.register:
        registered = "artists" + ("_quick" if config.quick else "_embedded" if is_stand_in(pictures) else "")
    version = log_classifier(
        run, models[0], pictures.classes, size, pictures.images[:2], registered, meta=asdict(looks[0]) | {"fit": FIT}
    )
    if version:
        champion = promote(registered, version, winners[0].value, pictures.digest)
        run.set_tags({"registered": f"{registered} version {version}", "champion": champion})
    metrics = {
        "test_accuracy": by_fold, "test_seeds_together_accuracy": together,
        "val_accuracy": [float(winner.value) for winner in winners],
    }  # fmt: skip
    if partners:
        metrics["test_network_accuracy"] = np.mean([[r.test_accuracy for r in seed] for seed in results], 0).tolist()
        metrics["test_machine_accuracy"] = [accuracy(b, pictures, f) for b, f in zip(beside, folds, strict=True)]
    summary = (
        f"From scratch at {size[0]}x{size[1]}: {percent(by_fold)} of the test pictures right (mean ± std of "
        f"{len(folds)} folds, each the mean of {len(results)} seeds; {percent(together)} by the seeds together), "
        f"{pictures.name}."
    )
    if pretrained:
        metrics["test_pretrained_accuracy"] = [float(of_fold.mean()) for of_fold in pretrained[0]]
        summary += f" With frozen features: {percent(metrics['test_pretrained_accuracy'])}. {pretrained[1]}"
    return Outcome(metrics, f"{summary} {log_differences(run, answers)}".strip(), config.training_seeds)


if __name__ == "__main__":
    main(run, Config, entry_point="artists_improve", question="D 1.6", doc=__doc__)
