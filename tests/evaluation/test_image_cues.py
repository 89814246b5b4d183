"""Measurements of picture files with known answers."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.errors import DataError
from cnnlab.evaluation.image_cues import COLUMNS, CUES, frame, jpeg_quality, measure_file, pixel_columns


def textured(height=64, width=96, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(side=64) -> np.ndarray:
    ramp = np.linspace(0, 255, side)
    return np.stack([np.tile(ramp, (side, 1)), np.tile(ramp[:, None], (1, side)), np.full((side, side), 99)], 2).astype(
        np.uint8
    )


def test_every_column_of_every_cue_is_measured(tmp_path):
    Image.fromarray(textured()).save(tmp_path / "a.png")
    assert set(measure_file(tmp_path / "a.png").columns) == set(COLUMNS)
    assert {cue.kind for cue in CUES} == {"file", "pixels"} and all(cue.remedy for cue in CUES)


@pytest.mark.parametrize("quality", [30, 50, 75, 95])
def test_the_quality_of_a_jpeg_is_read_from_its_tables(tmp_path, quality):
    Image.fromarray(textured()).save(tmp_path / "a.jpg", quality=quality)
    columns = measure_file(tmp_path / "a.jpg").columns
    assert abs(columns["jpeg_quality"] - quality) <= 2
    with Image.open(tmp_path / "a.jpg") as picture:
        assert jpeg_quality(picture.quantization[0]) == columns["jpeg_quality"]


def test_subsampling_and_progression_are_read(tmp_path):
    Image.fromarray(textured()).save(tmp_path / "a.jpg", subsampling=0, progressive=True)
    Image.fromarray(textured()).save(tmp_path / "b.jpg", subsampling=2)
    a, b = (measure_file(tmp_path / f"{name}.jpg").columns for name in "ab")
    assert (a["jpeg_subsampling"], a["jpeg_progressive"]) == (0, 1)
    assert (b["jpeg_subsampling"], b["jpeg_progressive"]) == (2, 0)


def test_the_container_is_told_by_content_and_not_by_name(tmp_path):
    Image.fromarray(textured(60, 90)).save(tmp_path / "a.jpg", "PNG")
    columns = measure_file(tmp_path / "a.jpg").columns
    assert (columns["format"], columns["mode"]) == ("PNG", "RGB")
    assert (columns["width"], columns["height"], columns["aspect"]) == (90, 60, 1.5)
    assert columns["bytes_per_pixel"] == (tmp_path / "a.jpg").stat().st_size / 5400


def test_dropped_transparency_changes_the_border_of_transparent_pictures_only(tmp_path):
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[10:30, 10:30] = (200, 50, 50, 255)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    Image.fromarray(textured()).save(tmp_path / "b.png")
    a, b = (measure_file(tmp_path / f"{name}.png").columns for name in "ab")
    assert a["border_red"] == 255 and a["bare_red"] == -255 and a["transparent_share"] == 0.75
    assert b["bare_red"] == 0 and b["transparent_share"] == 0


def test_metadata_is_counted_and_an_exif_rotation_is_followed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(textured(40, 80)).save(tmp_path / "a.jpg", exif=exif, comment=b"made")
    columns = measure_file(tmp_path / "a.jpg").columns
    assert (columns["width"], columns["height"]) == (40, 80)
    assert columns["exif_entries"] >= 1 and columns["comment"] == 1


def test_pixel_measurements_have_known_answers():
    flat = pixel_columns(np.full((40, 40, 3), 100, np.uint8))
    assert flat["sharpness"] == flat["noise"] == flat["contrast"] == flat["saturation"] == 0
    assert flat["bar_rows"] == flat["bar_columns"] == 1 and flat["brightness"] == 100
    barred = smooth(60)
    barred[:15] = barred[45:] = 0
    assert pixel_columns(barred)["bar_rows"] == 0.5 and pixel_columns(barred)["bar_columns"] == 0
    noisy = np.clip(128 + np.random.default_rng(0).normal(0, 8, (96, 96, 1)), 0, 255).repeat(3, 2).astype(np.uint8)
    assert abs(np.expm1(pixel_columns(noisy)["noise"]) - 8) < 0.5
    assert len(frame(textured(60, 60))) == 60 * 60 - 56 * 56


def test_blur_lowers_sharpness_and_compression_raises_blockiness(tmp_path):
    page = Image.fromarray(textured(96, 96)).resize((48, 48)).resize((96, 96), Image.Resampling.BICUBIC)
    sharp, blurred = np.array(page), np.array(page.reduce(3).resize((96, 96), Image.Resampling.BICUBIC))
    assert pixel_columns(blurred)["sharpness"] < pixel_columns(sharp)["sharpness"]
    page.save(tmp_path / "a.jpg", quality=8)
    coarse = np.array(Image.open(tmp_path / "a.jpg"))
    assert pixel_columns(coarse)["blockiness"] > pixel_columns(sharp)["blockiness"] + 0.1


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (3, 3)])
def test_tiny_pictures_are_measured(tmp_path, size):
    Image.fromarray(textured(*size)).save(tmp_path / "a.png")
    assert all(np.isfinite(v) for v in measure_file(tmp_path / "a.png").columns.values() if not isinstance(v, str))


@pytest.mark.parametrize("mode", ["L", "P", "LA", "1", "CMYK", "I;16"])
def test_other_modes_are_measured(tmp_path, mode):
    name = "a.jpg" if mode == "CMYK" else "a.png"
    grey = Image.fromarray(textured()[..., 0])
    page = Image.fromarray(np.asarray(grey, np.uint16) * 256) if mode == "I;16" else grey.convert(mode)
    page.save(tmp_path / name)
    assert set(measure_file(tmp_path / name).columns) == set(COLUMNS)


def test_files_that_are_no_pictures_are_named(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    Image.fromarray(textured()).save(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "b.jpg").read_bytes()[:700])
    for name, said in (("a.png", "not an image"), ("b.jpg", "truncated")):
        with pytest.raises(DataError, match=f"{name}.*{said}"):
            measure_file(tmp_path / name)
