"""Image files to RGB arrays: every mode that Pillow reads, and one clear sentence for a file that is none."""

import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from cnnlab.errors import DataError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".pgm", ".ppm", ".pnm", ".tif", ".tiff", ".webp"}

Item = TypeVar("Item")
Result = TypeVar("Result")


def _reduce_to_8_bits(picture: Image.Image) -> Image.Image:
    """Wide grey pictures (16-bit, 32-bit integer, float) as 8-bit ones; Pillow's own conversion would clip at 255."""
    values = np.nan_to_num(np.asarray(picture, dtype=np.float64))
    peak = float(values.max(initial=0.0))
    if picture.mode.startswith("I;16") or peak > 255:
        values = values / (257 if peak <= 65535 else peak / 255)
    elif picture.mode == "F" and peak <= 1:
        values = values * 255
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def to_rgb(picture: Image.Image) -> np.ndarray:
    """A Pillow image of any mode, turned upright by its EXIF orientation, as uint8 (H, W, 3).

    Transparent parts come out white, as on a page.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        picture = _reduce_to_8_bits(picture)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        page = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(page, picture)
    return np.array(picture.convert("RGB"))


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an image file as uint8 (H, W, 3) RGB.

    Grey, palette, CMYK, transparent, 16-bit and EXIF-rotated files are converted; of an animation the first frame.

    Raises:
        DataError: the file is missing, empty, truncated or no image.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such image file; check the name.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the image file is empty (0 bytes); copy it again or remove it.")
    with reading(path), Image.open(path) as picture:
        return to_rgb(picture)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what Pillow raises over a file that it cannot read into a DataError that names it."""
    try:
        yield
    except Image.UnidentifiedImageError:
        raise DataError(f"{path}: not an image that can be read; convert it to JPEG or PNG, or remove it.") from None
    except Image.DecompressionBombError:
        raise DataError(f"{path}: the image is too large to open safely; scale it down first.") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error) as error:
        raise DataError(f"{path}: truncated or damaged image ({error}); copy it again or remove it.") from None


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """The image files directly in a folder, sorted by name.

    Raises:
        DataError: the folder is missing, is a file, or holds no image.
    """
    folder = Path(folder)
    if folder.is_file():
        raise DataError(f"{folder}: a file, where a folder of images is expected; name the folder that holds it.")
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; check the name.")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not found:
        raise DataError(f"{folder}: no images in this folder; expected files such as NAME.jpg or NAME.png.")
    return found


def map_threads(
    function: Callable[[Item], Result], items: Iterable[Item] | Sequence[Item], title: str = ""
) -> list[Result]:
    """`[function(item) for item in items]` on a few threads (decoding releases the interpreter's lock).

    With a `title` a progress bar shows it, on a terminal and where there are many items.
    """
    items = list(items)
    quiet = not title or len(items) < 200
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(function, items)
        bar = tqdm(results, desc=title, total=len(items), unit="image", disable=quiet or None, leave=False)
        return list(bar)
