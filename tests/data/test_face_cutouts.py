"""Faces cut out by their boxes: known pixels, bad files, and the same face told from another."""

import hashlib
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.face_cutouts import Cutout, cut_face, sort_out
from cnnlab.data.face_division import SPLITS, divide
from cnnlab.data.face_list import ListedFace
from cnnlab.data.partial import Refused
from cnnlab.errors import DataError
from cnnlab.evaluation.image_cues import measure_file


def listed(box=(10, 20, 30, 40), person="Ann Doe", face=1, sha="ab" * 32) -> ListedFace:
    return ListedFace(person, person.split()[-1].lower(), face, "http://host/a.jpg", box, sha, f"list.txt, line {face}")


def photograph(seed: int, width=80, height=60) -> Image.Image:
    """Coarse noise, unlike any other seed's."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 10, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp"])
def test_the_box_is_rows_y1_to_y2_and_columns_x1_to_x2(tmp_path, suffix):
    pixels = np.asarray(photograph(0))
    path = tmp_path / f"a{suffix}"
    Image.fromarray(pixels).save(path, lossless=True)
    path.rename(tmp_path / "no suffix")
    assert np.array_equal(cut_face(tmp_path / "no suffix", listed(), 20), pixels[20:40, 10:30])
    whole = cut_face(tmp_path / "no suffix", listed((0, 0, 80, 60)), 24)
    assert whole.shape == (24, 24, 3) and whole.dtype == np.uint8


def test_the_box_counts_stored_pixels_whatever_the_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph(0).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(cut_face(tmp_path / "a.png", listed(), 20), np.asarray(photograph(0))[20:40, 10:30])


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "LA", "1", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    picture = photograph(0).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    picture.save(path)
    assert cut_face(path, listed(), 16).shape == (16, 16, 3)


def test_transparent_parts_are_white(tmp_path):
    Image.new("RGBA", (80, 60), (200, 0, 0, 0)).save(tmp_path / "a.png")
    assert (cut_face(tmp_path / "a.png", listed(), 16) == 255).all()
    palette = Image.new("RGB", (80, 60), "navy").quantize(4)
    palette.save(tmp_path / "b.png", transparency=palette.getpixel((0, 0)))
    assert (cut_face(tmp_path / "b.png", listed(), 16) == 255).all()


@pytest.mark.parametrize(
    "box", [(-1, 0, 10, 10), (0, -5, 10, 10), (70, 10, 81, 30), (10, 50, 30, 61), (90, 70, 99, 99)]
)
def test_a_box_outside_its_picture(tmp_path, box):
    photograph(0).save(tmp_path / "a.png")
    with pytest.raises(Refused, match=r"line 1: abab.* has 80x60 pixels, and the box .* is not inside") as told:
        cut_face(tmp_path / "a.png", listed(box), 20)
    assert told.value.reason == "box outside its picture"


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it has side x side pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("body", "reason"), [
    (b"<html>no picture</html>", "not a picture"), (b"", "not a picture"), (bomb(8000), "decompression bomb"),
    (bomb(60_000), "decompression bomb"), (bomb(100), "damaged picture"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 80 60\n%%EndComments\n", "not a picture"),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_harmless_picture(tmp_path, body, reason):
    (tmp_path / "a").write_bytes(body)
    with pytest.raises(Refused) as told:
        cut_face(tmp_path / "a", listed(), 20)
    assert told.value.reason == reason and "\n" not in str(told.value)


def test_a_truncated_picture_is_damaged(tmp_path):
    photograph(0).save(tmp_path / "a.jpg")
    body = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(body[: len(body) // 2])
    with pytest.raises(Refused, match="is a damaged picture"):
        cut_face(tmp_path / "a.jpg", listed(), 20)


@pytest.fixture
def cut(tmp_path):
    """Makes a Cutout of a photograph."""

    def make(picture: Image.Image, number: int, box=(10, 10, 50, 50), person="Ann Doe", quality=95) -> Cutout:
        path, out = tmp_path / f"{number}.jpg", tmp_path / f"{number}.png"
        picture.save(path, quality=quality)
        face = listed(box, person, number, hashlib.sha256(path.read_bytes()).hexdigest())
        Image.fromarray(cut_face(path, face, 64)).save(out)
        return Cutout(face, out, measure_file(out, cues=False), measure_file(path, cues=False), picture.size)

    return make


def test_the_largest_of_the_same_faces_is_kept(cut):
    small, other = photograph(1), photograph(2)
    faces = [
        cut(small, 1),
        cut(small.resize((160, 120)), 2, (20, 20, 100, 100)),
        cut(other, 3),
        cut(small, 4, quality=50),
    ]
    kept, refused, groups = sort_out(faces)
    assert kept == [1, 2] and {index: r.reason for index, r in refused.items()} == dict.fromkeys(
        (0, 3), "duplicate by looks"
    )
    assert str(refused[0]) == "list.txt, line 1: Ann Doe's face 1 is the face 2 once more."
    assert groups[0] == groups[1] == groups[3] != groups[2]


def test_boxes_a_little_apart_in_one_file_are_a_duplicate_by_hash(cut):
    kept, refused, _ = sort_out([cut(photograph(1), 1), cut(photograph(1), 2, (11, 11, 52, 52))])
    assert kept == [1] and refused[0].reason == "duplicate by hash"


def test_two_people_of_one_photograph_are_kept_and_stay_together(cut):
    wide = photograph(5, 200, 90)
    faces = [cut(wide, 1), cut(wide, 2, (120, 20, 180, 80), "Bob Roe"), cut(photograph(6), 3)]
    kept, refused, groups = sort_out(faces)
    assert kept == [0, 1, 2] and not refused and groups[0] == groups[1] != groups[2]


def test_one_face_under_two_names_is_kept_for_nobody(cut):
    kept, refused, _ = sort_out([cut(photograph(1), 1), cut(photograph(1), 2, person="Bob Roe"), cut(photograph(2), 3)])
    assert kept == [2] and {r.reason for r in refused.values()} == {"two names"}
    assert "listed as Ann Doe and as Bob Roe" in str(refused[0])


def test_nothing_to_sort_out():
    assert sort_out([])[:2] == ([], {})


def many(ann: int, bob: int) -> list[ListedFace]:
    return [listed(person="Ann Doe" if n < ann else "Bob Roe", face=n, sha=f"{n:064x}") for n in range(ann + bob)]


def by_split(faces, splits, person) -> list[int]:
    return [sum(f.folder == person and s == split for f, s in zip(faces, splits, strict=True)) for split in SPLITS]


def test_so_many_of_each_person_for_training_and_the_rest_halved():
    faces = many(19, 14)
    splits = divide(faces, np.arange(33), ["doe", "roe"], 10, seed=3)
    assert by_split(faces, splits, "doe") == [10, 5, 4] and by_split(faces, splits, "roe") == [10, 2, 2]
    assert splits != divide(faces, np.arange(33), ["doe", "roe"], 10, seed=4)
    order = np.random.default_rng(0).permutation(33)
    assert divide([faces[i] for i in order], order, ["doe", "roe"], 10, seed=3) == [splits[i] for i in order]


@pytest.mark.parametrize("seed", range(5))
def test_faces_of_one_picture_are_in_one_set(seed):
    faces = many(24, 20)
    rng = np.random.default_rng(seed)
    groups = np.where(rng.random(44) < 0.4, rng.integers(0, 5, 44), np.arange(44) + 100)
    splits = np.array(divide(faces, groups, ["doe", "roe"], 8, seed))
    assert all(len(set(splits[groups == group])) == 1 for group in groups)
    assert by_split(faces, splits, "doe")[0] == by_split(faces, splits, "roe")[0] == 8


@pytest.mark.parametrize(("ann", "bob", "words"), [(69, 80, "69 of doe;"), (73, 80, "73 of doe;"), (80, 0, "0 of roe;"),
                                                   (3, 4, "3 of doe, 4 of roe;")])  # fmt: skip
def test_too_few_of_a_person(ann, bob, words):
    with pytest.raises(DataError, match=f"Too few pictures: {words} 70 of each are for training"):
        divide(many(ann, bob), np.arange(ann + bob), ["doe", "roe"], 70)


def test_pictures_that_must_stay_together_can_leave_too_few():
    with pytest.raises(DataError, match="Too few pictures: 10 of doe"):
        divide(many(10, 0), np.zeros(10), ["doe"], 5)
