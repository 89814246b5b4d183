"""Copies of a picture are found through size, compression and format; different pictures are not."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.embedded import package_file
from cnnlab.data.made_leak import draw_creature
from cnnlab.evaluation.image_cues import measure_file
from cnnlab.evaluation.near_duplicates import near_duplicates


@pytest.fixture(scope="module")
def tiles() -> list[Image.Image]:
    """Twelve different pieces of two photographs."""
    pages = [Image.open(package_file("sklearn", name)).convert("RGB") for name in ("china.jpg", "flower.jpg")]
    return [p.crop((x, y, x + 200, y + 200)) for p in pages for x in (0, 210, 420) for y in (0, 210)]


def groups_of(paths, labels=None, splits=None):
    given = (None if values is None else np.array(values) for values in (labels, splits))
    return near_duplicates([measure_file(path, cues=False) for path in paths], *given)


def saved(pages, folder, **options):
    paths = []
    for number, page in enumerate(pages):
        paths.append(folder / f"{number:02d}.png")
        page.save(paths[-1], **options)
    return paths


def test_different_pictures_are_no_duplicates(tiles, tmp_path):
    groups, numbers = groups_of(saved(tiles, tmp_path))
    assert groups == [] and len(set(numbers.tolist())) == len(tiles)


def test_copies_are_found_however_they_were_stored(tiles, tmp_path):
    paths = saved(tiles, tmp_path)
    for name, page, options in (
        ("same.png", tiles[3], {}), ("coarse.jpg", tiles[3], {"quality": 25}),
        ("small.png", tiles[3].resize((70, 70)), {}), ("large.jpg", tiles[3].resize((333, 333)), {"quality": 60}),
        ("other.png", tiles[7].resize((64, 64)), {}),
    ):  # fmt: skip
        paths.append(tmp_path / name)
        page.save(paths[-1], **options)
    groups, numbers = groups_of(paths)
    assert {group.members for group in groups} == {(3, 12, 13, 14, 15), (7, 16)}
    assert not any(group.identical for group in groups) and numbers[3] == numbers[14] != numbers[7]


def test_contradictions_come_first_then_copies_across_splits(tiles, tmp_path):
    paths = saved([*tiles[:4], *tiles[:3]], tmp_path)
    labels, splits = [0, 0, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 1, 1]
    groups, _ = groups_of(paths, labels, splits)
    assert [group.kind for group in groups] == ["two_classes", "across_splits", "within_split"]
    assert [group.members for group in groups] == [(2, 6), (1, 5), (0, 4)] and all(group.identical for group in groups)


def test_flat_pictures_are_the_same_only_in_the_same_colour(tmp_path):
    paths = saved([Image.new("RGB", (50, 50), (grey, grey, grey)) for grey in (0, 0, 120, 255)], tmp_path)
    assert [group.members for group in groups_of(paths)[0]] == [(0, 1)]


def test_one_background_does_not_make_copies(tmp_path):
    rng = np.random.default_rng(0)
    creature = draw_creature("pockets", rng)
    pages = []
    for shift in (0, 90):  # the same outline in two colours
        red, green, blue, alpha = creature.split()
        page = Image.new("RGB", creature.size, (255, 255, 255))
        page.paste(Image.merge("RGB", (red.point(lambda v, s=shift: (v + s) % 256), green, blue)), mask=alpha)
        pages.append(page)
    assert groups_of(saved(pages, tmp_path))[0] == []
