"""Precision, recall, F1 and accuracy: the lecture's worked examples, scikit-learn's averages, refused input.

Two things on the slides are off. The accuracy of the binary example is printed as 0.7, but (80 + 35) / 150 = 0.767.
And the axes change from one slide to the next: the binary tables have actual classes in rows, the three-label matrix
has predicted ones ("Predicted_A 30 20 10"); read by scikit-learn's convention it would swap precision and recall.
"""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from cnnlab.errors import DataError
from cnnlab.evaluation.classification import classification_report, report_of_matrix

# rows: actual YES, actual NO; columns: predicted YES, predicted NO
BINARY = np.array([[80, 25], [10, 35]])
# rows: predicted A, B, C; columns: gold label A, B, C
THREE = np.array([[30, 20, 10], [50, 60, 10], [20, 20, 80]])


def test_the_binary_example_of_the_slides():
    report = report_of_matrix(BINARY, ("yes", "no"), positive=0)
    scores = report.averages["binary"]
    assert round(scores.precision, 2) == 0.89
    assert round(scores.recall, 2) == 0.76
    assert scores.f1 == pytest.approx(2 * 80 / (2 * 80 + 10 + 25))
    assert report.accuracy == pytest.approx(115 / 150)
    assert round(report.accuracy, 2) == 0.77, "the slide prints 0.7: its last digit was cut off, not rounded"
    assert report.confusion.sum() == 150 and report.support == {"yes": 105, "no": 45}


def test_the_three_label_matrix_of_the_slides():
    assert THREE.sum(axis=1).tolist() == [60, 120, 120]  # its TotalPredicted column
    report = report_of_matrix(THREE, ("A", "B", "C"), rows="predicted")
    assert [s.precision for s in report.per_class.values()] == pytest.approx([30 / 60, 60 / 120, 80 / 120])
    assert [s.recall for s in report.per_class.values()] == pytest.approx([30 / 100, 60 / 100, 80 / 100])
    assert report.accuracy == pytest.approx(170 / 300)
    assert report.averages["macro"].precision == pytest.approx((1 / 2 + 1 / 2 + 2 / 3) / 3)
    assert report.averages["weighted"].recall == pytest.approx(report.accuracy)
    np.testing.assert_array_equal(report.confusion, THREE.T)


def test_the_wrong_axis_order_swaps_precision_and_recall():
    right, wrong = (report_of_matrix(THREE, "ABC", rows=rows) for rows in ("predicted", "true"))
    for name in "ABC":
        assert right.per_class[name].precision == pytest.approx(wrong.per_class[name].recall)
        assert right.per_class[name].recall == pytest.approx(wrong.per_class[name].precision)


def test_with_one_label_per_sample_micro_and_samples_equal_accuracy():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 4, (2, 60))
    report = classification_report(true, predicted, "abcd")
    for average in ("micro", "samples"):
        assert list(vars(report.averages[average]).values()) == pytest.approx([report.accuracy] * 3)
    one_hot = np.eye(4, dtype=int)
    by_library = precision_recall_fscore_support(one_hot[true], one_hot[predicted], average="samples", zero_division=0)
    assert list(vars(report.averages["samples"]).values()) == pytest.approx(by_library[:3])


def test_sets_of_labels():
    true = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0]])
    predicted = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1]])
    report = classification_report(true, predicted, ("beach", "dog", "sun"))
    assert report.accuracy == pytest.approx(1 / 3)
    # of each sample: precision 1, 1, 1/2 and recall 1/2, 1, 1/2
    assert report.averages["samples"].precision == pytest.approx(2.5 / 3)
    assert report.averages["samples"].recall == pytest.approx(2 / 3)
    assert report.averages["micro"].precision == pytest.approx(3 / 4)
    assert report.confusion.shape == (3, 2, 2) and "binary" not in report.averages
    assert report.confusion[0].tolist() == [[1, 0], [0, 2]]


def test_a_class_that_is_never_predicted_counts_as_zero():
    report = classification_report([0, 0, 1], [0, 0, 0], ("a", "b"))
    assert vars(report.per_class["b"]) == {"precision": 0, "recall": 0, "f1": 0}
    assert report.averages["macro"].recall == pytest.approx(0.5)
    absent = classification_report([0, 0], [0, 0], ("a", "b", "c"))
    assert absent.support == {"a": 2, "b": 0, "c": 0} and absent.confusion.shape == (3, 3)


def test_the_report_as_metrics_and_as_a_table():
    report = report_of_matrix(BINARY, ("yes", "no"), positive=0)
    metrics = report.metrics("test")
    assert metrics["test_binary_recall"] == pytest.approx(80 / 105) and metrics["test_accuracy"] == report.accuracy
    assert "| yes | 0.889 | 0.762 | 0.821 | 105 |" in report.table() and "Accuracy 0.767." in report.table()


def test_bad_input_is_named():
    with pytest.raises(DataError, match="no answer"):
        classification_report([], [], ("a", "b"))
    with pytest.raises(DataError, match=r"shape \(2,\) cannot be held against a truth of shape \(3,\)"):
        classification_report([0, 1, 1], [0, 1], ("a", "b"))
    with pytest.raises(DataError, match="labels from 0 to 2; expected 0 to 1"):
        classification_report([0, 2], [0, 1], ("a", "b"))
    with pytest.raises(DataError, match="Sets of 2 labels do not fit 3 names"):
        classification_report([[0, 1]], [[0, 1]], ("a", "b", "c"))
    with pytest.raises(DataError, match="does not fit 3 classes"):
        report_of_matrix(BINARY, ("a", "b", "c"))
    with pytest.raises(DataError, match="true or predicted"):
        report_of_matrix(BINARY, ("a", "b"), rows="gold")
    with pytest.raises(DataError, match="counts"):
        report_of_matrix(BINARY / 100, ("a", "b"))
