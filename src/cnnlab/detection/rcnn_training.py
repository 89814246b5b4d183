"""What the head of an `RCNN` learns from: boxes around the faces and beside them, and their features."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from cnnlab.data.photos import Photo
from cnnlab.detection.anchors import assign
from cnnlab.detection.rcnn import RCNN
from cnnlab.detection.regression import FAST_RCNN_WEIGHTS, clip, decode, encode
from cnnlab.errors import ConfigError, DataError


@dataclass(frozen=True)
class Sampling:
    """Which boxes of a photograph the head learns from."""

    foreground: float = 0.6
    """overlap with a face from which on a box is one"""
    background: float = 0.4
    """overlap below which a box is background; between the two it is not used"""
    count: int = 24
    """most boxes of a photograph, half of them faces"""
    jitter: int = 12
    """shifted and scaled copies of each true box that are offered beside the detector's windows, so that the head does
    not learn from the boxes of photographs alone that the detector has seen in its own training"""
    mirror: bool = True
    """each photograph a second time, mirrored"""

    def __post_init__(self) -> None:
        if not 0 < self.background <= self.foreground < 1:
            raise ConfigError(
                f"sampling.background ({self.background}) and sampling.foreground ({self.foreground}) are overlaps "
                "between 0 and 1, the first not above the second."
            )
        if self.count < 2 or self.jitter < 1:
            raise ConfigError(
                f"sampling.count must be at least 2 and jitter at least 1, not {self.count}, {self.jitter}."
            )


class RoISamples(Dataset):
    """Features of boxes, held as bytes, uint8 (N, C, s, s), and targets float32 (N, 5): face or not, box offsets."""

    def __init__(self, features: Tensor, targets: Tensor) -> None:
        self.features, self.targets = features, targets

    def __len__(self) -> int:
        return len(self.features)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """A batch of features (B, C, s, s) and targets (B, 5)."""
        picked = torch.as_tensor(indices)
        return self.features[picked], self.targets[picked]


class RoILoss:
    """Objective of the training loop: cross entropy of face or background and, of faces, smooth L1 of the offsets.

    Both as in Fast R-CNN (arXiv:1504.08083, section 2.3): means over all boxes, `box_weight` between them.
    """

    def __init__(self, box_weight: float = 1.0) -> None:
        self.box_weight = box_weight

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of outputs (B, 6) against targets (B, 5), a scalar."""
        faces = targets[:, 0] == 1
        loss = F.cross_entropy(outputs[:, :2], targets[:, 0].long())
        wrong = F.smooth_l1_loss(outputs[faces][:, 2:], targets[faces][:, 1:], reduction="sum")
        return loss + self.box_weight * wrong / len(targets)

    def correct(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        """Boxes rightly told to be face or background (a scalar tensor), and boxes."""
        return (outputs[:, :2].argmax(dim=1) == targets[:, 0]).sum(), len(targets)


def mirrored(photo: Photo) -> Photo:
    """The photograph and its boxes, left and right exchanged."""
    width = photo.image.shape[1]
    boxes = photo.boxes.copy()
    boxes[:, [0, 2]] = width - photo.boxes[:, [2, 0]]
    return replace(photo, image=np.ascontiguousarray(photo.image[:, ::-1]), boxes=boxes)


def sample_boxes(
    windows: Tensor, truths: Tensor, size: tuple[int, int], sampling: Sampling, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Boxes (N, 4) of one photograph and what the head is to say to each, (N, 5).

    Args:
        windows: what the detector found at a low threshold, (W, 4), not suppressed.
        truths: its faces, (M, 4).
        size: height and width of the photograph.
        sampling: how many of which kind.
        rng: draws them.
    """
    height, width = size
    # centre shifts of about an eighth and sizes about a seventh larger or smaller: overlaps from 0.5 to 1
    shifts = torch.from_numpy(rng.normal(0, (0.12, 0.12, 0.15, 0.15), (len(truths) * sampling.jitter, 4))).float()
    near = decode(shifts, truths.repeat_interleave(sampling.jitter, dim=0))
    sides = np.exp(rng.uniform(np.log(16), np.log(max(min(size), 17)), (sampling.count, 1))) * (1.0, 1.25)
    corners = rng.uniform(0, 1, (sampling.count, 2)) * np.maximum((width, height) - sides, 0)
    anywhere = torch.from_numpy(np.concatenate((corners, corners + sides), axis=1)).float()
    boxes = clip(torch.cat((windows, near, anywhere)), height, width)
    boxes = boxes[(boxes[:, 2:] - boxes[:, :2] >= 4).all(dim=1)]
    target, _ = assign(boxes, truths, sampling.foreground, sampling.background)
    half = sampling.count // 2
    faces = _draw(torch.nonzero(target >= 0)[:, 0], half, rng)
    others = _draw(torch.nonzero(target == -1)[:, 0], sampling.count - half, rng)
    targets = torch.zeros(len(faces) + len(others), 5)
    targets[: len(faces), 0] = 1
    targets[: len(faces), 1:] = encode(truths[target[faces]], boxes[faces], FAST_RCNN_WEIGHTS)
    return boxes[torch.cat((faces, others))], targets


def _draw(indices: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    return indices[torch.from_numpy(rng.permutation(len(indices))[:count])]


def roi_samples(
    rcnn: RCNN, photos: Sequence[Photo], sampling: Sampling, seed: int = 0, fit_range: bool = False, title: str = ""
) -> RoISamples:
    """Boxes of all photographs with their features; the same seed gives the same boxes.

    Args:
        rcnn: its detector and backbone; its head is not used.
        photos: with their faces.
        sampling: which boxes.
        seed: of the boxes.
        fit_range: set the range of the features by these photographs (those of training).
        title: shown before the progress bar.

    Raises:
        DataError: no photograph is given.
    """
    if not photos:
        raise DataError("The second stage learns from photographs with face boxes, and there is none.")
    every = [*photos, *map(mirrored, photos)] if sampling.mirror else list(photos)
    features, targets = [], []
    quiet = True if len(every) < 20 else None
    for number, photo in enumerate(tqdm(every, desc=title or "features", unit="photo", disable=quiet, leave=False)):
        windows, _ = rcnn.detector.detect_multi_scale(photo.image, nms=False, threshold=rcnn.roi.floor)
        rng = np.random.default_rng((seed, number))
        boxes, told = sample_boxes(
            torch.from_numpy(windows), torch.from_numpy(photo.boxes), photo.image.shape[:2], sampling, rng
        )
        # 16 bits here and 8 below: of some ten thousand boxes the features would fill the memory
        features.append(rcnn.features(rcnn.maps(photo.image), boxes).half())
        targets.append(told)
    if fit_range:
        rcnn.set_range(torch.cat(features[:: max(1, len(features) // 100)]))
    held = torch.cat([(rcnn.scaled(part.float()) * 255).round().byte() for part in features])
    return RoISamples(held, torch.cat(targets))
