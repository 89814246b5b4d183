"""A record survives the file, and a bad one is refused with a sentence that names the trouble."""

import json
from dataclasses import replace

import pytest

from cnnlab.errors import DataError
from cnnlab.reports import Record, aggregate, read_records, write_record

RECORD = Record(
    entry_point="face_train",
    run_id="0123456789abcdef",
    commit="a" * 40,
    dirty=False,
    date="2026-01-31",
    hardware="2 CPU cores, no GPU",
    data={"name": "photos", "digest": "ab12", "splits": {"train": 600, "val": 80, "test": 140}},
    seeds=(0, 1, 2),
    metrics={"test_ap50": {"mean": 0.9, "std": 0.01, "n": 3}},
    seconds=61.23,
)


def test_aggregate_knows_the_sample_deviation():
    assert aggregate({"val_accuracy": [0.8, 0.9, 1.0], "test_ap50": [0.123456789]}) == {
        "val_accuracy": {"mean": 0.9, "std": 0.1, "n": 3},
        "test_ap50": {"mean": 0.12346, "std": 0.0, "n": 1},
    }


@pytest.mark.parametrize("values", [[], [0.5, float("nan")]])
def test_aggregate_refuses_what_has_no_mean(values):
    with pytest.raises(DataError, match="'val_accuracy'"):
        aggregate({"val_accuracy": values})


def test_a_record_survives_the_file(tmp_path):
    path = write_record(RECORD, tmp_path / "results")
    assert path.name == "face_train.json"
    assert read_records(tmp_path / "results") == {"face_train": replace(RECORD, seconds=61.2)}
    assert list(json.loads(path.read_text())) == [
        "entry_point", "run_id", "commit", "dirty", "date", "hardware", "data", "seeds", "metrics", "seconds"
    ]  # fmt: skip
    assert [file.name for file in path.parent.iterdir()] == ["face_train.json"]


def test_no_folder_no_records(tmp_path):
    assert read_records(tmp_path / "results") == {}


def test_a_failed_write_keeps_the_old_record(tmp_path, monkeypatch):
    path = write_record(RECORD, tmp_path)
    before = path.read_text()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cnnlab.reports.records.os.fsync", full)
    with pytest.raises(DataError, match="face_train.json cannot be written .No space left on device."):
        write_record(replace(RECORD, seconds=1.0), tmp_path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"entry_point": "../face"}, "entry_point becomes a file name"),
        ({"run_id": ""}, "run_id must be a text"),
        ({"commit": "HEAD"}, "commit must be a revision"),
        ({"dirty": "no"}, "dirty must be true or false"),
        ({"date": "yesterday"}, "ISO 8601"),
        ({"date": "2026-01-31T12:00:00"}, "must carry its zone"),
        ({"data": {"name": "photos"}}, "data must have name, digest and splits"),
        ({"data": {"name": "photos", "digest": "", "splits": {"val": -1}}}, "number of samples"),
        ({"seeds": ()}, "at least one whole number"),
        ({"metrics": {}}, "at least one metric"),
        ({"metrics": {"test_ap50": {"mean": 0.9}}}, "must have mean, std and n"),
        ({"metrics": {"test_ap50": {"mean": float("nan"), "std": 0, "n": 1}}}, "finite"),
        ({"metrics": {"test_ap50": {"mean": 0.5, "std": 0, "n": 0}}}, "whole number from 1"),
        ({"seconds": -1}, "seconds must be"),
    ],
)
def test_a_bad_record_is_refused(change, sentence):
    with pytest.raises(DataError, match=sentence):
        replace(RECORD, **change)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not a readable JSON file"),
        ("[]", "holds no record"),
        ('{"entry_point": "face_train", "speed": 1}', "lacks run_id.* has the unknown speed"),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, sentence):
    (tmp_path / "face_train.json").write_text(text)
    with pytest.raises(DataError, match=f"face_train.json.*{sentence}"):
        read_records(tmp_path)


def test_a_renamed_file_is_refused(tmp_path):
    write_record(RECORD, tmp_path).rename(tmp_path / "other.json")
    with pytest.raises(DataError, match="holds the record of 'face_train'"):
        read_records(tmp_path)
