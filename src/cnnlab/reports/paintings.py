"""What the experiments on paintings share: settings, data and folds, one training of one fold, and the ablation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from cnnlab import plots
from cnnlab.data.artists import course_split, five_folds, load_artists
from cnnlab.data.augment import Augmentation
from cnnlab.data.folds import Fold
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome
from cnnlab.models import build_model
from cnnlab.models.saved import load_model, save_model
from cnnlab.models.simple_cnn import Layout
from cnnlab.models.trace import on_meta
from cnnlab.reports.ablation import Variant, load_result, run_variants, save_result, training_stamp
from cnnlab.reports.ablation_words import log_ablation, metrics
from cnnlab.reports.nested import outer_fold
from cnnlab.tracking import Run
from cnnlab.training import Training
from cnnlab.training.folds import FoldResult, run_jobs, train_fold
from cnnlab.training.views import SINGLE_VIEW, Views

# The starter code's: gradient descent at 0.01 in batches of 10, nothing chosen. Batches so small are made faster than a
# thread hands them over, and too small for 16 bit to gain anything.
BASIS = Training(
    epochs=50, batch_size=10, optimizer="sgd_plain", lr=0.01, monitor="last", precision="32-true", prefetch=0
)
Sizes = Callable[[ImageSet, Sequence[Fold]], Mapping[str, int]]


@dataclass(frozen=True)
class PaintingConfig(Experiment):
    """Train SimpleCNN on paintings, on the same five folds in every experiment."""

    layout: Layout = field(default_factory=Layout)
    training: Training = field(default_factory=lambda: BASIS)
    augmentation: Augmentation = field(default_factory=Augmentation)
    size: int = 50
    """height and width of the pictures in pixels"""
    views: Views = SINGLE_VIEW
    """how a trained network looks at a picture that it is asked for"""
    seeds: int = 2
    """trainings of each fold, from seeds seed, seed+1, … (`seed` also deals out the folds)"""
    workers: int = 0
    """trainings at a time, with one thread each; 0 is one for each core"""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(f"seeds must be at least 1, not {self.seeds}.")
        if self.workers < 0:
            raise ConfigError(f"workers must be at least 0, not {self.workers}.")
        on_meta("simple_cnn", size=self.size, **self.layout.settings)  # refuses what cannot be built

    def shrunk(self):
        return replace(self, training=replace(self.training, epochs=2), seeds=1, workers=1)

    @property
    def training_seeds(self) -> list[int]:
        """One for each training of a fold."""
        return list(range(self.seed, self.seed + self.seeds))

    def build(self, num_classes: int):
        """The untrained network."""
        return build_model("simple_cnn", num_classes, size=self.size, **self.layout.settings)


def sizes_of_folds(pictures: ImageSet, folds: Sequence[Fold]) -> dict[str, int]:
    """Pictures that a training of the first fold learns from, that follow it, and that all folds test together."""
    return {"train": len(folds[0].train), "val": len(folds[0].val), "test": len(pictures)}


def sizes_of_outer(pictures: ImageSet, folds: Sequence[Fold]) -> dict[str, int]:
    """Of trainings on all folds but the one that tests them, which nothing follows."""
    return {"train": len(folds[0].rest), "test": len(pictures)}


def sizes_of_nesting(pictures: ImageSet, folds: Sequence[Fold]) -> dict[str, int]:
    """Of a nested cross-validation: what a study chooses by is each of the other folds in turn, so all of them."""
    return sizes_of_outer(pictures, folds) | {"val": len(folds[0].rest)}


def sizes_of_course(config: PaintingConfig, pictures: ImageSet, folds: Sequence[Fold]) -> dict[str, int]:
    """Of the course's split, which has no test part; `test` is what the folds test together."""
    course = course_split(pictures.labels, config.seed)
    return sizes_of_folds(pictures, folds) | {"train": len(course.train), "val": len(course.val)}


def load_paintings(config: PaintingConfig, run: Run, sizes: Sizes = sizes_of_folds) -> tuple[ImageSet, list[Fold]]:
    """The pictures and the five folds; `run` stores what they are and examples.

    Args:
        config: where the pictures are, their size, and the seed that deals out the folds.
        run: where to.
        sizes: `(pictures, folds) -> number of pictures of each split`: those that the run's figures are of.

    Raises:
        DataError: what `load_artists` refuses.
    """
    pictures = load_artists(config.data, (config.size, config.size), config.quick, config.seed)
    folds = five_folds(pictures.labels, config.seed, classes=pictures.classes)
    run.log_data(pictures.name, pictures.digest, sizes(pictures, folds), config.data)
    run.log_figure("examples", plots.class_grid(pictures.images, pictures.labels, pictures.classes, per_class=12))
    return pictures, folds


def train_painter(
    pictures: ImageSet, folds: Sequence[Fold], config: PaintingConfig, fold: int, seed: int, keep_network: bool = False
) -> FoldResult:
    """One training of one configuration on one fold: the function that ablations and studies hand to workers."""
    return train_fold(
        partial(config.build, len(pictures.classes)), pictures, folds[fold], config.training,
        transform=config.augmentation, seed=seed, keep_network=keep_network, views=config.views,
    )  # fmt: skip


def train_outer(pictures: ImageSet, folds: Sequence[Fold], config: PaintingConfig, outer: int, seed: int) -> FoldResult:
    """One training on all folds but the one that tests it, for settings that choose nothing; with its network."""
    return train_painter(pictures, [outer_fold(folds, outer)], config, 0, seed, keep_network=True)


def run_painting_variants(
    config: PaintingConfig, run: Run, pictures: ImageSet, folds: Sequence[Fold],
    groups: Mapping[str, Mapping[str, PaintingConfig]],
) -> list[Variant]:  # fmt: skip
    """The baseline `config` and its variants on the five folds; see `ablation.run_variants`."""
    if config.quick:  # one of each of two kinds goes the whole way
        groups = {group: dict(list(members.items())[:1]) for group, members in list(groups.items())[-2:]}
    return run_variants(
        run, config, groups, partial(train_painter, pictures, folds), folds, config.training_seeds,
        digest=pictures.digest, workers=config.workers,
    )  # fmt: skip


def ablate_paintings(
    config: PaintingConfig, run: Run, title: str, groups: Mapping[str, Mapping[str, PaintingConfig]],
    more: Callable[[list[Variant]], str],
) -> Outcome:  # fmt: skip
    """A whole ablation: data, trainings, table, figure and reading; `more` adds what is the question's own."""
    variants = run_painting_variants(config, run, *load_paintings(config, run), groups)
    summary = log_ablation(run, variants, title, more(variants))
    return Outcome(metrics(variants), summary, config.training_seeds)


def layout_variants(config: PaintingConfig, changes: Mapping[str, Mapping]) -> dict[str, PaintingConfig]:
    """name -> the configuration with these fields of its layout changed."""
    return {name: replace(config, layout=replace(config.layout, **change)) for name, change in changes.items()}


def training_variants(config: PaintingConfig, changes: Mapping[str, Mapping]) -> dict[str, PaintingConfig]:
    """name -> the configuration with these fields of its training changed."""
    return {name: replace(config, training=replace(config.training, **change)) for name, change in changes.items()}


def train_outer_folds(
    pictures: ImageSet, folds: Sequence[Fold], configs: Sequence[PaintingConfig], seeds: Sequence[int], kept: Path,
    resume: bool, workers: int = 0, pool=None,
) -> list[list[FoldResult]]:  # fmt: skip
    """[seed][fold] of trainings on all folds but one, with their networks.

    Args:
        pictures: all of them.
        folds: whose test parts are left out in turn.
        configs: one for each fold.
        seeds: of the trainings.
        kept: folder of finished trainings, so that what a stopped run has trained is trained once.
        resume: whether to take these over.
        workers: processes; 0 takes one for each core.
        pool: of `worker_pool`.
    """
    keys = [(seed, outer) for seed in seeds for outer in range(len(folds))]
    found: dict[tuple[int, int], FoldResult] = {}
    places = {}
    for seed, outer in keys:
        stamp = training_stamp(configs[outer], outer, seed, pictures.digest)  # `configs` have the folds' seed in them
        places[seed, outer] = kept / f"last_{stamp}.pt", stamp
        known = load_result(*places[seed, outer]) if resume else None
        if known is not None and network_file(places[seed, outer][0]).exists():
            network, _ = load_model(network_file(places[seed, outer][0]))
            found[seed, outer] = replace(known, network=network)
    missing = [key for key in keys if key not in found]
    jobs = [(configs[outer], outer, seed) for seed, outer in missing]
    for place, result in run_jobs(partial(train_outer, pictures, folds), jobs, workers, pool):
        key = missing[place]
        save_model(network_file(places[key][0]), result.network, {})
        save_result(*places[key], result)
        found[key] = result
        print(f"fold {key[1] + 1}, seed {key[0]}: {100 * result.test_accuracy:.1f} % of its test part", flush=True)
    return [[found[seed, outer] for outer in range(len(folds))] for seed in seeds]


def network_file(path: Path) -> Path:
    """Where the network of a kept training lies."""
    return path.with_suffix(".network.pt")
