"""Training pictures for a fully convolutional detector: mosaics of photographs at random sizes, with a map of targets.

A picture of 48 + 8 k pixels has k + 1 windows a side. Each mosaic is split at random into tiles; each tile shows a
photograph, shifted, scaled, mirrored and turned a little, so that small faces of different sizes stand side by side.
Faces of about 20 to 44 pixels are to be found, larger ones (seen at another level of the pyramid) are background,
sizes between and faces cut by a tile's edge are ignored.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from cnnlab.data.augment import Augmentation
from cnnlab.data.photos import Photo
from cnnlab.errors import ConfigError, DataError

WINDOW, STRIDE = 48, 8
FACE, BACKGROUND, IGNORE = 1, 0, -1
Tile = tuple[int, int, int, int]


@dataclass(frozen=True)
class Sizes:
    """Face heights in a picture, in pixels: `low..high` is to be found, out to `ignore_low..ignore_high` ignored."""

    low: float = 19.0
    high: float = 46.0
    ignore_low: float = 8.0
    ignore_high: float = 60.0


class FaceCrops(Dataset):
    """Pictures uint8 (3, size, size) and targets float32 (5, h, w): label (1, 0, -1 ignored), four box offsets.

    photos: photographs with their boxes (x1, y1, x2, y2).
    negatives: photographs without faces, used for `negative_share` of the tiles.
    length: pictures in an epoch; by default one for each photograph.
    turn: largest rotation in degrees; stretch: largest change of width against height, as a factor 1 + stretch.
    ignore: boxes per photograph's name of unannotated people, who are neither faces nor background.
    Raises DataError without photographs, ConfigError when `size` is not 48 + 8 k.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        negatives: Sequence[Photo] = (),
        size: int = 192,
        length: int | None = None,
        seed: int = 0,
        negative_share: float = 0.2,
        split: float = 0.5,
        turn: float = 15.0,
        stretch: float = 0.12,
        sizes: Sizes = Sizes(),  # noqa: B008  (frozen)
        ignore: dict[str, np.ndarray] | None = None,
    ) -> None:
        if not photos:
            raise DataError("FaceCrops needs at least one photograph with a face: the list is empty.")
        if size < WINDOW or (size - WINDOW) % STRIDE:
            raise ConfigError(f"size is {size}; it must be 48 or 48 plus a multiple of 8.")
        self.size, self.seed, self.epoch = size, seed, 0
        self.negative_share, self.split, self.sizes = negative_share, split, sizes
        self.turn, self.stretch = turn, stretch
        self.faces = [_Source(photo, (ignore or {}).get(photo.name)) for photo in photos]
        self.negatives = [_Source(photo, None) for photo in negatives]
        self.length = length or len(photos)

    def __len__(self) -> int:
        return self.length

    def set_epoch(self, epoch: int) -> None:
        """Draw other pictures than in the epochs before; the same epoch gives the same pictures."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        picture, targets = self._draw(index)
        return torch.from_numpy(picture).permute(2, 0, 1), torch.from_numpy(targets)

    def _draw(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        canvas = Image.new("RGB", (self.size, self.size))
        marks: list[_Mark] = []
        first = self.faces[(index + self.epoch * self.length) % len(self.faces)]
        self._fill(canvas, (0, 0, self.size, self.size), rng, marks, first)
        return np.array(canvas), target_map(marks, self.size, self.sizes)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """A batch: uint8 (B, 3, size, size), channels last in memory, and targets (B, 5, h, w)."""
        pictures, targets = zip(*(self._draw(int(i)) for i in indices), strict=True)
        return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), torch.from_numpy(np.stack(targets))

    def _fill(
        self,
        canvas: Image.Image,
        tile: Tile,
        rng: np.random.Generator,
        marks: list["_Mark"],
        source: "_Source | None",
    ) -> None:
        x1, y1, x2, y2 = tile
        longer = max(x2 - x1, y2 - y1)
        if longer > 2.5 * WINDOW or (longer > WINDOW and rng.random() < self.split):
            part = int(longer * rng.uniform(0.3, 0.7))
            halves = [(x1, y1, x1 + part, y2), (x1 + part, y1, x2, y2)]
            if y2 - y1 > x2 - x1:
                halves = [(x1, y1, x2, y1 + part), (x1, y1 + part, x2, y2)]
            keeps = int(rng.random() < 0.5)
            for i, half in enumerate(halves):
                self._fill(canvas, half, rng, marks, source if i == keeps else None)
            return
        if source is None and self.negatives and rng.random() < self.negative_share:
            source = self.negatives[rng.integers(len(self.negatives))]
        source = source or self.faces[rng.integers(len(self.faces))]
        marks += source.draw(canvas, tile, rng, self.turn, self.stretch)


@dataclass(frozen=True)
class _Mark:
    """A face in a picture: its box, how much of it can be seen, and whether anybody vouches for it."""

    box: tuple[float, float, float, float]
    visible: float
    known: bool


class _Source:
    """A photograph as a pyramid of halved copies, to be drawn at any size."""

    def __init__(self, photo: Photo, ignore: np.ndarray | None) -> None:
        image = Image.fromarray(photo.image)
        self.levels = [image]
        while min(image.size) >= 24:
            image = image.reduce(2)
            self.levels.append(image)
        boxes = np.reshape(photo.boxes, (-1, 4)).astype(float)
        unknown = np.reshape(ignore if ignore is not None else (), (-1, 4)).astype(float)
        self.known = len(boxes)
        self.boxes = np.concatenate((boxes, unknown))

    def draw(
        self, canvas: Image.Image, tile: Tile, rng: np.random.Generator, turn: float, stretch: float
    ) -> list[_Mark]:
        """Draw the photograph into a tile; the faces that came to lie there."""
        size = np.array([tile[2] - tile[0], tile[3] - tile[1]])
        whole = np.array(self.levels[0].size)
        if self.known and rng.random() < 0.85:
            # A face of known height near the tile's middle.
            x1, y1, x2, y2 = self.boxes[rng.integers(self.known)]
            focus = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
            scale = _log_uniform(rng, *((16.0, 52.0) if rng.random() < 0.8 else (52.0, 400.0))) / (y2 - y1)
        else:
            # Any part of the photograph at any size that fills the tile.
            focus = rng.uniform(0, 1, 2) * whole
            scale = _log_uniform(rng, min(1.0, (size / whole).max()), 1.2)
        mirror = rng.choice((-1, 1))
        before, after = focus.copy(), whole - focus
        if mirror < 0:
            before[0], after[0] = after[0], before[0]
        # Where the focus may lie so that the photograph fills the tile, if it can, with the focus well inside.
        low, high = np.maximum(size - after * scale, 0.1 * size), np.minimum(before * scale, 0.9 * size)
        middle = np.clip((low + high) / 2, 0.1 * size, 0.9 * size)
        low, high = np.where(low <= high, low, middle), np.where(low <= high, high, middle)
        place = rng.uniform(low, high)
        angle = np.deg2rad(turn) * rng.triangular(-1, 0, 1)
        across = mirror * scale * np.exp(rng.uniform(-1, 1) * np.log1p(stretch))
        cos, sin = np.cos(angle), np.sin(angle)
        forward = np.array([[cos * across, -sin * scale], [sin * across, cos * scale]])
        return self._paste(canvas, tile, forward, focus, place, rng)

    def draw_whole(self, canvas: Image.Image, tile: Tile, rng: np.random.Generator) -> list[_Mark]:
        """Draw the photograph upright, one face of 20 to 45 pixels whole in the tile."""
        size = np.array([tile[2] - tile[0], tile[3] - tile[1]])
        x1, y1, x2, y2 = self.boxes[rng.integers(self.known)]
        scale = _log_uniform(rng, 20, 45) / (y2 - y1)
        half = np.minimum(np.array([x2 - x1, y2 - y1]) * scale / 2, size / 2)
        place = half + rng.uniform(0, 1, 2) * (size - 2 * half)
        focus = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
        return self._paste(canvas, tile, np.diag((scale * rng.choice((-1, 1)), scale)), focus, place, rng)

    def _paste(
        self,
        canvas: Image.Image,
        tile: Tile,
        forward: np.ndarray,
        focus: np.ndarray,
        place: np.ndarray,
        rng: np.random.Generator,
    ) -> list[_Mark]:
        """Fill a tile so that place in tile = forward @ (place in photograph - focus) + `place`."""
        (a, b), (c, d) = forward.tolist()
        area = a * d - b * c
        back = np.array([[d, -b], [-c, a]]) / area
        level = int(min(max(-math.log2(abs(area)) / 2, 0), len(self.levels) - 1))
        shrunk = np.divide(self.levels[level].size, self.levels[0].size)
        matrix = np.column_stack((back * shrunk[:, None], (focus - back @ place) * shrunk))
        fill = tuple(int(v) for v in rng.integers(0, 256, 3)) if rng.random() < 0.3 else (127, 127, 127)
        size = (tile[2] - tile[0], tile[3] - tile[1])
        view = self.levels[level].transform(
            size, Image.Transform.AFFINE, matrix.ravel().tolist(), Image.Resampling.BILINEAR, fillcolor=fill
        )
        canvas.paste(view, tile[:2])
        return self._marks(forward, focus, place, tile)

    def _marks(self, forward: np.ndarray, focus: np.ndarray, place: np.ndarray, tile: Tile) -> list[_Mark]:
        marks = []
        for i, (x1, y1, x2, y2) in enumerate(self.boxes):
            centre = forward @ (np.array([(x1 + x2) / 2, (y1 + y2) / 2]) - focus) + place + tile[:2]
            # A turned head is taken for an ellipse; these are half the sides of the box around it.
            half = np.sqrt((forward**2) @ np.array([(x2 - x1) ** 2, (y2 - y1) ** 2])) / 2
            low, high = centre - half, centre + half
            shown = np.clip(np.minimum(high, tile[2:]) - np.maximum(low, tile[:2]), 0, None)
            visible = float(np.prod(shown) / np.prod(2 * half))
            if visible > 0:
                marks.append(_Mark((*low, *high), visible, i < self.known))
        return marks


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def target_map(marks: Sequence[_Mark], size: int, sizes: Sizes) -> np.ndarray:
    """Targets float32 (5, h, w) of the windows of a picture of `size` pixels a side.

    A window is a face's where their centres lie within 4 (small face) to 6 pixels of each other in x and in y, is
    ignored within 5 pixels more, and belongs to the nearest face.
    """
    cells = (size - WINDOW) // STRIDE + 1
    targets = np.zeros((5, cells, cells), np.float32)
    at = np.arange(cells) * STRIDE + WINDOW / 2
    nearest = np.full((cells, cells), np.inf)
    for mark in marks:
        x1, y1, x2, y2 = mark.box
        height = y2 - y1
        if mark.visible < 0.3 or not sizes.ignore_low <= height <= sizes.ignore_high:
            continue
        away = np.maximum(np.abs(at - (x1 + x2) / 2)[None, :], np.abs(at - (y1 + y2) / 2)[:, None])
        reach = 4.01 + 2 * np.clip((height - 20) / 24, 0, 1)
        clear = mark.known and mark.visible >= 0.7 and sizes.low <= height <= sizes.high
        targets[0][(away < reach + 5) & (targets[0] == BACKGROUND)] = IGNORE
        if not clear:
            continue
        mine = (away < reach) & (away < nearest)
        nearest[mine] = away[mine]
        targets[0][mine] = FACE
        rows, columns = np.nonzero(mine)
        targets[1, rows, columns] = ((x1 + x2) / 2 - at[columns]) / WINDOW
        targets[2, rows, columns] = ((y1 + y2) / 2 - at[rows]) / WINDOW
        targets[3, rows, columns] = np.log((x2 - x1) / WINDOW)
        targets[4, rows, columns] = np.log(height / WINDOW)
    return targets


SCANNED = Augmentation(coarse=0.4, blur=0.3, noise=0.6, blocks=0.3, gamma=0.5, contrast=0.4, brightness=0.1)


def collages(photos: Sequence[Photo], count: int, seed: int = 0, backgrounds: Sequence[Photo] = ()) -> list[Photo]:
    """Group pictures for validation: `count` grey, worn pictures of 6 to 20 faces of 20 to 45 pixels each.

    Every face is whole in its own tile of 72 pixels; between them lies one of `backgrounds`, or plain grey. Photographs
    without a face are passed over, and of none with a face no picture can be made.
    """
    faces = [_Source(photo, None) for photo in photos if len(photo.boxes)]
    count = count if faces else 0
    side, pictures = 72, []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        columns, rows = int(rng.integers(5, 7)), int(rng.integers(4, 6))
        size = (columns * side, rows * side)
        canvas = Image.new("RGB", size, (127, 127, 127))
        if backgrounds:
            below = Image.fromarray(backgrounds[rng.integers(len(backgrounds))].image)
            canvas = below.resize(size, Image.Resampling.BILINEAR)
        marks: list[_Mark] = []
        for place in rng.permutation(columns * rows)[: rng.integers(6, 21)]:
            x, y = int(place % columns) * side, int(place // columns) * side
            marks += faces[rng.integers(len(faces))].draw_whole(canvas, (x, y, x + side, y + side), rng)
        grey = torch.from_numpy(np.array(canvas.convert("L").convert("RGB"))).permute(2, 0, 1)[None]
        worn = SCANNED(grey, torch.Generator().manual_seed(seed * 1000 + number))[0].permute(1, 2, 0)
        boxes = np.array([mark.box for mark in marks if mark.visible >= 0.5], np.float32)
        pictures.append(Photo(f"collage/{number}", (worn * 255).round().byte().numpy(), boxes))
    return pictures
