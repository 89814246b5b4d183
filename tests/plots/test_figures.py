"""The figures show what they are given: counts, marks and names, on ordinary and on degenerate input."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from cnnlab import plots
from cnnlab.plots.detections import match


def render(figure: Figure) -> np.ndarray:
    """The figure as pixels; drawing runs the layout, so a broken one fails here."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=60)
    return np.asarray(Image.open(buffer).convert("RGB"))


def texts(figure: Figure) -> str:
    """All words of a figure."""
    return "\n".join(part.get_text() for part in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_no_global_state_is_touched():
    from matplotlib import pyplot

    plots.learning_curves([{"epoch": 1, "train/loss": 1.0, "val/loss": 1.0}])
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("channels", [1, 3])
def test_class_grid_counts_each_class(channels):
    images = torch.randint(0, 255, (30, channels, 12, 12), dtype=torch.uint8)
    labels = torch.tensor([0] * 10 + [1] * 20)
    figure = plots.class_grid(images, labels, ("background", "face"))
    assert "background: 10 of 10" in texts(figure)
    assert "face: 16 of 20" in texts(figure)
    assert render(figure).std() > 0


def test_class_grid_shows_the_pixels_of_the_class():
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    images[1, 0] = 255
    figure = plots.class_grid(images, torch.tensor([0, 1]), ("black", "red"), per_class=1)
    first, second = (axes.images[0].get_array()[:8, :8] for axes in figure.axes)
    assert (first == 0).all()
    assert (second == [255, 0, 0]).all()


def test_class_grid_of_a_class_without_members():
    images = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
    figure = plots.class_grid(images, torch.zeros(3, dtype=torch.int64), ("present", "absent"))
    assert "absent: 0 of 0" in texts(figure)
    render(figure)


def test_class_grid_refuses_labels_that_do_not_fit():
    with pytest.raises(ValueError, match="3 images but 2 labels"):
        plots.class_grid(torch.zeros(3, 3, 8, 8), torch.zeros(2), ("a",))


HISTORY = [
    {"epoch": 1, "train/loss": 0.9, "val/loss": 0.8, "train/accuracy": 0.6, "val/accuracy": 0.7, "lr": 0.1},
    {"epoch": 2, "train/loss": 0.5, "val/loss": 0.4, "train/accuracy": 0.8, "val/accuracy": 0.9, "lr": 0.1},
    {"epoch": 3, "train/loss": 0.2, "val/loss": 0.6, "train/accuracy": 0.9, "val/accuracy": 0.8, "lr": 0.1},
]


def test_learning_curves_mark_the_epoch_that_was_kept():
    assert "val 0.6 at epoch 3" in texts(plots.learning_curves(HISTORY)), "the last one unless told"
    figure = plots.learning_curves(HISTORY, kept=2)
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    assert "kept epoch 2" in texts(figure)
    assert "val 0.4 at epoch 2" in texts(figure)
    render(figure)


def test_learning_curves_of_one_epoch_without_validation():
    figure = plots.learning_curves([{"epoch": 1, "train/loss": 0.9}])
    assert len(figure.axes) == 1
    assert "val " not in texts(figure)
    render(figure)


def test_learning_curves_refuse_an_empty_history():
    with pytest.raises(ValueError, match="no epoch"):
        plots.learning_curves([])
    with pytest.raises(ValueError, match="none of loss, accuracy"):
        plots.learning_curves([{"epoch": 1, "val/ap": 0.5}])


def test_confusion_matrix_prints_counts_shares_and_accuracy():
    figure = plots.confusion_matrix(np.array([[90, 10], [0, 0]]), ("background", "face"))
    words = texts(figure)
    assert "90\n90.0%" in words and "10\n10.0%" in words
    assert "0\n0.0%" in words  # a class without samples divides by nothing
    assert "90.0% of 100 right" in words
    render(figure)


def test_confusion_matrix_refuses_names_that_do_not_fit():
    with pytest.raises(ValueError, match="does not fit 3 classes"):
        plots.confusion_matrix(np.eye(2), ("a", "b", "c"))


TRUTHS = np.array([[10, 10, 30, 30], [60, 60, 80, 80]], float)
IMAGE = np.full((100, 120, 3), 90, np.uint8)


def test_match_gives_each_truth_to_the_best_score():
    boxes = np.array([[10, 10, 30, 30], [11, 10, 31, 30], [0, 60, 20, 80]], float)
    taken, found = match(boxes, np.array([0.8, 0.9, 0.7]), TRUTHS, 0.5)
    assert taken.tolist() == [-2, 0, -1]
    assert found.tolist() == [True, False]


def test_match_agrees_with_the_evaluation():
    from cnnlab.evaluation.detection import match as reference

    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (60, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(10, 40, (60, 2))], axis=1)
    scores = rng.uniform(size=50)
    taken, _ = match(boxes[:50], scores, boxes[50:], 0.3)
    assert ((taken >= 0) == reference(boxes[:50], scores, boxes[50:], 0.3)).all()


def test_detections_tell_right_wrong_and_missed_apart():
    boxes = np.array([[10, 10, 30, 30], [90, 5, 110, 25]], float)
    words = texts(plots.detections(IMAGE, boxes, np.array([0.995, 0.9]), TRUTHS, title="photo"))
    assert "1 of 2 faces found, 1 false alarms" in words
    assert {"photo", "0.995", "0.900", "true face, missed", "detection, false alarm"} <= set(words.split("\n"))


def test_detections_without_truths_or_boxes():
    nothing = np.zeros((0, 4)), np.zeros(0)
    assert "0 detections" in texts(plots.detections(IMAGE, *nothing))
    assert "0 of 0 faces found" in texts(plots.detections(IMAGE, *nothing, truths=np.zeros((0, 4))))
    figure = plots.detections(IMAGE, *nothing, truths=TRUTHS)
    assert "0 of 2 faces found" in texts(figure)
    render(figure)


def test_detection_sheet_of_many_windows_leaves_the_scores_out():
    boxes = np.repeat(TRUTHS, 50, axis=0)
    scores = np.linspace(0.5, 0.9, 100)
    items = [{"image": IMAGE, "boxes": boxes, "scores": scores, "truths": TRUTHS, "title": f"photo {i}"} for i in "abc"]
    figure = plots.detection_sheet(items, columns=2, title="threshold 0.5")
    words = texts(figure)
    assert "2 of 2 faces found, 0 false alarms, 98 further windows" in words
    assert "0.900" not in words
    assert figure.get_suptitle() == "threshold 0.5"
    render(figure)


CURVE = SimpleNamespace(
    thresholds=np.array([1.0, 0.9, 0.5, 0.0]),  # falling, with both ends that a logit axis cannot hold
    precision=np.array([1.0, 0.8, 0.5, 0.2]),
    recall=np.array([0.1, 0.6, 0.9, 1.0]),
    false_alarms_per_image=np.array([0.0, 0.2, 1.0, 9.0]),
)


def test_precision_recall_quotes_the_chosen_threshold():
    figure = plots.precision_recall(CURVE, chosen=0.7, title="val")
    assert "threshold 0.7: precision 0.800, recall 0.600, 0.2 false alarms per image" in texts(figure)
    render(figure)


def test_thresholds_close_together_fill_the_axis():
    close = SimpleNamespace(**{**vars(CURVE), "thresholds": np.array([0.52, 0.51, 0.505, 0.5])})
    figure = plots.precision_recall(close, chosen=0.51)
    render(figure)
    low, high = figure.axes[1].get_xlim()
    assert 0.49 < low < 0.5 and 0.52 < high < 0.53


def test_precision_recall_of_a_silent_detector():
    empty = SimpleNamespace(**{name: np.zeros(0) for name in vars(CURVE)})
    assert "no detection at any threshold" in texts(plots.precision_recall(empty, chosen=0.5))


def test_ablation_is_sorted_and_says_how_sure():
    rows = [
        {"name": "plain", "changed": "", "mean": 0.90, "std": 0.01, "n": 3, "values": [0.89, 0.90, 0.91]},
        {"name": "worse", "changed": "less", "mean": 0.80, "std": 0.01, "n": 3, "values": [0.79, 0.80, 0.81]},
        {"name": "better", "changed": "more", "mean": 0.96, "std": 0.00, "n": 1, "values": [0.96]},
    ]
    figure = plots.ablation(rows, metric="val accuracy")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["plain (baseline)", "worse\nless", "better\nmore"]
    words = texts(figure)
    assert "0.800 ± 0.010, n=3  (-0.100)" in words
    assert "0.960  (+0.060)" in words
    assert "hollow: a single run, no interval" in words
    render(figure)


def test_ablation_interval_is_welchs_unless_the_row_brings_its_own():
    from cnnlab.plots.studies import _interval

    row = {"mean": 0.9, "std": 0.01, "n": 3}
    # two equal samples of three: four degrees of freedom, t = 2.776, standard error 0.01 * sqrt(2 / 3)
    half = 2.776 * 0.01 * (2 / 3) ** 0.5
    assert _interval(row, row) == pytest.approx((-half, half), rel=1e-3)
    assert _interval({**row, "n": 1}, row) is None
    assert _interval({**row, "n": 1, "interval": (-0.1, 0.2)}, row) == (-0.1, 0.2)


def test_study_history_marks_pruned_and_failed():
    trials = [
        {"number": 0, "value": 0.5, "state": "TrialState.COMPLETE"},
        {"number": 1, "value": 0.9, "state": "pruned"},
        {"number": 2, "value": 0.7, "state": "complete"},
        {"number": 3, "value": None, "state": "FAIL"},
        {"number": 4, "value": float("nan"), "state": "complete"},
    ]
    words = texts(figure := plots.study_history(trials, metric="val AP"))
    assert "complete: 2" in words and "pruned (best value it reached): 1" in words
    assert "failed or without a value: 2" in words
    assert "best: trial 2, 0.7" in words  # a pruned trial is not the winner
    render(figure)
    assert "best: trial 0, 0.5" in texts(plots.study_history(trials, direction="minimize"))


def test_study_history_without_a_finished_trial():
    render(plots.study_history([{"number": 0, "value": None, "state": "FAIL"}]))
    with pytest.raises(ValueError, match="no trial"):
        plots.study_history([])
