"""Where the files of a data set come from: a web address, a zip archive, or a folder; each gives a file by its name."""

import os
import shutil
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, urlsplit

import requests
from tqdm import tqdm

from cnnlab.data.download import download
from cnnlab.errors import DataError
from cnnlab.files import replacing

LARGEST = 64 * 2**20  # bytes of one list or picture; a larger one is not what was asked for
Check = Callable[[Path], object]
Item = TypeVar("Item")


class Source(ABC):
    """Gives files by their names below `where`."""

    def __init__(self, where: str) -> None:
        self.where = where

    @abstractmethod
    def fetch(self, name: str, target: Path, check: Check) -> Path:
        """Bring the file `name` to `target`; a file that is there and passes `check` is kept.

        Raises:
            DataError: it is not there, cannot be read, or fails the check; then nothing is left at `target`.
        """


class Web(Source):
    """Files below an http(s) address; `settings` go to `download`."""

    def __init__(self, where: str, **settings: Any) -> None:
        super().__init__(where.rstrip("/"))
        self._settings = {"limit": LARGEST, "progress": False, "session": requests.Session()} | settings

    def fetch(self, name: str, target: Path, check: Check) -> Path:
        return download(f"{self.where}/{quote(name)}", target, check=check, **self._settings)


class _Local(Source):
    """Files that lie on this machine: copied beside the target, checked, and only then given its name."""

    @abstractmethod
    def _open(self, name: str) -> BinaryIO: ...

    def fetch(self, name: str, target: Path, check: Check) -> Path:
        if target.is_file() and _passes(target, check):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with replacing(target) as partial:
                with self._open(name) as stream, open(partial, "xb") as file:
                    shutil.copyfileobj(stream, file)
                check(partial)
        except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            raise DataError(f"{self.where}: {name} cannot be taken from it ({error}).") from None
        except DataError as error:
            raise DataError(f"{self.where}: {name} is not what it should be ({str(error).rstrip('.')}).") from None
        return target


class Folder(_Local):
    """Files below a folder."""

    def _open(self, name: str) -> BinaryIO:
        path = Path(self.where) / name
        if not path.is_file():
            raise DataError("the file is missing")
        return path.open("rb")


class Archive(_Local):
    """Files in a zip archive, below the one folder of it that holds `marker`.

    Raises:
        DataError: the file is no whole zip archive, or has no such folder.
    """

    def __init__(self, where: str | os.PathLike[str], marker: str) -> None:
        super().__init__(str(where))
        try:
            self._zip = zipfile.ZipFile(where)
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{where}: no whole zip archive ({error}); download it again.") from None
        self._members = {info.filename: info for info in self._zip.infolist()}
        found = sorted((m for m in self._members if f"/{m}".endswith(f"/{marker}")), key=len)
        if not found:
            raise DataError(f"{where}: {marker} is not in this archive; give another one.")
        self._root = found[0].removesuffix(marker)

    def _open(self, name: str) -> BinaryIO:
        member = self._members.get(self._root + name)
        if member is None or member.file_size > LARGEST:
            raise DataError("it is missing or far too large")
        return self._zip.open(member)


def is_address(where: str) -> bool:
    """Whether `where` is on the web, not on this machine's disk."""
    return urlsplit(where).scheme in ("http", "https")


def open_source(where: str, marker: str, below: str, scratch: Path, **settings: Any) -> Source:
    """The source that `where` names.

    Args:
        where: an address of a folder or of a zip archive, a zip archive on this machine, or a folder.
        marker: a file that the data set has at its top; it tells where in an archive the data set begins.
        below: name of the data set's own folder, where `where` may be the folder that holds it.
        scratch: where an archive is downloaded to.
        settings: of `download`.

    Raises:
        DataError: there is nothing at `where`.
    """
    if is_address(where):
        if not urlsplit(where).path.lower().endswith(".zip"):
            return Web(where, **settings)
        name = Path(urlsplit(where).path).name
        return Archive(download(where, scratch / name, check=lambda path: Archive(path, marker), **settings), marker)
    path = Path(where)
    if path.is_file():
        return Archive(path, marker)
    if not path.is_dir():
        raise DataError(f"{where}: neither an address (http://, https://) nor a folder or zip archive that is there.")
    return Folder(str(path / below if (path / below).is_dir() else path))


@contextmanager
def writing_to(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what the disk refuses into a sentence about `folder`."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror or error}); free some room or name another "
                        "output.") from error  # fmt: skip


def for_each(function: Callable[[Item], object], items: Iterable[Item], title: str, workers: int = 4) -> None:
    """Call `function` on every item on a few threads, with a progress bar; the first error ends it at once."""
    items = list(items)
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(function, item) for item in items]
        try:
            for done in tqdm(as_completed(waiting), desc=title, total=len(items), disable=None):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _passes(path: Path, check: Check) -> bool:
    try:
        check(path)
    except DataError:
        return False
    return True
