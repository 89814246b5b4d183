"""The second stage: boxes it learns from, features as bytes, and detections that a perfect head would give."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnlab.data.photos import Photo
from cnnlab.detection import FaceDetector, decode, iou
from cnnlab.detection.rcnn import RCNN, RoIHead, RoISettings, Verdict
from cnnlab.detection.rcnn_training import RoILoss, Sampling, mirrored, roi_samples, sample_boxes
from cnnlab.detection.regression import FAST_RCNN_WEIGHTS
from cnnlab.errors import ConfigError, DataError
from cnnlab.models import build_model

FACE = np.array([[40, 30, 80, 90]], np.float32)


@pytest.fixture
def photo() -> Photo:
    return Photo("a", np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8), FACE)


@pytest.fixture(scope="module")
def rcnn() -> RCNN:
    """An untrained detector, which sees something everywhere, and an untrained backbone."""
    torch.manual_seed(0)
    detector = FaceDetector(build_model("face_net"), min_face=40)
    return RCNN(detector, build_model("efficientnet_lite0"), RoISettings(side=96, floor=0.001, proposals=10))


class Oracle(nn.Module):
    """Says face to every box and corrects each to be `factor` times as wide and as high."""

    def __init__(self, factor: float = 1.0, logit: float = 2.0) -> None:
        super().__init__()
        size = float(np.log(factor)) * FAST_RCNN_WEIGHTS[2]
        self.answer = torch.tensor([0.0, logit, 0.0, 0.0, size, size])

    def forward(self, features):
        return self.answer.expand(len(features), 6)


def test_sampled_boxes_and_what_they_are_to_become():
    truths = torch.from_numpy(FACE)
    sampling = Sampling(count=20)
    windows = torch.tensor([[40.0, 30, 80, 88], [0, 0, 30, 30]])
    boxes, targets = sample_boxes(windows, truths, (120, 160), sampling, np.random.default_rng(0))
    faces = targets[:, 0] == 1
    overlap = iou(boxes, truths)[:, 0]
    assert len(boxes) == len(targets) <= 20 and faces.sum() == 10
    assert (overlap[faces] >= sampling.foreground).all() and (overlap[~faces] < sampling.background).all()
    corrected = decode(targets[faces][:, 1:], boxes[faces], FAST_RCNN_WEIGHTS)
    torch.testing.assert_close(corrected, truths.expand(10, 4), atol=1e-3, rtol=1e-4)
    assert (targets[~faces] == 0).all()
    assert (boxes >= 0).all() and (boxes[:, 2] <= 160).all() and (boxes[:, 3] <= 120).all()


def test_a_photograph_without_faces_gives_background_only():
    boxes, targets = sample_boxes(torch.zeros(0, 4), torch.zeros(0, 4), (60, 60), Sampling(), np.random.default_rng(0))
    assert len(boxes) > 0 and (targets == 0).all()


def test_mirrored_twice_is_the_photograph(photo):
    other = mirrored(photo)
    assert other.boxes.tolist() == [[80, 30, 120, 90]]
    np.testing.assert_array_equal(mirrored(other).image, photo.image)
    np.testing.assert_array_equal(mirrored(other).boxes, photo.boxes)


def test_samples_are_bytes_and_the_same_seed_gives_the_same(rcnn, photo):
    first, second = (roi_samples(rcnn, [photo], Sampling(count=8), 3, fit_range=True) for _ in range(2))
    assert first.features.dtype == torch.uint8 and first.features.shape[1:] == (152, 7, 7)
    assert len(first) == len(first.targets) == 16, "8 of the photograph and 8 of its mirror image"
    assert torch.equal(first.features, second.features) and torch.equal(first.targets, second.targets)
    assert first.features.float().std() > 10, "the range fits the values"
    other = roi_samples(rcnn, [photo], Sampling(count=8), 4)
    assert not torch.equal(first.targets, other.targets)


def test_the_head_learns_from_them(rcnn, photo):
    """Gradients reach every parameter, and the loss of a perfect answer is near 0."""
    samples = roi_samples(rcnn, [photo], Sampling(count=8, mirror=False), fit_range=True)
    features, targets = samples.__getitems__(range(len(samples)))
    head, objective = RoIHead(rcnn.channels), RoILoss()
    objective.loss(head(features.float() / 255), targets).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters())
    perfect = torch.cat((torch.stack((1 - targets[:, 0], targets[:, 0]), dim=1) * 50, targets[:, 1:]), dim=1)
    assert objective.loss(perfect, targets).item() < 1e-6
    assert objective.correct(perfect, targets)[0] == len(targets)
    no_face = torch.zeros(3, 5)
    assert torch.isfinite(objective.loss(torch.zeros(3, 6), no_face))


def test_an_untrained_head_leaves_boxes_where_they_are(rcnn):
    head = RoIHead(rcnn.channels).eval()
    outputs = head(torch.rand(5, rcnn.channels, 7, 7))
    boxes = torch.tensor([[10.0, 10, 60, 80]]).expand(5, 4)
    assert iou(decode(outputs[:, 2:], boxes, FAST_RCNN_WEIGHTS), boxes).min() > 0.97


def test_decisions(rcnn, photo):
    maps = rcnn.maps(photo.image)
    proposals, scores = torch.tensor([[40.0, 40, 60, 60], [100.0, 40, 120, 60]]), torch.tensor([0.9, 0.4])
    found, sure = rcnn.decide((120, 160), maps, proposals, scores, Verdict(), Oracle(2.0))
    np.testing.assert_allclose(found, [[30, 30, 70, 70], [90, 30, 130, 70]], atol=1e-3)
    np.testing.assert_allclose(sure, torch.sigmoid(torch.tensor(2.0)), atol=1e-5)
    twice, _ = rcnn.decide((120, 160), maps, proposals, scores, Verdict(passes=2, iou=0.9), Oracle(2.0))
    np.testing.assert_allclose(twice[0], [10, 10, 90, 90], atol=1e-3)
    _, both = rcnn.decide((120, 160), maps, proposals, scores, Verdict("both"), Oracle())
    np.testing.assert_allclose(both, torch.sigmoid(torch.tensor(2.0)).mul(scores).sqrt(), atol=1e-5)
    edge, _ = rcnn.decide((120, 160), maps, proposals, scores, Verdict(), Oracle(20.0))
    assert edge.min() >= 0 and edge[:, 2].max() <= 160 and edge[:, 3].max() <= 120


def test_the_head_may_be_on_another_device_and_compute_in_another_precision(rcnn, photo):
    """Training leaves the head on the GPU; backbone, proposals and detections stay where they were."""

    class Elsewhere(Oracle):
        def __init__(self):
            super().__init__()
            self.weight, self.seen = nn.Parameter(torch.zeros(1, device="meta")), None

        def forward(self, features):
            self.seen = features.device
            return super().forward(features).bfloat16()

    head = Elsewhere()
    corrected, scores = rcnn.judge(rcnn.maps(photo.image), torch.from_numpy(FACE), head)
    assert head.seen == torch.device("meta")
    assert corrected.dtype == scores.dtype == torch.float32 and corrected.device.type == scores.device.type == "cpu"
    torch.testing.assert_close(corrected, torch.from_numpy(FACE), atol=1e-3, rtol=1e-4)


def test_detections_are_boxes_of_the_image_best_first(rcnn, photo):
    rcnn.head = RoIHead(rcnn.channels)
    boxes, scores = rcnn.detect(photo.image)
    assert boxes.dtype == scores.dtype == np.float32 and len(boxes) == len(scores) > 0
    assert (np.diff(scores) <= 0).all() and boxes.min() >= 0 and boxes[:, 2].max() <= 160
    nothing = RCNN(rcnn.detector, rcnn.backbone, RoISettings(floor=0.999999))
    nothing.head = rcnn.head
    assert nothing.detect(photo.image)[0].shape == (0, 4)


def test_bad_settings_are_named(rcnn, photo):
    with pytest.raises(ConfigError, match="no map of stride 64"):
        RCNN(rcnn.detector, rcnn.backbone, RoISettings(strides=(8, 64)))
    with pytest.raises(ConfigError, match="roi.side is 10"):
        RoISettings(side=10)
    with pytest.raises(ConfigError, match="foreground"):
        Sampling(foreground=0.3, background=0.5)
    with pytest.raises(ConfigError, match="no head yet"):
        RCNN(rcnn.detector, rcnn.backbone).judge(rcnn.maps(photo.image), torch.from_numpy(FACE))
    with pytest.raises(DataError, match="there is none"):
        roi_samples(rcnn, [], Sampling())
