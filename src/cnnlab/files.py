"""Files that are either wholly there or not there at all."""

import glob
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The name to write under, beside `path`, which it takes when the block ends; the folder is made as needed.

    A block that fails, a full disk or a `kill -9` leaves an earlier file as it was. Of several processes that write at
    once the last one's file stays, whole.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = f"{path.name}.{socket.gethostname()}"
    for left in path.parent.glob(f"{glob.escape(stem)}.*.partial"):  # by processes that were killed
        number = left.suffixes[-2][1:]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            left.unlink(missing_ok=True)
    partial = path.with_name(f"{stem}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
