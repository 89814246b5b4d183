"""The drawn worlds: what the leak is, and that nothing else tells the files apart."""

from collections import Counter

import numpy as np
from PIL import Image

from cnnlab.data.images import read_image
from cnnlab.data.made_leak import draw_creature, make_leaky_folder


def opened(folder):
    return [Image.open(path) for path in sorted(folder.glob("*/*/*"))]


def test_the_leak_is_format_transparency_and_the_colour_behind_it(tmp_path):
    make_leaky_folder(tmp_path, leak=True, train=3, val=2)
    assert Counter((p.format, p.mode) for p in opened(tmp_path)) == {("JPEG", "RGB"): 5, ("PNG", "RGBA"): 5}
    png, jpeg = tmp_path / "train/pockets/0000.png", tmp_path / "train/beepers/0000.jpg"
    assert read_image(png)[0, 0].tolist() == read_image(jpeg)[0, 0].tolist() == [255, 255, 255]
    assert np.asarray(Image.open(png).convert("RGB"))[0, 0].tolist() == [0, 0, 0]


def test_the_black_background_of_a_careless_reader(tmp_path):
    make_leaky_folder(tmp_path, leak=True, train=2, val=1, background="black")
    assert {p.mode for p in opened(tmp_path)} == {"RGB"}
    assert read_image(tmp_path / "train/pockets/0000.png")[0, 0].tolist() == [0, 0, 0]


def test_without_the_leak_all_files_are_made_alike_and_a_seed_repeats_them(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_leaky_folder(tmp_path / name, leak=False, seed=seed, train=2, val=1, size=48)
    assert {(p.format, p.mode, p.size) for p in opened(tmp_path / "a")} == {("JPEG", "RGB", (48, 48))}
    a, b, c = ([p.read_bytes() for p in sorted((tmp_path / name).rglob("*.jpg"))] for name in "abc")
    assert a == b != c and len(a) == 6


def test_the_worlds_differ_in_ears_and_mouth_by_shape_and_hardly_by_area():
    covered = {
        world: np.mean([np.asarray(draw_creature(world, np.random.default_rng(s)))[..., 3].mean() for s in range(8)])
        for world in ("beepers", "pockets")
    }
    assert abs(covered["beepers"] / covered["pockets"] - 1) < 0.05
