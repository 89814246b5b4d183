"""The threshold page in a browser: what the reader moves changes what is drawn and counted."""

import re

import numpy as np
import pytest

from cnnlab.reports.threshold_page import threshold_page

pytestmark = pytest.mark.browser

FACE = [20.0, 20.0, 60.0, 60.0]
NEAR = [32.0, 20.0, 72.0, 60.0]  # IoU 28 / 52 = 0.54 with the face
ASIDE = [40.0, 20.0, 80.0, 60.0]  # IoU 20 / 60 = 0.33
FAR = [100.0, 100.0, 140.0, 140.0]
COUNTS = ("boxes", "true positives", "false positives", "missed")


@pytest.fixture
def page(browser, tmp_path):
    """The opened page: one image with one face, and one with a second face that nothing finds."""
    image = np.full((160, 160, 3), 128, np.uint8)
    first = {
        "nms": ([FACE, FAR], [0.9995, 0.7]),
        "raw": ([FACE, NEAR, FAR, ASIDE], [0.9995, 0.99, 0.7, 0.6]),
    }
    items = [
        {"name": "first.jpg", "image": image, "truths": np.array([FACE]), "detections": first},
        {"name": "second.jpg", "image": image, "truths": np.array([FACE]), "detections": {
            "nms": ([ASIDE], [0.4]), "raw": ([ASIDE], [0.4])}},
    ]  # fmt: skip
    path = tmp_path / "threshold.html"
    path.write_text(threshold_page(items, 0.99, "Threshold"), encoding="utf-8")
    browser.get(path.as_uri())
    yield browser
    # a page that broke says so in the console
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def total(browser) -> dict[str, int]:
    """The counts over all images."""
    cells = browser.find_elements("css selector", "#total td")
    return {name: int(cell.text) for name, cell in zip(COUNTS, cells[1:], strict=True)}


def move(browser, element: str, value: float, event: str = "input") -> None:
    """Set a control as a reader would."""
    script = "const [id, value, event] = arguments, e = document.getElementById(id); e.value = value;"
    script += "e.dispatchEvent(new Event(event))"
    browser.execute_script(script, element, value, event)


def test_the_counts_at_first(page):
    assert total(page) == {"boxes": 1, "true positives": 1, "false positives": 0, "missed": 1}
    assert page.find_element("id", "number").get_attribute("value") == "0.99"
    captions = [element.text for element in page.find_elements("css selector", "figcaption")]
    assert captions == ["first.jpg: 1 of 1 found, 0 false positives", "second.jpg: 0 of 1 found, 0 false positives"]


def test_the_slider_changes_boxes_and_drawing(page):
    def drawing():
        return page.execute_script("return document.querySelector('canvas').toDataURL()")

    before = drawing()
    move(page, "slider", 500)
    assert page.find_element("id", "number").get_attribute("value") == "0.5"
    assert total(page) == {"boxes": 2, "true positives": 1, "false positives": 1, "missed": 1}
    assert drawing() != before
    move(page, "slider", 1000)
    assert total(page) == {"boxes": 0, "true positives": 0, "false positives": 0, "missed": 2}
    move(page, "slider", 0)
    assert total(page)["boxes"] == 3


def test_number_reset_and_criterion(page):
    move(page, "number", 0.9996)
    assert total(page)["boxes"] == 0
    move(page, "number", 0.3)
    assert total(page)["missed"] == 1
    move(page, "iou", "0.3", "change")
    assert total(page) == {"boxes": 3, "true positives": 2, "false positives": 1, "missed": 0}
    page.find_element("id", "reset").click()
    assert total(page)["boxes"] == 1


def test_raw_windows_and_their_repeats(page):
    move(page, "number", 0.5)
    page.find_element("id", "nms").click()
    assert total(page) == {"boxes": 4, "true positives": 1, "false positives": 3, "missed": 1}
    note = page.find_element("id", "note").text
    assert re.match("1 of the false positives are further windows", note)


def test_keys_move_the_slider(page):
    before = float(page.find_element("id", "number").get_attribute("value"))
    page.find_element("id", "slider").send_keys("\ue012")  # arrow left
    assert 0.9 < float(page.find_element("id", "number").get_attribute("value")) < before
