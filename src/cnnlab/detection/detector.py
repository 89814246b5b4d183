"""`FaceDetector`: a trained fully convolutional network, run over whole images at many sizes."""

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cnnlab.detection.boxes import cell_boxes
from cnnlab.detection.nms import suppress
from cnnlab.detection.pyramid import as_images, levels, on_grid, pyramid_scales
from cnnlab.detection.regression import clip, decode
from cnnlab.devices import native_bf16
from cnnlab.errors import CheckpointError, ConfigError, DataError
from cnnlab.files import replacing
from cnnlab.models import build_model
from cnnlab.models.face import fold_batch_norm

FORMAT = "cnnlab.face_detector.1"
Detections = tuple[np.ndarray, np.ndarray]
"""Boxes float32 (N, 4) as (x1, y1, x2, y2) in pixels of the image given, and scores float32 (N,), best first."""


class FaceDetector:
    """Finds faces in images of any size.

    model: a network as in `cnnlab.models.face`, with 2 (class logits) or 6 (and box offsets) output channels.
    threshold: lowest face probability that is reported, 0 to 1.
    scales: resizing factors to search; None = a pyramid from `min_face` upwards in steps of `factor`.
    max_resolution: an image with a longer side is first shrunk to it; boxes come back in the image's own pixels.
    min_face: height in pixels of the smallest face to look for.
    nms_iou, containment: when two boxes are taken for the same face, see `suppress`.
    tta: test-time augmentation, the mean over the image and its mirror image (twice the time).

    Where the processor computes in bfloat16, so do a FaceNet's convolutions.
    """

    def __init__(
        self,
        model: nn.Module,
        threshold: float = 0.99,
        scales: Sequence[float] | None = None,
        max_resolution: int = 1024,
        min_face: float = 24,
        nms_iou: float = 0.3,
        tta: bool = False,
        device: str | torch.device = "cpu",
        factor: float | None = None,
        containment: float = 0.7,
    ) -> None:
        _check_threshold(threshold)
        if scales is not None and (len(scales) == 0 or min(scales) <= 0):
            raise ConfigError(f"scales are resizing factors above 0, not {list(scales)}.")
        if max_resolution < 48:
            raise ConfigError(f"max_resolution is {max_resolution}; the window alone has 48 pixels.")
        self.architecture = getattr(model, "architecture", None)
        self.state = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
        self.device = torch.device(device)
        self.threshold = threshold
        self.scales = scales
        self.max_resolution = max_resolution
        self.min_face = min_face
        self.nms_iou = nms_iou
        self.tta = tta
        # A network with box offsets answers to a whole octave of sizes, one without to little more than one size.
        self.factor = factor or (2.0 if model.margin else 1.25)
        self.containment = containment
        self.model = fold_batch_norm(copy.deepcopy(model)).to(self.device, memory_format=torch.channels_last)
        if hasattr(self.model, "to_bfloat16") and native_bf16(self.device.type):
            self.model.to_bfloat16()

    def detect_single_scale(self, image: np.ndarray, threshold: float | None = None) -> Detections:
        """Run the network once over `image`, uint8 (H, W, 3), as it is; no suppression.

        Raises DataError when the image is smaller than the window, ConfigError when the threshold is not in 0..1.
        """
        height, width = np.shape(image)[:2]
        if min(height, width) < self.model.window:
            raise DataError(
                f"The image has {width}x{height} pixels and the detector's window {self.model.window}x"
                f"{self.model.window}: enlarge the image, or use detect_multi_scale, which does so by itself."
            )
        threshold = self._threshold(threshold)
        ((boxes, scores),) = self._search([as_images(image, self.device).float() / 255], threshold)
        return _sorted(boxes, scores)

    def detect_multi_scale(self, image: np.ndarray, nms: bool = True, threshold: float | None = None) -> Detections:
        """Search `image`, uint8 (H, W, 3), at all sizes; `nms` merges the boxes of one face."""
        threshold = self._threshold(threshold)
        images = as_images(image, self.device)
        height, width = images.shape[-2:]
        shrink = min(1.0, self.max_resolution / max(height, width))
        scales = [scale * shrink for scale in self._scales(height * shrink, width * shrink)]
        with torch.inference_mode():
            pyramid, fx, fy = zip(*levels(images, scales), strict=True)
            found = self._search(pyramid, threshold)
            boxes = torch.cat([b / b.new_tensor((x, y, x, y)) for (b, _), x, y in zip(found, fx, fy, strict=True)])
            scores = torch.cat([one for _, one in found])
        if nms and len(boxes):
            kept = suppress(boxes, scores, self.nms_iou, self.containment)
            boxes, scores = boxes[kept], scores[kept]
        return _sorted(clip(boxes, height, width), scores)

    def _scales(self, height: float, width: float) -> list[float]:
        if self.scales is not None:
            # A size at which the image is smaller than the window cannot be searched without padding.
            fits = [s for s in self.scales if self.model.margin or min(height, width) * s >= self.model.window]
            return fits or [self.model.window / min(height, width)]
        smallest_side = 8 if self.model.margin else self.model.window
        return pyramid_scales(
            height, width, self.min_face, self.model.face_range, self.factor, smallest_side=smallest_side
        )

    @torch.inference_mode()
    def _search(self, pyramid: Sequence[Tensor], threshold: float) -> list[tuple[Tensor, Tensor]]:
        """Boxes (N, 4) and scores (N,) at or above `threshold` in each image (1, 3, H, W), in its pixels."""
        maps = self._maps(pyramid)
        if self.tta:
            mirrored = self._maps(pyramid, mirror=True)
            maps = [_with_mirrored(*pair) for pair in zip(maps, mirrored, strict=True)]
        return [self._found(*one, images.shape[-2:], threshold) for one, images in zip(maps, pyramid, strict=True)]

    def _found(self, scores: Tensor, offsets: Tensor, size: torch.Size, threshold: float) -> tuple[Tensor, Tensor]:
        # Boxes are worked out only where something was found.
        row, column = torch.nonzero(scores >= threshold, as_tuple=True)
        if len(row) == 0:
            return scores.new_zeros(0, 4), scores.new_zeros(0)
        window, stride, margin = self.model.window, self.model.stride, self.model.margin
        if margin:  # the canvas ends where the last cell does
            size = [window + 1 + (cells - 1) * stride for cells in scores.shape]
        boxes = cell_boxes(scores.shape, size, window).to(scores.device)[row, column]
        if len(offsets):
            boxes = decode(offsets[:, row, column].T, boxes)
        return boxes - margin, scores[row, column]

    def _maps(self, pyramid: Sequence[Tensor], mirror: bool = False) -> list[tuple[Tensor, Tensor]]:
        """Face probability (h, w) of every cell of each image, and its box offsets (4 or 0, h, w).

        Mirrored, the canvas as a whole is: its maps are those of the mirrored images, in mirrored order.
        """
        model = self.model
        if not model.margin:
            turned = [images.flip(-1) if mirror else images for images in pyramid]
            return [_scored(model(x.contiguous(memory_format=torch.channels_last))[0].float()) for x in turned]
        # On small images most of the time is the calls' own: all but the largest go through the network side by side.
        # No layer pads, so a window sees nothing of its neighbour, and the windows across two images are left out.
        maps = []
        dtype = next(model.parameters()).dtype
        for part in (pyramid[:1], pyramid[1:]):
            if not part:
                continue
            canvas, places = on_grid(part, model.margin, model.window, model.stride, dtype)
            if mirror:
                # the last pixel is beyond the last cell: without it the mirrored cells are the cells, mirrored
                canvas = canvas[..., :-1].flip(-1).contiguous(memory_format=torch.channels_last)
            outputs = model(canvas)[0].float()
            total = outputs.shape[-1]
            for start, rows, columns in places:
                first = total - start - columns if mirror else start
                maps.append(_scored(outputs[:, :rows, first : first + columns]))
        return maps

    def _threshold(self, threshold: float | None) -> float:
        if threshold is None:
            return self.threshold
        _check_threshold(threshold)
        return threshold

    def with_settings(self, **changes: object) -> "FaceDetector":
        """The same network with other settings (threshold, min_face, tta, ...)."""
        settings = {key: getattr(self, key) for key in _SETTINGS} | changes
        return FaceDetector(self.network(), device=self.device, **settings)

    def network(self) -> nn.Module:
        """The network as it was trained (batch norm not folded), a copy on the CPU in evaluation mode."""
        if self.architecture is None:
            raise ConfigError("Only a network made by build_model can be made again: its architecture has a name.")
        name, settings = self.architecture
        model = build_model(name, **settings)
        model.load_state_dict(self.state)
        return model.eval()

    def save(self, path: str | Path) -> None:
        """Write network, weights, threshold and settings to one file; a failed write leaves an older file whole."""
        if self.architecture is None:
            raise ConfigError("Only a network made by build_model can be saved: the file names its architecture.")
        name, settings = self.architecture
        settings = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
        content = {
            "format": FORMAT,
            "architecture": name,
            "settings": settings,
            "state": self.state,
            "detector": {key: getattr(self, key) for key in _SETTINGS},
        }
        content["detector"]["scales"] = None if self.scales is None else list(self.scales)
        try:
            with replacing(path) as partial:
                torch.save(content, partial)
        except (OSError, RuntimeError) as error:
            raise CheckpointError(f"The detector could not be written to {path} ({error}).") from error

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu", **changes: object) -> "FaceDetector":
        """Read a file that `save` wrote; `changes` replace its settings (threshold, min_face, tta, ...)."""
        path = Path(path)
        if not path.is_file():
            raise CheckpointError(f"There is no detector file {path}: give one that FaceDetector.save wrote.")
        unknown = sorted(set(changes) - set(_SETTINGS))
        if unknown:
            raise ConfigError(f"FaceDetector has no setting '{unknown[0]}'. Known: {', '.join(_SETTINGS)}.")
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']}, not {FORMAT}")
            model = build_model(content["architecture"], **content["settings"])
            model.load_state_dict(content["state"])
        except ConfigError:
            raise
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(f"{path} is not a detector file that FaceDetector.save wrote ({reason}).") from error
        return cls(model, device=device, **{**content["detector"], **changes})


_SETTINGS = ("threshold", "scales", "max_resolution", "min_face", "nms_iou", "tta", "factor", "containment")


def _scored(outputs: Tensor) -> tuple[Tensor, Tensor]:
    # of two classes, softmax is the sigmoid of the difference
    return torch.sigmoid(outputs[1] - outputs[0]), outputs[2:]


def _with_mirrored(one: tuple[Tensor, Tensor], mirrored: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    (scores, offsets), (other_scores, other_offsets) = one, mirrored
    # mirrored back, only the shift in x changes its sign
    sign = offsets.new_tensor((-1.0, 1.0, 1.0, 1.0)).view(-1, 1, 1)[: len(offsets)]
    return (scores + other_scores.flip(1)) / 2, (offsets + other_offsets.flip(2) * sign) / 2


def _check_threshold(threshold: float) -> None:
    if not 0 <= threshold <= 1:
        raise ConfigError(f"The threshold is {threshold}; it is a probability, so between 0 and 1.")


def _sorted(boxes: Tensor, scores: Tensor) -> Detections:
    order = scores.argsort(descending=True, stable=True)
    return boxes[order].cpu().numpy().astype(np.float32), scores[order].cpu().numpy().astype(np.float32)
