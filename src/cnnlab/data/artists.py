"""Paintings of eleven artists (assignment D, from MIT 6.867 homework 3), or drawn pictures in five manners.

The folder is `artists/<artist>/*`, 451 pictures letterboxed in black, 20 to 70 of each artist.

The stand-in is made of photographs that packages ship: random parts of them, redrawn in one of five manners (contours,
dots, flat colours, blurred light, woven strokes) and letterboxed as well. It tries the experiments end to end; its
figures say nothing of painters, since parts of one photograph are in every fold.
"""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps

from cnnlab.data.augment import Augmentation
from cnnlab.data.embedded import face_free_photos
from cnnlab.data.folders import list_class_files, load_image_folder
from cnnlab.data.folds import FOLDS, Fold, five_folds, inner_folds, stratified_split
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import DataError

__all__ = ["AUGMENTATIONS", "NAME", "STAND_IN", "Fold", "course_split", "five_folds", "inner_folds", "is_stand_in",
           "load_artists"]  # fmt: skip

NAME = "artists"
FIT = "pad"  # how a painting that is not square comes to the networks' size, see `folders.resize_image`
STAND_IN = "drawn_manners"
AUGMENTATIONS = {
    "none": Augmentation(),
    "light": Augmentation(flip=0.5, shift=4, brightness=0.1, contrast=0.1),
    "medium": Augmentation(
        flip=0.5, shift=4, crop_scale=(0.6, 1.0), crop_ratio=(0.9, 1.1), brightness=0.1, contrast=0.2, saturation=0.3
    ),
    "strong": Augmentation(
        flip=0.5, shift=4, crop_scale=(0.4, 1.0), crop_ratio=(0.85, 1.15), rotate=10, brightness=0.15, contrast=0.3,
        saturation=0.5, erase=0.25,
    ),
}  # fmt: skip
"""From nothing to much, for pictures of 50 x 50: what `artists_improve` chooses from."""
MANNERS = {"contours": 50, "dots": 40, "flat colours": 30, "blurred light": 25, "woven strokes": 20}
"""The stand-in's classes and how many pictures each has."""
_QUICK = 8  # pictures of each class


def load_artists(
    data: str | os.PathLike[str] = "embedded", size: tuple[int, int] = (50, 50), quick: bool = False, seed: int = 0
) -> ImageSet:
    """All pictures, not yet split: uint8 (N, 3, *size); `five_folds` or `course_split` of its labels split them.

    Args:
        data: `embedded`, the folder `artists` or the one that holds it.
        size: height and width in pixels; pictures of another aspect are padded by repeating their edges.
        quick: a handful of each class.
        seed: of the stand-in.

    Raises:
        DataError: the folder is not there, an artist has fewer pictures than there are folds, or one cannot be read.
    """
    if str(data) == "embedded":
        return _drawn(size, quick, seed)
    folder = Path(data) / NAME if (Path(data) / NAME).is_dir() else Path(data)
    for artist, files in list_class_files(folder).items():
        if len(files) < FOLDS:
            raise DataError(
                f"{folder / artist}: {len(files)} pictures only ({', '.join(f.name for f in files)}); {FOLDS} "
                f"stratified folds need {FOLDS} of each artist at least: add some, or remove the folder."
            )
    return load_image_folder(folder, size, "all", name=NAME, fit=FIT, limit=_QUICK if quick else None)


def is_stand_in(pictures: ImageSet) -> bool:
    """Whether these are the drawn pictures."""
    return pictures.name == STAND_IN


def course_split(labels: torch.Tensor, seed: int = 0) -> Fold:
    """The course's proportions: a fifth of each artist, rounded down, is val (87 of 451), the others train (364).

    Which pictures the course took is not known; `seed` draws them. `test` is `val`: nothing may be chosen on it.
    """
    train, val = stratified_split(labels, 1 / 5, seed)
    return Fold(train, val, val)


# ---- the stand-in ----------------------------------------------------------------------------------------------------
def _drawn(size: tuple[int, int], quick: bool, seed: int) -> ImageSet:
    rng = np.random.default_rng(seed)
    photos = [photo for side in ("train", "val", "test") for photo in face_free_photos(side, quick)]
    pixels, labels, names = [], [], []
    for label, (manner, count) in enumerate(MANNERS.items()):
        for number in range(_QUICK if quick else count):
            photo = photos[int(rng.integers(len(photos)))]
            picture = _letterboxed(draw_in(manner, _part(photo.image, rng), rng), size)
            pixels.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
            labels.append(label)
            names.append(f"{manner}/{number:02d} {photo.name}")
    return ImageSet(torch.stack(pixels).contiguous(), torch.tensor(labels), tuple(MANNERS), STAND_IN, "all", names)


def _part(image: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """A random part of a photograph, its longer side 96 pixels."""
    rows, columns = image.shape[:2]
    side = rng.uniform(0.4, 0.9) * min(rows, columns)
    height, width = (int(side * rng.uniform(0.65, 1.0)) for _ in range(2))
    y, x = int(rng.integers(0, rows - height)), int(rng.integers(0, columns - width))
    scale = 96 / max(height, width)
    part = Image.fromarray(np.ascontiguousarray(image[y : y + height, x : x + width]))
    return part.resize((max(8, round(width * scale)), max(8, round(height * scale))), Image.Resampling.BILINEAR)


def draw_in(manner: str, photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A photograph redrawn in one of `MANNERS`, at its size."""
    size = photo.size
    if manner == "contours":
        lines = ImageOps.autocontrast(photo.convert("L").filter(ImageFilter.CONTOUR))
        paper = tuple(rng.integers(200, 250, 3).tolist())
        return ImageOps.colorize(lines, (60, 40, 30), paper)
    if manner == "dots":
        grain = rng.normal(0, 55, (size[1], size[0], 1))
        return Image.fromarray(np.clip(np.asarray(photo, float) + grain, 0, 255).astype(np.uint8))
    if manner == "flat colours":
        return ImageOps.posterize(photo.filter(ImageFilter.ModeFilter(7)), 2)
    if manner == "blurred light":
        light = photo.filter(ImageFilter.GaussianBlur(4))
        return Image.blend(light, Image.new("RGB", size, (250, 225, 170)), float(rng.uniform(0.25, 0.45)))
    strokes = photo.resize((size[0], max(2, size[1] // 8))).resize(size, Image.Resampling.NEAREST)
    weave = photo.resize((max(2, size[0] // 8), size[1])).resize(size, Image.Resampling.NEAREST)
    return Image.blend(strokes, weave, 0.5)


def _letterboxed(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The whole picture on black, as the course's are."""
    return ImageOps.pad(picture, size[::-1], Image.Resampling.BICUBIC, (0, 0, 0))
