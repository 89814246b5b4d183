"""Files over HTTP(S): resumed after a cut, verified, and given their name only when they are whole and right.

What has arrived lies beside the file as `NAME.partial`, with a note of what the server said of it in
`NAME.partial.json`; a process that is killed at any moment leaves these two, and the same call goes on from there. The
rest is asked for with `Range` and `If-Range` (RFC 9110, section 13.1.5), so that two versions are never glued together.
"""

import hashlib
import os
import random
import re
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlsplit

import requests
from filelock import FileLock

from cnnlab.data.partial import Partial, Passing, Refused, address, advance
from cnnlab.errors import DataError

LIMIT = 8 * 2**30  # bytes; no file of this project is larger
_NEWS = 2**16  # bytes; a try that brought so many new ones does not count as failed


def download(
    url: str,
    path: str | os.PathLike[str],
    sha256: str | None = None,
    size: int | None = None,
    *,
    limit: int = LIMIT,
    timeout: float = 30.0,
    retries: int = 4,
    backoff: float = 0.5,
    check: Callable[[Path], object] | None = None,
    progress: bool = True,
    session: requests.Session | None = None,
) -> Path:
    """Fetch `url` to `path`; a file that is already there and right is kept, a wrong one is replaced.

    Args:
        url: http:// or https://.
        path: the file to make; its folder is made as needed.
        sha256: its SHA-256 in hexadecimal digits, if known.
        size: its exact number of bytes, if known.
        limit: give up beyond so many bytes.
        timeout: seconds without an answer, or with hardly a byte, after which a try is broken off.
        retries: further tries after one that failed and brought next to nothing new.
        backoff: seconds before the first further try, doubled for each one after; a server's Retry-After is obeyed.
        check: looks at the whole file before it gets its name; what it raises as DataError discards the file.
        progress: show a bar where standard error is a terminal.
        session: shared by several downloads from one server, which saves connections.

    Returns:
        `path`.

    Raises:
        Refused: (a DataError) the server refuses or cannot be reached, or the bytes are not the file.
        DataError: the address is none, or the disk is full. What may still be completed stays in `NAME.partial`; wrong
            bytes are removed.
    """
    path = Path(path)
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise DataError(f"{address(url)}: no address to download from; expected http:// or https://.")
    if path.is_dir():
        raise DataError(f"{path}: a folder, where the downloaded file should be; name the file.")

    def verify(file: Path) -> None:
        _verify(file, sha256, size, check)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(path.name + ".partial.lock")
        with FileLock(lock):  # two processes never write one partial file; a killed one frees the lock
            try:
                partial = Partial(path, url)
                if not _fits(path, verify):
                    with nullcontext(session) if session else requests.Session() as asking:

                        def attempt() -> bool:
                            most = limit if size is None else size
                            return advance(partial, asking, sha256 is not None, most, timeout, progress)

                        _complete(partial, attempt, verify, retries, backoff)
                    os.replace(partial.path, path)
                partial.discard()
            finally:
                lock.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be written ({reason}); free some room or name another folder.") from error
    return path


def inside(folder: str | os.PathLike[str], name: str) -> Path:
    """The path of `name` below `folder`, for names that come from elsewhere: a list, an archive.

    Raises:
        DataError: the name would lead out of the folder, or is none that every system can store.
    """
    plain = all(re.fullmatch(r"[\w\-][\w.\-]*", part) for part in name.split("/"))
    if not plain or not (Path(folder) / name).resolve().is_relative_to(Path(folder).resolve()):
        raise DataError(f"{name[:80]!r}: not the name of a file below {folder}; the list that it is from is not to be "
                        "trusted.")  # fmt: skip
    return Path(folder) / name


def file_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _complete(
    partial: Partial, attempt: Callable[[], bool], verify: Callable[[Path], None], retries: int, backoff: float
) -> None:
    """Try until the partial file is whole and right."""
    shown, failed, most, again = address(partial.url), 0, partial.length, False
    while True:
        try:
            resumed = attempt()
        except Passing as error:
            # a try that brought something new does not count, so that a flaky line finishes a large file
            failed = 1 if partial.length >= most + _NEWS else failed + 1
            most = max(most, partial.length)
            if failed > retries:
                came = f"{partial.length:,}" + (f" of {partial.total:,}" if partial.total else "")
                kept = f" The {came} bytes that came are kept; the same command goes on from there."
                tries = f"after {failed} tries" if failed > 1 else "at the only try"
                raise Refused(f"{shown}: {error}, {tries}; try again later." + kept * bool(partial.length),
                              error.reason, lasting=False) from None  # fmt: skip
            time.sleep(max(error.wait, min(backoff * 2 ** (failed - 1), 30.0) * random.uniform(0.8, 1.2)))
            continue
        try:
            verify(partial.path)
            return
        except DataError as error:
            page = _is_html(partial.path)
            reason = "it is a web page" if page else str(error).rstrip(".")
            partial.discard()
            if not resumed or again:
                raise Refused(f"{shown}: what came is not the file wanted ({reason}) and was discarded; check the "
                              "address, or try another source.", "web page" if page else "wrong bytes"
                              ) from None  # fmt: skip
            again = True  # the earlier part may be to blame: once more from the first byte
            most = 0


def _fits(path: Path, verify: Callable[[Path], None]) -> bool:
    if not path.exists():
        return False
    try:
        verify(path)
    except DataError:
        return False
    return True


def _verify(path: Path, sha256: str | None, size: int | None, check: Callable[[Path], object] | None) -> None:
    if size is not None and path.stat().st_size != size:
        raise DataError(f"{path.stat().st_size:,} bytes instead of {size:,}.")
    if sha256 is not None and (found := file_sha256(path)) != sha256.lower():
        raise DataError(f"SHA-256 {found[:16]}… instead of {sha256.lower()[:16]}….")
    if check is not None:
        check(path)


def _is_html(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(512).lstrip().lower().startswith((b"<!doctype html", b"<html"))
