"""Classes and colour code of the street scenes: CamVid's 11 classes and void, and the course's reduction to 3."""

import numpy as np

SCENE_CLASSES = (
    "Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist",
)  # fmt: skip
VOID = 11  # in mask files: a pixel that nobody labelled
IGNORED = 255  # in memory: a pixel that neither loss nor measures count

# The course's colour code, void last; uint8 (12, 3).
COLOURS = np.array(
    [
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192), (0, 0, 0),
    ],
    np.uint8,
)  # fmt: skip

THREE_CLASS_NAMES = ("Sky", "Surroundings", "Traffic")
# Class of the 3 for each of the 11 and void: void belongs to the surroundings, as the course says. uint8 (12,).
THREE_CLASSES = np.array([0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 1], np.uint8)
THREE_COLOURS = COLOURS[[0, 1, 8, 11]]  # sky, building and car stand for their groups; void last


def class_names(classes: int) -> tuple[str, ...]:
    """The names of the 11 or the 3 classes."""
    return SCENE_CLASSES if classes == len(SCENE_CLASSES) else THREE_CLASS_NAMES


def class_colours(classes: int) -> np.ndarray:
    """The colours of the 11 or the 3 classes and, last, of void: uint8 (classes + 1, 3)."""
    return COLOURS if classes == len(SCENE_CLASSES) else THREE_COLOURS


def label_table(classes: int) -> np.ndarray:
    """uint8 (256,): what each value of a mask file becomes in memory; in 11 classes void is ignored."""
    table = np.full(256, IGNORED, np.uint8)
    table[: VOID + 1] = (*range(VOID), IGNORED) if classes == len(SCENE_CLASSES) else THREE_CLASSES
    return table
