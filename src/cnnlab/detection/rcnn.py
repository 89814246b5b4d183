"""A second stage in R-CNN's manner: the window detector proposes, a pretrained backbone's features decide.

Girshick et al. 2014 (arXiv:1311.2524) with the shared feature map of Fast R-CNN (Girshick 2015, arXiv:1504.08083): the
backbone sees the whole image once, each proposal takes its grid of features by RoI align (roi.py), and a small head
says face or background and corrects the box (regression.py). Proposals are what `FaceDetector` finds at a low
threshold; the backbone stays as it is, only the head learns (rcnn_training.py).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnlab.detection.detector import Detections, FaceDetector
from cnnlab.detection.nms import suppress
from cnnlab.detection.pyramid import as_images
from cnnlab.detection.regression import FAST_RCNN_WEIGHTS, clip, decode
from cnnlab.detection.roi import Method, roi_features
from cnnlab.errors import ConfigError
from cnnlab.models.backbone import Backbone, init_linear
from cnnlab.models.layers import device_of


@dataclass(frozen=True)
class RoISettings:
    """Where the features of a box come from."""

    side: int = 320
    """longer side, in pixels, at which the backbone sees an image"""
    strides: tuple[int, ...] = (8, 16)
    """maps of the backbone that are used"""
    bins: int = 7
    """bins of a box along both axes"""
    method: Method = "align"
    """align or pool"""
    floor: float = 0.05
    """lowest score of a proposal"""
    proposals: int = 40
    """most proposals of an image, the best ones"""

    def __post_init__(self) -> None:
        if self.side < 64:
            raise ConfigError(f"roi.side is {self.side}; the backbone needs images of at least 64 pixels.")
        if not self.strides:
            raise ConfigError("roi.strides names no map; give one or more of 8, 16 and 32.")
        if self.bins < 1 or self.proposals < 1:
            raise ConfigError(f"roi.bins and roi.proposals must be at least 1, not {self.bins} and {self.proposals}.")
        if not 0 <= self.floor < 1:
            raise ConfigError(f"roi.floor is a score from 0 to 1, not {self.floor}.")


@dataclass(frozen=True)
class Verdict:
    """How the second stage's answers become detections; see `RCNN.decide`."""

    scores: Literal["second", "both"] = "second"
    """second: the head's probability; both: its geometric mean with the window detector's"""
    passes: int = 1
    """times that a box is corrected; from the second on the features are those of the corrected box"""
    iou: float = 0.3
    """overlap above which two boxes are one face"""


class RoIHead(nn.Module):
    """Grids of features (N, C, s, s), scaled to [0, 1] -> (N, 6): logits of background and face, four box offsets."""

    def __init__(self, channels: int, bins: int = 7, width: int = 64, hidden: int = 256, dropout: float = 0.3) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.BatchNorm2d(channels), nn.Conv2d(channels, width, 1), nn.ReLU())
        self.fuse = nn.Sequential(
            nn.Flatten(), nn.Dropout(dropout), nn.Linear(width * bins**2, hidden), nn.ReLU(), nn.Dropout(dropout)
        )
        self.predict = nn.Linear(hidden, 6)
        # as in Fast R-CNN: small enough that the first boxes are the proposals themselves
        init_linear(self.predict, 0.001)

    def forward(self, features: Tensor) -> Tensor:
        return self.predict(self.fuse(self.reduce(features)))


class RCNN:
    """Finds faces: proposals of a window detector, judged and corrected by a head on a backbone's features.

    Args:
        detector: makes the proposals, with its own settings of sizes and suppression.
        backbone: pretrained; it is not changed.
        roi: where the features come from.

    Attributes:
        head: `RoIHead`, or None before it is trained.
        low, span: per channel of the features, what becomes 0 and how far it is from there to 1; see `set_range`.
        verdict: how `detect` decides.

    Raises:
        ConfigError: the backbone has no map of a wanted stride.
    """

    def __init__(self, detector: FaceDetector, backbone: Backbone, roi: RoISettings | None = None) -> None:
        self.detector, self.roi, self.verdict = detector, roi or RoISettings(), Verdict()
        absent = [stride for stride in self.roi.strides if stride not in backbone.pyramid_channels]
        if absent:
            known = ", ".join(map(str, backbone.pyramid_channels))
            raise ConfigError(f"The backbone has no map of stride {absent[0]}; set roi.strides to some of {known}.")
        self.backbone = backbone.eval().to(memory_format=torch.channels_last)
        self.channels = sum(backbone.pyramid_channels[stride] for stride in self.roi.strides)
        self.head: RoIHead | None = None
        self.low, self.span = torch.zeros(self.channels, 1, 1), torch.ones(self.channels, 1, 1)

    # ---- the first stage ---------------------------------------------------------------------------------------------
    def propose(self, image: np.ndarray) -> tuple[Tensor, Tensor]:
        """Proposals (N, 4) and their scores (N,), best first, for `image` uint8 (H, W, 3)."""
        boxes, scores = self.detector.detect_multi_scale(image, threshold=self.roi.floor)
        boxes, scores = torch.from_numpy(boxes[: self.roi.proposals]), torch.from_numpy(scores[: self.roi.proposals])
        there = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)  # clipped at the edge, a box may have no width left
        return boxes[there], scores[there]

    # ---- the second stage --------------------------------------------------------------------------------------------
    @torch.inference_mode()
    def maps(self, image: np.ndarray) -> tuple[dict[int, Tensor], float, float]:
        """The backbone's maps of `image`, and by how much it was resized along x and along y."""
        images = as_images(image, torch.device("cpu")).float() / 255
        height, width = images.shape[-2:]
        scale = self.roi.side / max(height, width)
        size = (max(32, round(height * scale)), max(32, round(width * scale)))
        images = F.interpolate(images, size=size, mode="bilinear", antialias=scale < 1, align_corners=False)
        maps = self.backbone.pyramid(images.contiguous(memory_format=torch.channels_last))
        return {stride: maps[stride] for stride in self.roi.strides}, size[1] / width, size[0] / height

    @torch.inference_mode()
    def features(self, maps: tuple[dict[int, Tensor], float, float], boxes: Tensor) -> Tensor:
        """Features (N, C, s, s) of boxes (N, 4) in pixels of the image, as the backbone gives them."""
        values, fx, fy = maps
        return roi_features(values, [boxes * boxes.new_tensor((fx, fy, fx, fy))], self.roi.bins, self.roi.method)

    def set_range(self, features: Tensor) -> None:
        """Let the values between the 0.1 % and the 99.9 % quantile of each channel become 0 to 1."""
        values = features.movedim(1, 0).flatten(1).float()
        values = values[:, torch.randperm(values.shape[1], generator=torch.Generator().manual_seed(0))[:100_000]]
        low, high = torch.quantile(values, 0.001, dim=1), torch.quantile(values, 0.999, dim=1)
        self.low, self.span = low[:, None, None], (high - low).clamp(min=1e-6)[:, None, None]

    def scaled(self, features: Tensor) -> Tensor:
        """Features as the head takes them: 0 to 1."""
        return ((features - self.low) / self.span).clamp(0, 1)

    @torch.inference_mode()
    def judge(
        self, maps: tuple[dict[int, Tensor], float, float], boxes: Tensor, head: nn.Module | None = None
    ) -> tuple[Tensor, Tensor]:
        """Corrected boxes (N, 4) and face probabilities (N,) of boxes (N, 4); the head may be on another device.

        Raises:
            ConfigError: there is no head yet.
        """
        head = head or self.head
        if head is None:
            raise ConfigError("The second stage has no head yet: train one first.")
        if len(boxes) == 0:
            return boxes, boxes.new_zeros(0)
        features = self.scaled(self.features(maps, boxes))  # where the backbone is; training moves the head alone
        outputs = head.eval()(features.to(device_of(head))).float().to(boxes.device)
        return decode(outputs[:, 2:], boxes, FAST_RCNN_WEIGHTS), outputs[:, :2].softmax(dim=1)[:, 1]

    def decide(
        self, image_size: tuple[int, int], maps: tuple[dict[int, Tensor], float, float], proposals: Tensor,
        proposed: Tensor, verdict: Verdict | None = None, head: nn.Module | None = None,
    ) -> Detections:  # fmt: skip
        """Detections in an image of `image_size` (H, W) from its maps and its proposals with their scores."""
        verdict = verdict or self.verdict
        height, width = image_size
        boxes, scores = proposals, proposed
        for number in range(verdict.passes):
            boxes, found = self.judge(maps, boxes, head)
            boxes = clip(boxes, height, width)
            if number == 0:  # of the proposal, on which the head has learnt to judge
                scores = (found * proposed).sqrt() if verdict.scores == "both" else found
            there = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
            boxes, scores = boxes[there], scores[there]
        kept = suppress(boxes, scores, verdict.iou, self.detector.containment)
        return boxes[kept].numpy().astype(np.float32), scores[kept].numpy().astype(np.float32)

    def detect(self, image: np.ndarray) -> Detections:
        """Boxes float32 (N, 4) in pixels and scores float32 (N,), best first, in `image` uint8 (H, W, 3)."""
        proposals, scores = self.propose(image)
        if len(proposals) == 0:  # nothing for the backbone to look at
            return proposals.numpy(), scores.numpy()
        return self.decide(image.shape[:2], self.maps(image), proposals, scores)
