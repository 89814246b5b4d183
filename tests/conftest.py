"""Fixtures shared by all tests: a store of its own for every test, and the real photographs where they are at hand."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(2)
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
REPOSITORY = Path(__file__).parent.parent


@pytest.fixture
def repository() -> Path:
    """The root of the project."""
    return REPOSITORY


@pytest.fixture(scope="session")
def face_photos_dir() -> Path:
    """The folder with face_photos/ and full_images/, named by CNNLAB_DATA."""
    folder = os.environ.get("CNNLAB_DATA", "")
    if not (folder and (Path(folder) / "face_photos").is_dir()):
        pytest.skip("needs the real photographs: set CNNLAB_DATA to the folder with face_photos/ and full_images/")
    return Path(folder)


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    """An empty working folder with a tracking store of its own; the working directory of the test."""
    import mlflow

    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    yield tmp_path
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)
