"""The threshold page holds all it needs, and nothing that a name or a title could break."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from cnnlab.reports.threshold_page import LOWEST_RAW_SCORE, MOST_RAW_BOXES, threshold_page


def item(name: str = "photo.jpg", size: tuple[int, int] = (60, 80), windows: int = 5) -> dict:
    """One image with windows of falling score and one true box."""
    boxes = np.tile([10.0, 12.0, 40.0, 44.0], (windows, 1))
    scores = np.linspace(0.99, 0.01, windows)
    detections = {"nms": (boxes[:2], scores[:2][::-1]), "raw": (boxes, scores)}
    image = np.full((*size, 3), 120, np.uint8)
    return {"name": name, "image": image, "truths": boxes[:1], "detections": detections}


def embedded(page: str) -> dict:
    """The data inside of the page."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))


def test_the_page_holds_images_boxes_and_truths():
    data = embedded(threshold_page([item(), item("b.jpg")], 0.9, "Threshold", iou_threshold=0.3))
    assert data["threshold"] == 0.9
    assert data["iou"] == "0.3"
    assert [image["name"] for image in data["images"]] == ["photo.jpg", "b.jpg"]
    first = data["images"][0]
    picture = Image.open(io.BytesIO(base64.b64decode(first["src"].partition("base64,")[2])))
    assert picture.size == (first["width"], first["height"]) == (80, 60)
    assert first["truths"] == [[10.0, 12.0, 40.0, 44.0]]
    assert [row[4] for row in first["nms"]] == sorted((row[4] for row in first["nms"]), reverse=True)


def test_the_page_fetches_nothing():
    page = threshold_page([item()], 0.9, "Threshold")
    assert "http:" not in page and "https:" not in page
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)""", page)
    assert "localStorage" not in page


def test_names_and_titles_are_escaped():
    page = threshold_page([item('</script><script>alert("x")</script>.jpg')], 0.9, "<b>title</b> & more")
    assert "<b>title" not in page
    assert "<script>alert" not in page
    assert embedded(page)["images"][0]["name"].startswith("</script>")


def test_raw_windows_are_capped_and_the_page_knows_it():
    data = embedded(threshold_page([item(windows=3 * MOST_RAW_BOXES), item(windows=5)], 0.9, "t"))["images"]
    assert len(data[0]["raw"]) == MOST_RAW_BOXES
    assert 0.6 < data[0]["raw_cut"] < 0.7
    assert min(row[4] for row in data[1]["raw"]) >= LOWEST_RAW_SCORE
    assert data[1]["raw_cut"] == pytest.approx(0.01)


def test_a_large_image_shrinks_with_its_boxes():
    image = embedded(threshold_page([item(size=(1024, 2048))], 0.9, "t"))["images"][0]
    assert (image["width"], image["height"]) == (1024, 512)
    assert image["truths"] == [[5.0, 6.0, 20.0, 22.0]]


def test_an_image_without_faces_or_detections():
    empty = item() | {"truths": np.zeros((0, 4)), "detections": dict.fromkeys(("nms", "raw"), (np.zeros((0, 4)), []))}
    assert embedded(threshold_page([empty], 0.5, "t"))["images"][0]["nms"] == []


@pytest.mark.parametrize("threshold", [-0.1, 1.5])
def test_a_threshold_outside_is_refused(threshold):
    with pytest.raises(ValueError, match="outside 0..1"):
        threshold_page([item()], threshold, "t")


def test_boxes_without_scores_are_refused():
    broken = item() | {"detections": {"nms": (np.zeros((2, 4)), [0.5]), "raw": (np.zeros((0, 4)), [])}}
    with pytest.raises(ValueError, match="photo.jpg: 2 nms boxes but 1 scores"):
        threshold_page([broken], 0.5, "t")
