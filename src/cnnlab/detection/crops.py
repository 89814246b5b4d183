"""Faces cut from whole photographs, framed as in FaceScrub: a square from the eyebrows to the chin."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torchvision.ops import box_iou

from cnnlab.detection.detector import FaceDetector

# medians over 60 photographs, found by the released detector, whose boxes FaceScrub lists
SIDE = 0.72
"""Side of FaceScrub's square over the height of the detector's box."""
DOWN = 0.054
"""How far the square's centre lies below the box's, over the height of the box."""
_WHOLE = 0.6  # a square and the picture overlap so far (IoU): the picture is a face crop
_LIKELY = 0.75  # of the detector's threshold is enough where a face would fill the picture as a crop does
_NEAR = 224  # shorter side in pixels at which a picture is looked at for a face that fills it


@dataclass(frozen=True)
class FoundFaces:
    """Faces of one picture, best first.

    Attributes:
        boxes: (N, 4) as (x1, y1, x2, y2), the squares in pixels of the picture; they may reach beyond it.
        scores: (N,), the detector's.
        crop: the picture is a face crop itself: its one box is the whole picture.
    """

    boxes: np.ndarray
    scores: np.ndarray
    crop: bool


def find_faces(detector: FaceDetector, image: np.ndarray) -> FoundFaces:
    """The faces of `image`, uint8 (H, W, 3); none if there is none.

    A picture that one face fills, such as FaceScrub's crops, counts as one face: the whole picture.
    """
    height, width = image.shape[:2]
    near, near_scores = _filling_faces(detector, image)
    whole = torch.tensor([[0.0, 0.0, width, height]])
    fills = box_iou(torch.from_numpy(near), whole)[:, 0].numpy() >= _WHOLE
    if fills.any():
        return FoundFaces(whole.numpy(), near_scores[fills][:1], crop=True)
    boxes, scores = detector.detect_multi_scale(image)
    if len(boxes):
        return FoundFaces(face_squares(boxes), scores, crop=False)
    sure = near_scores >= detector.threshold
    return FoundFaces(near[sure], near_scores[sure], crop=False)


def _filling_faces(detector: FaceDetector, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squares and scores of large faces: hair and neck are cut off, so the detector is shown some room around them."""
    height, width = image.shape[:2]
    room, scale = min(height, width) / 2, _NEAR / min(height, width)
    size = (round((height + 2 * room) * scale), round((width + 2 * room) * scale))
    padded = cut_face(image, np.array([-room, -room, width + room, height + room]), size)
    boxes, scores = detector.detect_multi_scale(padded, threshold=_LIKELY * detector.threshold)
    return face_squares(boxes) / scale - room, scores


def face_squares(boxes: np.ndarray) -> np.ndarray:
    """FaceScrub's squares for the detector's boxes, both (N, 4) as (x1, y1, x2, y2)."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    height = boxes[:, 3] - boxes[:, 1]
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2 + DOWN * height
    half = SIDE * height / 2
    return np.stack([x - half, y - half, x + half, y + half], axis=1)


def cut_face(image: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The box of an image, uint8 (H, W, 3), at `size` = (height, width); beyond the image its edge is repeated."""
    x1, y1, x2, y2 = (float(v) for v in box)
    height, width = image.shape[:2]
    beyond = int(np.ceil(max(0, -x1, -y1, x2 - width, y2 - height)))
    if beyond:
        image = np.pad(image, ((beyond, beyond), (beyond, beyond), (0, 0)), mode="edge")
    window = (x1 + beyond, y1 + beyond, x2 + beyond, y2 + beyond)
    return np.array(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BICUBIC, box=window))
