"""Lecture, week 4 · The building blocks of detection, each shown on one real photograph.

    mlflow run . -e detection_lecture                           # skimage's photograph of an astronaut
    mlflow run . -e detection_lecture -P data=DIR               # the full image with most faces
    mlflow run . -e detection_lecture -P image=FILE             # your own photograph

The released face detector slides its window over the photograph at several sizes, so everything that follows acts on
real boxes. Six figures: `overlap` (IoU and GIoU), `anchors` (the slide's sizes and ratios at every cell, and which of
them are to find a face), `regression` (the four functions of the slide: windows before and after, and d_x, d_y, d_w,
d_h of one), `suppression` (non-maximum suppression in the slide's steps, round by round), `soft_suppression` (linear
and Gaussian, against the hard one), `roi_features` (RoI pooling and RoI align of one face on two maps of a pretrained
backbone). Where nobody annotated the photograph, the detector's own sure boxes stand in for the true ones, and the
summary says so.

Budget on two CPU cores: half a minute.

Result: detection_lecture on astronaut.png (images 1), seeds 0, AMD EPYC, 2 cores, 24 GiB, no GPU, 4 s, 2026-11-23,
    commit e404330382:
    image_windows           299.0 (1)
    image_faces             1.000 (1)
    image_best_iou          0.8534 (1)
    image_anchors           2304 (1)
    image_anchors_of_faces  8.000 (1)
    image_best_anchor_iou   0.6955 (1)
    image_window_iou        0.3228 (1)
    image_box_iou           0.7614 (1)
    image_candidates        34.00 (1)
    image_kept              11.00 (1)
    image_pooling_shift_8   6.500 (1)
    image_pooling_shift_16  8.500 (1)
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cnnlab.data.embedded import FULL_BOXES, package_file
from cnnlab.data.faces import Photo, load_full_images
from cnnlab.data.images import read_image
from cnnlab.detection import FaceDetector, anchor_grid, assign, cell_boxes, decode, giou, iou, nms_steps, pyramid_scales
from cnnlab.detection.nms import soft_nms
from cnnlab.detection.pyramid import as_images, levels
from cnnlab.detection.regression import clip
from cnnlab.detection.roi import pooling_bins, roi_features
from cnnlab.errors import ConfigError, DataError
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.models.pretrained import pretrained_model
from cnnlab.plots.boxes import AnchorView, anchor_sheet, overlap_sheet, regression_sheet
from cnnlab.plots.roi import RoIView, roi_sheet
from cnnlab.plots.suppression import soft_sheet, suppression_sheet
from cnnlab.tracking import Run
from cnnlab.tracking.models import detector_file

LONGEST = 640  # pixels of the photograph's longer side; larger ones are shrunk
# lowest score of a window that is looked at, of a box that suppression does not discard, and of one that is believed
FLOOR, DISCARD, SURE = 0.05, 0.2, 0.5
SHARED = 0.3  # overlap at which two boxes are one face, in every kind of suppression


@dataclass(frozen=True)
class Config(Experiment):
    """Show IoU, anchors, box regression, suppression and RoI features on a photograph."""

    image: str = ""
    """a photograph of yours instead of that of `data`"""
    model: str = "released"
    """the face detector: `released`, a run id, a registered model, or a detector file with box regression"""
    backbone: str = "efficientnet_lite0"
    """network whose maps RoI pooling and RoI align read"""
    weights: str = "auto"
    """auto, torchvision, packages, random, or the path of a .pth file"""
    sizes: tuple[float, ...] = (64, 128, 256)
    """sizes of the anchors in pixels, those of the slide"""
    ratios: tuple[float, ...] = (0.5, 1.0, 1.5)
    """their widths over their heights, those of the slide"""
    stride: int = 32
    """pixels between two cells with anchors"""

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ConfigError(f"stride must be at least 1, not {self.stride}.")

    def shrunk(self) -> "Config":
        return replace(self, weights="random")


@dataclass(frozen=True)
class Windows:
    """Where the detector's network looked and saw a face, best score first, all in pixels of the photograph."""

    windows: Tensor
    """(N, 4)"""
    offsets: Tensor
    """its answers d_x, d_y, d_w, d_h (N, 4)"""
    boxes: Tensor
    """what they make of the windows (N, 4)"""
    scores: Tensor
    """(N,)"""


def run(config: Config, run: Run) -> Outcome:
    """Read the photograph, run the detector, draw every building block."""
    photo = read_photo(config)
    digest = hashlib.sha256(photo.image.tobytes()).hexdigest()[:16]
    run.log_data(photo.name, digest, {"images": 1}, config.image or config.data)
    detector = FaceDetector.load(detector_file(config.model))
    found = slide(detector, photo.image)
    truths = torch.from_numpy(photo.boxes)
    annotated = len(truths) > 0
    if not annotated:
        boxes, scores = detector.detect_multi_scale(photo.image)
        truths = torch.from_numpy(boxes if len(boxes) else found.boxes[:1].numpy())
    face = face_to_show(found, truths)
    metrics = {"image_windows": float(len(found.boxes)), "image_faces": float(len(truths))}
    metrics |= show_overlap(run, photo, truths[face], found)
    metrics |= show_anchors(run, photo, truths, face, config)
    metrics |= show_regression(run, photo, truths, face, found)
    metrics |= show_suppression(run, photo, truths, found)
    metrics |= show_roi(run, photo, truths[face], config)
    source = "annotated" if annotated else "taken from the detector itself, since nobody annotated them"
    return Outcome(
        metrics,
        f"{photo.name}: {len(truths)} {'face' if len(truths) == 1 else 'faces'} ({source}); regression took the "
        "windows on them from a mean IoU of "
        f"{metrics['image_window_iou']:.2f} to {metrics['image_box_iou']:.2f}; suppression left "
        f"{metrics['image_kept']:.0f} of {metrics['image_candidates']:.0f} boxes with scores from {DISCARD:g}.",
        [config.seed],
    )


def read_photo(config: Config) -> Photo:
    """The photograph and its boxes, at most `LONGEST` pixels long.

    Raises:
        DataError: the file cannot be read, or the folder holds no full images.
    """
    if config.image:
        photo = Photo(Path(config.image).name, read_image(Path(config.image)), np.zeros((0, 4), np.float32))
    elif config.data == "embedded":
        name = "astronaut.png"
        photo = Photo(name, read_image(package_file("skimage", name)), np.array(FULL_BOXES[name], np.float32))
    else:
        photo = max(load_full_images(config.data), key=lambda one: len(one.boxes))
    height, width = photo.image.shape[:2]
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return photo
    size = (round(width * scale), round(height * scale))
    image = np.array(Image.fromarray(photo.image).resize(size, Image.Resampling.LANCZOS))
    factors = np.array((size[0] / width, size[1] / height) * 2, np.float32)
    return Photo(photo.name, image, photo.boxes * factors)


@torch.inference_mode()
def slide(detector: FaceDetector, image: np.ndarray) -> Windows:
    """Every window of a detector's network that sees a face, before and after regression, without suppression.

    Raises:
        ConfigError: the network has no box regression.
        DataError: it sees no face anywhere.
    """
    network = detector.network()
    if not network.margin:
        raise ConfigError("This detector has no box regression; take `released` or a face_net with boxes.")
    images = as_images(image, torch.device("cpu"))
    height, width = images.shape[-2:]
    scales = pyramid_scales(height, width, detector.min_face, network.face_range, detector.factor, network.window)
    parts = []
    for level, fx, fy in levels(images, scales):
        outputs = network(level)[0]
        rows, columns = outputs.shape[1:]
        span = (network.window + 1 + (rows - 1) * network.stride, network.window + 1 + (columns - 1) * network.stride)
        scores = torch.sigmoid(outputs[1] - outputs[0]).flatten()
        windows = cell_boxes((rows, columns), span, network.window).reshape(-1, 4)
        offsets = outputs[2:].flatten(1).T
        seen = scores >= FLOOR
        size = windows.new_tensor((fx, fy, fx, fy))
        parts.append((
            windows[seen] / size, offsets[seen], decode(offsets[seen], windows[seen]) / size, scores[seen],
        ))  # fmt: skip
    windows, offsets, boxes, scores = (torch.cat(part) for part in zip(*parts, strict=True))
    if not len(scores):
        raise DataError(
            f"The detector sees no face in this photograph, not even at {FLOOR:g}; give another image=FILE."
        )
    order = scores.argsort(descending=True, stable=True)
    return Windows(windows[order], offsets[order], clip(boxes, height, width)[order], scores[order])


# ---- one building block each -----------------------------------------------------------------------------------------
def show_overlap(run: Run, photo: Photo, truth: Tensor, found: Windows) -> dict[str, float]:
    """IoU and GIoU of a good, a middling and a bad box of the detector, and of one that lies apart."""
    overlaps = iou(found.boxes, truth[None])[:, 0]
    width = truth[2] - truth[0]
    wanted = [int((overlaps - aim).abs().argmin()) for aim in (overlaps.max(), 0.5, 0.25)]
    apart = truth + torch.stack((1.3 * width, width * 0, 1.3 * width, width * 0))
    if apart[2] > photo.image.shape[1]:
        apart = truth - (apart - truth)
    boxes = torch.cat((found.boxes[wanted], apart[None]))
    shifts = torch.linspace(0, 2.5, 51)
    moved = truth + shifts[:, None] * torch.stack((width, width * 0, width, width * 0))
    run.log_figure("overlap", overlap_sheet(
        photo.image, truth.numpy(), boxes.numpy(), iou(boxes, truth[None])[:, 0].numpy(),
        giou(boxes, truth[None])[:, 0].numpy(), shifts.numpy(), iou(moved, truth[None])[:, 0].numpy(),
        giou(moved, truth[None])[:, 0].numpy(),
    ))  # fmt: skip
    return {"image_best_iou": float(overlaps.max())}


def show_anchors(run: Run, photo: Photo, truths: Tensor, face: int, config: Config) -> dict[str, float]:
    """The anchors of one cell, and which of all anchors are to find a face."""
    height, width = photo.image.shape[:2]
    cells = (height // config.stride, width // config.stride)
    if not min(cells):
        raise ConfigError(f"stride={config.stride} leaves no cell of a photograph of {width}x{height} pixels.")
    grid = anchor_grid(cells, config.stride, config.sizes, config.ratios)
    anchors = grid.reshape(-1, 4)
    high, low = 0.5, 0.3  # the paper's 0.7 leaves one photograph with hardly an anchor to show
    target, overlap = assign(anchors, truths, high, low, best_of_each=True)
    best = iou(anchors, truths).argmax(dim=0)
    x, y = ((truths[face, :2] + truths[face, 2:]) / 2 / config.stride).long().tolist()
    counts = {
        "to find a face": int((target >= 0).sum()), f"undecided ({low:g} to {high:g})": int((target == -2).sum()),
        "background": int((target == -1).sum()),
    }  # fmt: skip
    centres = (grid[:, :, 0, :2] + grid[:, :, 0, 2:]) / 2
    cell = grid[min(y, cells[0] - 1), min(x, cells[1] - 1)].reshape(len(config.ratios), len(config.sizes), 4)
    run.log_figure("anchors", anchor_sheet(AnchorView(
        photo.image, truths.numpy(), centres.reshape(-1, 2).numpy(), cell.numpy(), config.sizes, config.ratios,
        anchors[target >= 0].numpy(), anchors[best].numpy(), counts,
    )))  # fmt: skip
    return {"image_anchors": float(len(anchors)), "image_anchors_of_faces": float(counts["to find a face"]),
            "image_best_anchor_iou": float(overlap.max())}  # fmt: skip


def on_faces(found: Windows, truths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which windows (N,) are surely on a face, bool, or else fit one best; whose face each is on; how much of it."""
    near, whose = iou(found.boxes, truths).max(dim=1)
    on_face = (near >= SURE) & (found.scores >= SURE)
    return on_face if on_face.any() else near >= near.max(), whose, near


def looking_at(found: Windows, truths: Tensor) -> tuple[Tensor, Tensor]:
    """Which windows (N,) look at a face, before regression: sure ones with their centre in it, bool; and at which.

    By where they are and not by what regression makes of them: those that it misleads count too.
    """
    centres = (found.windows[:, None, :2] + found.windows[:, None, 2:]) / 2
    inside = ((centres > truths[:, :2]) & (centres < truths[:, 2:])).all(dim=2)
    seen = inside.any(dim=1) & (found.scores >= SURE)
    overlap = iou(found.windows, truths).masked_fill(~inside & seen[:, None], -1)
    return seen if seen.any() else overlap.amax(dim=1) >= overlap.max(), overlap.argmax(dim=1)


def face_to_show(found: Windows, truths: Tensor) -> int:
    """Number of the face that is shown from near: of those with windows on them the one that is met best."""
    on_face, whose, near = on_faces(found, truths)
    return int(whose[on_face][near[on_face].argmax()])


def show_regression(run: Run, photo: Photo, truths: Tensor, face: int, found: Windows) -> dict[str, float]:
    """Windows on faces before and after regression; near one face, and one window in numbers."""
    seen, of = looking_at(found, truths)
    before, after = (iou(boxes[seen], truths).gather(1, of[seen][:, None]).mean()
                     for boxes in (found.windows, found.boxes))  # fmt: skip
    on_face, whose, _ = on_faces(found, truths)
    shown = torch.nonzero(on_face & (whose == face))[:, 0]
    # in numbers, the window that moved most: of one that fits already there is little to see
    moved = found.offsets[shown, :2].abs().sum(dim=1) + found.offsets[shown, 2:].abs().sum(dim=1)
    first = int(moved[:12].argmax())
    shown = torch.cat((shown[[first]], shown[:first], shown[first + 1 :]))[:12]
    own = [float(iou(boxes[shown], truths[[face]]).mean()) for boxes in (found.windows, found.boxes)]
    run.log_figure("regression", regression_sheet(
        photo.image, truths[face].numpy(), found.windows[shown].numpy(), found.boxes[shown].numpy(), *own,
        found.offsets[shown[0]].numpy(),
    ))  # fmt: skip
    return {"image_window_iou": float(before), "image_box_iou": float(after)}


def show_suppression(run: Run, photo: Photo, truths: Tensor, found: Windows) -> dict[str, float]:
    """Hard suppression round by round, and soft suppression beside it."""
    arguments = found.boxes, found.scores
    steps = list(nms_steps(*arguments, SHARED, DISCARD))
    around = torch.cat((truths, found.boxes[found.scores >= DISCARD])).numpy()
    rounds = [(step.selected, step.skipped.numpy(), step.remaining.numpy()) for step in steps]
    run.log_figure("suppression", suppression_sheet(
        photo.image, found.boxes.numpy(), found.scores.numpy(), rounds, SHARED, DISCARD, around=around
    ))  # fmt: skip
    results, factors, overlaps = {}, {}, torch.linspace(0, 1, 101)
    for method in ("hard", "linear", "gaussian"):
        kept, scores = soft_nms(*arguments, method, iou_threshold=SHARED)
        results[method] = (kept.numpy(), scores.numpy())
        # a selected box of score 1 and one beside it, for each overlap: what is left of its score is the factor
        factors[method] = np.array([_factor(float(overlap), method) for overlap in overlaps])
    run.log_figure("soft_suppression", soft_sheet(
        photo.image, found.boxes.numpy(), found.scores.numpy(), results, factors, overlaps.numpy(),
        iou(found.boxes, found.boxes[:1])[:, 0].numpy(), around,
    ))  # fmt: skip
    return {"image_candidates": float((found.scores >= DISCARD).sum()), "image_kept": float(len(steps))}


def _factor(overlap: float, method: str) -> float:
    boxes = torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, overlap]])  # the second lies inside the first
    kept, scores = soft_nms(boxes, torch.tensor([1.0, 0.999]), method, iou_threshold=SHARED, score_threshold=1e-9)
    return float(scores[1]) / 0.999 if len(kept) > 1 else 0.0


@torch.inference_mode()
def show_roi(run: Run, photo: Photo, truth: Tensor, config: Config) -> dict[str, float]:
    """RoI pooling and RoI align of one face, on the two finer maps of the backbone."""
    backbone, report = pretrained_model(config.backbone, 2, config.weights)
    run.log_weights(report)
    if not hasattr(backbone, "pyramid"):
        raise ConfigError(f"backbone={config.backbone} has no pyramid of maps; take efficientnet_lite0 or vgg16.")
    maps = backbone.eval().pyramid(as_images(photo.image, torch.device("cpu")).float() / 255)
    views, shifts = [], {}
    for stride, values in list(maps.items())[:2]:
        inside = roi_features({stride: values}, [truth[None]])[0]
        channel = int(inside.flatten(1).std(dim=1).argmax())  # the one that tells most within the face
        values = values[:, [channel]]
        bins = {method: pooling_bins(truth, stride, method=method) for method in ("pool", "align")}
        corners = {method: torch.cat([axis[[0, -1], [0, -1]] for axis in both]) for method, both in bins.items()}
        shifts[f"image_pooling_shift_{stride}"] = stride * float((corners["pool"] - corners["align"]).abs().mean())
        views.append(RoIView(
            stride, values[0, 0].numpy(),
            {method: (x.numpy(), y.numpy()) for method, (x, y) in bins.items()},
            {m: roi_features({stride: values}, [truth[None]], method=m)[0, 0].numpy() for m in ("pool", "align")},
            shifts[f"image_pooling_shift_{stride}"],
        ))  # fmt: skip
    run.log_figure("roi_features", roi_sheet(photo.image, truth.numpy(), views))
    return shifts


if __name__ == "__main__":
    main(run, Config, entry_point="detection_lecture", question="Lecture, week 4", doc=__doc__)
