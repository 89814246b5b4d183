"""B · What could give the class away, before anyone trains? File format, borders, sharpness, pictures seen twice.

    mlflow run . -e shortcut_check -P data=DIR        # two cores: 2,000 pictures in a quarter of a minute

A classifier of two cartoon worlds once reached 98 % by the background that the file format had left behind. DIR holds
class folders, or splits (train, val, test) of class folders; splits of pictures without classes are told apart in their
place, and in one heap of pictures only those seen twice are sought. Without data, two worlds are drawn with that very
leak (`-P leak=false`: without it). Cues are measured on at most `max_images` pictures, the same number of each class;
near-duplicates are sought among at most `max_hashed`.

Result: docs/shortcuts.md, made from the recorded runs
"""

import hashlib
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from cnnlab import plots
from cnnlab.data.images import map_threads, read_image
from cnnlab.data.made_leak import make_leaky_folder
from cnnlab.data.picture_tree import PictureTree, read_tree
from cnnlab.errors import ConfigError, DataError
from cnnlab.evaluation.image_cues import COLUMNS, Measured, measure_file
from cnnlab.evaluation.near_duplicates import KINDS, DuplicateGroup, near_duplicates
from cnnlab.evaluation.shortcuts import judge_cues
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.plots.shortcuts import class_means, cue_bars, duplicate_sheet
from cnnlab.reports import shortcuts as words
from cnnlab.reports.text_tables import as_csv, as_markdown
from cnnlab.tracking import Run

_SHEET_GROUPS, _SHEET_MEMBERS = 12, 6


@dataclass(frozen=True)
class Config(Experiment):
    """Find what could give the class away."""

    target: str = "auto"
    """what is told apart: `class`, `split`, or `auto`: classes where there are any"""
    max_images: int = 2000
    """pictures whose cues are measured, the same number of each class"""
    max_hashed: int = 60_000
    """pictures among which near-duplicates are sought"""
    leak: bool = True
    """of the drawn worlds (data=embedded): whether the leak is planted"""

    def __post_init__(self) -> None:
        if self.max_images < 20 or self.max_hashed < self.max_images:
            raise ConfigError(
                f"max_images={self.max_images} and max_hashed={self.max_hashed}: give at least 20, and no fewer hashed."
            )

    def shrunk(self) -> "Config":
        return replace(self, max_images=min(self.max_images, 120), max_hashed=min(self.max_hashed, 240))


def run(config: Config, run: Run) -> Outcome:
    """Measure the files, judge each cue, look for pictures seen twice, and store figures and report."""
    if config.data != "embedded":
        return check(read_tree(config.data, config.target), config, run)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / ("drawn_worlds_leak" if config.leak else "drawn_worlds_no_leak")
        make_leaky_folder(made, config.leak, config.seed, *((20, 10) if config.quick else (150, 50)))
        return check(read_tree(made, config.target), config, run)


def check(tree: PictureTree, config: Config, run: Run) -> Outcome:
    """Check the pictures of one data set."""
    hashed, measured, pick, unreadable = measure(tree, config)
    sizes = {name: int((tree.splits == i).sum()) for i, name in enumerate(tree.split_names)}
    files = [f"{p.relative_to(tree.root)} {m.sha256}" for p, m in zip(hashed.paths, measured, strict=True)]
    run.log_data(tree.root.name, hashlib.sha256("\n".join(files).encode()).hexdigest()[:16], sizes, config.data)
    told = hashed.labels if tree.target == "class" else None
    groups, numbers = near_duplicates(measured, told, hashed.splits)
    labels = hashed.labels[pick]
    columns = {name: np.array([measured[i].columns[name] for i in pick]) for name in COLUMNS}
    results = []
    if tree.target != "none":
        results = judge_cues(columns, labels, tree.classes, numbers[pick], config.seed)
        run.log_figure("cues", cue_bars(results, f"{tree.root.name}: {tree.question}"))
        run.log_text("cues.csv", as_csv(words.cue_rows(results)))
        run.log_text("cues.md", as_markdown(words.cue_rows(results)))
    log_pictures(tree, [measured[i] for i in pick], labels, columns, run)
    if groups:
        run.log_figure("duplicates", duplicate_sheet(*_sheet(hashed, groups)))
    rows = words.duplicate_rows(hashed, groups)
    run.log_text("duplicates.csv", as_csv(rows))
    sampling = f"Of {len(tree.paths)} pictures the cues of {len(pick)} were measured, copies sought in {len(measured)}."
    sentence = words.summary(tree.root.name, results, groups, len(measured))
    run.log_text("shortcuts.md", words.report(tree, sentence, sampling, results, columns, labels, rows, unreadable))
    metrics = {f"{r.cue.name}_balanced_accuracy": r.accuracy for r in results}
    metrics |= {"chance": results[0].chance} if results else {}
    for kind in ("file", "pixels"):
        metrics[f"warnings_{kind}"] = float(sum(r.level > 0 for r in results if r.cue.kind == kind))
    metrics |= {f"duplicates_{kind}": float(sum(group.kind == kind for group in groups)) for kind in KINDS}
    metrics |= {"pictures_measured": float(len(pick)), "pictures_hashed": float(len(measured))}
    variant = "" if config.data == "embedded" else re.sub(r"[^A-Za-z0-9]+", "_", tree.root.name).strip("_")
    return Outcome(metrics | {"unreadable": float(len(unreadable))}, sentence, [config.seed], variant=variant,
                   note=f"{tree.question} {sentence}")  # fmt: skip


def measure(tree: PictureTree, config: Config) -> tuple[PictureTree, list[Measured], np.ndarray, list[str]]:
    """Read the files drawn; those that cannot be read are named and left out.

    Returns:
        The pictures read, what was measured of each, which of them (indices) have their cues measured, and a sentence
        on every file that cannot be read.
    """
    drawn = tree.subset(tree.draw(config.max_hashed, config.seed))
    wanted = set(drawn.draw(config.max_images, config.seed).tolist())

    def read(index: int) -> Measured | DataError:
        try:
            return measure_file(drawn.paths[index], cues=index in wanted)
        except DataError as error:
            return error

    answers = map_threads(read, range(len(drawn.paths)), title="measuring")
    unreadable = [str(answer) for answer in answers if isinstance(answer, DataError)]
    good = [i for i, answer in enumerate(answers) if isinstance(answer, Measured)]
    if not good:
        raise DataError(f"None of the {len(answers)} pictures can be read; the first: {unreadable[0]}")
    pick = np.array([place for place, i in enumerate(good) if i in wanted], int)
    return drawn.subset(np.array(good)), [answers[i] for i in good], pick, unreadable


def log_pictures(tree: PictureTree, measured: list[Measured], labels: np.ndarray, columns: dict, run: Run) -> None:
    """Examples, mean pictures and border colours of every class."""
    previews = np.stack([m.preview for m in measured])
    borders = np.stack([columns[f"border_{c}"] for c in ("red", "green", "blue")], axis=1)
    changes = np.stack([columns[f"bare_{c}"] for c in ("red", "green", "blue")], axis=1)
    run.log_figure("class_means", class_means(previews, labels, borders, changes, tree.classes))
    images = torch.from_numpy(previews).permute(0, 3, 1, 2)
    run.log_figure("examples", plots.class_grid(images, torch.from_numpy(labels), tree.classes))


def _sheet(tree: PictureTree, groups: list[DuplicateGroup]) -> tuple[list, str]:
    """The first groups as the contact sheet wants them: the worst kinds come first in `groups`."""
    shown = []
    for group, row in zip(groups[:_SHEET_GROUPS], words.duplicate_rows(tree, groups[:_SHEET_GROUPS]), strict=True):
        members = [
            (read_image(tree.paths[i]), tree.paths[i].relative_to(tree.root).as_posix().replace("/", "/\n", 1))
            for i in group.members[:_SHEET_MEMBERS]
        ]
        shown.append((f"{row['what']} ({row['pictures']}, {row['alike']})", members))
    more = f", the first {_SHEET_GROUPS} of {len(groups)} groups" if len(groups) > _SHEET_GROUPS else ""
    return shown, f"Pictures that are there twice{more}"


if __name__ == "__main__":
    main(run, Config, entry_point="shortcut_check", question="B · what could give the class away", doc=__doc__)
