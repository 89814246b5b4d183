"""FaceScrub's lists: who is where on which web address, and the SHA-256 that the photograph must have.

One face a line, fields apart by tabs: name, picture's number, face's number, address, box, SHA-256. The box is
`x1,y1,x2,y2`, the face of an array I being I[y1:y2, x1:x2]. Ng, Winkler: A data-driven approach to cleaning large face
datasets, ICIP 2014.

Nothing in a list is trusted: names of files and folders are made of what `read_lists` has let through (letters a to z,
digits, `_`), and a line that is not understood is left out and named.
"""

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cnnlab.errors import DataError

FIELDS = ("name", "picture's number", "face's number", "address", "box", "SHA-256")
NAMES = ("facescrub_actors.txt", "facescrub_actresses.txt", "subset_actors.txt", "subset_actresses.txt")
COURSE = ("Alec Baldwin", "Lorraine Bracco", "Steve Carell", "Peri Gilpin", "Bill Hader", "Angie Harmon")


@dataclass(frozen=True)
class ListedFace:
    """One line of a list.

    Attributes:
        person: the name as listed.
        folder: the name for files: `baldwin`, or `alec_baldwin` where another one wanted is called so too.
        face: the face's number, which no other line of this person has.
        url: http:// or https://.
        box: x1, y1, x2, y2 in pixels of the photograph as it is stored, x1 < x2, y1 < y2.
        sha256: of the photograph's file, 64 lower-case hexadecimal digits.
        place: list and line, for messages.
    """

    person: str
    folder: str
    face: int
    url: str
    box: tuple[int, int, int, int]
    sha256: str
    place: str

    @property
    def area(self) -> int:
        """Pixels in the box."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


@dataclass(frozen=True)
class FaceList:
    """What the lists say of the people wanted.

    Attributes:
        faces: the lines that were understood.
        left_out: reason and sentence for each line that was not, or that says again what another one says.
    """

    faces: tuple[ListedFace, ...]
    left_out: tuple[tuple[str, str], ...]


def find_lists(folder: str) -> list[Path]:
    """The lists of a folder that holds them, or that holds a folder `facescrub` with them.

    Raises:
        DataError: there is none.
    """
    for place in (Path(folder), Path(folder) / "facescrub"):
        found = [place / name for name in NAMES if (place / name).is_file()]
        if found:
            return found
    raise DataError(f"{folder}: no list of FaceScrub there; expected {NAMES[0]} and {NAMES[1]}, or name the list files "
                    "themselves, with a comma between.")  # fmt: skip


def read_lists(paths: Iterable[Path], people: Sequence[str] = COURSE) -> FaceList:
    """The faces of some people in one or more lists.

    Args:
        paths: the lists.
        people: names as listed, or surnames, in any case; none means everybody.

    Raises:
        DataError: a list cannot be read, has no line that can be understood, or somebody wanted is in none of them.
    """
    wanted = {slug(name): name for name in people}
    faces: list[ListedFace] = []
    left_out: list[tuple[str, str]] = []
    known: dict[str, str] = {}  # names in the lists, by slug; those wanted where a line can be read
    for path in paths:
        understood = 0
        for number, line in enumerate(_lines(path), start=1):
            place = f"{path.name}, line {number}"
            name = slug(line.split("\t")[0])
            if not line.strip() or (number == 1 and name == "name"):
                continue
            try:
                if not name or not wanted or {name, _surname(name)} & wanted.keys():
                    faces.append(_parse(line, place))
                known[name] = line.split("\t")[0]
                understood += 1
            except DataError as error:
                left_out.append(("damaged line", f"{place}: {str(error).rstrip('.')}; the line was left out."))
        if not understood:
            said = f" ({left_out[-1][1]})" if left_out else ""
            raise DataError(f"{path}: no list of FaceScrub, not one line has the fields {', '.join(FIELDS)} with tabs "
                            f"between{said}.")  # fmt: skip
    _refuse_strangers(wanted, known)
    return FaceList(*_told_apart(faces, left_out))


def slug(name: str) -> str:
    """A name in letters a to z, digits and `_`, fit for any file system: `Alec Baldwin` is `alec_baldwin`."""
    plain = unicodedata.normalize("NFKD", name[:200]).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:60].rstrip("_")


def _surname(name: str) -> str:
    return name.rpartition("_")[2]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise DataError(f"{path}: the list cannot be read ({error.strerror or error}); check the name.") from None


def _parse(line: str, place: str) -> ListedFace:
    fields = line.rstrip("\r").split("\t")
    if len(fields) != len(FIELDS):
        raise DataError(f"{len(fields)} fields instead of {len(FIELDS)} ({', '.join(FIELDS)})")
    name, picture, face, url, box, sha256 = (field.strip() for field in fields)
    if not slug(name) or not name.isprintable():
        raise DataError("the name has no letter from a to z")
    for field, number in zip(FIELDS[1:3], (picture, face), strict=True):
        if not re.fullmatch(r"[0-9]{1,12}", number):
            raise DataError(f"the {field} is {number[:40]!r}, no number")
    if not _is_web(url):
        raise DataError(f"{url[:80]!r} is no address of the web (http:// or https://)")
    corners = re.fullmatch(r"(-?[0-9]{1,6}),(-?[0-9]{1,6}),(-?[0-9]{1,6}),(-?[0-9]{1,6})", box)
    if not corners:
        raise DataError(f"the box is {box[:40]!r}, not x1,y1,x2,y2 in whole pixels")
    x1, y1, x2, y2 = map(int, corners.groups())
    if x1 >= x2 or y1 >= y2:
        raise DataError(f"the box {box} is empty; x1 < x2 and y1 < y2 are expected")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise DataError(f"{sha256[:70]!r} is no SHA-256 (64 hexadecimal digits)")
    return ListedFace(name, slug(name), int(face), url, (x1, y1, x2, y2), sha256.lower(), place)


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return url.isprintable() and parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # such as an unclosed bracket
        return False


def _refuse_strangers(wanted: dict[str, str], known: dict[str, str]) -> None:
    names = known.keys() | {_surname(name) for name in known}
    for name, asked in wanted.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            there = f"did you mean {near[0]}?" if near else f"they have {', '.join(sorted(known.values())[:20])}."
            raise DataError(f"people={asked}: no line of the lists that can be read has this name; {there}")


def _told_apart(
    faces: list[ListedFace], left_out: list[tuple[str, str]]
) -> tuple[tuple[ListedFace, ...], tuple[tuple[str, str], ...]]:
    """Every face once, its folder called by the surname where that says who it is."""
    full = {face.folder for face in faces}
    shared = Counter(_surname(name) for name in full)
    kept: dict[tuple[str, int], ListedFace] = {}
    same: set[tuple[str, str, tuple[int, int, int, int]]] = set()
    for face in faces:
        short = _surname(face.folder)
        folder = short if shared[short] == 1 and short not in full - {face.folder} else face.folder
        what = (folder, face.sha256, face.box)
        if what in same or (folder, face.face) in kept:
            left_out.append(("listed twice", f"{face.place}: {face.person}'s face {face.face} or its very box is on "
                             "an earlier line; the line was left out."))  # fmt: skip
            continue
        same.add(what)
        kept[folder, face.face] = ListedFace(**(vars(face) | {"folder": folder}))
    return tuple(kept.values()), tuple(left_out)
