"""Whether a folder of data is whole, and its splits apart."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.data.imageset import ImageSet
from cnnlab.data.scene_crops import SceneSet
from cnnlab.errors import DataError
from cnnlab.files import replacing

MARKER = "cnnlab_fetch.json"  # what a folder that data_fetch made says about itself


def mark(marker: Path, about: Mapping[str, Any], complete: bool) -> None:
    """Note in a folder, in its file `marker`, what a command of ours puts there, and whether all of it is there."""
    with replacing(marker) as unfinished:
        unfinished.write_text(json.dumps({**about, "complete": complete}) + "\n")


def refuse_unfinished(marker: Path) -> None:
    """Refuse a folder that a command of ours was filling when it was stopped; its marker says so.

    Raises:
        DataError: names the folder.
    """
    try:
        complete = json.loads(marker.read_text()).get("complete", True)
    except (OSError, ValueError, AttributeError):  # not made by us
        return
    if not complete:
        raise DataError(f"{marker.parent}: made half way; give the command that was making it again, it goes on.")


def refuse_shared_pictures(root: Path, sets: Sequence[ImageSet | SceneSet]) -> None:
    """Refuse splits that have a picture in common, pixel by pixel.

    Raises:
        DataError: names both.
    """
    seen: dict[bytes, tuple[str, str]] = {}
    for pictures in sets:
        for pixels, name in zip(pictures.images.numpy(), pictures.names or (), strict=True):
            key = hashlib.sha256(np.ascontiguousarray(pixels)).digest()
            split, other = seen.setdefault(key, (pictures.split, name))
            if split != pictures.split:
                raise DataError(
                    f"{root}: {other} of {split} and {name} of {pictures.split} are the same picture; remove one, or "
                    f"the {pictures.split} split is not judged fairly."
                )
