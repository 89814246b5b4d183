"""The sheets of explain and features_explore show what they are given."""

import io

import numpy as np
import pytest

from cnnlab.plots.explain import attribution_sheet, region_shares
from cnnlab.plots.features import embedding_map, retrieval_sheet

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 255, (3, 3, 12, 10), dtype=np.uint8)


def texts(figure) -> str:
    figure.savefig(io.BytesIO(), dpi=40)  # drawing runs the layout
    return "\n".join(part.get_text() for part in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_a_row_for_each_image_with_its_shares():
    maps = RNG.random((3, 12, 10))
    shares = {"saliency": np.array([0.25, 0.5, 0.75]), "Grad-CAM": np.array([1.0, np.nan, 0.1])}
    guided = RNG.normal(size=IMAGES.shape)
    figure = attribution_sheet(IMAGES, maps, guided, maps * 0, ["cat 90%", "dog 51%", "cat 60%, is dog"], shares,
                               "border", "Why", [False, False, True])  # fmt: skip
    said = texts(figure)
    assert len(figure.axes) == 12
    assert {"cat 90%", "25% in border", "100% in border", "no evidence for the class", "Why"} <= set(said.split("\n"))
    colours = [axes.title.get_color() for axes in figure.axes] + [a._left_title.get_color() for a in figure.axes]
    assert any(str(c).upper() == "#D55E00" for c in colours), "a wrong answer stands out"


def test_guided_is_grey_where_it_is_zero_and_strongest_where_it_is_largest():
    guided = np.zeros((1, 3, 4, 4))
    guided[0, 0, 1, 2], guided[0, 1, 3, 3] = 2.0, -2.0
    maps = np.zeros((1, 4, 4))
    figure = attribution_sheet(IMAGES[:1, :, :4, :4], maps, guided, maps, ["x"])
    shown = np.asarray(figure.axes[2].images[0].get_array())
    assert shown[0, 0].tolist() == [0.5, 0.5, 0.5] and shown[1, 2, 0] == 1.0 and shown[3, 3, 1] == 0.0


def test_counts_that_differ_are_refused():
    with pytest.raises(ValueError, match="give one each"):
        attribution_sheet(IMAGES, IMAGES[:2, 0], IMAGES, IMAGES[:, 0], ["a"] * 3)


def test_region_shares_with_a_map_that_says_nothing():
    values = {"saliency": np.array([0.2, 0.4]), "Grad-CAM": np.array([np.nan, 0.5])}
    said = texts(region_shares({"first": values, "second": values}, 0.3, "background"))
    assert "share of the area: 30%" in said and "first" in said


def test_a_retrieval_row_names_wrong_neighbours_only():
    neighbours = np.stack([IMAGES, IMAGES])[:, :2]
    figure = retrieval_sheet(
        IMAGES[:2], ["cat", "dog"], neighbours, [["cat", "cow"], ["dog", "dog"]],
        np.array([[True, False], [True, True]]), np.array([[0.9, 0.8], [0.7, 0.6]]), "val asks train",
    )  # fmt: skip
    said = texts(figure)
    assert "0.80 cow" in said and "0.90" in said.split("\n") and "3 of 4 neighbours" in said
    with pytest.raises(ValueError, match="no query"):
        retrieval_sheet(IMAGES[:0], [], neighbours[:0], [], np.zeros((0, 2), bool), np.zeros((0, 2)))


@pytest.mark.parametrize("classes", [2, 30])
def test_every_point_is_in_both_panels(classes):
    plane, labels = RNG.normal(size=(60, 2)), np.arange(60) % classes
    figure = embedding_map(plane, labels, labels[::-1], [f"class {i}" for i in range(classes)], "a title")
    for axes in figure.axes:
        assert sum(len(points.get_offsets()) for points in axes.collections) == 60
    assert ("class 0 (30)" in texts(figure)) == (classes == 2)
