"""What a detector is said to have found: counts at a threshold, and the threshold that the data choose."""

import numpy as np
import pytest

from cnnlab.data.photos import Photo
from cnnlab.reports.detector import count_at, find_threshold
from cnnlab.tracking import Run

TRUTHS = np.array([[0, 0, 40, 40], [100, 0, 140, 40]], np.float32)
PHOTO = Photo("two.png", np.zeros((60, 160, 3), np.uint8), TRUTHS)


def test_a_face_counts_from_the_threshold_on_and_no_detection_below_it_does():
    boxes = np.concatenate([TRUTHS, [[50, 10, 90, 50]]])
    found = [(boxes, np.array([0.5, 0.49, 0.8]))]  # right at the threshold, right below it, wrong above it
    assert count_at(found, [PHOTO], 0.5) == {"faces": 2, "found": 1, "false_alarms": 1}
    assert count_at(found, [PHOTO], 0.0) == {"faces": 2, "found": 2, "false_alarms": 1}
    assert count_at(found, [PHOTO], 0.9) == {"faces": 2, "found": 0, "false_alarms": 0}


@pytest.mark.parametrize(("alarms", "threshold"), [(0.0, 0.7), (1.0, 0.3)])
def test_the_threshold_is_the_one_that_finds_most_for_the_false_alarms_allowed(alarms, threshold, capsys):
    boxes = np.concatenate([TRUTHS, [[50, 10, 90, 50]]])
    found = [(boxes, np.array([0.7, 0.3, 0.5]))]
    chosen = find_threshold(Run.inactive(), found, [PHOTO], "val", max_false_alarms=alarms)
    assert chosen == pytest.approx(threshold, abs=0.01) and "Chosen on val (1 photographs)" in capsys.readouterr().out
    assert count_at(found, [PHOTO], chosen)["false_alarms"] <= alarms
