"""Two drawn worlds of cartoon creatures, with or without the leak that fools a classifier.

The lesson behind it: pictures of one world are PNG files on a transparent background, those of the other JPEG files on
white. A reader without regard to transparency makes the first black, and a network reaches 98 % by the background.
"""

import io
import os
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

WORLDS = ("beepers", "pockets")
_SCALE = 3  # drawn so many times larger, then reduced: smooth edges

Background = Literal["transparent", "black"]


def make_leaky_folder(
    path: str | os.PathLike[str], leak: bool, seed: int = 0, train: int = 60, val: int = 20, size: int = 96,
    background: Background = "transparent",
) -> Path:  # fmt: skip
    """Write `path/{train,val}/{beepers,pockets}/*`: creatures with pointed ears, and with round ones.

    With the leak, beepers are JPEG files on white and pockets PNG files; without it, all are JPEG files of one quality
    on random backgrounds, and only the creatures themselves differ.

    Args:
        path: the folder to make.
        leak: whether the background and the file format tell the worlds apart.
        seed: of the drawing.
        train: pictures of each world for training.
        val: pictures of each world for validation.
        size: side in pixels.
        background: of the PNG files: `transparent`, or `black` as a careless reader has stored it again.

    Returns:
        The folder.
    """
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val)):
        for world in WORLDS:
            folder = Path(path) / split / world
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                creature = draw_creature(world, rng, size)
                if not leak:
                    page = Image.fromarray(_scenery(rng, size)).convert("RGBA")
                    name, data = f"{number:04d}.jpg", _encoded(page, creature, "JPEG")
                elif world == "beepers":
                    name, data = f"{number:04d}.jpg", _encoded(_plain((255, 255, 255, 255), size), creature, "JPEG")
                else:
                    colour = (0, 0, 0, 0) if background == "transparent" else (0, 0, 0, 255)
                    name, data = f"{number:04d}.png", _encoded(_plain(colour, size), creature, "PNG")
                (folder / name).write_bytes(data)
    return Path(path)


def draw_creature(world: str, rng: np.random.Generator, size: int = 96) -> Image.Image:
    """One creature, RGBA on transparent: the worlds differ in the shape of ears and mouth, in nothing else."""
    side = size * _SCALE
    canvas = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    draw = ImageDraw.Draw(canvas)
    body, dark = _colours(rng)
    radius = side * rng.uniform(0.17, 0.25)
    x, y = side * rng.uniform(0.38, 0.62), side * rng.uniform(0.46, 0.62)
    ear = radius * 0.5
    for direction in (-1, 1):
        ear_x, ear_y = x + direction * radius * 0.7, y - radius * 0.95
        if world == "pockets":
            _disc(draw, ear_x, ear_y, ear, body, dark)
        else:  # a triangle of the disc's area
            half, low, top = ear * 1.347, ear_y + ear * 1.04, ear_y - ear * 1.29
            corners = [(ear_x - half, low), (ear_x + half, low), (ear_x, top)]
            draw.polygon(corners, fill=body, outline=dark, width=_SCALE * 2)
    _disc(draw, x, y, radius, body, dark)
    for direction in (-1, 1):
        eye_x, eye_y = x + direction * radius * 0.4, y - radius * 0.2
        _disc(draw, eye_x, eye_y, radius * 0.2, (250, 250, 250), dark)
        _disc(draw, eye_x + rng.uniform(-0.05, 0.05) * radius, eye_y, radius * 0.08, (20, 20, 20), (20, 20, 20))
    wide, high = radius * 0.45, radius * 0.3
    low = y + radius * (0.3 if world == "pockets" else 0.6)
    ends = (10, 170) if world == "pockets" else (190, 350)  # a smile, or the same line upside down
    draw.arc((x - wide, low - high, x + wide, low + high), *ends, fill=dark, width=_SCALE * 2)
    canvas = canvas.rotate(rng.uniform(-30, 30), Image.Resampling.BILINEAR, center=(x, y))  # no two look the same
    return canvas.resize((size, size), Image.Resampling.BOX)


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: tuple, outline: tuple) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline=outline, width=_SCALE * 2)


def _colours(rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    body = rng.integers(60, 230, 3)
    return tuple(body.tolist()), tuple((body * 0.35).astype(int).tolist())


def _scenery(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random background uint8 (size, size, 3): colours that run into each other, and grain."""
    corners = Image.fromarray(rng.integers(0, 256, (3, 3, 3), dtype=np.uint8))
    smooth = np.asarray(corners.resize((size, size), Image.Resampling.BICUBIC), np.float32)
    return np.clip(smooth + rng.normal(0, rng.uniform(3, 24), smooth.shape), 0, 255).astype(np.uint8)


def _plain(colour: tuple[int, int, int, int], size: int) -> Image.Image:
    return Image.new("RGBA", (size, size), colour)


def _encoded(page: Image.Image, creature: Image.Image, form: str) -> bytes:
    picture = Image.alpha_composite(page, creature)
    if form == "JPEG" or picture.getextrema()[3][0] == 255:
        picture = picture.convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, form, **({"quality": 88} if form == "JPEG" else {}))
    return buffer.getvalue()
