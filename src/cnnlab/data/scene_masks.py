"""Mask files to class numbers: values or the course's colours, and one clear sentence for a file that holds neither."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from cnnlab.data.images import read_image
from cnnlab.data.scene_classes import COLOURS, SCENE_CLASSES, VOID, label_table
from cnnlab.errors import DataError


def read_mask(path: str | os.PathLike[str], size: tuple[int, int] | None = None, classes: int = 11) -> np.ndarray:
    """The mask in a file, uint8 (H, W): its classes, mapped to 11 or 3 while it is read, 255 = ignored.

    The file holds the values 0 to 10 and 11 for void (such a picture is nearly black), or the colours of the course's
    code.

    Args:
        path: an image file, grey, palette or RGB.
        size: height and width of the image that it belongs to.
        classes: 11 or 3.

    Raises:
        DataError: the file cannot be read, has another size, or holds a value or colour outside of the table.
    """
    path = Path(path)
    values = _mask_values(path)
    if size is not None and values.shape != tuple(size):
        raise DataError(
            f"{path}: the mask is {values.shape[1]}x{values.shape[0]} pixels but its image is {size[1]}x{size[0]}; "
            "both must have the same size."
        )
    wrong = (values < 0) | (values > VOID)
    if wrong.any():
        found = sorted(set(values[wrong].tolist()))
        listed = ", ".join(map(str, found[:5])) + (", …" if len(found) > 5 else "")
        raise DataError(
            f"{path}: the mask holds the value{'s' if len(found) > 1 else ''} {listed} ({int(wrong.sum())} pixels); "
            f"allowed are 0 to {VOID - 1} for {SCENE_CLASSES[0]} to {SCENE_CLASSES[-1]} and {VOID} for void, "
            "so relabel those pixels."
        )
    return label_table(classes)[values]


def _mask_values(path: Path) -> np.ndarray:
    """The numbers in a mask file, integers (H, W); colours of the course's code become the numbers they stand for."""
    if not path.is_file() or path.stat().st_size == 0:
        read_image(path)  # has the sentences for missing and empty files
    try:
        with Image.open(path) as picture:
            picture.load()
            values = np.asarray(picture)
            rgb = None if picture.mode in ("L", "I", "I;16", "1") else np.asarray(picture.convert("RGB"))
            palette = np.array(picture.getpalette("RGB") or []).reshape(-1, 3) if picture.mode == "P" else None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: truncated, damaged or no image ({error}); copy the mask again.") from None
    if rgb is None:
        return values.astype(np.int64)
    numbers = _decode_colours(rgb)
    if palette is not None:  # one in the course's colours says what the indices mean; any other is for the eye only
        return numbers if (numbers >= 0).all() and rgb.any() and _is_the_code(palette) else values.astype(np.int64)
    if (rgb == rgb[..., :1]).all() and rgb.max() <= VOID and rgb.any():
        return rgb[..., 0].astype(np.int64)  # a grey mask saved with three channels
    if (numbers < 0).any():
        row, column = np.argwhere(numbers < 0)[0]
        raise DataError(
            f"{path}: the colour {tuple(int(v) for v in rgb[row, column])} at row {row}, column {column} is not in the "
            f"course's colour code ({int((numbers < 0).sum())} such pixels); save masks as grey PNG with values 0 to "
            f"{VOID} or in those colours, without smoothing or JPEG."
        )
    return numbers


def _is_the_code(palette: np.ndarray) -> bool:
    """Whether the first entries of a palette (N, 3) are colours of the course's code, or unused ones in grey.

    Not the pixels decide: some colours of other palettes (VOC's) are in the code too, and a file may show no others.
    """
    first = palette[: VOID + 1].astype(np.uint8)
    unused = (first == np.arange(len(first))[:, None]).all(axis=1)  # as programs fill a palette up
    return bool(((_decode_colours(first) >= 0) | unused).all())


def _decode_colours(rgb: np.ndarray) -> np.ndarray:
    """Class numbers int64 (…) of colours uint8 (…, 3); -1 for a colour that stands for none."""
    weights = np.array([1 << 16, 1 << 8, 1])
    codes = rgb.astype(np.int64) @ weights
    known = COLOURS.astype(np.int64) @ weights
    order = np.argsort(known)
    place = np.searchsorted(known[order], codes).clip(max=len(known) - 1)
    return np.where(known[order][place] == codes, order[place], -1)
