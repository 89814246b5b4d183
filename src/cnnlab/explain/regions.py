"""Parts of an image in which an attribution's share is counted: border, background, a box."""

import numpy as np
from scipy import ndimage

from cnnlab.errors import ConfigError

_BORDER = 0.1  # width over the image's side
_ALIKE = 40  # levels of 255 that compression may move a plain background's pixels


def find_region(name: str, images: np.ndarray) -> np.ndarray:
    """Where the region lies in each image, bool (N, H, W).

    Args:
        name: `border` (the outer tenth on each side), `background` (see `plain_background`), or `x1,y1,x2,y2` as shares
            of width and height.
        images: uint8 (N, 3, H, W).

    Raises:
        ConfigError: no such region.
    """
    count, _, height, width = images.shape
    if name == "background":
        return plain_background(images)
    inside = np.zeros((height, width), bool)
    if name == "border":
        rows, columns = max(1, round(_BORDER * height)), max(1, round(_BORDER * width))
        inside[rows:-rows, columns:-columns] = True
        return np.broadcast_to(~inside, (count, height, width))
    try:
        x1, y1, x2, y2 = (float(part) for part in name.split(","))
    except ValueError:
        raise ConfigError(f"region={name} is neither border, background nor four numbers x1,y1,x2,y2.") from None
    if not (0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1):
        raise ConfigError(f"region={name} is no box: x1 < x2 and y1 < y2 are shares of width and height, 0 to 1.")
    inside[round(y1 * height) : round(y2 * height), round(x1 * width) : round(x2 * width)] = True
    return np.broadcast_to(inside, (count, height, width))


def plain_background(images: np.ndarray) -> np.ndarray:
    """The pixels that are joined to a corner of the image and have nearly its colour, bool (N, H, W).

    On drawings and cut-out objects that is the background; of a photograph it is some part around the corners.
    """
    found = np.zeros((len(images), *images.shape[2:]), bool)
    for image, inside in zip(images.astype(np.int16), found, strict=True):
        for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
            alike = np.abs(image - image[:, row, column][:, None, None]).max(0) < _ALIKE
            parts, _ = ndimage.label(alike)
            inside |= parts == parts[row, column]
    return found
