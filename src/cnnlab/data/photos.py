"""Photographs with face boxes: reading the folders that hold them, and splitting them by photograph."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from cnnlab.data.boxes import check_boxes, read_boxes
from cnnlab.data.images import list_images, map_threads, read_image
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import DataError

CLASSES = ("background", "face")
PATCH = 48  # side of a patch, in pixels

LAYOUTS = (
    "expected images/ with boxes.csv beside it (image,x,y,width,height or image,x1,y1,x2,y2), "
    "full_images/ with boxes.csv or full_boxes/, or face_photos/ that holds one of these"
)


@dataclass(frozen=True)
class Photo:
    """A photograph and its annotated faces.

    Attributes:
        name: file name, or where the picture came from.
        image: uint8 (H, W, 3), RGB.
        boxes: float32 (N, 4), x1, y1, x2, y2 in pixels; N may be 0.
    """

    name: str
    image: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True)
class FaceData:
    """Everything that an experiment on faces needs, in memory.

    Attributes:
        name: name of the data set.
        embedded: True when it is made of pictures that packages carry.
        train, val: 48x48 patches, classes `("background", "face")`.
        photos: photographs with boxes under `train`, `val` and `test`; the lists are empty when only patches are known.
        full_images: the photographs on which detections are drawn.
        negatives: photographs without faces, on the training side.
    """

    name: str
    embedded: bool
    train: ImageSet
    val: ImageSet
    photos: dict[str, list[Photo]] = field(repr=False)
    full_images: list[Photo] = field(repr=False)
    negatives: list[Photo] = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 over patches, names, pixels and boxes."""
        sha = hashlib.sha256(f"{self.train.digest} {self.val.digest}".encode())
        for part in ("train", "val", "test"):
            update_digest(sha, part, self.photos.get(part, []))
        update_digest(sha, "full_images", self.full_images)
        update_digest(sha, "negatives", self.negatives)
        return sha.hexdigest()[:16]


def update_digest(sha: "hashlib._Hash", title: str, photos: Sequence[Photo]) -> None:
    """Feed names, pixels and boxes of photographs to a running hash."""
    sha.update(f"{title} {len(photos)}".encode())
    for photo in photos:
        sha.update(f"{photo.name} {photo.image.shape} {len(photo.boxes)}".encode())
        sha.update(np.ascontiguousarray(photo.image))
        sha.update(np.ascontiguousarray(photo.boxes, dtype=np.float32))


def load_photos(folder: str | os.PathLike[str], limit: int | None = None) -> list[Photo]:
    """Photographs with boxes from a folder that holds `face_photos/`, `images/` or `full_images/` with their boxes.

    Args:
        folder: the folder; boxes lie in `boxes.csv` beside or inside the folder of images, or in `full_boxes/`.
        limit: read only so many photographs, the first by name.

    Raises:
        DataError: no such layout, a photograph without a row of boxes (or a row without its photograph), an image that
            cannot be read or is smaller than 48 pixels, or a box outside its image.
    """
    folder = _existing(folder)
    if (folder / "face_photos").is_dir():
        folder = folder / "face_photos"
    for images in (folder / "images", folder / "full_images", folder):
        boxes = _boxes_of(images)
        if boxes is not None:
            return _read_photos(images, boxes, limit)
    raise DataError(f"{folder}: no photographs with boxes here; {LAYOUTS}.")


def load_full_images(folder: str | os.PathLike[str]) -> list[Photo]:
    """The full images of the course's layout: `full_images/` with `full_boxes/` (text or npy) or `boxes.csv`.

    Raises:
        DataError: as `load_photos`.
    """
    folder = _existing(folder)
    for images in (folder / "full_images", folder):
        boxes = _boxes_of(images)
        if boxes is not None:
            return _read_photos(images, boxes, None)
    raise DataError(
        f"{folder}: no full images with boxes here; expected full_images/ with full_boxes/ (NAME.txt or NAME.npy, "
        "rows x1, y1, x2, y2) or boxes.csv beside it."
    )


def _existing(folder: str | os.PathLike[str]) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; check the name.")
    return folder


def _boxes_of(images: Path) -> Path | None:
    """Where the boxes of a folder of images lie, or None."""
    if not images.is_dir():
        return None
    beside = [images / "boxes.csv"]
    if images.name in ("images", "full_images"):
        beside += [images.parent / images.name.replace("images", "boxes"), images.parent / "boxes.csv"]
    return next((place for place in beside if place.exists()), None)


def _read_photos(images: Path, boxes: Path, limit: int | None) -> list[Photo]:
    table = read_boxes(boxes, images)
    files = list_images(images)[:limit]
    for file in files:
        if file.name not in table:
            remedy = "add one" if boxes.suffix == ".csv" else "add its file"
            empty = "a row with empty values" if boxes.suffix == ".csv" else "an empty file"
            raise DataError(f"{file}: no boxes for it in {boxes}; {remedy} ({empty} says that it shows no face).")

    def read(file: Path) -> Photo:
        image = read_image(file)
        height, width = image.shape[:2]
        if min(height, width) < PATCH:
            raise DataError(
                f"{file}: {width}x{height} pixels, smaller than a patch of {PATCH}x{PATCH}; remove it or its row."
            )
        return Photo(file.name, image, check_boxes(table[file.name], width, height, f"{boxes}: {file.name}"))

    return map_threads(read, files)


def _thumbnails(photos: Sequence[Photo], side: int = 12) -> np.ndarray:
    """Grey thumbnails (N, side * side) with mean 0 and length 1, to compare photographs by."""
    small = [
        np.asarray(Image.fromarray(photo.image).convert("L").resize((side, side), Image.Resampling.BOX), np.float32)
        for photo in photos
    ]
    flat = np.stack(small).reshape(len(photos), -1)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1.0)


def group_near_identical(photos: Sequence[Photo], likeness: float = 0.95) -> list[list[int]]:
    """Indices of photographs in groups; two whose thumbnails correlate by `likeness` or more share a group."""
    thumbnails = _thumbnails(photos)
    parent = list(range(len(photos)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for i, j in zip(*np.nonzero(np.triu(thumbnails @ thumbnails.T >= likeness, k=1)), strict=True):
        parent[root(int(i))] = root(int(j))
    groups: dict[int, list[int]] = {}
    for i in range(len(photos)):
        groups.setdefault(root(i), []).append(i)
    return list(groups.values())


def split_photos(
    photos: Sequence[Photo], seed: int = 0, val: float = 0.10, test: float = 142 / 858
) -> dict[str, list[Photo]]:
    """Split photographs into `train`, `val` and `test`.

    Photographs are ranked by a hash of their name and the seed, so their order does not matter. Near-identical
    ones stay on one side. Each side gets at least one, except one whose share is 0.

    Raises:
        DataError: too few different photographs, or two with the same name.
    """
    names = [photo.name for photo in photos]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{twice}: two photographs have this name; rename one, the split goes by name.")
    want = {side: max(1, round(share * len(photos))) for side, share in (("test", test), ("val", val)) if share > 0}
    want["train"] = len(photos)
    groups = group_near_identical(photos) if photos else []
    if len(groups) < len(want):
        sides_named = ", ".join(want)
        raise DataError(f"{len(groups)} different photographs are too few for {sides_named}; give {len(want)} or more.")
    keys = [hashlib.sha256(f"{seed} {name}".encode()).hexdigest() for name in names]
    groups.sort(key=lambda group: min(keys[i] for i in group))
    sides: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for position, group in enumerate(groups):
        side = next(s for s in want if len(sides[s]) < want[s])
        empty = [s for s in want if not sides[s]]
        if side not in empty and len(groups) - position <= len(empty):  # the last ones go where there is none yet
            side = empty[0]
        sides[side] += group
    return {side: [photos[i] for i in sorted(indices, key=lambda i: names[i])] for side, indices in sides.items()}
