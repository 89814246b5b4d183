"""A folder of picture files as a user has it: classes, splits of classes, splits alone, or one heap of pictures."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cnnlab.data.folders import list_class_files
from cnnlab.data.images import SUFFIXES, list_images
from cnnlab.errors import ConfigError, DataError

SPLIT_NAMES = ("train", "training", "trn", "val", "valid", "validation", "dev", "test", "testing")
TARGETS = ("auto", "class", "split")


@dataclass(frozen=True)
class PictureTree:
    """Files with what is told apart: nothing is decoded yet.

    Attributes:
        root: the folder.
        paths: N files.
        labels: int64 (N,), indices into `classes`.
        classes: names of the classes, or of the splits where these are told apart; one name for a heap.
        splits: int64 (N,), indices into `split_names`.
        split_names: the folders' names; `("all",)` without splits.
        target: `class`, `split`, or `none` for one heap of pictures.
        left_out: subfolders that are neither split nor class.
    """

    root: Path
    paths: tuple[Path, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    splits: np.ndarray
    split_names: tuple[str, ...]
    target: str
    left_out: tuple[str, ...] = ()

    @property
    def question(self) -> str:
        """In words, what the check asks of each cue."""
        if self.target == "class":
            return "Which class does a picture belong to?"
        if self.target == "split":
            return "Which split does a picture come from? (The splits stand in for classes.)"
        return "One heap of pictures without classes or splits: nothing to tell apart, only pictures seen twice."

    def subset(self, indices: np.ndarray) -> "PictureTree":
        """The same with these files only; the classes stay."""
        kept = tuple(self.paths[i] for i in indices)
        return replace(self, paths=kept, labels=self.labels[indices], splits=self.splits[indices])

    def draw(self, count: int, seed: int) -> np.ndarray:
        """Indices of at most about `count` files, sorted: the same number of each class as far as it has so many."""
        if count >= len(self.paths):
            return np.arange(len(self.paths))
        share = max(2, count // len(self.classes))
        order = np.random.default_rng(seed).permutation(len(self.paths))
        return np.sort(np.concatenate([order[self.labels[order] == k][:share] for k in range(len(self.classes))]))


def read_tree(folder: str | os.PathLike[str], target: str = "auto") -> PictureTree:
    """Find out how a folder is laid out and list its files.

    Understood are class folders; split folders (train, val, test and the like) of class folders; split folders of
    pictures; pictures alone; and a folder that holds nothing but one of these.

    Args:
        folder: the data set.
        target: `class`, `split`, or `auto`: classes where there are any, else splits.

    Raises:
        DataError: none of the layouts, a class with fewer than two pictures, or no classes or splits where the
            target asks for them.
        ConfigError: an unknown target.
    """
    if target not in TARGETS:
        raise ConfigError(f"target={target} is unknown; choose {', '.join(TARGETS)}.")
    root = _descend(Path(folder))
    folders = _folders(root)
    splits = sorted((p for p in folders if p.name.lower() in SPLIT_NAMES), key=_split_order)
    if splits:
        tree = _from_splits(root, splits)
    elif any(_holds_pictures(p) for p in folders):
        tree = _from_classes(root, folders)
    elif _holds_pictures(root):
        tree = _collect(root, {("all", root.name): list_images(root)}, "none")
    else:
        names = ", ".join(f"{p.name}/" for p in folders[:12]) or "nothing"
        raise DataError(
            f"{root}: no pictures and no class folders of pictures; it holds {names}. Name the folder of one data set."
        )
    if tree.target == target or target == "auto":
        return tree
    if target == "class":
        raise DataError(f"{root}: no class folders, which are needed here; sort the pictures into one for each class.")
    if len(tree.split_names) < 2:
        raise DataError(f"{root}: target=split, but there are no two split folders such as train/ and val/.")
    return replace(tree, labels=tree.splits, classes=tree.split_names, target="split")


def _descend(root: Path) -> Path:
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; name the folder of a data set.")
    folders = _folders(root)
    while len(folders) == 1 and not _holds_pictures(root) and folders[0].name.lower() not in SPLIT_NAMES:
        root, folders = folders[0], _folders(folders[0])
    return root


def _from_splits(root: Path, splits: list[Path]) -> PictureTree:
    classes = {split: [p for p in _folders(split)] for split in splits}
    with_classes = [split for split in splits if classes[split]]
    if with_classes and len(with_classes) < len(splits):
        bare = next(split for split in splits if not classes[split])
        raise DataError(f"{bare}: no class folders, though {with_classes[0].name}/ has them; sort it or move it.")
    others = tuple(p.name for p in _folders(root) if p not in splits)
    if with_classes:
        files = {(s.name, name): paths for s in splits for name, paths in list_class_files(s).items()}
        return _collect(root, files, "class", others)
    target = "split" if len(splits) > 1 else "none"
    return _collect(root, {(s.name, s.name): list_images(s) for s in splits}, target, others)


def _from_classes(root: Path, folders: list[Path]) -> PictureTree:
    bare = next((p for p in folders if not _holds_pictures(p)), None)
    if bare and _folders(bare):  # a folder of several data sets, most likely
        full = next(p for p in folders if _holds_pictures(p))
        raise DataError(
            f"{root}: {full.name}/ holds pictures but {bare.name}/ holds folders, so these are no classes; name the "
            "folder of one data set."
        )
    files = {("all", name): paths for name, paths in list_class_files(root).items()}
    return _collect(root, files, "class")


def _collect(
    root: Path, files: dict[tuple[str, str], list[Path]], target: str, left_out: tuple[str, ...] = ()
) -> PictureTree:
    split_names = tuple(dict.fromkeys(split for split, _ in files))
    names = dict.fromkeys(name for _, name in files)
    classes = tuple(names if target == "split" else sorted(names))
    rows = [(path, classes.index(name), split_names.index(s)) for (s, name), paths in files.items() for path in paths]
    paths, labels, splits = zip(*rows, strict=True)
    return PictureTree(root, paths, np.array(labels), classes, np.array(splits), split_names, target, left_out)


def _folders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _holds_pictures(folder: Path) -> bool:
    return any(p.suffix.lower() in SUFFIXES and not p.name.startswith(".") for p in folder.iterdir() if p.is_file())


def _split_order(folder: Path) -> int:
    return SPLIT_NAMES.index(folder.name.lower())
