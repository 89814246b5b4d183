"""FaceScrub from its lists of addresses, as the course wants it: photographs checked, faces cut out, three sets.

Ng, Winkler: A data-driven approach to cleaning large face datasets, ICIP 2014. The photographs are the web's; they are
for research and must not be passed on. `gather` fetches and cuts out, `lay_out` makes `facescrub/{training,validation,
test}/<person>/`. Below the output folder also lie `facescrub_originals/` (the photographs by their SHA-256, needed only
to go on from) and the report.
"""

import csv
import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from filelock import FileLock, Timeout
from PIL import Image

from cnnlab.data.download import download, inside
from cnnlab.data.face_cutouts import Cutout, cut_face, sort_out
from cnnlab.data.face_division import SPLITS, divide
from cnnlab.data.face_list import COURSE, FaceList, ListedFace, find_lists, read_lists, slug
from cnnlab.data.fetch_by_host import fetch_by_host
from cnnlab.data.images import map_threads, read_image
from cnnlab.data.partial import Refused
from cnnlab.data.sources import LARGEST, is_address, writing_to
from cnnlab.errors import DataError
from cnnlab.evaluation.image_cues import measure_file

NAME = "facescrub"
ORIGINALS, UNFINISHED = "facescrub_originals", "facescrub.unfinished"
MARKER = "facescrub_fetch.json"  # what a folder made here says about itself
REPORT = "facescrub_report"  # .md and .csv
_SHOWN = 20  # sentences of one reason in the report


@dataclass(frozen=True)
class Gathered:
    """What came of the lists.

    Attributes:
        listed: what the lists say.
        faces: those to keep.
        cutouts: their files, one each.
        groups: (N,) a number that faces of one picture share.
        refused: why each of the other faces listed is not kept.
        arrived: number of photographs that are there.
    """

    listed: FaceList
    faces: tuple[ListedFace, ...]
    cutouts: tuple[Path, ...]
    groups: np.ndarray
    refused: dict[ListedFace, Refused]
    arrived: int

    @property
    def people(self) -> tuple[str, ...]:
        """Whose faces are wanted, sorted."""
        return tuple(sorted({face.folder for face in self.listed.faces}))

    @property
    def reasons(self) -> Counter[str]:
        """Number of lines that are not kept, by reason."""
        counted = Counter(refusal.reason for refusal in self.refused.values())
        return counted + Counter(reason for reason, _ in self.listed.left_out)


@dataclass(frozen=True)
class FetchedFaces:
    """What lies in the folder after `lay_out`.

    Attributes:
        folder: the folder `facescrub`.
        names: files by split and person, such as `baldwin_1862.png`.
        digest: 16 hex digits that stand for names and pixels.
    """

    folder: Path
    names: dict[str, dict[str, list[str]]]
    digest: str

    @property
    def counts(self) -> dict[str, int]:
        """Number of faces by split."""
        return {split: sum(map(len, people.values())) for split, people in self.names.items()}


@contextmanager
def sole_user(output: str | os.PathLike[str]) -> Iterator[Path]:
    """The output folder, while no other process fetches into it.

    Raises:
        DataError: another one does, or the folder cannot be written or holds faces that were not made here.
    """
    output = Path(output)
    with writing_to(output):
        output.mkdir(parents=True, exist_ok=True)
        folder = output / NAME
        if folder.is_symlink() or (folder.exists() and not (folder / MARKER).is_file() and any(folder.iterdir())):
            raise DataError(f"{folder}: holds files that facescrub_fetch did not make; name another output.")
        lock = FileLock(output / f"{NAME}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise DataError(f"{output}: another facescrub_fetch is at work here; wait for it, or name another output."
                            ) from None  # fmt: skip
        try:
            yield output
        finally:
            (output / f"{NAME}.lock").unlink(missing_ok=True)
            lock.release()


def gather(
    source: str, output: Path, people: Sequence[str] = COURSE, size: int = 227, **settings: Any
) -> Gathered:  # fmt: skip
    """Fetch the photographs and cut out the faces; the same call goes on where an earlier one was stopped.

    Args:
        source: a folder with the lists, or list files or their addresses with a comma between.
        output: see `sole_user`.
        people: as in `read_lists`.
        size: side of the cutouts in pixels.
        settings: of `fetch_by_host` and `download`.

    Raises:
        DataError: a list is none, or the disk is full.
    """
    with writing_to(output):
        listed = read_lists(_lists(source, output), people)
        urls: dict[str, list[str]] = {}
        for face in listed.faces:
            urls.setdefault(face.sha256, [])
            urls[face.sha256] += [face.url] * (face.url not in urls[face.sha256])
        missing = fetch_by_host(urls, output / ORIGINALS, **settings)
        refused = {face: missing[face.sha256] for face in listed.faces if face.sha256 in missing}
        scratch = output / UNFINISHED
        shutil.rmtree(scratch, ignore_errors=True)
        (scratch / "cutouts").mkdir(parents=True)
        arrived = [face for face in listed.faces if face not in refused]
        results = map_threads(partial(_cut, output / ORIGINALS, scratch / "cutouts", size), arrived, "faces")
        refused |= {face: done for face, done in zip(arrived, results, strict=True) if isinstance(done, Refused)}
        cutouts = [done for done in results if isinstance(done, Cutout)]
        kept, twice, groups = sort_out(cutouts)
        refused |= {cutouts[index].face: refusal for index, refusal in twice.items()}
        return Gathered(
            listed, tuple(cutouts[i].face for i in kept), tuple(cutouts[i].path for i in kept), groups[kept], refused,
            len(urls) - len(missing),
        )  # fmt: skip


def lay_out(gathered: Gathered, output: Path, train_images: int = 70, seed: int = 0) -> FetchedFaces:
    """Make `output`/facescrub from the cutouts; an earlier one made here is replaced, in one step.

    Raises:
        DataError: there are too few faces of somebody.
    """
    splits = divide(gathered.faces, gathered.groups, gathered.people, train_images, seed)
    folder, scratch = output / NAME, output / UNFINISHED
    names: dict[str, dict[str, list[str]]] = {split: {person: [] for person in gathered.people} for split in SPLITS}
    with writing_to(output):
        for face, cutout, split in zip(gathered.faces, gathered.cutouts, splits, strict=True):
            target = inside(scratch, f"{split}/{face.folder}/{cutout.name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(cutout, target)
            names[split][face.folder].append(cutout.name)
        shutil.rmtree(scratch / "cutouts")
        places = sorted((s, p, name) for s, whose in names.items() for p, files in whose.items() for name in files)
        pixels = map_threads(lambda place: read_image(scratch.joinpath(*place)).tobytes(), places)
        sha = hashlib.sha256(repr(places).encode())
        for picture in pixels:
            sha.update(picture)
        digest = sha.hexdigest()[:16]
        about = {"made_by": "facescrub_fetch", "seed": seed, "train_images": train_images, "digest": digest}
        (scratch / MARKER).write_text(json.dumps(about))
        earlier = output / f"{UNFINISHED}.earlier"
        shutil.rmtree(earlier, ignore_errors=True)
        if folder.exists():  # a folder half removed would have lost its marker, and be refused for ever
            os.replace(folder, earlier)
        os.replace(scratch, folder)
        shutil.rmtree(earlier, ignore_errors=True)
    names = {split: {person: sorted(files) for person, files in whose.items()} for split, whose in names.items()}
    return FetchedFaces(folder, names, digest)


def write_report(gathered: Gathered, output: Path) -> str:
    """Write what became of every line as `facescrub_report.md` and `.csv`, and return the former."""
    with writing_to(output):
        text = _report(gathered)
        (output / f"{REPORT}.md").write_text(text)
        table = io.StringIO()
        rows = csv.writer(table)
        rows.writerow(["line", "person", "face", "url", "sha256", "outcome", "detail"])
        for face in gathered.listed.faces:
            refusal = gathered.refused.get(face)
            rows.writerow([face.place, face.person, face.face, face.url, face.sha256,
                           refusal.reason if refusal else "kept", _plain(str(refusal or ""))])  # fmt: skip
        for reason, sentence in gathered.listed.left_out:
            rows.writerow([sentence.partition(":")[0], "", "", "", "", reason, _plain(sentence)])
        (output / f"{REPORT}.csv").write_text(table.getvalue())
    return text


def _lists(source: str, output: Path) -> list[Path]:
    """The list files that `source` names, fetched where it names addresses."""
    if not is_address(source) and Path(source).is_dir():
        return find_lists(source)
    found = []
    for number, where in enumerate(filter(None, map(str.strip, source.split(",")))):
        if is_address(where):
            path = output / ORIGINALS / "lists" / f"{number}_{slug(Path(urlsplit(where).path).stem)}.txt"
            where = download(where, path, check=lambda file: read_lists([file], ()), limit=LARGEST, progress=False)
        found.append(Path(where))
    if missing := [path for path in found if not path.is_file()]:
        raise DataError(f"{missing[0]}: there is no such list; name the folder that holds the lists, or the files.")
    return found


def _cut(originals: Path, scratch: Path, size: int, face: ListedFace) -> Cutout | Refused:
    """Cut out one face into a file of its own, and measure it and its photograph."""
    original, path = originals / face.sha256, inside(scratch, f"{face.folder}_{face.face}.png")
    try:
        Image.fromarray(cut_face(original, face, size)).save(path)
        with Image.open(original) as picture:
            shape = picture.size
        return Cutout(face, path, measure_file(path, cues=False), measure_file(original, cues=False), shape)
    except Refused as error:
        return error
    except DataError as error:  # the box could be read and the rest could not
        return Refused(f"{face.place}: {error}", "damaged picture")


def _report(gathered: Gathered) -> str:
    faces, reasons = gathered.listed.faces, gathered.reasons
    lines = len(faces) + len(gathered.listed.left_out)
    text = [f"{lines:,} lines of the lists, {len({face.sha256 for face in faces}):,} photographs; "
            f"{gathered.arrived:,} photographs are there, {len(gathered.faces):,} faces are kept.", "",
            "| person | listed | kept |", "| --- | ---: | ---: |"]  # fmt: skip
    for person in gathered.people:
        kept = sum(face.folder == person for face in gathered.faces)
        text.append(f"| {person} | {sum(face.folder == person for face in faces)} | {kept} |")
    text += ["", "| why the others are not | lines |", "| --- | ---: |"]
    text += [f"| {reason} | {count} |" for reason, count in reasons.most_common()]
    told = [(refusal.reason, str(refusal)) for refusal in gathered.refused.values()] + list(gathered.listed.left_out)
    for reason, count in reasons.most_common():
        sentences = [sentence for other, sentence in told if other == reason]
        text += ["", f"## {reason}", *(f"- {_plain(sentence)}" for sentence in sentences[:_SHOWN])]
        text += [f"- and {count - _SHOWN} more, in {REPORT}.csv"] if count > _SHOWN else []
    return "\n".join(text) + "\n"


def _plain(sentence: str) -> str:
    """Without what could drive a terminal: servers have a say in these sentences."""
    return "".join(letter if letter.isprintable() else "?" for letter in sentence)
