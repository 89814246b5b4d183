import torch

from cnnlab.detection import cell_boxes


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
