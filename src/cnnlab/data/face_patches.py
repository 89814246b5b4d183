"""Cut 48x48 patches from photographs: faces with small shifts and scales, and backgrounds that are hard to tell apart.

Windows are square (x1, y1, x2, y2 in pixels of the photograph). The window of a face shares the centre of its
annotated box and has the box's area, `side = sqrt(width * height)`: of all centred squares this one has the largest
intersection over union with the box.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from PIL import Image

from cnnlab.data.imageset import ImageSet
from cnnlab.data.photos import CLASSES, PATCH, Photo
from cnnlab.errors import DataError

NEAR_MISS_IOU = 0.3  # a background window overlaps every face by less than this
SMALLEST_WINDOW = 24  # pixels: smaller background windows are only blur once they are scaled up to 48
_TRIES = 40  # random windows drawn before a photograph is given up as having no room for this kind


def square_window(box: np.ndarray) -> np.ndarray:
    """The square window (4,) around the centre of a box (4,), of the same area."""
    x1, y1, x2, y2 = (float(value) for value in box)
    return _window((x1 + x2) / 2, (y1 + y2) / 2, float(np.sqrt((x2 - x1) * (y2 - y1))))


def _window(cx: float, cy: float, side: float) -> np.ndarray:
    return np.array([cx - side / 2, cy - side / 2, cx + side / 2, cy + side / 2])


def overlaps(window: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union (N,) of one window (4,) with boxes (N, 4)."""
    sides = np.minimum(window[2:], boxes[:, 2:]) - np.maximum(window[:2], boxes[:, :2])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return shared / (np.prod(window[2:] - window[:2]) + areas - shared)


def crop_window(picture: Image.Image, window: np.ndarray, side: int = PATCH) -> np.ndarray:
    """The window of a picture as uint8 (side, side, 3); what lies outside repeats the nearest pixel of the edge."""
    x1, y1, x2, y2 = (float(value) for value in window)
    left, top = max(0, int(np.ceil(-x1))), max(0, int(np.ceil(-y1)))
    right, bottom = max(0, int(np.ceil(x2 - picture.width))), max(0, int(np.ceil(y2 - picture.height)))
    if left or top or right or bottom:
        padding = ((top, bottom), (left, right), (0, 0))
        picture = Image.fromarray(np.pad(np.asarray(picture), padding, mode="edge"))
    box = (x1 + left, y1 + top, x2 + left, y2 + top)
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, box=box))


class _Cutter:
    """Draws windows of each kind in one photograph."""

    def __init__(self, photo: Photo, rng: np.random.Generator) -> None:
        self.rng = rng
        self.height, self.width = photo.image.shape[:2]
        self.faces = np.asarray(photo.boxes, np.float64).reshape(-1, 4)
        self.squares = np.array([square_window(box) for box in self.faces]).reshape(-1, 4)

    def face(self, index: int, first: bool) -> np.ndarray:
        """The window of a face: the first as annotated, the others shifted by up to 8 % and scaled by up to 15 %."""
        window = self.squares[index]
        if first:
            return window
        side = window[2] - window[0]
        dx, dy = self.rng.uniform(-0.08, 0.08, 2) * side
        cx, cy = (window[:2] + window[2:]) / 2
        return _window(cx + dx, cy + dy, side * self._scale(0.87, 1.15))

    def _scale(self, low: float, high: float) -> float:
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def _keep(self, propose: Callable[[], np.ndarray]) -> np.ndarray | None:
        """The first proposed window that lies in the photograph and misses every face."""
        for _ in range(_TRIES):
            window = propose()
            inside = window.min() >= 0 and window[2] <= self.width and window[3] <= self.height
            if not inside or window[2] - window[0] < SMALLEST_WINDOW / 2:
                continue
            both = np.concatenate([self.faces, self.squares])
            if len(both) == 0 or overlaps(window, both).max() < NEAR_MISS_IOU:
                return window
        return None

    def part(self) -> np.ndarray | None:
        """A small part of a face: an eye, a mouth, a cheek with an ear."""

        def propose() -> np.ndarray:
            x1, y1, x2, y2 = self.squares[self.rng.integers(len(self.squares))]
            return _window(self.rng.uniform(x1, x2), self.rng.uniform(y1, y2), (x2 - x1) * self._scale(0.22, 0.45))

        return self._keep(propose) if len(self.faces) else None

    def near_miss(self) -> np.ndarray | None:
        """A window about as large as a face that holds some of it, or one so large that the face is lost in it."""

        def propose() -> np.ndarray:
            x1, y1, x2, y2 = self.squares[self.rng.integers(len(self.squares))]
            side, reach = x2 - x1, 0.9
            scale = self._scale(0.6, 1.4)
            if self.rng.random() < 0.25:
                scale, reach = self._scale(1.85, 2.6), 0.5
            dx, dy = self.rng.uniform(-reach, reach, 2) * side
            window = _window((x1 + x2) / 2 + dx, (y1 + y2) / 2 + dy, side * scale)
            touches = overlaps(window, self.squares).max() > 0.04
            return window if touches else np.full(4, -1.0)

        return self._keep(propose) if len(self.faces) else None

    def plain(self) -> np.ndarray | None:
        """A window of any size, clear of the annotated faces."""
        margin = 0.15 * (self.faces[:, 2:] - self.faces[:, :2])
        grown = np.concatenate([self.faces[:, :2] - margin, self.faces[:, 2:] + margin], axis=1)
        largest = min(self.width, self.height)

        def propose() -> np.ndarray:
            side = self._scale(min(SMALLEST_WINDOW, largest), largest)
            cx = self.rng.uniform(side / 2, self.width - side / 2)
            cy = self.rng.uniform(side / 2, self.height - side / 2)
            window = _window(cx, cy, side)
            return np.full(4, -1.0) if len(grown) and overlaps(window, grown).max() > 0 else window

        return self._keep(propose)


def cut_windows(
    photo: Photo, rng: np.random.Generator, per_face: int, backgrounds: int
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Windows of one photograph as (kind, label, x1 y1 x2 y2); kind is face, part, near or plain.

    Of the backgrounds of a photograph with faces, a quarter are parts of faces and three in eight near misses. Where
    faces leave no room for a kind, fewer come.
    """
    cutter = _Cutter(photo, rng)
    for index in range(len(cutter.faces)):
        for number in range(per_face):
            yield "face", 1, cutter.face(index, first=number == 0)
    kinds = {"plain": cutter.plain, "near": cutter.near_miss, "part": cutter.part}
    cycle = ("plain", "near", "part", "plain", "near", "plain", "near", "part") if len(cutter.faces) else ("plain",)
    for number in range(backgrounds):
        wanted = cycle[number % len(cycle)]
        for kind in dict.fromkeys((wanted, "near", "part")):  # a face that fills its photograph leaves nothing plain
            window = kinds[kind]()
            if window is not None:
                yield kind, 0, window
                break


def cut_patches(
    photos: Sequence[Photo],
    seed: int,
    per_face: int = 4,
    backgrounds: int = 8,
    negatives: Sequence[Photo] = (),
    name: str = "faces",
    split: str = "train",
) -> ImageSet:
    """Face and background patches, uint8 (N, 3, 48, 48), from photographs; the same seed gives the same patches.

    Args:
        photos: photographs with boxes.
        seed: of the windows; each photograph draws from its own stream, so its patches do not depend on the others.
        per_face: windows per face, the first as annotated.
        backgrounds: background windows per photograph.
        negatives: photographs without faces; they add a quarter to the backgrounds.
        name, split: of the returned set. Its `names` are `photo:kind:number`.

    Raises:
        DataError: no face or no background could be cut.
    """
    extra = -(-backgrounds * len(photos) // (4 * len(negatives))) if negatives else 0
    jobs = [(photo, per_face, backgrounds) for photo in photos] + [(photo, 0, extra) for photo in negatives]
    return cut_jobs(jobs, seed, name, split)


def cut_jobs(jobs: Sequence[tuple[Photo, int, int]], seed: int, name: str, split: str) -> ImageSet:
    """The patches of (photograph, windows per face, backgrounds) jobs; otherwise as `cut_patches`."""
    patches: list[np.ndarray] = []
    labels: list[int] = []
    names: list[str] = []
    for photo, per_face, backgrounds in jobs:
        own = hashlib.sha256(f"{seed} {photo.name}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(own[:8], "little"))
        picture = Image.fromarray(photo.image)
        for number, (kind, label, window) in enumerate(cut_windows(photo, rng, per_face, backgrounds)):
            patches.append(crop_window(picture, window))
            labels.append(label)
            names.append(f"{photo.name}:{kind}:{number}")
    for label, title in enumerate(CLASSES):
        if label not in labels:
            raise DataError(f"{name}/{split}: no {title} patch could be cut from {len(jobs)} photographs; add some.")
    images = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).contiguous()
    return ImageSet(images, torch.tensor(labels), CLASSES, name, split, names)
