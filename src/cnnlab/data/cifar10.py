"""CIFAR-10 (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html): official pixels, or folders of images.

The official pixels come through torchvision, from a folder that holds `cifar-10-batches-py/` or, with `data=official`,
fetched into the cache. Copies as folders of images (`train/<class>/`, `test/<class>/`) are often JPEG: such pixels are
not the official ones, accuracies on them are not the published ones', and `Cifar10.pixels` says which were used.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import StratifiedShuffleSplit
from torch import Tensor
from torchvision.datasets import CIFAR10

from cnnlab.data.embedded import package_file
from cnnlab.data.folders import list_class_files, load_image_folder
from cnnlab.data.images import read_image
from cnnlab.data.imageset import ImageSet
from cnnlab.data.sources import writing_to
from cnnlab.errors import DataError
from cnnlab.models.sources import cache_dir

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
NAME, SIDE, VALIDATION = "cifar10", 32, 5000
_PHOTOGRAPHS = (
    "coffee.png", "rocket.jpg", "chelsea.png", "brick.png", "gravel.png", "text.png", "retina.jpg", "grass.png",
    "page.png", "ihc.png",
)  # fmt: skip


@dataclass(frozen=True)
class Cifar10:
    """The three splits; validation is a stratified part of the 50,000 training images.

    Attributes:
        train: uint8 (N, 3, 32, 32).
        val: what chooses.
        test: the 10,000, to be judged once.
        pixels: `official`, `folders of images (…)` or `stand-in`.
    """

    train: ImageSet
    val: ImageSet
    test: ImageSet
    pixels: str

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.train.name

    @property
    def embedded(self) -> bool:
        """Whether this is the stand-in."""
        return self.pixels == "stand-in"

    @property
    def caveat(self) -> str:
        """What a reader of accuracies on these images must know; nothing of the official ones."""
        return "" if self.pixels == "official" else f"{self.pixels}, not the official pixels"

    @property
    def digest(self) -> str:
        """16 hex digits that stand for the pixels and labels of all splits."""
        parts = "".join(split.digest for split in (self.train, self.val, self.test))
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    @property
    def splits(self) -> dict[str, int]:
        """Number of images by split."""
        return {split.split: len(split) for split in (self.train, self.val, self.test)}

    @property
    def everything(self) -> ImageSet:
        """Train and validation together, for a last training whose settings are all chosen."""
        return ImageSet(
            torch.cat([self.train.images, self.val.images]), torch.cat([self.train.labels, self.val.labels]),
            self.train.classes, self.name, "train+val",
        )  # fmt: skip


def load_cifar10(
    data: str | os.PathLike[str] = "embedded", quick: bool = False, seed: int = 0, validation: int = VALIDATION
) -> Cifar10:
    """Train, val and test in memory.

    Args:
        data: `official` (fetched by torchvision into the cache), a folder with `cifar-10-batches-py/`, a folder with
            `train/` and `test/` of class folders, the folder that holds one of these as `cifar10/`, or `embedded`;
            `official,DIR` is the official pixels if they can be had, and that folder, said in a line, if not.
        quick: a handful of images.
        seed: of the split into train and val (and of the stand-in's crops).
        validation: number of training images that are kept for validation, equally many of each class.

    Raises:
        DataError: there is nothing of the kind, it cannot be fetched, or an image cannot be read or has another size.
    """
    if str(data) == "embedded":
        whole, test = (_crops(split, count, seed) for split, count in (("train", 60), ("test", 20)))
        pixels, validation = "stand-in", 100
    else:
        whole, test, pixels = _read(data, quick)
    if quick:
        whole, test = whole.subset(60, seed), test.subset(20, seed)
        validation = 20
    if not 10 <= validation < len(whole):
        raise DataError(f"validation={validation} of {len(whole)} training images; keep at least 10 and not all.")
    chooser = StratifiedShuffleSplit(1, test_size=validation, random_state=seed)
    kept, held = next(chooser.split(np.zeros(len(whole)), whole.labels))
    return Cifar10(whole.take(np.sort(kept), "train"), whole.take(np.sort(held), "val"), test, pixels)


def _read(data: str | os.PathLike[str], quick: bool) -> tuple[ImageSet, ImageSet, str]:
    first, comma, otherwise = str(data).partition(",")
    if first == "official":
        if comma and not otherwise:
            raise DataError(f"data={data} names no folder behind the comma; give one, or data=official.")
        try:
            return *_official(cache_dir() / NAME, download=True), "official"
        except DataError as error:
            if not otherwise:
                raise
            print(f"{str(error).split(';')[0]}; {otherwise} is read in their place.", flush=True)
            return _read(otherwise, quick)
    for folder in (Path(data), Path(data) / NAME):
        if (folder / CIFAR10.base_folder).is_dir():
            return *_official(folder, download=False), "official"
        if (folder / "train").is_dir() and (folder / "test").is_dir():
            suffixes = {path.suffix.lower() for path in list_class_files(folder / "train", CLASSES)[CLASSES[0]]}
            train, test = (_from_folders(folder / split, split, quick) for split in ("train", "test"))
            return train, test, f"folders of images ({', '.join(sorted(suffixes))})"
    raise DataError(
        f"{data}: neither {CIFAR10.base_folder}/ (the official pixels) nor train/ and test/ with a folder of images "
        "per class; name a folder that holds them, or data=official to fetch the official ones."
    )


def _official(folder: Path, download: bool) -> tuple[ImageSet, ImageSet]:
    try:
        sets = [CIFAR10(str(folder), train=train, download=download) for train in (True, False)]
    except Exception as error:  # torchvision raises whatever urllib, tarfile and pickle do
        raise DataError(
            f"CIFAR-10's official pixels could not be had in {folder} ({error}); put cifar-10-python.tar.gz from "
            "https://www.cs.toronto.edu/~kriz/cifar.html there and unpack it, or name a folder of images."
        ) from error
    return tuple(
        ImageSet(
            torch.from_numpy(one.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(one.targets), CLASSES, NAME, split
        )
        for one, split in zip(sets, ("train", "test"), strict=True)
    )


def _from_folders(folder: Path, split: str, quick: bool) -> ImageSet:
    """The images of class folders; decoded once and kept in the cache, since 60,000 files take half a minute."""
    files = list_class_files(folder, CLASSES)
    if quick:
        return load_image_folder(folder, (SIDE, SIDE), split, CLASSES, NAME, limit=8)
    listing = hashlib.sha256()
    for name, of_class in files.items():
        for path in of_class:
            about = path.stat()
            listing.update(f"{name}/{path.name} {about.st_size} {about.st_mtime_ns}\n".encode())
    kept = cache_dir() / "decoded" / f"{NAME}_{split}_{listing.hexdigest()[:16]}.pt"
    if (images := _decoded(kept)) is None:
        first = next(iter(files.values()))[0]
        height, width = read_image(first).shape[:2]
        if (height, width) != (SIDE, SIDE):
            raise DataError(f"{first}: {width}x{height} pixels; CIFAR-10's images have {SIDE}x{SIDE}.")
        images = load_image_folder(folder, (SIDE, SIDE), split, CLASSES, NAME).images
        with writing_to(kept):
            kept.parent.mkdir(parents=True, exist_ok=True)
            unfinished = kept.with_suffix(f".{os.getpid()}")
            torch.save(images, unfinished)
            os.replace(unfinished, kept)
    labels = torch.tensor([label for label, of_class in enumerate(files.values()) for _ in of_class])
    return ImageSet(images, labels, CLASSES, NAME, split)


def _decoded(path: Path) -> Tensor | None:
    try:
        return torch.load(path, weights_only=True) if path.exists() else None
    except Exception:  # a damaged file, which breaks the unpickler in many ways, is only a copy
        path.unlink(missing_ok=True)
        return None


def _crops(split: str, per_class: int, seed: int) -> ImageSet:
    """The stand-in: crops of ten photographs, whose number is the class; train from the left of each, test right."""
    rng = np.random.default_rng((seed, split == "test"))
    pixels, labels = [], []
    for label, name in enumerate(_PHOTOGRAPHS):
        image = read_image(package_file("skimage", name))
        middle = image.shape[1] * 3 // 5
        image = image[:, :middle] if split == "train" else image[:, middle:]
        for _ in range(per_class):
            side = 2 * SIDE
            top, left = rng.integers(0, image.shape[0] - side), rng.integers(0, image.shape[1] - side)
            pixels.append(torch.from_numpy(image[top : top + side : 2, left : left + side : 2].copy()).permute(2, 0, 1))
            labels.append(label)
    return ImageSet(torch.stack(pixels), torch.tensor(labels), CLASSES, "photograph_crops", split)
