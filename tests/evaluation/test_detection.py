import numpy as np
import pytest

from cnnlab.errors import ConfigError, DataError
from cnnlab.evaluation.detection import (
    average_precision,
    average_precision_gain,
    average_precision_of,
    box_iou,
    choose_threshold,
    mean_best_overlap,
    precision_recall,
)

FACE = np.array([[0, 0, 10, 10]], np.float32)
OTHER = np.array([[20, 20, 30, 30]], np.float32)


def found(*rows):
    """Rows of x1, y1, x2, y2, score -> (boxes, scores)."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    return table[:, :4], table[:, 4]


def test_iou_of_known_boxes():
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10]])
    np.testing.assert_allclose(box_iou(FACE, others), [[1, 1 / 3, 0]])
    assert box_iou(np.zeros((0, 4)), FACE).shape == (0, 1)


def test_perfect_detections_have_ap_one_and_none_has_zero():
    truths = [FACE, OTHER]
    assert average_precision([found((0, 0, 10, 10, 0.9)), found((20, 20, 30, 30, 0.8))], truths, 0.5) == 1
    assert average_precision([found(), found()], truths, 0.5) == 0


def test_half_found_below_one_false_alarm():
    # Order by score: wrong, right; two truths. Precision at recall 1/2 is 1/2: AP = 1/2 * 1/2.
    predictions = [found((50, 50, 60, 60, 0.9), (0, 0, 10, 10, 0.8)), found()]
    assert average_precision(predictions, [FACE, OTHER], 0.5) == pytest.approx(0.25)


def test_interpolation_takes_the_best_precision_further_right():
    # right, wrong, right, right over four truths: 1/4 * 1 + 1/2 * 3/4.
    rows = [(0, 0, 10, 10, 0.9), (50, 50, 60, 60, 0.8), (20, 0, 30, 10, 0.7), (40, 0, 50, 10, 0.6)]
    truths = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [80, 0, 90, 10]])
    assert average_precision([found(*rows)], [truths], 0.5) == pytest.approx(0.25 + 0.5 * 0.75)


def test_each_truth_counts_once():
    curve = precision_recall([found((0, 0, 10, 10, 0.9), (0, 0, 10, 9, 0.8))], [FACE], 0.5)
    assert curve.recall.tolist() == [1, 1]
    assert curve.precision.tolist() == [1, 0.5]
    assert curve.false_alarms_per_image.tolist() == [0, 1]


def test_equal_scores_do_not_depend_on_the_order():
    right, wrong = (0, 0, 10, 10, 0.5), (50, 50, 60, 60, 0.5)
    values = {average_precision([found(*rows)], [FACE], 0.5) for rows in ([right, wrong], [wrong, right])}
    assert values == {0.5}


def test_the_iou_threshold_decides():
    shifted = [found((4, 0, 14, 10, 0.9))]  # IoU 6/14
    assert average_precision(shifted, [FACE], 0.3) == 1
    assert average_precision(shifted, [FACE], 0.5) == 0


def test_the_threshold_with_most_faces_among_those_allowed():
    rows = [(0, 0, 10, 10, 0.9), (50, 50, 60, 60, 0.8), (20, 0, 30, 10, 0.7), (70, 70, 80, 80, 0.6)]
    curve = precision_recall([found(*rows)], [np.array([[0, 0, 10, 10], [20, 0, 30, 10]])], 0.5)
    assert choose_threshold(curve, 0)[0] == pytest.approx(0.9)
    threshold, reason = choose_threshold(curve, 1)
    assert threshold == pytest.approx(0.7)
    assert "recall 1.000" in reason and "at most 1 false alarms" in reason


def test_average_precision_of_a_selection_of_images():
    predictions = [found((0, 0, 10, 10, 0.9)), found((50, 50, 60, 60, 0.8)), found((20, 20, 30, 30, 0.7))]
    truths = [FACE, FACE, OTHER]
    of_selection = average_precision_of(predictions, truths, 0.5)
    assert of_selection([0, 2]) == 1 and of_selection([1]) == 0
    for items in ([0, 1, 2], [2, 2, 1], [1, 0]):
        expected = average_precision([predictions[i] for i in items], [truths[i] for i in items], 0.5)
        assert of_selection(items) == expected


def test_every_face_counts_with_the_box_that_fits_it_best():
    none = np.zeros((0, 4))
    halves, both = np.array([[0, 0, 10, 5], [0, 0, 10, 2]]), np.array([[0, 0, 10, 10], [20, 20, 30, 30]])
    assert mean_best_overlap([halves], [FACE]) == 0.5
    assert mean_best_overlap([halves, none, halves], [FACE, FACE, none]) == 0.25  # an image without faces asks nothing
    assert mean_best_overlap([both], [both[::-1]]) == 1
    assert mean_best_overlap([], []) == 0


def test_the_gain_of_average_precision_has_an_interval_over_images():
    right, wrong = found((0, 0, 10, 10, 0.9)), found((50, 50, 60, 60, 0.9))
    truths = [FACE] * 40 + [np.zeros((0, 4))] * 10  # images without a face may be drawn as well
    every = [right] * 40 + [found()] * 10
    one_in_four = [right if i % 4 == 0 else wrong for i in range(40)] + [found()] * 10
    assert average_precision_gain([every], [every], truths, 0.5) == (0, 0)
    assert average_precision_gain([[wrong] * 40], [[right] * 40], truths[:40], 0.5) == (1, 1)
    low, high = average_precision_gain([one_in_four], [every], truths, 0.5)
    assert 0.7 < low < high < 1  # 1/16 at precision 1/4 of recall 1/4: the gain is 15/16
    seeds = average_precision_gain([one_in_four], [every, one_in_four], truths, 0.5)
    assert seeds == pytest.approx((low / 2, high / 2))  # the second seed gains nothing


def test_a_threshold_is_chosen_even_when_none_fits():
    wrong = precision_recall([found((50, 50, 60, 60, 0.8))], [FACE], 0.5)
    assert "No threshold keeps to 0 false alarms" in choose_threshold(wrong, 0)[1]
    nothing = precision_recall([found()], [FACE], 0.5)
    assert "reported nothing" in choose_threshold(nothing, 0)[1]


def test_bad_input_is_named():
    with pytest.raises(DataError, match="2 images and truths for 1"):
        average_precision([found(), found()], [FACE], 0.5)
    with pytest.raises(DataError, match="No image has a true box"):
        average_precision([found()], [np.zeros((0, 4))], 0.5)
    with pytest.raises(ConfigError, match="IoU threshold is 0"):
        average_precision([found()], [FACE], 0)
