"""Faces into training, validation and test: so many of each person to train on, no picture in two sets."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from cnnlab.data.face_list import ListedFace
from cnnlab.errors import DataError

SPLITS = ("training", "validation", "test")
LEAST = 2  # of a person in validation and in test, as class folders need


def divide(
    faces: Sequence[ListedFace], groups: np.ndarray, people: Sequence[str], train_images: int, seed: int = 0
) -> list[str]:
    """The split of each face; the same faces and seed give the same one, in whatever order they come.

    Exactly `train_images` of each person are for training, the rest goes half and half to validation and test. Faces of
    one group stay together; a group of several faces is for training where there is room for it.

    Args:
        faces: N faces.
        groups: (N,) a number that faces of the same picture share.
        people: whose faces are wanted, as `ListedFace.folder` has it.
        train_images: of each person.
        seed: of the drawing.

    Raises:
        DataError: there are too few of somebody.
    """
    have = dict.fromkeys(people, 0) | Counter(face.folder for face in faces)
    needed = train_images + 2 * LEAST
    if few := {person: count for person, count in sorted(have.items()) if count < needed}:
        raise DataError(_too_few(few, train_images))
    members: dict[int, list[int]] = {}
    for index, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(index)
    ordered = sorted(members.values(), key=lambda group: (-len(group), min(_lot(faces[i], seed) for i in group)))
    splits = [""] * len(faces)
    counts = {split: Counter[str]() for split in SPLITS}

    def put(group: list[int], split: str) -> None:
        for index in group:
            splits[index] = split
            counts[split][faces[index].folder] += 1

    for group in ordered:  # the largest first, so that single pictures fill up
        wanted = Counter(faces[i].folder for i in group)
        if all(counts["training"][person] + count <= train_images for person, count in wanted.items()):
            put(group, "training")
        else:
            put(group, min(SPLITS[1:], key=lambda split: sum(counts[split][person] for person in wanted)))
    few = {p: have[p] for p in sorted(have) if counts["training"][p] < train_images
           or min(counts[split][p] for split in SPLITS[1:]) < LEAST}  # fmt: skip
    if few:  # pictures that must stay together can leave too few others
        raise DataError(_too_few(few, train_images))
    return splits


def _lot(face: ListedFace, seed: int) -> str:
    return hashlib.sha256(f"{seed} {face.sha256} {face.box}".encode()).hexdigest()


def _too_few(few: dict[str, int], train_images: int) -> str:
    listed = ", ".join(f"{count} of {person}" for person, count in few.items())
    return (f"Too few pictures: {listed}; {train_images} of each are for training and at least {LEAST} each for "
            "validation and test. Give the same command again later, name other people with `-P people=`, or a smaller "
            "`-P train_images=` (the experiments then want the number of pictures as `-P least=`).")  # fmt: skip
