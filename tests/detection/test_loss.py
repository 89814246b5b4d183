import pytest
import torch
import torch.nn.functional as F

from cnnlab.detection import cell_boxes, encode
from cnnlab.detection.loss import Detection, detection_loss


def one_face():
    """A 3x3 map with a face in the middle cell, an ignored cell, and background."""
    targets = torch.zeros(1, 5, 3, 3)
    windows = cell_boxes((3, 3), (65, 65))
    targets[0, 0, 1, 1], targets[0, 0, 1, 2] = 1, -1
    targets[0, 1:, 1, 1] = encode(torch.tensor([16.0, 12, 46, 52]), windows[1, 1])
    outputs = torch.zeros(1, 6, 3, 3)
    outputs[:, 2:] = targets[:, 1:]
    outputs[:, 0] = 20
    outputs[0, :2, 1, 1] = torch.tensor([0.0, 20.0])
    return outputs, targets


def test_a_perfect_map_has_no_loss():
    assert detection_loss(*one_face()).item() == pytest.approx(0, abs=1e-5)


def test_ignored_cells_count_for_nothing():
    outputs, targets = one_face()
    outputs[0, 1, 1, 2] = 100
    assert detection_loss(outputs, targets).item() == pytest.approx(0, abs=1e-5)
    assert Detection().correct(outputs, targets)[1] == 8


def test_a_missed_face_a_false_alarm_and_a_wrong_box_cost():
    for change in ("missed", "false alarm", "box"):
        outputs, targets = one_face()
        if change == "missed":
            outputs[0, :2, 1, 1] = torch.tensor([5.0, 0.0])
        elif change == "false alarm":
            outputs[0, 1, 0, 0] = 40
        else:
            outputs[0, 2, 1, 1] += 0.2
        assert detection_loss(outputs, targets).item() > 0.2, change


def test_patches_are_met_with_plain_cross_entropy():
    outputs, labels = torch.randn(4, 6, 1, 1), torch.tensor([0, 1, 1, 0])
    expected = F.cross_entropy(outputs[:, :2, 0, 0], labels)
    torch.testing.assert_close(detection_loss(outputs, labels), expected)
    right, answers = Detection().correct(outputs, labels)
    assert answers == 4 and right == (outputs[:, :2, 0, 0].argmax(1) == labels).sum()


def test_a_batch_without_faces_is_fine():
    loss = detection_loss(torch.zeros(2, 6, 3, 3, requires_grad=True), torch.zeros(2, 5, 3, 3))
    loss.backward()
    assert torch.isfinite(loss)
