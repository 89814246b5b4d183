import pytest
import torch
from torchvision.ops import nms as torchvision_nms

from cnnlab.detection import iou, nms, nms_steps, soft_nms, suppress
from cnnlab.errors import ConfigError


def test_the_steps_of_the_slide():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [0, 1, 10, 11], [80, 0, 90, 9]])
    scores = torch.tensor([0.8, 0.9, 0.7, 0.6, 0.1])
    first, second = nms_steps(boxes, scores, iou_threshold=0.5, score_threshold=0.2)
    assert (first.selected, first.skipped.tolist(), first.remaining.tolist()) == (1, [0, 3], [2])
    assert (second.selected, second.skipped.tolist(), second.remaining.tolist()) == (2, [], [])
    assert nms(boxes, scores, 0.5, 0.2).tolist() == [1, 2]


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(4))
def test_equal_to_torchvision(random_boxes, seed, threshold):
    boxes = random_boxes(150, seed)
    scores = torch.rand(150, generator=torch.Generator().manual_seed(seed))
    scores[::7] = scores[0]  # ties keep their order
    torch.testing.assert_close(nms(boxes, scores, threshold), torchvision_nms(boxes, scores, threshold))


def test_no_box_at_all():
    none = torch.zeros(0, 4)
    assert nms(none, torch.zeros(0)).tolist() == []
    kept, scores = soft_nms(none, torch.zeros(0))
    assert kept.tolist() == [] and scores.tolist() == []


def test_what_is_kept_does_not_overlap(random_boxes):
    boxes, scores = random_boxes(100, 0), torch.rand(100, generator=torch.Generator().manual_seed(1))
    kept = boxes[nms(boxes, scores, 0.4)]
    assert (iou(kept, kept).fill_diagonal_(0) <= 0.4).all()


def test_soft_nms_by_hand():
    # overlaps with the first: 1/3 and 0; the second and third do not touch
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [30, 0, 40, 10]])
    scores = torch.tensor([0.9, 0.8, 0.6])
    kept, linear = soft_nms(boxes, scores, "linear", iou_threshold=0.3)
    assert kept.tolist() == [0, 2, 1] and linear.tolist() == pytest.approx([0.9, 0.6, 0.8 * 2 / 3])
    kept, linear = soft_nms(boxes, scores, "linear", iou_threshold=0.5)
    assert kept.tolist() == [0, 1, 2] and linear.tolist() == pytest.approx([0.9, 0.8, 0.6])
    kept, gaussian = soft_nms(boxes, scores, "gaussian", sigma=0.5)
    lowered = 0.8 * torch.exp(torch.tensor(-(1 / 9) / 0.5)).item()
    assert kept.tolist() == [0, 1, 2] and gaussian.tolist() == pytest.approx([0.9, lowered, 0.6])
    assert scores.tolist() == pytest.approx([0.9, 0.8, 0.6]), "the scores given are not changed"


@pytest.mark.parametrize("seed", range(3))
def test_hard_soft_nms_is_nms(random_boxes, seed):
    boxes = random_boxes(80, seed)
    scores = 0.01 + 0.99 * torch.rand(80, generator=torch.Generator().manual_seed(seed))
    kept, unchanged = soft_nms(boxes, scores, "hard", iou_threshold=0.4)
    torch.testing.assert_close(kept, torchvision_nms(boxes, scores, 0.4))
    torch.testing.assert_close(unchanged, scores[kept])


@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_soft_scores_fall_and_never_rise(random_boxes, method):
    boxes, scores = random_boxes(60, 3), torch.rand(60, generator=torch.Generator().manual_seed(3))
    kept, lowered = soft_nms(boxes, scores, method)
    assert (lowered <= scores[kept]).all() and (lowered.diff() <= 0).all()
    assert len(set(kept.tolist())) == len(kept)


def test_settings_that_make_no_sense_are_refused():
    boxes, scores = torch.tensor([[0.0, 0, 1, 1]]), torch.ones(1)
    with pytest.raises(ConfigError, match="not cubic"):
        soft_nms(boxes, scores, "cubic")
    with pytest.raises(ConfigError, match="sigma above 0"):
        soft_nms(boxes, scores, sigma=0)


def test_suppress_keeps_the_best_of_overlapping_boxes():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]])
    assert suppress(boxes, torch.tensor([0.8, 0.9, 0.7]), iou=0.3).tolist() == [1, 2]


def test_containment_removes_a_box_inside_a_better_one():
    boxes = torch.tensor([[0.0, 0, 100, 100], [40, 40, 60, 60], [200, 0, 220, 20]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    assert suppress(boxes, scores, iou=0.3).tolist() == [0, 1, 2]
    assert suppress(boxes, scores, iou=0.3, containment=0.7).tolist() == [0, 2]
