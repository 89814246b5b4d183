import torch

from cnnlab.detection import cell_boxes, decode, encode, suppress


def test_the_four_corners_of_the_assignments_mapping():
    boxes = cell_boxes((4, 6), (100, 200))
    assert boxes.shape == (4, 6, 4)
    assert boxes[0, 0].tolist() == [0, 0, 48, 48]
    torch.testing.assert_close(boxes[0, -1], torch.tensor([151.0, 0, 199, 48]))
    torch.testing.assert_close(boxes[-1, 0], torch.tensor([0.0, 51, 48, 99]))
    torch.testing.assert_close(boxes[-1, -1], torch.tensor([151.0, 51, 199, 99]))


def test_cells_between_lie_proportionally():
    x1 = cell_boxes((1, 5), (48, 49 + 8 * 4))[0, :, 0]
    assert x1.tolist() == [0, 8, 16, 24, 32]
    x1 = cell_boxes((1, 3), (48, 149))[0, :, 0]
    assert x1.tolist() == [0, 50, 100]


def test_one_cell_is_the_first():
    assert cell_boxes((1, 1), (48, 48))[0, 0].tolist() == [0, 0, 48, 48]


def test_decode_undoes_encode():
    windows = cell_boxes((3, 3), (65, 65))
    boxes = torch.tensor([10.0, 4, 40, 50]).expand(3, 3, 4)
    torch.testing.assert_close(decode(encode(boxes, windows), windows), boxes)
    torch.testing.assert_close(decode(torch.zeros(3, 3, 4), windows), windows)


def test_suppress_keeps_the_best_of_overlapping_boxes():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]])
    assert suppress(boxes, torch.tensor([0.8, 0.9, 0.7]), iou=0.3).tolist() == [1, 2]


def test_containment_removes_a_box_inside_a_better_one():
    boxes = torch.tensor([[0.0, 0, 100, 100], [40, 40, 60, 60], [200, 0, 220, 20]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    assert suppress(boxes, scores, iou=0.3).tolist() == [0, 1, 2]
    assert suppress(boxes, scores, iou=0.3, containment=0.7).tolist() == [0, 2]
