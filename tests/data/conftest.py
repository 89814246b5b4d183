"""Folders of invented photographs, for the tests of the data modules."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.photos import Photo


def noise_photo(number: int, width: int = 120, height: int = 100) -> Photo:
    """A photograph of coarse noise, unlike any other number, with one face box of 30x40 pixels."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (10, 12, 3), dtype=np.uint8))
    x, y = int(rng.integers(0, width - 30)), int(rng.integers(0, height - 40))
    image = np.array(coarse.resize((width, height), Image.Resampling.NEAREST))
    return Photo(f"{number:04d}.png", image, np.array([[x, y, x + 30, y + 40]], np.float32))


@pytest.fixture
def photos() -> list[Photo]:
    """Twenty invented photographs with one face each."""
    return [noise_photo(number) for number in range(20)]


@pytest.fixture
def photo_folder(tmp_path, photos):
    """face_photos/images with boxes.csv, and full_images/ with full_boxes/."""
    folder = tmp_path / "given"
    images = folder / "face_photos" / "images"
    images.mkdir(parents=True)
    rows = ["image,x,y,width,height"]
    for photo in photos:
        Image.fromarray(photo.image).save(images / photo.name)
        x1, y1, x2, y2 = photo.boxes[0]
        rows.append(f"{photo.name},{x1:g},{y1:g},{x2 - x1:g},{y2 - y1:g}")
    (folder / "face_photos" / "boxes.csv").write_text("\n".join(rows) + "\n")
    (folder / "full_images").mkdir()
    (folder / "full_boxes").mkdir()
    for photo in photos[:2]:
        Image.fromarray(photo.image).save(folder / "full_images" / photo.name)
        np.save(folder / "full_boxes" / photo.name.replace("png", "npy"), photo.boxes)
    return folder
