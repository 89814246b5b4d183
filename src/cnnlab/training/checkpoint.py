"""Checkpoints that are either wholly there or not there at all."""

import os
import time
from pathlib import Path
from typing import Any

import torch

from cnnlab.errors import CheckpointError
from cnnlab.files import replacing

_read: list[tuple[float, float]] = []  # when each checkpoint that this process has read was written, and when read


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint; a full disk, a `kill -9` or a power failure leaves the earlier one as it was.

    Raises:
        CheckpointError: the file cannot be written.
    """
    try:
        with replacing(path) as partial, open(partial, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch reports a failed write inside its zip as a RuntimeError
        kept = "; the earlier one is intact" if path.exists() else ""
        raise CheckpointError(
            f"The checkpoint {path} cannot be written ({error}){kept}. Free some disk space and resume."
        ) from error


def load_checkpoint(path: Path, fingerprint: str | None = None) -> dict[str, Any] | None:
    """The checkpoint at `path`, or None where there is none.

    Raises:
        CheckpointError: it cannot be read, or it was written under other settings than `fingerprint` stands for.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file breaks the unpickler in more ways than it declares
        raise CheckpointError(f"The checkpoint {path} cannot be read ({error}). Delete it to start afresh.") from error
    if fingerprint is not None and content.get("fingerprint") != fingerprint:
        raise CheckpointError(
            f"The checkpoint {path} belongs to other settings or other data. Delete it to start afresh, or resume with "
            "the settings it was written under."
        )
    _read.append((path.stat().st_mtime, time.time()))
    return content


def resumed_since(began: float) -> bool:
    """Whether this process has read, since `began` (a time in seconds), a checkpoint that was written before it."""
    return any(written < began <= read for written, read in _read)
