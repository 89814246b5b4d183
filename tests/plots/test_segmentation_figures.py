"""Figures of segmentation: the colour code, pixels that stay sharp, words and legends, and input that does not fit."""

import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from cnnlab.data.scene_classes import COLOURS, SCENE_CLASSES, THREE_CLASS_NAMES, THREE_COLOURS
from cnnlab.plots.segmentation import colourise, iou_bars, scene_sheet, trimap_curves
from cnnlab.plots.style import DPI


def render(figure: Figure) -> np.ndarray:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return np.asarray(Image.open(buffer).convert("RGB"))


def texts(figure: Figure) -> str:
    return "\n".join(part.get_text() for part in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def holds(picture: np.ndarray, part: np.ndarray) -> bool:
    """Whether `part` occurs in `picture` pixel by pixel."""
    height, width = part.shape[:2]
    corners = np.argwhere((picture[: -height + 1, : -width + 1] == part[0, 0]).all(-1))
    return any(np.array_equal(picture[y : y + height, x : x + width], part) for y, x in corners)


def noise(count=1, size=(60, 340), classes=11):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (count, 3, *size), generator=generator, dtype=torch.uint8)
    truths, predictions = (torch.randint(0, classes, (count, *size), generator=generator) for _ in range(2))
    return images, truths, predictions


def test_colourise_is_the_courses_colour_code():
    mask = torch.tensor([[0, 3, 10], [255, 11, 8]])
    assert colourise(mask, COLOURS).tolist() == [
        [[128, 128, 128], [128, 64, 128], [0, 128, 192]],
        [[0, 0, 0], [0, 0, 0], [64, 0, 128]],
    ]
    assert colourise(mask.expand(2, 2, 3), COLOURS).dtype == np.uint8


@pytest.mark.parametrize(("size", "zoom"), [((60, 340), 1), ((20, 110), 3)])
def test_every_pixel_is_whole_pixels_of_the_figure(size, zoom):
    images, truths, predictions = noise(2, size)
    truths[0, :5] = 255
    picture = render(scene_sheet(images, truths, predictions, SCENE_CLASSES, COLOURS, ["a", "b"]))
    for row in range(2):
        for part in (
            images[row].permute(1, 2, 0).numpy(), colourise(truths[row], COLOURS), colourise(predictions[row], COLOURS)
        ):  # fmt: skip
            assert holds(picture, part.repeat(zoom, 0).repeat(zoom, 1))


def test_a_sheet_names_scenes_classes_and_what_is_right():
    images, truths, predictions = noise()
    predictions[:] = truths
    predictions[:, :15] = (truths[:, :15] + 1) % 11
    words = texts(scene_sheet(images, truths, predictions, SCENE_CLASSES, COLOURS, ["val/a.png"]))
    assert "val/a.png" in words and "prediction: 75.0 % of the labelled pixels right" in words
    assert all(name in words for name in SCENE_CLASSES) and "not labelled" not in words
    truths[:, :15] = 255
    words = texts(scene_sheet(images, truths, predictions, SCENE_CLASSES, COLOURS))
    assert "100.0 % of the labelled pixels right" in words and "not labelled" in words


def test_a_sheet_without_truth_or_without_prediction_or_with_several_sizes():
    images, truths, predictions = noise(classes=3)
    for one in (
        scene_sheet(images, truths, None, THREE_CLASS_NAMES, THREE_COLOURS),
        scene_sheet(images, None, predictions, THREE_CLASS_NAMES, THREE_COLOURS),
        scene_sheet([images[0], images[0][:, :30, :50]], None, [truths[0], truths[0][:30, :50]], THREE_CLASS_NAMES,
                    THREE_COLOURS),
    ):  # fmt: skip
        assert "% of" not in texts(one) and render(one).std() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": []}, "there is no scene to show"),
        ({"colours": COLOURS[:-1]}, "11 colours do not fit 11 classes; one more than classes is needed"),
        ({"predictions": torch.zeros(1, 2, 2)}, "prediction: the masks do not fit the 1 images in number and size"),
        ({"truths": torch.zeros(3, 60, 340)}, "truth: the masks do not fit"),
        ({"names": ["a", "b"]}, "2 names do not fit 1 images"),
    ],
)
def test_sheets_of_what_does_not_fit(change, message):
    images, truths, predictions = noise()
    given = {"images": images, "truths": truths, "predictions": predictions, "classes": SCENE_CLASSES}
    with pytest.raises(ValueError, match=message):
        scene_sheet(**{**given, "colours": COLOURS, **change})


def test_iou_bars_of_one_network_in_the_classes_colours():
    figure = iou_bars({"fcn8s": torch.tensor([0.5, float("nan"), 1.0])}, THREE_CLASS_NAMES, THREE_COLOURS)
    bars = figure.axes[0].patches
    assert [bar.get_facecolor()[:3] for bar in bars][:3] == [tuple(c / 255) for c in THREE_COLOURS[:3]]
    assert bars[-1].get_height() == pytest.approx(0.75)  # the mean leaves out what does not occur
    assert render(figure).std() > 0


def test_iou_bars_of_two_networks_show_means_over_seeds():
    ious = np.array([[0.4, 0.6, 0.8], [0.6, 0.6, 0.8]])
    figure = iou_bars({"fcn8s": ious, "fcn32s": ious[0]}, THREE_CLASS_NAMES)
    assert figure.axes[0].patches[0].get_height() == pytest.approx(0.5)
    words = texts(figure)
    assert "fcn8s (2 seeds)" in words and "fcn32s" in words and "mean ± standard deviation over seeds" in words
    render(figure)
    with pytest.raises(ValueError, match=r"fcn8s: values of shape \(2, 3\) do not fit 11 classes"):
        iou_bars({"fcn8s": ious}, SCENE_CLASSES)


def test_trimap_curves():
    curve = np.linspace(0.4, 0.7, 4)
    figure = trimap_curves([1, 2, 3, 4], {"fcn8s": np.stack([curve, curve + 0.02]), "fcn32s": curve - 0.1})
    lines = figure.axes[0].lines
    assert lines[0].get_ydata() == pytest.approx(curve + 0.01) and lines[1].get_ydata() == pytest.approx(curve - 0.1)
    render(figure)
    with pytest.raises(ValueError, match="there is no network to draw"):
        trimap_curves([1], {})
