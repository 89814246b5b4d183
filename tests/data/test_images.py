"""Reading images of every mode; one sentence for what is no image."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.images import list_images, read_image
from cnnlab.errors import DataError


def test_rgb_comes_back_as_written(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8 and image.flags.writeable
    np.testing.assert_array_equal(image, pixels)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr"])
def test_other_modes_become_rgb(tmp_path, mode):
    picture = Image.new("RGB", (6, 4), (255, 255, 255)).convert(mode)
    path = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png")
    picture.save(path)
    np.testing.assert_array_equal(read_image(path), np.full((4, 6, 3), 255, np.uint8))


def test_cmyk_jpeg_keeps_its_colours(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=95)
    red, green, blue = read_image(tmp_path / "red.jpg")[8, 8]
    assert red > 240 and green < 15 and blue < 15


def test_palette_keeps_its_colours(tmp_path):
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 10, 200, 30])
    picture.save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png")[0, 0].tolist() == [10, 200, 30]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_keep_their_grey_values(tmp_path, suffix):
    wide = np.array([[0, 257 * 100, 65535]], np.uint16)
    Image.fromarray(wide).save(tmp_path / f"wide.{suffix}")
    assert read_image(tmp_path / f"wide.{suffix}")[0, :, 0].tolist() == [0, 100, 255]


def test_floats_between_0_and_1_become_grey(tmp_path):
    Image.fromarray(np.array([[0.0, 0.2, 1.0]], np.float32)).save(tmp_path / "f.tif")
    assert read_image(tmp_path / "f.tif")[0, :, 1].tolist() == [0, 51, 255]


def test_transparent_parts_are_white(tmp_path):
    Image.new("RGBA", (3, 3), (9, 9, 9, 0)).save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png") == 255).all()


def test_exif_orientation_turns_the_image(tmp_path):
    picture = Image.new("RGB", (30, 10))
    exif = picture.getexif()
    exif[0x0112] = 6  # the camera stood on its side
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (30, 10, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif"])
def test_a_truncated_image_is_named(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    Image.fromarray(noise).save(whole)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"cut\.{suffix}: (truncated or damaged|not an image)"):
        read_image(cut)


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "zero.jpg").touch()
    with pytest.raises(DataError, match=r"zero\.jpg.*0 bytes.*copy it again"):
        read_image(tmp_path / "zero.jpg")


def test_text_is_no_image(tmp_path):
    (tmp_path / "note.png").write_text("hello")
    with pytest.raises(DataError, match=r"note\.png: not an image"):
        read_image(tmp_path / "note.png")


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png: there is no such image"):
        read_image(tmp_path / "gone.png")


def test_list_images_sorts_and_leaves_other_files_out(tmp_path):
    for name in ("b.jpg", "a.PNG", "c.txt", ".hidden.png"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["a.PNG", "b.jpg"]


def test_list_images_says_what_is_wrong(tmp_path):
    with pytest.raises(DataError, match="no images in this folder"):
        list_images(tmp_path)
    with pytest.raises(DataError, match="there is no such folder"):
        list_images(tmp_path / "gone")
    (tmp_path / "a.jpg").touch()
    with pytest.raises(DataError, match="name the folder that holds it"):
        list_images(tmp_path / "a.jpg")
