"""One HTML file on which a slider moves the detector's threshold and the boxes on a few images follow.

The file is complete in itself: images, boxes and program are inside, nothing is fetched and nothing is stored, so
it works from disk, from a mail and in the sandboxed frame of MLflow's artifact viewer.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

LOWEST_RAW_SCORE = 0.05
MOST_RAW_BOXES = 2000
_LARGEST_SIDE = 1024  # pixels of an embedded image; boxes are scaled with it
_JPEG_QUALITY = 85


def threshold_page(
    items: Sequence[Mapping[str, Any]], default_threshold: float, title: str, iou_threshold: float = 0.5
) -> str:
    """The page as text, to be written to an .html file.

    Args:
        items: one mapping per image with `name`, `image` (uint8 (H, W, 3)), `truths` ((M, 4) as x1, y1, x2, y2 in
            pixels) and `detections` = {"nms": (boxes (N, 4), scores (N,)), "raw": (boxes, scores)}, both made with
            a threshold low enough for the slider to have something to hide.
        default_threshold: where the slider stands at first.
        title: the heading.
        iou_threshold: the criterion that is chosen at first, 0.3 or 0.5.

    Raw windows below `LOWEST_RAW_SCORE` and beyond the best `MOST_RAW_BOXES` of an image are left out, and the page
    says so when the threshold reaches them.

    Raises:
        ValueError: no item, a threshold outside 0..1, another criterion, or boxes and scores of different lengths.
    """
    if not items:
        raise ValueError("the threshold page needs at least one image")
    if not 0 <= default_threshold <= 1:
        raise ValueError(f"the threshold {default_threshold} lies outside 0..1")
    if iou_threshold not in (0.3, 0.5):
        raise ValueError(f"the page knows the criteria 0.3 and 0.5, not {iou_threshold}")
    data = {
        "threshold": float(default_threshold),
        "iou": str(iou_threshold),
        "images": [_image_data(item) for item in items],
    }
    environment = Environment(loader=PackageLoader("cnnlab.reports"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("threshold_page.html").render(title=title, data=data)


def _image_data(item: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's program needs of one image; the boxes are in the embedded image's pixels, best score first."""
    image = Image.fromarray(item["image"])
    scale = min(1.0, _LARGEST_SIDE / max(image.size))
    if scale < 1:
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    raw, cut = _capped(*_sorted(item, "raw"))
    return {
        "name": str(item["name"]),
        "width": image.width,
        "height": image.height,
        "src": "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"),
        "truths": _rounded(np.asarray(item["truths"], np.float64).reshape(-1, 4) * scale, 1),
        "nms": _rows(*_sorted(item, "nms"), scale),
        "raw": _rows(*raw, scale),
        "raw_cut": cut,
    }


def _sorted(item: Mapping[str, Any], kind: str) -> tuple[np.ndarray, np.ndarray]:
    boxes, scores = item["detections"][kind]
    boxes, scores = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(scores, np.float64).reshape(-1)
    if len(boxes) != len(scores):
        raise ValueError(f"{item['name']}: {len(boxes)} {kind} boxes but {len(scores)} scores; give one score per box")
    order = np.argsort(-scores, kind="stable")
    return boxes[order], scores[order]


def _capped(boxes: np.ndarray, scores: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], float]:
    """The windows that go into the page, and the score at or below which some were left out (0: none was)."""
    keep = min(int((scores >= LOWEST_RAW_SCORE).sum()), MOST_RAW_BOXES)
    cut = float(scores[keep]) if keep < len(scores) else 0.0
    return (boxes[:keep], scores[:keep]), cut


def _rows(boxes: np.ndarray, scores: np.ndarray, scale: float) -> list[list[float]]:
    """[x1, y1, x2, y2, score] per box; seven digits keep scores just below one apart from each other."""
    rows = zip(_rounded(boxes * scale, 1), _rounded(scores, 7), strict=True)
    return [[*box, score] for box, score in rows]


def _rounded(values: np.ndarray, digits: int) -> list[Any]:
    return np.round(values, digits).tolist()
