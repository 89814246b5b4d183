import pytest
import torch
from torchvision.ops import box_iou, generalized_box_iou

from cnnlab.detection.iou import containment, giou, iou
from cnnlab.evaluation.detection import box_iou as box_iou_of_arrays


def test_known_overlaps():
    box = torch.tensor([[0.0, 0, 10, 10]])
    others = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10], [2, 2, 4, 4]])
    assert iou(box, others)[0].tolist() == pytest.approx([1, 1 / 3, 0, 0.04])
    # apart by one box: a third of the box around both is empty
    assert giou(box, others)[0].tolist() == pytest.approx([1, 1 / 3, -1 / 3, 0.04])
    assert containment(box, others)[0].tolist() == pytest.approx([1, 0.5, 0, 1])


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_torchvision(seed, random_boxes):
    a, b = random_boxes(40, seed), random_boxes(30, seed + 100)
    torch.testing.assert_close(iou(a, b), box_iou(a, b))
    torch.testing.assert_close(giou(a, b), generalized_box_iou(a, b))
    torch.testing.assert_close(iou(a, b), torch.from_numpy(box_iou_of_arrays(a.numpy(), b.numpy())).float())


def test_invariants(random_boxes):
    a, b = random_boxes(30, 1), random_boxes(30, 2)
    torch.testing.assert_close(iou(a, b), iou(b, a).T)
    torch.testing.assert_close(iou(a * 3, b * 3), iou(a, b))
    assert (giou(a, b) <= iou(a, b) + 1e-6).all() and (giou(a, b) >= -1).all()


def test_giou_tells_how_far_apart_boxes_lie():
    box = torch.tensor([[0.0, 0, 10, 10]])
    further = torch.tensor([[x, 0.0, x + 10, 10] for x in (10, 20, 50, 200)])
    assert (iou(box, further) == 0).all()
    assert (giou(box, further)[0].diff() < 0).all()


def test_no_boxes_and_boxes_without_area():
    box, none, point = torch.tensor([[0.0, 0, 10, 10]]), torch.zeros(0, 4), torch.zeros(1, 4)
    assert iou(box, none).shape == (1, 0) and giou(none, box).shape == (0, 1)
    assert iou(point, point).item() == 0 and giou(point, point).item() == 0
