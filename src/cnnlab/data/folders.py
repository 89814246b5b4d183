"""Any folder with one subfolder of pictures per class, decoded once into memory."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from PIL import Image

from cnnlab.data.images import list_images, map_threads, read_image
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import DataError

Fitting = Literal["stretch", "pad"]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Splits:
    """Training and validation images of one data set.

    Attributes:
        train: what is trained on.
        val: what is judged on.
        name: name of the data set.
        embedded: whether it is a stand-in made from what packages carry.
    """

    train: ImageSet
    val: ImageSet
    name: str
    embedded: bool

    @property
    def digest(self) -> str:
        """16 hex digits that stand for the pixels, labels and classes of both splits."""
        return hashlib.sha256(f"{self.train.digest} {self.val.digest}".encode()).hexdigest()[:16]


def list_class_files(
    folder: str | os.PathLike[str], classes: Sequence[str] | None = None
) -> dict[str, list[Path]]:
    """The image files of every class: `{subfolder's name: files sorted by name}`.

    Args:
        folder: holds one subfolder per class; hidden ones are passed over.
        classes: the subfolders wanted, in the labels' order; all of them by name unless given.

    Raises:
        DataError: the folder is missing, holds fewer than two class folders or not the wanted ones; a class holds
            fewer than two images.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; name one that holds a folder of images per class.")
    found = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    listed = ", ".join(f"{name}/" for name in found[:12]) or "no folders"
    if missing := sorted(set(classes or ()) - set(found)):
        wanted = ", ".join(f"{name}/" for name in classes or ())
        raise DataError(f"{folder}: no folder {missing[0]}/ (there are {listed}); expected {wanted}.")
    if len(classes or found) < 2:
        raise DataError(f"{folder}: holds {listed}, but classes need two folders of images at least, one per class.")
    files = {name: list_images(folder / name) for name in classes or found}
    for name, of_class in files.items():
        if len(of_class) < 2:
            raise DataError(
                f"{folder / name}: one image only ({of_class[0].name}); a class needs two at least: add some, or "
                "remove the folder."
            )
    return files


def resize_image(image: np.ndarray, size: tuple[int, int], fit: Fitting = "stretch") -> np.ndarray:
    """The whole image at another size, smoothed where it shrinks (bicubic, antialiased).

    Args:
        image: uint8 (H, W, 3).
        size: height and width wanted.
        fit: `stretch` to the new sides, or keep the aspect and `pad` by repeating the edges.

    Returns:
        uint8 (height, width, 3).
    """
    height, width = size
    rows, columns = image.shape[:2]
    if fit == "pad":
        scale = min(height / rows, width / columns)
        height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    if (height, width) != (rows, columns):
        image = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
    above, left = (size[0] - height) // 2, (size[1] - width) // 2
    if (height, width) == size:
        return image
    return np.pad(image, ((above, size[0] - height - above), (left, size[1] - width - left), (0, 0)), mode="edge")


def load_image_folder(
    folder: str | os.PathLike[str], size: tuple[int, int], split: str = "train", classes: Sequence[str] | None = None,
    name: str | None = None, fit: Fitting = "stretch", limit: int | None = None,
) -> ImageSet:  # fmt: skip
    """Every image below a folder of class folders, at one size; grey, palette and transparent ones become RGB.

    Args:
        folder: holds one subfolder per class.
        size: height and width in pixels of the images kept.
        split: what the result is called: `train`, `val` or `test`.
        classes: names of the class folders in the labels' order; all of them by name unless given.
        name: name of the data set; the folder's own unless given.
        fit: how an image of another aspect comes to `size`, see `resize_image`.
        limit: at most so many images of each class, spread evenly over its files.

    Raises:
        DataError: what `list_class_files` refuses, or an image that cannot be read.
    """
    files = list_class_files(folder, classes)
    if limit:
        files = {key: spread_evenly(of_class, limit) for key, of_class in files.items()}
    jobs = [(path, label) for label, of_class in enumerate(files.values()) for path in of_class]
    pixels = _read_all([path for path, _ in jobs], size, fit, f"reading {split}")
    return ImageSet(
        pixels, torch.tensor([label for _, label in jobs]), tuple(files), name or Path(folder).resolve().name, split,
        [f"{path.parent.name}/{path.name}" for path, _ in jobs],
    )  # fmt: skip


def spread_places(count: int, wanted: int) -> list[int]:
    """At most `wanted` of `count` places, spread evenly from the first to the last."""
    return np.linspace(0, count - 1, min(wanted, count)).round().astype(int).tolist()


def spread_evenly(items: Sequence[Item], wanted: int) -> list[Item]:
    """At most `wanted` of the items, spread evenly from the first to the last."""
    return [items[place] for place in spread_places(len(items), wanted)]


def load_pictures(paths: Sequence[Path], size: tuple[int, int], name: str, fit: Fitting = "stretch") -> ImageSet:
    """These files at one size, as the split `all` with the single class `pictures`.

    Raises:
        DataError: there is none, or one that cannot be read.
    """
    pixels = _read_all(paths, size, fit, "reading pictures")
    labels = torch.zeros(len(paths), dtype=torch.long)
    return ImageSet(pixels, labels, ("pictures",), name, "all", [path.name for path in paths])


def _read_all(paths: Sequence[Path], size: tuple[int, int], fit: Fitting, title: str) -> torch.Tensor:
    pixels = torch.empty((len(paths), 3, *size), dtype=torch.uint8)

    def read(index: int) -> None:
        pixels[index] = torch.from_numpy(resize_image(read_image(paths[index]), size, fit)).permute(2, 0, 1)

    map_threads(read, range(len(paths)), title=title)
    return pixels
