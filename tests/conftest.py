"""Fixtures shared by all tests: a store of its own for every test, and the real photographs where they are at hand."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest
import torch
from webserver import WebServer

# several test processes (pytest -n) share the processor, and so do the programs that they start
THREADS = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
torch.set_num_threads(min(2, THREADS))
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
REPOSITORY = Path(__file__).parent.parent


@pytest.fixture
def repository() -> Path:
    """The root of the project."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the real data sets, named by CNNLAB_DATA; the fixtures below ask for one of them."""
    folder = os.environ.get("CNNLAB_DATA", "")
    if not (folder and Path(folder).is_dir()):
        pytest.skip("needs the real data: set CNNLAB_DATA to the folder with face_photos/, CamVid/ and others")
    return Path(folder)


def need(folder: Path, *names: str) -> Path:
    """The folder, if it holds these data sets; else the test skips and says which is absent."""
    absent = [name for name in names if not (folder / name).is_dir()]
    if absent:
        pytest.skip(f"needs {', '.join(absent)}: {folder}, named by CNNLAB_DATA, does not hold it")
    return folder


@pytest.fixture(scope="session")
def face_photos_dir(data_dir) -> Path:
    """The folder with face_photos/ and full_images/."""
    return need(data_dir, "face_photos", "full_images")


@pytest.fixture(scope="session")
def makeup_dir(data_dir) -> Path:
    """The folder with heavy_makeup_CelebA/."""
    return need(data_dir, "heavy_makeup_CelebA")


@pytest.fixture(scope="session")
def camvid_dir(data_dir) -> Path:
    """The folder with CamVid/."""
    return need(data_dir, "CamVid")


@pytest.fixture(scope="session")
def facescrub_dir(data_dir) -> Path:
    """The folder with facescrub/."""
    return need(data_dir, "facescrub")


@pytest.fixture(scope="session")
def artists_dir(data_dir) -> Path:
    """The folder with artists/."""
    return need(data_dir, "artists")


@pytest.fixture
def web():
    """A local web server that can misbehave."""
    with WebServer() as server:
        yield server


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


@pytest.fixture
def load_program(repository, monkeypatch):
    """`load_program("experiments/facescrub/mlp")`: the module as its script sees it, its folder on the path.

    A program beside it that it imports is loaded before it, so that it leaves with the test.
    """

    def load(place):
        path = repository / f"{place}.py"
        monkeypatch.syspath_prepend(str(path.parent))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, path.stem, module)
        spec.loader.exec_module(module)
        return module

    return load
