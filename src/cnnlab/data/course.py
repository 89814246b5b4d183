"""The course's folders: train/ and val/ with one folder of 48x48 patches per class, full_images/ and full_boxes/."""

import json
import os
import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cnnlab.data.boxes import check_boxes
from cnnlab.data.embedded import face_free_photos
from cnnlab.data.images import list_images, map_threads, read_image
from cnnlab.data.imageset import ImageSet
from cnnlab.data.integrity import mark, refuse_unfinished
from cnnlab.data.photos import CLASSES, PATCH, FaceData, load_full_images
from cnnlab.errors import DataError

MARKER = "cnnlab_face_data.json"  # what a folder made here says about itself
_NO_FACE = {"0", "no", "not", "non", "neg", "negative", "negatives", "background", "backgrounds", "bg", "other"}
_FACE = {"1", "face", "faces", "pos", "positive", "positives"}


def is_course_layout(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds train/ or val/, the course's patches."""
    return any((Path(folder) / split).is_dir() for split in ("train", "val"))


def _shows_faces(name: str) -> bool | None:
    """Whether a class folder holds faces by its name; None when the name does not say."""
    words = re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    if any(word in _NO_FACE or re.fullmatch(r"(non|no|not)faces?", word) for word in words):
        return False
    return True if any(word in _FACE for word in words) else None


def _class_folders(split: Path) -> tuple[Path, Path]:
    """The folders of backgrounds and of faces in train/ or val/."""
    expected = "expected two folders whose names say which is face and which background (such as face/, non_face/)"
    if not split.is_dir():
        raise DataError(f"{split}: there is no such folder; {expected}.")
    folders = sorted(p for p in split.iterdir() if p.is_dir() and not p.name.startswith("."))
    found = ", ".join(f"{p.name}/" for p in folders) or "no folders"
    if len(folders) == 1:
        raise DataError(f"{split}: one class only ({found}); {expected}.")
    kinds = [_shows_faces(p.name) for p in folders]
    if len(folders) != 2 or kinds.count(True) != 1:
        raise DataError(f"{split}: {found} do not say which is which; {expected}.")
    face = kinds.index(True)
    return folders[1 - face], folders[face]


def _read_patch(path: Path) -> np.ndarray:
    patch = read_image(path)
    if patch.shape[:2] != (PATCH, PATCH):
        raise DataError(
            f"{path}: {patch.shape[1]}x{patch.shape[0]} pixels, expected patches of {PATCH}x{PATCH}; cut it from its "
            "photograph again (`mlflow run . -e face_data`) or resize it."
        )
    return patch


def _load_split(folder: Path, split: str, limit: int | None) -> ImageSet:
    patches: list[np.ndarray] = []
    labels: list[int] = []
    names: list[str] = []
    for label, place in enumerate(_class_folders(folder / split)):
        files = list_images(place)[:limit]
        patches += map_threads(_read_patch, files)
        labels += [label] * len(files)
        names += [f"{split}/{place.name}/{file.name}" for file in files]
    images = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).contiguous()
    return ImageSet(images, torch.tensor(labels), CLASSES, folder.name, split, names)


def load_course_layout(folder: str | os.PathLike[str], quick: bool = False) -> FaceData:
    """Patches and full images from the course's folders. Photographs are not known there, so `photos` are empty.

    Args:
        folder: holds train/ and val/ with two class folders each, told apart by their names, and perhaps
            full_images/ with full_boxes/.
        quick: read a handful of patches only.

    Raises:
        DataError: a folder is missing, holds one class only or does not say which class it is; a patch is unreadable or
            not 48x48.
    """
    folder = Path(folder)
    refuse_unfinished(folder / MARKER)
    full = load_full_images(folder) if (folder / "full_images").is_dir() else []
    return FaceData(
        name=folder.resolve().name,
        embedded=False,
        train=_load_split(folder, "train", 32 if quick else None),
        val=_load_split(folder, "val", 16 if quick else None),
        photos={"train": [], "val": [], "test": []},
        full_images=full,
        negatives=face_free_photos("train", quick),
    )


def write_course_layout(data: FaceData, output: str | os.PathLike[str]) -> bool:
    """Write face data as the course's folders, with `photos.csv` that tells the split of each photograph.

    Args:
        data: what to write; patches become PNG files, so that reading them back gives the same pixels.
        output: a folder that is missing, empty, or was made here from the same data.

    Returns:
        True when written, False when the same data were there already.

    Raises:
        DataError: the folder holds something else.
    """
    output = Path(output)
    marker = output / MARKER
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        try:
            there = json.loads(marker.read_text())
            digest, complete = there["digest"], there["complete"]
        except (OSError, ValueError, KeyError, TypeError):
            raise DataError(f"{output}: not empty and not made by face_data; name a new folder.") from None
        if digest != data.digest:
            raise DataError(f"{output}: holds other face data (digest {digest}, not {data.digest}); name a new folder.")
        if complete:
            return False
    output.mkdir(parents=True, exist_ok=True)
    about = {"name": data.name, "embedded": data.embedded, "digest": data.digest}
    # Complete only at the end: a folder whose writing was cut short is written again by the same command.
    mark(marker, about, complete=False)
    for part in (data.train, data.val):
        _write_patches(part, output / part.split)
    photos, boxes = output / "full_images", output / "full_boxes"
    photos.mkdir(parents=True, exist_ok=True)
    boxes.mkdir(exist_ok=True)
    written: set[str] = set()
    for photo in data.full_images:
        height, width = photo.image.shape[:2]
        stem = re.sub(r"[^\w.-]+", "_", Path(photo.name).with_suffix("").as_posix())
        stem = stem if stem not in written else f"{stem}_{len(written)}"
        written.add(stem)
        Image.fromarray(photo.image).save(photos / f"{stem}.png")
        checked = check_boxes(photo.boxes, width, height, photo.name)
        rows = [" ".join(f"{value:.7g}" for value in box) for box in checked]
        (boxes / f"{stem}.txt").write_text("".join(f"{row}\n" for row in rows))
    lines = [f"{photo.name},{split}" for split in ("train", "val", "test") for photo in data.photos.get(split, [])]
    (output / "photos.csv").write_text("\n".join(["photo,split", *lines]) + "\n")
    mark(marker, about, complete=True)
    return True


def _write_patches(part: ImageSet, folder: Path) -> None:
    for title in part.classes:
        (folder / title).mkdir(parents=True, exist_ok=True)
    pixels = part.images.permute(0, 2, 3, 1).numpy()

    def write(index: int) -> None:
        source = re.sub(r"[^\w.-]+", "_", part.names[index] if part.names else "")[-80:]
        path = folder / part.classes[int(part.labels[index])] / f"{index:06d}_{source}.png"
        Image.fromarray(pixels[index]).save(path, compress_level=1)

    map_threads(write, range(len(part)))
