"""WIDER FACE through torchvision's own class, as photographs with boxes.

Yang, Luo, Loy, Tang: WIDER FACE: A Face Detection Benchmark, CVPR 2016.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.datasets import WIDERFace

from cnnlab.data.images import map_threads, read_image
from cnnlab.data.photos import Photo
from cnnlab.errors import DataError


def load_wider_face(
    root: str | os.PathLike[str],
    split: str = "train",
    limit: int | None = None,
    smallest: float = 16.0,
    longest_side: int = 640,
    download: bool = True,
) -> list[Photo]:
    """Photographs of WIDER FACE with their valid faces; a photograph with any invalid or too small face is left out.

    Left out they must be, because such a face would otherwise be cut as background.

    Args:
        root: holds `widerface/` with WIDER_train, WIDER_val, WIDER_test and wider_face_split.
        split: `train` or `val`.
        limit: look at so many photographs only, drawn by a hash of their names from all events.
        smallest: faces narrower or lower than so many pixels are too small.
        longest_side: larger photographs are scaled down to it, in pixels; thousands of them stay in memory.
        download: fetch what `root` lacks.

    Raises:
        DataError: WIDER FACE is not there and cannot be fetched, or a file of it is damaged.
    """
    if split not in ("train", "val"):
        raise DataError(f"wider: split '{split}' has no boxes; expected train or val.")
    where = Path(root) / "widerface"
    try:
        source = WIDERFace(str(root), split=split, download=False)
    except RuntimeError:
        if not download:
            raise DataError(
                f"{where}: WIDER FACE is not there; expected WIDER_train, WIDER_val, WIDER_test and wider_face_split."
            ) from None
        source = _fetch(root, split, where)
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{where}: annotations of WIDER FACE cannot be read ({error}); unpack them again.") from None
    chosen: list[tuple[Path, np.ndarray]] = []
    for entry in source.img_info:
        faces = entry["annotations"]
        boxes = faces["bbox"].numpy().astype(np.float32)
        # The annotations' readme has `invalid` as eighth number of a row (blur, expression, illumination, invalid,
        # occlusion, pose); torchvision 0.29 calls the eighth `occlusion` and the tenth, the pose, `invalid`.
        invalid = faces["occlusion"]
        if (boxes[:, 2:].min(axis=1) >= smallest).all() and not invalid.any():
            boxes[:, 2:] += boxes[:, :2]
            chosen.append((Path(entry["img_path"]), boxes))
    chosen.sort(key=lambda item: hashlib.sha256(item[0].name.encode()).digest())

    def read(item: tuple[Path, np.ndarray]) -> Photo:
        path, boxes = item
        image = read_image(path)
        height, width = image.shape[:2]
        # Some official boxes reach over the edge; what is seen of the face is kept.
        boxes = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
        if max(width, height) > longest_side:
            scale = longest_side / max(width, height)
            size = (round(width * scale), round(height * scale))
            image = np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
            boxes = boxes * np.array([size[0] / width, size[1] / height] * 2, np.float32)
        return Photo(path.name, image, boxes)

    photos = map_threads(read, chosen[:limit])
    photos = [photo for photo in photos if (photo.boxes[:, 2:] - photo.boxes[:, :2]).min() >= smallest]
    if not photos:
        raise DataError(f"{where}: the {split} part holds no photograph with faces of {smallest:g} pixels or more.")
    return photos


def _fetch(root: str | os.PathLike[str], split: str, where: Path) -> WIDERFace:
    try:
        Path(root).mkdir(parents=True, exist_ok=True)
        return WIDERFace(str(root), split=split, download=True)
    except Exception as error:  # the downloader raises whatever the network, gdown or the archive raises
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise DataError(
            f"{where}: WIDER FACE is not there and cannot be downloaded ({reason}); download WIDER_train, WIDER_val, "
            "WIDER_test and wider_face_split from http://shuoyang1213.me/WIDERFACE/ and unpack them there."
        ) from error
