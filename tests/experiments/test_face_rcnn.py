"""face_rcnn: what validation chooses, how the two detectors are compared, and that no other split slips in."""

import numpy as np
import pytest

from cnnlab.data.photos import Photo
from cnnlab.detection.rcnn import Verdict
from cnnlab.errors import ConfigError

FACE = np.array([[10, 10, 50, 60]], np.float32)


@pytest.fixture
def rcnn_experiment(load_program):
    return load_program("experiments/face/rcnn")


class Fake:
    """Stands in for a photograph with its maps: what each verdict finds is given."""

    def __init__(self, answers):
        self.photo = Photo("a", np.zeros((80, 80, 3), np.uint8), FACE)
        self.answers = answers

    def decide(self, rcnn, verdict, head):
        return self.answers[verdict]


def found(*box):
    return np.array([box], np.float32), np.array([0.9], np.float32)


def test_validation_chooses_the_verdict_and_of_equals_the_simplest(rcnn_experiment):
    good, loose = found(10, 10, 50, 60), found(10, 20, 50, 60)  # IoU 1 and 0.8
    wide = found(0, 10, 60, 60)  # IoU 2/3: right up to 0.65, which is at 4 of 9 overlaps
    answers = {verdict: wide for verdict in rcnn_experiment.VERDICTS}
    chosen, table = rcnn_experiment.choose(None, [None], [Fake(answers)])
    assert chosen == Verdict("second", 1) and table.count("| 1.0000 | 0.0000 | 0.4444 |") == 4
    better = Verdict("both", 1)
    chosen, _ = rcnn_experiment.choose(None, [None], [Fake(answers | {better: good, Verdict("both", 2): loose})])
    assert chosen == better


def test_an_interval_that_holds_nought_shows_no_difference(rcnn_experiment):
    assert "no difference shown" in rcnn_experiment._sentence(0.5, [0.9], [0.91], -0.02, 0.03)
    assert "better" in rcnn_experiment._sentence(0.5, [0.9], [0.95], 0.02, 0.08)


def test_the_split_does_not_follow_the_seed(rcnn_experiment, monkeypatch):
    """With another seed than the released detector's, test would hold photographs it was trained on."""
    asked = []

    def load(data, seed, quick):
        asked.append(seed)
        raise ConfigError("enough")

    monkeypatch.setattr(rcnn_experiment, "load_face_data", load)
    with pytest.raises(ConfigError, match="enough"):
        rcnn_experiment.run(rcnn_experiment.Config(seed=7), None)
    assert asked == [0]


def test_the_note_tells_whether_the_first_stage_has_seen_the_photographs(rcnn_experiment):
    assert "trained on these train photographs" in rcnn_experiment.seen_by_detector("c492f1b7c3d08f8d")
    assert "may have been trained on them" in rcnn_experiment.seen_by_detector("0123456789abcdef")


def test_quick_settings_need_no_weights(rcnn_experiment):
    config = rcnn_experiment.Config().shrunk()
    assert config.weights == "random" and config.training.epochs <= 2 and config.seeds == 1
    with pytest.raises(ConfigError, match="seeds must be at least 1"):
        rcnn_experiment.Config(seeds=0)
