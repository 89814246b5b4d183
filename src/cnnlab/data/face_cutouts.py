"""Faces cut out of photographs of unknown origin by listed boxes, and which of them show the same picture."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from cnnlab.data.face_list import ListedFace
from cnnlab.data.folders import resize_image
from cnnlab.data.images import to_rgb
from cnnlab.data.partial import Refused
from cnnlab.evaluation.image_cues import Measured
from cnnlab.evaluation.near_duplicates import near_duplicates

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")  # not all of Pillow's: one of them starts a program (EPS)
MOST_PIXELS = 50_000_000  # of a photograph; one of more is taken for a decompression bomb
OVERLAP = 0.5  # intersection over union of two boxes, as shares of their photographs, from which they are of one face


def cut_face(path: Path, face: ListedFace, size: int) -> np.ndarray:
    """The box of a photograph, resized: uint8 (size, size, 3).

    The box counts pixels as they are stored: an EXIF orientation is not obeyed, as the lists were made without.

    Raises:
        Refused: the file is no picture of the kinds known, damaged or far too large, or the box is not inside it.
    """
    where = f"{face.place}: {face.sha256[:16]}…"
    try:
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                raise Image.DecompressionBombError
            x1, y1, x2, y2 = face.box
            if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
                raise Refused(f"{where} has {width}x{height} pixels, and the box {x1},{y1},{x2},{y2} is not inside; "
                              "correct the line.", "box outside its picture")  # fmt: skip
            cut = picture.crop(face.box)
        cut.info = {name: value for name, value in cut.info.items() if name == "transparency"}  # no orientation
        return resize_image(to_rgb(cut), (size, size))
    except Image.UnidentifiedImageError:
        raise Refused(f"{where} is no picture ({', '.join(FORMATS)}).", "not a picture") from None
    except Image.DecompressionBombError:
        raise Refused(f"{where} unpacks to more than {MOST_PIXELS // 10**6} million pixels and was not opened.",
                      "decompression bomb") from None  # fmt: skip
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error, MemoryError) as error:
        raise Refused(f"{where} is a damaged picture ({str(error)[:80]}).", "damaged picture") from None


@dataclass(frozen=True)
class Cutout:
    """A face that was cut out.

    Attributes:
        face: its line of the list.
        path: the file with the cutout.
        measured: the cutout, for comparing.
        photograph: the whole photograph, for comparing.
        shape: width and height of the photograph.
    """

    face: ListedFace
    path: Path
    measured: Measured
    photograph: Measured
    shape: tuple[int, int]


def sort_out(cutouts: Sequence[Cutout]) -> tuple[list[int], dict[int, Refused], np.ndarray]:
    """Every face once: of pictures that are there several times, the one with the largest box.

    The same face is what two cutouts show that look alike, or that lie at one place of photographs that are the same or
    look alike. Under two names, none of them is kept: who it is cannot be told.

    Returns:
        Indices of those kept; why the others are not; and for each cutout (N,) a number that it shares with all that
        come from the same photograph or look alike, which must not be in two sets.
    """
    if not cutouts:
        return [], {}, np.zeros(0, np.int64)
    files = np.unique([c.face.sha256 for c in cutouts], return_inverse=True)[1]
    looks = near_duplicates([c.measured for c in cutouts])[1]
    photographs = _joined(files, near_duplicates([c.photograph for c in cutouts])[1])
    kept, refused = [], {}
    for members in _groups(_same_face(cutouts, looks, photographs)):
        faces = [cutouts[i].face for i in members]
        if len(names := sorted({face.person for face in faces})) > 1:
            told = f"the same face is listed as {' and as '.join(names)}; none of these lines was kept."
            refused |= {i: Refused(f"{cutouts[i].face.place}: {told}", "two names") for i in members}
            continue
        best = min(members, key=lambda i: (-cutouts[i].face.area, cutouts[i].face.sha256, cutouts[i].face.face))
        kept.append(best)
        for i in members:
            if i != best:
                reason = "duplicate by hash" if files[i] == files[best] else "duplicate by looks"
                refused[i] = Refused(f"{cutouts[i].face.place}: {names[0]}'s face {cutouts[i].face.face} is the face "
                                     f"{cutouts[best].face.face} once more.", reason)  # fmt: skip
    return sorted(kept), refused, _joined(photographs, looks)


def _same_face(cutouts: Sequence[Cutout], looks: np.ndarray, photographs: np.ndarray) -> np.ndarray:
    """A number for each cutout (N,), the same where it is of the same face of the same picture."""
    pairs = []
    for members in _groups(photographs):
        for place, i in enumerate(members):
            pairs += [(i, j) for j in members[place + 1 :] if _overlap(cutouts[i], cutouts[j]) >= OVERLAP]
    edges = np.array(pairs, np.int64).reshape(-1, 2)
    count = len(cutouts)
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return _joined(connected_components(graph, directed=False)[1], looks)


def _overlap(a: Cutout, b: Cutout) -> float:
    """Intersection over union of two boxes, each measured in widths and heights of its photograph."""
    first, second = (np.array(c.face.box) / np.tile(c.shape, 2) for c in (a, b))
    sides = np.clip(np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2]), 0, None)
    common = sides.prod()
    return float(common / ((first[2:] - first[:2]).prod() + (second[2:] - second[:2]).prod() - common))


def _joined(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Two groupings (N,) in one: whoever shares a group in either shares one here."""
    b = b + a.max() + 1
    count = int(b.max()) + 1
    graph = coo_matrix((np.ones(len(a)), (a, b)), shape=(count, count))
    return connected_components(graph, directed=False)[1][a]


def _groups(numbers: np.ndarray) -> list[list[int]]:
    """Indices of each group, in order of their first member."""
    found: dict[int, list[int]] = {}
    for index, number in enumerate(numbers.tolist()):
        found.setdefault(number, []).append(index)
    return list(found.values())
