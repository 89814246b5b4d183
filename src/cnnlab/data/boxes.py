"""Face boxes from files: csv, or text or npy per image; always returned as x1, y1, x2, y2 in pixels."""

import csv
import os
from pathlib import Path

import numpy as np

from cnnlab.data.images import SUFFIXES, list_images
from cnnlab.errors import DataError

_NAME_COLUMNS = ("image", "name", "file", "filename", "file_name", "image_name", "path")
_CORNER_COLUMNS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"))
_SIZE_COLUMNS = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("x1", "y1", "width", "height"))


def _as_boxes(rows: object, source: str) -> np.ndarray:
    """Rows of four finite numbers as float32 (N, 4) with x1 < x2 and y1 < y2."""
    boxes = np.asarray(rows, dtype=np.float64)
    if boxes.size == 0:
        return np.zeros((0, 4), np.float32)
    boxes = boxes[None] if boxes.ndim == 1 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise DataError(f"{source}: boxes of shape {boxes.shape}, expected (N, 4): x1, y1, x2, y2 in each row.")
    if not np.isfinite(boxes).all():
        raise DataError(f"{source}: a box holds a value that is no finite number; correct the row.")
    for box in boxes:
        if box[2] <= box[0] or box[3] <= box[1]:
            raise DataError(
                f"{source}: box {_text(box)} has x2 <= x1 or y2 <= y1; "
                "expected x1, y1, x2, y2 (a csv may have the columns x, y, width, height instead)."
            )
    return boxes.astype(np.float32)


def _text(box: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"


def check_boxes(boxes: np.ndarray, width: int, height: int, source: str | os.PathLike[str]) -> np.ndarray:
    """Boxes (N, 4) as float32, clipped to an image of `width` x `height` pixels.

    An overhang of up to one pixel is rounding and is clipped; `source` names the image in the sentence otherwise.

    Raises:
        DataError: x2 <= x1 or y2 <= y1, a value that is not finite, or a box that leaves the image by more.
    """
    boxes = _as_boxes(boxes, str(source))
    limit = np.array([width, height, width, height], np.float32)
    for box in boxes:
        if (box < -1).any() or (box > limit + 1).any():
            raise DataError(
                f"{source}: box {_text(box)} lies outside the image of {width}x{height} pixels; "
                "correct the box or give the image it was drawn on."
            )
    clipped = np.clip(boxes, 0, limit)
    if (clipped[:, 2:] <= clipped[:, :2]).any():
        raise DataError(f"{source}: a box lies outside the image of {width}x{height} pixels; correct or remove it.")
    return clipped


def _columns(header: list[str], path: Path) -> tuple[str, tuple[str, ...], bool]:
    """Name column, four value columns, and whether the last two are a width and a height."""
    name = next((column for column in _NAME_COLUMNS if column in header), None)
    corners = next((four for four in _CORNER_COLUMNS if set(four) <= set(header)), None)
    sizes = next((four for four in _SIZE_COLUMNS if set(four) <= set(header)), None)
    if name is None or (corners is None and sizes is None):
        raise DataError(
            f"{path}: columns {', '.join(header) or '(none)'}; expected a first line "
            "image,x1,y1,x2,y2 or image,x,y,width,height."
        )
    return name, corners or sizes or (), corners is None


def _read_csv(path: Path) -> dict[str, np.ndarray]:
    rows: dict[str, list[list[float]]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            reader.fieldnames = [column.strip().lower() for column in reader.fieldnames or []]
            name_column, four, sized = _columns(list(reader.fieldnames), path)
            for row in reader:
                source = f"{path}, line {reader.line_num}"
                name = (row[name_column] or "").strip()
                texts = [(row[column] or "").strip() for column in four]
                if not name:
                    raise DataError(f"{source}: no image name; correct the line.")
                boxes = rows.setdefault(name, [])
                if not any(texts):  # a name alone: a photograph without faces
                    continue
                try:
                    box = [float(text) for text in texts]
                except ValueError:
                    raise DataError(f"{source}: {','.join(texts)} is not four numbers; correct the line.") from None
                if sized:
                    box = [box[0], box[1], box[0] + box[2], box[1] + box[3]]
                boxes.append(_as_boxes(box, source)[0].tolist())
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DataError(f"{path}: not a csv file that can be read ({error}); save it as plain UTF-8 text.") from None
    return {name: _as_boxes(boxes, str(path)) for name, boxes in rows.items()}


def _read_text(path: Path) -> np.ndarray:
    boxes: list[list[float]] = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: not a text file that can be read ({error}); expected rows x1 y1 x2 y2.") from None
    for number, line in enumerate(lines, start=1):
        values = line.split("#")[0].replace(",", " ").replace(";", " ").split()
        if not values:
            continue
        source = f"{path}, line {number}"
        try:
            box = [float(value) for value in values]
        except ValueError:
            raise DataError(f"{source}: '{line.strip()[:60]}' is not a row x1 y1 x2 y2; correct it.") from None
        if len(box) != 4:
            raise DataError(f"{source}: {len(box)} numbers, expected four: x1 y1 x2 y2.")
        boxes.append(_as_boxes(box, source)[0].tolist())
    return _as_boxes(boxes, str(path))


def _read_npy(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
        if array.dtype.kind not in "iuf":
            raise ValueError(f"values of type {array.dtype}")
    except (ValueError, OSError, EOFError, SyntaxError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: not a box file that can be read ({reason}); "
            "save a plain (N, 4) array of x1, y1, x2, y2 with numpy.save."
        ) from None
    return _as_boxes(array, str(path))


def _read_one(path: Path) -> np.ndarray:
    return _read_npy(path) if path.suffix.lower() == ".npy" else _read_text(path)


def read_boxes(path: str | os.PathLike[str], images_dir: str | os.PathLike[str] | None = None) -> dict[str, np.ndarray]:
    """Boxes of each image: image name -> float32 (N, 4), x1, y1, x2, y2 in pixels.

    Args:
        path: a csv (`image,x1,y1,x2,y2` or `image,x,y,width,height`; a name with empty values has no faces), or
            a folder or one file of per-image `NAME.txt` or `NAME.npy` with rows x1, y1, x2, y2 (no rows: no faces).
        images_dir: where the images lie. Names are then completed (`a.txt` -> `a.jpg`), and a box file or row
            whose image is not there is an error. Without it a per-image file keeps its own stem as the name.

    Raises:
        DataError: the file or folder is missing or unreadable, a row is wrong, or its image is missing.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in (".txt", ".npy") and not p.name.startswith("."))
        tables = sorted(path.glob("*.csv"))
        if not files and len(tables) == 1:
            return read_boxes(tables[0], images_dir)
        if not files:
            raise DataError(f"{path}: no box files in this folder; expected NAME.txt, NAME.npy or one csv.")
    elif path.suffix.lower() in (".txt", ".npy") and path.is_file():
        files = [path]
    elif path.is_file():
        boxes = _read_csv(path)
        return boxes if images_dir is None else _complete(boxes, images_dir, path)
    else:
        raise DataError(f"{path}: there is no such box file or folder; check the name.")
    found: dict[str, np.ndarray] = {}
    for file in files:
        if file.stem in found:
            raise DataError(f"{file}: the boxes of '{file.stem}' are there twice (.txt and .npy); keep one.")
        found[file.stem] = _read_one(file)
    return found if images_dir is None else _complete(found, images_dir, path)


def _complete(boxes: dict[str, np.ndarray], images_dir: str | os.PathLike[str], source: Path) -> dict[str, np.ndarray]:
    """The same boxes under the file names of the images in `images_dir`."""
    images = list_images(images_dir)
    names = {image.name for image in images}
    stems: dict[str, list[str]] = {}
    for image in images:
        stems.setdefault(image.stem, []).append(image.name)
    completed: dict[str, np.ndarray] = {}
    for name, rows in boxes.items():
        plain = Path(name).name if Path(name).suffix.lower() in SUFFIXES else name
        matches = [plain] if plain in names else stems.get(plain, [])
        if len(matches) > 1:
            raise DataError(f"{source}: boxes of '{name}' fit several images ({', '.join(matches)}); name one exactly.")
        if not matches:
            raise DataError(f"{source}: boxes for '{name}', but no such image in {images_dir}; add it or remove them.")
        if matches[0] in completed:
            raise DataError(f"{source}: the boxes of '{matches[0]}' are there under two names; keep one.")
        completed[matches[0]] = rows
    return completed
