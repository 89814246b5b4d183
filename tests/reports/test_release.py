"""Releasing weights: only from a record of real data and committed code, with a card made from record and run."""

import mlflow
import pytest
import torch

from cnnlab.detection.detector import FaceDetector
from cnnlab.errors import DataError
from cnnlab.models import build_model
from cnnlab.reports.detector import log_detector
from cnnlab.reports.records import Record, write_record
from cnnlab.reports.release import release
from cnnlab.tracking import Run


def record(run_id: str, **changes) -> Record:
    values = {
        "entry_point": "face_improve", "run_id": run_id, "commit": "a" * 40, "dirty": False, "date": "2026-01-02",
        "hardware": "2 cores", "data": {"name": "photos", "digest": "0" * 16, "splits": {"train": 8, "test": 4}},
        "seeds": (0,), "metrics": {"test_ap50": {"mean": 0.5, "std": 0.0, "n": 1}}, "seconds": 60.0,
    }  # fmt: skip
    return Record(**values | changes)


def test_weights_and_card_come_from_the_recorded_run(store):
    torch.manual_seed(0)
    detector = FaceDetector(build_model("face_net"), threshold=0.7)
    with Run.start("face_improve", {"winner": "all together", "threshold": "0.7000"}, "A3", experiment="test") as run:
        log_detector(run, detector)
    (store / "src/cnnlab").mkdir(parents=True)
    write_record(record(run.id), "results")
    weights = release("face_improve")
    assert FaceDetector.load(weights).threshold == 0.7
    card = weights.with_suffix(".md").read_text()
    for word in ("all together", "| `test_ap50` | 0.5 |", run.id, "train 8, test 4", "2026-01-02", "MIT"):
        assert word in card
    assert mlflow.get_run(run.id).info.status == "FINISHED"


def test_what_is_not_recorded_or_not_committed_is_refused(store):
    with pytest.raises(DataError, match="record=true first"):
        release("face_improve")
    embedded = {"name": "embedded", "digest": "0" * 16, "splits": {"train": 1}}
    for wrong, tags in (({"dirty": True}, {}), ({"data": embedded}, {}), ({}, {"embedded_data": "true"})):
        with Run.start("face_improve", tags, "A3", experiment="test") as run:
            run.log_text("detector.pt", "weights")
        write_record(record(run.id, **wrong), "results")
        with pytest.raises(DataError, match="not released"):
            release("face_improve")


def test_the_card_of_a_segmentation_network_names_what_it_started_from(store):
    tags = {"weights.sentence": "efficientnet_lite0 starts from a package's weights.", "inference": "6 views"}
    with Run.start("camvid_fcn8s", tags, "Q2", experiment="test") as run:
        run.log_text("model.pt", "weights")
        run.log_metrics({"epoch_seconds": 90.0}, 1)
        run.log_metrics({"seed_1/epoch_seconds": 90.0}, 1)
    (store / "src/cnnlab").mkdir(parents=True)
    write_record(record(run.id, entry_point="camvid_fcn8s"), "results")
    card = release("camvid_fcn8s").with_suffix(".md").read_text()
    for word in ("starts from a package's weights", "6 views", "CC BY-NC", "3 minutes", "camvid_fcn8s"):
        assert word in card
