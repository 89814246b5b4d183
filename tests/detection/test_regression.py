import math

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder

from cnnlab.detection import cell_boxes, decode, encode
from cnnlab.detection.regression import FAST_RCNN_WEIGHTS, clip


def test_the_four_functions_of_the_slide():
    proposal = torch.tensor([10.0, 20, 50, 40])  # centre (30, 30), 40 wide, 20 high
    truth = torch.tensor([30.0, 20, 110, 60])  # centre (70, 40), 80 wide, 40 high
    offsets = encode(truth, proposal)
    assert offsets.tolist() == pytest.approx([40 / 40, 10 / 20, math.log(2), math.log(2)])
    assert decode(offsets, proposal).tolist() == pytest.approx(truth.tolist())


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), FAST_RCNN_WEIGHTS])
def test_equal_to_torchvision(weights, random_boxes):
    truths, proposals = random_boxes(50, 1), random_boxes(50, 2)
    coder = BoxCoder(weights)
    offsets = encode(truths, proposals, weights)
    torch.testing.assert_close(offsets, coder.encode_single(truths, proposals), atol=1e-4, rtol=1e-4)
    predicted = offsets + torch.randn(offsets.shape, generator=torch.Generator().manual_seed(0))
    ours = decode(predicted, proposals, weights, max_log_ratio=coder.bbox_xform_clip)
    torch.testing.assert_close(ours, coder.decode_single(predicted, proposals), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("weights", [None, FAST_RCNN_WEIGHTS])
def test_decode_undoes_encode(weights, random_boxes):
    truths, proposals = random_boxes(50, 3), random_boxes(50, 4)
    back = decode(encode(truths, proposals, weights), proposals, weights, max_log_ratio=5)
    torch.testing.assert_close(back, truths, atol=1e-3, rtol=1e-4)
    windows = cell_boxes((3, 3), (65, 65))
    boxes = torch.tensor([10.0, 4, 40, 50]).expand(3, 3, 4)
    torch.testing.assert_close(decode(encode(boxes, windows), windows), boxes)
    torch.testing.assert_close(decode(torch.zeros(3, 3, 4), windows), windows)


def test_offsets_do_not_depend_on_the_size_of_the_picture(random_boxes):
    truths, proposals = random_boxes(20, 5), random_boxes(20, 6)
    torch.testing.assert_close(encode(truths * 3, proposals * 3), encode(truths, proposals), atol=1e-5, rtol=1e-4)


def test_a_wild_prediction_does_not_overflow():
    box = decode(torch.tensor([0.0, 0, 1000, 1000]), torch.tensor([0.0, 0, 10, 10]))
    assert (box[2:] - box[:2]).tolist() == pytest.approx([10 * math.e**2] * 2, rel=1e-5)


def test_boxes_end_where_the_image_does():
    boxes = clip(torch.tensor([[-5.0, 3, 300, 20]]), height=10, width=200)
    assert boxes.tolist() == [[0, 3, 200, 10]]
