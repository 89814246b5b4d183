"""Portraits with and without heavy makeup, drawn from CelebA as the course's are: 1000 + 1000 and 200 + 200.

Liu, Luo, Wang, Tang: Deep Learning Face Attributes in the Wild, 2015 (for non-commercial research only). Which
portraits the course drew is not known; here train comes from CelebA's own train partition and val from its valid
partition, and where the file of identities is at hand nobody is in both.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gdown
import numpy as np
from PIL import Image
from torchvision.datasets import CelebA
from torchvision.datasets.utils import calculate_md5

from cnnlab.data.download import download, inside
from cnnlab.data.images import read_image
from cnnlab.data.integrity import MARKER, mark
from cnnlab.data.makeup import CLASSES, NAME
from cnnlab.data.sources import Archive, Folder, for_each, is_address, writing_to
from cnnlab.errors import DataError
from cnnlab.files import replacing

PICTURES, ATTRIBUTES = "img_align_celeba.zip", "list_attr_celeba.txt"
PARTITIONS, IDENTITIES = "list_eval_partition.txt", "identity_CelebA.txt"
FILES = (ATTRIBUTES, PARTITIONS, IDENTITIES, PICTURES)
COUNTS = {"train": 1000, "val": 200}  # of each class
CHECKSUMS = {name: md5 for _, md5, name in CelebA.file_list if name in FILES}  # MD5, as torchvision knows them
SIZE = (218, 178)  # height and width of an aligned portrait
_FIRST = "000001.jpg"
_PARTITION = {"train": 0, "val": 1}
_PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"


@dataclass(frozen=True)
class FetchedPortraits:
    """What lies in the folder after `fetch_makeup`.

    Attributes:
        folder: the folder `heavy_makeup_CelebA`.
        names: the portraits by split and class, such as `000123.jpg`.
        digest: 16 hex digits that stand for names and pixels.
        people: number of people by split, empty where identities are not known.
    """

    folder: Path
    names: dict[str, dict[str, list[str]]]
    digest: str
    people: dict[str, int]

    @property
    def counts(self) -> dict[str, int]:
        """Number of portraits by split."""
        return {split: sum(map(len, classes.values())) for split, classes in self.names.items()}


def fetch_makeup(
    source: str, output: str | os.PathLike[str], half: bool = True, seed: int = 0,
    counts: Mapping[str, int] = COUNTS, checksums: Mapping[str, str] = CHECKSUMS, **settings: Any,
) -> FetchedPortraits:  # fmt: skip
    """Draw the portraits into `output`/heavy_makeup_CelebA; what is there from an earlier call is kept.

    Args:
        source: `public` (through torchvision, into `output`/celeba), an address that has CelebA's files below it, or a
            folder that holds them.
        output: the folder to make `heavy_makeup_CelebA/{train,val}/{heavy_makeup,no_heavy_makeup}/` in.
        half: 89x109 pixels, else the original 178x218.
        seed: decides which portraits are drawn.
        counts: how many of each class a split gets.
        checksums: MD5 of CelebA's files by name, as far as known.
        settings: of `download`.

    Raises:
        DataError: CelebA cannot be had or is damaged, or `output` holds another drawing.
    """
    with writing_to(output):
        celeba = _celeba(source, Path(output), checksums, settings)
        attributes = _read_attribute(celeba / ATTRIBUTES, "Heavy_Makeup")
        partitions = _read_numbers(celeba / PARTITIONS)
        identities = _read_numbers(celeba / IDENTITIES) if (celeba / IDENTITIES).is_file() else {}
        names = draw(attributes, partitions, identities, counts, seed)
        folder = Path(output) / NAME
        drawing = hashlib.sha256(json.dumps(names).encode()).hexdigest()
        about = {"made_by": "data_fetch", "half": half, "seed": seed, "drawing": drawing}
        _claim(folder, about)
        archive = celeba / PICTURES
        pictures = Archive(archive, _FIRST) if archive.is_file() else Folder(str(archive.with_suffix("")))
        size = (SIZE[0] // 2, SIZE[1] // 2) if half else SIZE

        def bring(job: tuple[str, str]) -> None:
            target = inside(folder, job[0])
            if half:
                _halve(pictures, job[1], target, size)
            else:
                pictures.fetch(job[1], target, lambda path: _check_size(path, size))

        jobs = [(f"{split}/{title}/{name}", name) for split, classes in names.items()
                for title, listed in classes.items() for name in listed]  # fmt: skip
        for_each(bring, jobs, NAME)
        sha = hashlib.sha256()
        for place, _ in jobs:
            sha.update(place.encode())
            sha.update(np.ascontiguousarray(read_image(folder / place)))
        mark(folder / MARKER, about, complete=True)
    drawn = {split: [name for title in CLASSES for name in names[split][title]] for split in names}
    people = {split: len({identities.get(name) for name in drawn[split]}) for split in names}
    return FetchedPortraits(folder, names, sha.hexdigest()[:16], people if identities else {})


def draw(
    attributes: Mapping[str, bool], partitions: Mapping[str, int], identities: Mapping[str, int],
    counts: Mapping[str, int] = COUNTS, seed: int = 0,
) -> dict[str, dict[str, list[str]]]:  # fmt: skip
    """Which portraits go where; the same seed gives the same ones.

    Args:
        attributes: whether there is heavy makeup, by portrait.
        partitions: CelebA's own: 0 train, 1 valid, 2 test.
        identities: who it is, or empty; nobody drawn for one split is drawn for the next.
        counts: how many of each class a split gets.
        seed: of the drawing.

    Raises:
        DataError: there are too few portraits of a class.
    """
    rng = np.random.default_rng(seed)
    drawn: dict[str, dict[str, list[str]]] = {}
    taken: set[int] = set()
    for split, count in counts.items():
        drawn[split] = {}
        for label, title in enumerate(CLASSES):
            able = sorted(
                name for name, made_up in attributes.items()
                if made_up == bool(label) and partitions.get(name) == _PARTITION[split]
                and not (identities and identities.get(name, -1) in taken)
            )  # fmt: skip
            if len(able) < count:
                raise DataError(f"CelebA: {len(able)} portraits of {title} for {split} in its partition, {count} are "
                                "needed; are the lists whole?")  # fmt: skip
            drawn[split][title] = sorted(able[i] for i in rng.permutation(len(able))[:count])
        taken |= {identities[name] for title in CLASSES for name in drawn[split][title] if name in identities}
    return drawn


# ---- CelebA's own files ----------------------------------------------------------------------------------------------
def _celeba(source: str, output: Path, checksums: Mapping[str, str], settings: Mapping[str, Any]) -> Path:
    """The folder that holds CelebA's lists and pictures, fetched where `source` is no folder."""
    fetched = output / CelebA.base_folder
    if source == "public":
        _fetch_public(fetched, settings)
        return fetched
    if is_address(source):
        for name in FILES:
            check = partial(_check_md5, md5=checksums.get(name))
            download(f"{source.rstrip('/')}/{name}", fetched / name, check=check, **settings)
        return fetched
    fetched = Path(source) / CelebA.base_folder
    fetched = fetched if fetched.is_dir() else Path(source)
    pictures = any((fetched / name).exists() for name in (PICTURES, PICTURES.removesuffix(".zip")))
    missing = [name for name in (ATTRIBUTES, PARTITIONS) if not (fetched / name).is_file()]
    missing += [] if pictures else [PICTURES]
    if missing:
        raise DataError(f"{fetched}: {', '.join(missing)} missing; download it from {_PAGE} into this folder.")
    for name in FILES:
        if (fetched / name).is_file():
            _check_md5(fetched / name, checksums.get(name))
    return fetched


def _fetch_public(folder: Path, settings: Mapping[str, Any]) -> None:
    """CelebA's files from where torchvision finds them; those that are there and right are not asked for again.

    The part of a file that a stopped call has brought is kept, and the next call goes on behind it. The pictures stay
    in their archive: 2,400 are needed of 202,599.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file_id, md5, name in sorted(CelebA.file_list, key=lambda entry: entry[2] == PICTURES):
        if name not in FILES:
            continue
        try:
            gdown.download(id=file_id, output=str(folder / name), resume=True, **settings)
            _check_md5(folder / name, md5)
        except Exception as error:  # the downloader raises whatever the network, gdown or the drive's quota raises
            if isinstance(error, DataError):
                (folder / name).unlink()  # what came is not the file, and would not be asked for again
            if name == IDENTITIES:
                continue  # only makes sure that nobody is in both splits
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160].rstrip(".")
            raise DataError(
                f"{name} of CelebA cannot be downloaded ({reason}); by hand: put {ATTRIBUTES}, {PARTITIONS}, "
                f"{IDENTITIES} and {PICTURES} from {_PAGE} into {folder} and give the same command again."
            ) from error


def _check_md5(path: Path, md5: str | None) -> None:
    if md5 is not None and (found := calculate_md5(path)) != md5:
        raise DataError(f"{path}: not CelebA's file (MD5 {found} instead of {md5}); download it again from {_PAGE}.")


def _read_attribute(path: Path, attribute: str) -> dict[str, bool]:
    """Whether each portrait has an attribute, from lines `000001.jpg -1 1 …` below a line of names."""
    try:
        lines = path.read_text().splitlines()
        column = lines[1].split().index(attribute) + 1
        rows = [line.split() for line in lines[2:] if line.strip()]
        return {row[0]: {"1": True, "-1": False}[row[column]] for row in rows}
    except (ValueError, KeyError, IndexError):
        raise DataError(f"{path}: not CelebA's list of attributes with {attribute}; download it again from {_PAGE}."
                        ) from None  # fmt: skip


def _read_numbers(path: Path) -> dict[str, int]:
    """A number for each portrait, from lines `000001.jpg 2880`."""
    try:
        return {name: int(number) for name, number in map(str.split, path.read_text().splitlines())}
    except ValueError:
        raise DataError(f"{path}: not CelebA's list, a line is no name and number; download it again from {_PAGE}."
                        ) from None  # fmt: skip


# ---- what is written -------------------------------------------------------------------------------------------------
def _claim(folder: Path, about: dict[str, Any]) -> None:
    """Refuse a folder with other portraits in it, else note which ones it is going to hold."""
    marker = folder / MARKER
    if folder.is_dir() and any(not path.name.startswith(MARKER + ".") for path in folder.iterdir()):
        try:
            told = json.loads(marker.read_text())
            fits = {key: value for key, value in told.items() if key != "complete"} == about
        except (OSError, ValueError, AttributeError):
            fits = False
        if not fits:
            raise DataError(f"{folder}: holds other portraits than these (another seed or size, or not made by "
                            "data_fetch); name another output.")  # fmt: skip
    mark(marker, about, complete=False)


def _check_size(path: Path, size: tuple[int, int]) -> None:
    height, width = read_image(path).shape[:2]
    if (height, width) != size:
        raise DataError(f"{path.name}: {width}x{height} pixels, expected {size[1]}x{size[0]}.")


def _halve(pictures: Archive | Folder, name: str, target: Path, size: tuple[int, int]) -> None:
    """A portrait at half size, averaged over 2x2 pixels; kept if it is there and right."""
    try:
        _check_size(target, size)
        return
    except DataError:
        pass
    whole = pictures.fetch(name, target.with_name(target.name + ".whole"), lambda path: _check_size(path, SIZE))
    with replacing(target) as unfinished:
        Image.fromarray(read_image(whole)).reduce(2).save(unfinished, "JPEG", quality=95)
        whole.unlink()  # before the picture has its name, so that a call that is killed leaves nothing for ever
