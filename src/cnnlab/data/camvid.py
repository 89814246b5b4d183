"""The street scenes of assignment B: start here with `load_camvid`.

Classes are mapped while the masks are read, so that 11 and 3 classes come from the same files. In 11 classes void is
ignored: neither the loss nor a measure counts it. In 3 classes it belongs to the second class, as the course says.
"""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cnnlab.data.folders import spread_evenly
from cnnlab.data.images import SUFFIXES, list_images, map_threads, read_image
from cnnlab.data.integrity import MARKER, refuse_shared_pictures, refuse_unfinished
from cnnlab.data.scene_classes import (
    COLOURS,
    IGNORED,
    SCENE_CLASSES,
    THREE_CLASS_NAMES,
    THREE_CLASSES,
    VOID,
    class_colours,
    class_names,
    label_table,
)
from cnnlab.data.scene_crops import SceneCrops, SceneSet
from cnnlab.data.scene_masks import read_mask
from cnnlab.data.street_scenes import draw_scenes
from cnnlab.errors import ConfigError, DataError

__all__ = [
    "COLOURS",
    "IGNORED",
    "SCENE_CLASSES",
    "THREE_CLASSES",
    "THREE_CLASS_NAMES",
    "VOID",
    "CamVid",
    "SceneCrops",
    "SceneSet",
    "load_camvid",
    "read_mask",
    "three_classes",
]

SPLITS = {"train": "trainannot", "val": "valannot", "test": "testannot"}
_QUICK = {"train": 12, "val": 6, "test": 6}
_QUICK_HEIGHT = 90  # pixels, at least: quick scenes are thinned out as long as they stay this high
_DRAWN = {"train": 60, "val": 20}
_FETCH = "`mlflow run . -e data_fetch -P dataset=camvid` brings the course's data"


@dataclass(frozen=True)
class CamVid:
    """Street scenes in their splits.

    Attributes:
        train: scenes to train on.
        val: scenes to choose and judge on.
        name: `CamVid`, or `street scenes` for the drawn stand-in.
        digest: 16 hex digits that stand for all pixels, masks and classes.
        embedded: whether the scenes are drawn.
        test: the test scenes, where the folder has them.
    """

    train: SceneSet
    val: SceneSet
    name: str
    digest: str
    embedded: bool
    test: SceneSet | None = None

    @property
    def splits(self) -> dict[str, int]:
        """Number of scenes per split."""
        sets = (self.train, self.val, self.test)
        return {scenes.split: len(scenes) for scenes in sets if scenes is not None}


def load_camvid(data: str, quick: bool = False, seed: int = 0, classes: int = 11) -> CamVid:
    """The scenes of `data` with 11 or 3 classes.

    Args:
        data: `embedded` (drawn scenes), the folder that holds `train/`, `trainannot/`, `val/`, `valannot/` (and
            `test/`, `testannot/`, if they are there), or the folder that holds such a folder `CamVid/`.
        quick: a handful of scenes, thinned out to fewer pixels.
        seed: decides the drawn scenes.
        classes: 11 or 3.

    Raises:
        ConfigError: another number of classes.
        DataError: folders are missing or were fetched half way, images and masks do not pair, a frame is in two splits,
            or a file cannot be used; the sentence names it.
    """
    if classes not in (len(SCENE_CLASSES), len(THREE_CLASS_NAMES)):
        raise ConfigError(f"classes is {classes}; street scenes have 11 classes or, grouped, 3.")
    if data == "embedded":
        name, sets = "street scenes", {}
        for place, (split, count) in enumerate(_DRAWN.items()):
            number = _QUICK[split] if quick else count
            images, masks = draw_scenes(number, (120, 160) if quick else (360, 480), seed * 10 + place)
            names = [f"drawn/{split}/{i:03d}" for i in range(number)]
            sets[split] = _scene_set(images, label_table(classes)[masks], classes, name, split, names)
    else:
        name, root = "CamVid", find_camvid(data)
        refuse_unfinished(root / MARKER)
        sets = {split: _read_split(root, split, classes, quick) for split in SPLITS if _is_split(root, split)}
        refuse_shared_pictures(root, list(sets.values()))
    digest = sha256("".join(scenes.digest for scenes in sets.values()).encode()).hexdigest()[:16]
    return CamVid(sets["train"], sets["val"], name, digest, data == "embedded", sets.get("test"))


def find_camvid(data: str | os.PathLike[str]) -> Path:
    """The folder with `train/`, `trainannot/`, `val/` and `valannot/`: `data` itself or `CamVid/` in it.

    Raises:
        DataError: it is not there, or folders are missing in it.
    """
    given = Path(data)
    if not given.is_dir():
        raise DataError(f"{given}: there is no such folder; give data=embedded or the folder of CamVid ({_FETCH}).")
    needed = [name for split in ("train", "val") for name in (split, SPLITS[split])]
    candidates = [given, given / "CamVid"]
    missing = {root: [name for name in needed if not (root / name).is_dir()] for root in candidates if root.is_dir()}
    root = min(missing, key=lambda one: len(missing[one]))
    if missing[root]:
        absent = ", ".join(f"{name}/" for name in missing[root])
        raise DataError(f"{root}: {absent} missing; expected images in train/ and val/, masks in trainannot/ and "
                        f"valannot/ ({_FETCH}).")  # fmt: skip
    return root


def three_classes(scenes: SceneSet, ignore_void: bool = False) -> SceneSet:
    """The same images (shared, not copied) with masks of 3 classes instead of 11.

    Args:
        scenes: scenes with 11 classes.
        ignore_void: leave void ignored; otherwise it belongs to the second class, as the course says.
    """
    table = label_table(3)
    table[IGNORED] = IGNORED if ignore_void else table[VOID]
    masks = torch.from_numpy(table[scenes.masks.numpy()])
    return replace(scenes, masks=masks, classes=class_names(3), colours=class_colours(3))


def _is_split(root: Path, split: str) -> bool:
    images, masks = root / split, root / SPLITS[split]
    if split == "test" and images.is_dir() and not masks.is_dir():
        return False  # images to predict on, without truth
    return images.is_dir()


def _read_split(root: Path, split: str, classes: int, quick: bool) -> SceneSet:
    pairs = _pairs_from_table(root, split) if (root / f"{split}.csv").is_file() else _pairs_by_name(root, split)
    if quick and len(pairs) > _QUICK[split]:
        pairs = spread_evenly(pairs, _QUICK[split])

    def read(pair: tuple[Path, Path]) -> tuple[np.ndarray, np.ndarray]:
        image = read_image(pair[0])
        mask = read_mask(pair[1], image.shape[:2], classes)
        step = max(1, image.shape[0] // _QUICK_HEIGHT) if quick else 1
        if step > 1:
            image = np.asarray(Image.fromarray(image).reduce(step))
            mask = mask[step // 2 :: step, step // 2 :: step]
            height, width = np.minimum(image.shape[:2], mask.shape)
            image, mask = image[:height, :width], mask[:height, :width]
        return image, mask

    images, masks = zip(*map_threads(read, pairs, title=f"reading {split} scenes"), strict=True)
    for (path, _), image in zip(pairs, images, strict=True):
        if image.shape != images[0].shape:
            (h, w, _), (height, width, _) = image.shape, images[0].shape
            raise DataError(f"{path}: the image is {w}x{h} pixels but {pairs[0][0].name} is {width}x{height}; all "
                            f"scenes of {split}/ must have one size.")  # fmt: skip
    names = [f"{split}/{path.name}" for path, _ in pairs]
    return _scene_set(np.stack(images), np.stack(masks), classes, "CamVid", split, names)


def _pairs_from_table(root: Path, split: str) -> list[tuple[Path, Path]]:
    """Image and mask of every row of `<split>.csv`; paths count from the data folder, or their names alone count."""
    table = root / f"{split}.csv"
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as a table ({error}); remove it to pair files by name.") from None
    if rows and not any(Path(cell).suffix.lower() in SUFFIXES for cell in rows[0]):
        rows = rows[1:]  # the header
    if not rows or any(len(row) < 2 for row in rows):
        raise DataError(f"{table}: expected two columns, image and annotation, with one pair of files in each row; "
                        "remove the table to pair files by name.")  # fmt: skip
    pairs = [(_locate(root, split, row[0]), _locate(root, SPLITS[split], row[1])) for row in rows]
    absent = [path for pair in pairs for path in pair if not path.is_file()]
    if absent:
        listed = _listed(f"{path.parent.name}/{path.name}" for path in absent)
        files = "a file that is" if len(absent) == 1 else f"{len(absent)} files that are"
        raise DataError(f"{table}: lists {files} not there ({listed}); copy the missing or mend the table.")
    seen = Counter(image for image, _ in pairs)
    if repeated := _listed(f"{path.parent.name}/{path.name}" for path, times in seen.items() if times > 1):
        raise DataError(f"{table}: lists a frame more than once ({repeated}); keep one row of each.")
    return pairs


def _locate(root: Path, folder: str, cell: str) -> Path:
    named = root / cell.replace("\\", "/")
    return named if named.is_file() else root / folder / named.name


def _pairs_by_name(root: Path, split: str) -> list[tuple[Path, Path]]:
    images, masks = _by_stem(root / split), _by_stem(root / SPLITS[split])
    lone_images, lone_masks = sorted(images.keys() - masks.keys()), sorted(masks.keys() - images.keys())
    if lone_images or lone_masks:
        parts = [
            f"{len(lone)} {kind}{'s' * (len(lone) > 1)} without {other} ({_listed(found[stem].name for stem in lone)})"
            for lone, kind, other, found in (
                (lone_images, "image", "a mask", images), (lone_masks, "mask", "an image", masks),
            )
            if lone
        ]  # fmt: skip
        raise DataError(f"{root}: {split}/ and {SPLITS[split]}/ do not pair: {' and '.join(parts)}; a mask must have "
                        "its image's name.")  # fmt: skip
    return [(images[stem], masks[stem]) for stem in sorted(images)]


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in list_images(folder):
        if (other := found.setdefault(path.stem, path)) is not path:
            raise DataError(f"{folder}: {other.name} and {path.name} have one name, by which images and masks pair; "
                            "remove one of them.")  # fmt: skip
    return found


def _listed(names: Iterable[str], most: int = 3) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _scene_set(
    images: np.ndarray, masks: np.ndarray, classes: int, name: str, split: str, names: Sequence[str]
) -> SceneSet:
    """A SceneSet of images uint8 (N, H, W, 3) and masks uint8 (N, H, W)."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    return SceneSet(
        pixels, torch.from_numpy(masks), class_names(classes), class_colours(classes), name, split, list(names)
    )
