"""Measures of segmentation: the tutorial's worked example, ignored pixels, absent classes, bands along borders."""

import numpy as np
import pytest
import torch

from cnnlab.evaluation.segmentation import (
    confusion,
    iou_per_class,
    mean_iou,
    merge_counts,
    pixel_accuracy,
    trimap_counts,
)

TRUTH = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 1, 2, 0], [0, 0, 1, 2, 0], [0, 0, 1, 2, 0], [0, 0, 0, 0, 0]])
RESULT = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 2, 2, 2, 0], [0, 0, 0, 0, 0]])


def test_the_tutorials_worked_example():
    counts = confusion(RESULT, TRUTH, 3)
    assert counts.dtype == torch.int64
    assert counts.tolist() == [[17, 1, 1], [1, 1, 1], [1, 1, 1]]
    assert pixel_accuracy(counts) == pytest.approx(0.76)
    assert iou_per_class(counts).tolist() == pytest.approx([17 / 21, 0.2, 0.2])
    assert [round(iou, 2) for iou in iou_per_class(counts).tolist()] == [0.81, 0.2, 0.2]
    assert round(mean_iou(counts), 1) == 0.4


def test_rows_are_truth_and_columns_prediction():
    assert confusion(torch.tensor([1, 1, 0]), torch.tensor([0, 0, 0]), 2).tolist() == [[1, 2], [0, 0]]


def test_batches_add_up_and_arrays_do_as_well():
    generator = torch.Generator().manual_seed(0)
    pred, target = (torch.randint(0, 5, (4, 9, 7), generator=generator) for _ in range(2))
    counts = confusion(pred, target, 5)
    assert counts.sum() == 4 * 9 * 7
    assert torch.equal(counts, sum(confusion(p, t, 5) for p, t in zip(pred, target, strict=True)))
    assert torch.equal(counts, confusion(pred.numpy().astype(np.uint8), target.numpy(), 5))


def test_ignored_pixels_count_nowhere_whatever_was_predicted_there():
    target = TRUTH.clone()
    target[0] = 255
    counts = confusion(RESULT, target, 3)
    assert counts.sum() == 20
    for wild in (2, 255, -1, 99):
        pred = RESULT.clone()
        pred[0] = wild
        assert torch.equal(confusion(pred, target, 3), counts)
    nothing = confusion(RESULT, torch.full_like(TRUTH, 255), 3)
    assert nothing.sum() == 0 and np.isnan(pixel_accuracy(nothing)) and np.isnan(mean_iou(nothing))


def test_a_class_in_neither_truth_nor_prediction_is_left_out():
    counts = confusion(torch.tensor([0, 1, 1, 3]), torch.tensor([0, 0, 1, 1]), 4)
    ious = iou_per_class(counts)
    assert ious[:2].tolist() == pytest.approx([0.5, 1 / 3]) and torch.isnan(ious[2]) and ious[3] == 0
    assert mean_iou(counts) == pytest.approx((0.5 + 1 / 3 + 0) / 3)


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(3, 2), r"predictions of shape \(2, 3\) do not fit targets of \(3, 2\)"),
        (torch.tensor([0, 3]), torch.tensor([0, 1]), "a prediction holds the label 3; there are the classes 0 to 2"),
        (torch.tensor([0, 1]), torch.tensor([0, 11]), "a target holds the label 11"),
        (torch.tensor([0, -1]), torch.tensor([0, 1]), "a prediction holds the label -1"),
    ],
)
def test_labels_and_shapes_that_do_not_fit(pred, target, message):
    with pytest.raises(ValueError, match=message):
        confusion(pred, target, 3)


def test_merged_counts_are_the_counts_of_merged_labels():
    generator = torch.Generator().manual_seed(1)
    pred, target = (torch.randint(0, 4, (8, 8), generator=generator) for _ in range(2))
    mapping = torch.tensor([0, 1, 1, 2])
    merged = merge_counts(confusion(pred, target, 4), mapping.numpy())
    assert torch.equal(merged, confusion(mapping[pred], mapping[target], 3))


def test_bands_hold_what_lies_within_their_width():
    target = torch.zeros(10, 12, dtype=torch.long)
    target[:, 6:] = 1  # one vertical border between columns 5 and 6
    counts = trimap_counts(target, target, [1, 2, 4, 100], 2)
    assert counts.dtype == torch.int64 and counts.shape == (4, 2, 2)
    assert counts.sum((1, 2)).tolist() == [10 * 2, 10 * 4, 10 * 8, 120]
    assert torch.equal(counts[3], confusion(target, target, 2))


def test_an_error_away_from_borders_is_outside_of_narrow_bands():
    target = torch.zeros(10, 12, dtype=torch.long)
    target[:, 6:] = 1
    pred = target.clone()
    pred[:, 0] = 1  # five columns from the border
    curve = [mean_iou(counts) for counts in trimap_counts(pred, target, [1, 5, 6], 2)]
    assert curve[:2] == [1.0, 1.0] and curve[2] < 1


def test_void_makes_a_border_but_is_not_counted():
    target = torch.zeros(4, 9, dtype=torch.long)
    target[:, 4] = 255
    counts = trimap_counts(torch.zeros_like(target), target, [1, 20], 1)
    assert counts.flatten().tolist() == [4 * 2, 4 * 8]  # the columns beside it; then all but void itself


def test_bands_of_a_batch_and_of_a_scene_without_borders():
    plain = torch.zeros(2, 6, 6, dtype=torch.long)
    assert trimap_counts(plain, plain, [1, 20], 3).sum() == 0
    plain[1, 2:4, 2:4] = 2
    both = trimap_counts(plain, plain, [1, 3], 3)
    assert torch.equal(both, trimap_counts(plain[1], plain[1], [1, 3], 3))


@pytest.mark.parametrize("widths", [[], [0, 1], [3, 2], [2, 2]])
def test_widths_must_rise(widths):
    with pytest.raises(ValueError, match="must rise from at least 1 pixel"):
        trimap_counts(TRUTH, TRUTH, widths, 3)
