"""The faces of assignment A: start here with `load_face_data`."""

from pathlib import Path

from cnnlab.data.course import is_course_layout, load_course_layout, write_course_layout
from cnnlab.data.embedded import face_free_photos, load_embedded
from cnnlab.data.face_patches import cut_patches
from cnnlab.data.photos import CLASSES, PATCH, FaceData, Photo, load_full_images, load_photos, split_photos
from cnnlab.data.wider import load_wider_face
from cnnlab.errors import DataError

__all__ = [
    "CLASSES",
    "PATCH",
    "FaceData",
    "Photo",
    "cut_patches",
    "load_face_data",
    "load_full_images",
    "load_photos",
    "load_wider_face",
    "split_photos",
    "write_course_layout",
]

_WIDER = "wider:"
_QUICK_PHOTOS = 12


def load_face_data(data: str, seed: int = 0, quick: bool = False) -> FaceData:
    """Everything an experiment on faces needs, from where `data` says.

    Args:
        data: `embedded` (pictures that packages carry), a folder in the course's layout (train/ and val/ with patches),
            a folder of photographs with boxes (patches are then cut in memory), or `wider:FOLDER` for WIDER FACE.
        seed: of the split and of the windows cut.
        quick: a handful of everything, for tests.

    Raises:
        DataError: nothing usable is there; the sentence names the file and the remedy.
    """
    if data == "embedded":
        return load_embedded(seed, quick)
    if data.startswith(_WIDER):
        root = data.removeprefix(_WIDER)
        if not root:
            raise DataError("data=wider: names no folder; give wider:FOLDER, where WIDER FACE lies or shall be put.")
        return _from_wider(root, seed, quick)
    folder = Path(data)
    if not folder.is_dir():
        raise DataError(f"{data}: there is no such folder; give data=embedded, a folder, or wider:FOLDER.")
    if is_course_layout(folder):
        return load_course_layout(folder, quick)
    photos = split_photos(load_photos(folder, _QUICK_PHOTOS if quick else None), seed)
    full_images = load_full_images(folder) if (folder / "full_images").is_dir() else []
    return _cut(folder.resolve().name, photos, full_images, seed, quick)


def _from_wider(root: str, seed: int, quick: bool) -> FaceData:
    """The official train part split into train and val; the official val part, which has boxes, as test."""
    limit = _QUICK_PHOTOS if quick else None
    photos = split_photos(load_wider_face(root, "train", limit or 2000), seed, test=0.0)
    photos["test"] = load_wider_face(root, "val", limit or 500)
    return _cut("wider_face", photos, photos["test"][:4], seed, quick)


def _cut(name: str, photos: dict[str, list[Photo]], full_images: list[Photo], seed: int, quick: bool) -> FaceData:
    negatives = face_free_photos("train", quick)
    train = cut_patches(photos["train"], seed, negatives=negatives, name=name, split="train")
    val = cut_patches(photos["val"], seed, negatives=face_free_photos("val", quick), name=name, split="val")
    if quick:
        train, val = train.subset(64, seed), val.subset(32, seed)
    return FaceData(name, False, train, val, photos, full_images, negatives)
