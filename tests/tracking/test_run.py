"""Runs: what a killed process leaves is closed, models come back, stores that cannot be used are named."""

import os
import sqlite3
import subprocess
import sys

import mlflow
import numpy as np
import psutil
import pytest
import torch
from torch import nn

from cnnlab.errors import ConfigError, StoreError
from cnnlab.tracking import Run, close_dead_runs, had_data, is_alive, open_store, process_tags
from cnnlab.tracking.models import detector_file, promote


def start(**kwargs):
    return Run.start("test", {}, "A test.", experiment="test", **kwargs)


def test_a_run_of_a_dead_process_is_closed_and_a_living_one_left(store, monkeypatch):
    client = open_store()
    experiment = client.create_experiment("test")
    done = subprocess.run(
        [sys.executable, "-c", "from cnnlab.tracking.process import process_tags; print(process_tags())"],
        capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    dead = client.create_run(experiment, tags=eval(done.stdout))
    alive = client.create_run(experiment, tags=process_tags())
    elsewhere = client.create_run(experiment, tags=process_tags() | {"process.host": "another"})
    assert close_dead_runs(client) == 1
    assert client.get_run(dead.info.run_id).info.status == "KILLED"
    for run in (alive, elsewhere):
        assert client.get_run(run.info.run_id).info.status == "RUNNING"
    mine = process_tags()
    assert is_alive(mine) is True and is_alive({}) is None
    assert is_alive(mine | {"process.boot": "an earlier one"}) is False, "ids come again after a restart"
    assert is_alive(mine | {"process.started": str(float(mine["process.started"]) - 60)}) is False
    boot, created = psutil.boot_time, psutil.Process.create_time
    monkeypatch.setattr(psutil, "boot_time", lambda: boot() + 3600)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: created(self) + 3600)
    assert is_alive(mine) is True, "the clock was set"


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_an_interrupted_run_and_its_child_end(store, error, status):
    with pytest.raises(error):
        with start() as run, run.child("inner") as child:
            raise error
    client = open_store()
    assert [client.get_run(i).info.status for i in (run.id, child.id)] == [status, status]
    assert client.get_run(child.id).data.tags["mlflow.parentRunId"] == run.id


def test_a_model_comes_back_and_takes_other_sizes(store):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 2, 3))
    example = torch.rand(2, 3, 8, 8)
    with start() as run:
        version = run.log_model(model, example, register="tiny")
    assert version == "1"
    loaded = mlflow.pyfunc.load_model("models:/tiny/1")
    images = np.random.default_rng(0).random((3, 3, 12, 10), dtype=np.float32)
    np.testing.assert_allclose(loaded.predict(images), model(torch.from_numpy(images)).detach(), atol=1e-6)
    assert loaded.metadata.signature is not None and loaded.metadata.saved_input_example_info is not None

    assert promote("tiny", "1", 0.9, "data")
    with start() as run:
        second = run.log_model(model, example, register="tiny")
    assert not promote("tiny", second, 0.8, "data")  # worse on the same data: the champion stays
    assert str(mlflow.MlflowClient().get_model_version_by_alias("tiny", "champion").version) == "1"
    assert promote("tiny", second, 0.8, "other data")


def test_a_model_that_does_not_exist_is_named_with_what_there_is(store):
    with pytest.raises(ConfigError, match="model=nonsense is neither .*registered: none yet"):
        detector_file("nonsense")
    with pytest.raises(ConfigError, match="neither"):
        detector_file("0" * 32)


def test_a_read_only_store_is_one_sentence(store, monkeypatch):
    open_store()
    sqlite3.connect(store / "mlflow.db").close()
    mlflow.set_tracking_uri(f"sqlite:///file:{store}/mlflow.db?mode=ro&uri=true")
    with pytest.raises(StoreError, match="tracking store .*cannot be used .*MLFLOW_TRACKING_URI"):
        with start():
            pass


def test_what_is_stored_with_a_child_is_the_childs(store):
    with start() as run, run.child("inner") as child:
        child.log_data("made", "0" * 16, {"train": 8}, "embedded")
        with pytest.raises(RuntimeError, match="a child run has no model of its own"):
            child.log_model(nn.Conv2d(3, 1, 1), torch.rand(2, 3, 4, 4))
    client = open_store()
    names = [[d.dataset.name for d in client.get_run(i).inputs.dataset_inputs] for i in (run.id, child.id)]
    assert names == [[], ["made/train (8)"]]


def test_a_second_process_stores_nothing(store):
    run = Run.inactive("x")
    run.log_metrics({"a": 1.0})
    run.log_text("a.txt", "a")
    run.log_data("d", "e", {"train": 1}, "f")
    with run.child("c") as child:
        child.set_tags({"a": 1})
    assert not (store / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("given", "asked", "same"),
    [
        ("data", "data/CamVid", True), ("data/CamVid", "data", True), ("data/CamVid", "./data/CamVid/", True),
        ("data/CamVid", "data/artists", False), ("data", "data/CamVid/train", False), ("embedded", "embedded", True),
        ("embedded", "embedded/CamVid/train", False), ("data", "", True), ("", "data", False),
    ],
)  # fmt: skip
def test_data_are_the_same_under_their_own_folder_and_the_one_around_it(store, given, asked, same):
    with start() as run:
        run.log_config({"data": given})
    assert had_data(open_store().get_run(run.id), asked) is same
