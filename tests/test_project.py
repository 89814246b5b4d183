"""MLproject, conda.yaml and README say what there is; every entry point runs in quick mode."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import mlflow
import pytest
import yaml

REPOSITORY = Path(__file__).parent.parent
ENTRY_POINTS = yaml.safe_load((REPOSITORY / "MLproject").read_text())["entry_points"]


def test_conda_yaml_and_pyproject_name_the_same_dependencies(repository):
    wanted = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["dependencies"]
    pip = yaml.safe_load((repository / "conda.yaml").read_text())["dependencies"][-1]["pip"]
    assert sorted(pip) == sorted(wanted)


def test_the_readme_mentions_every_entry_point(repository):
    readme = (repository / "README.md").read_text()
    assert [name for name in ENTRY_POINTS if f"`{name}`" not in readme] == []


def test_every_module_can_be_read_in_one_sitting(repository):
    files = [p for folder in ("src", "experiments", "studies") for p in (repository / folder).rglob("*.py")]
    assert [(p.name, n) for p in files if (n := len(p.read_text().splitlines())) > 340] == []


@pytest.fixture(scope="session")
def checkout(tmp_path_factory) -> Path:
    """A copy of the project, so that runs leave nothing in the real one."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("experiments", "studies", "src"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.db*"))
    for name in ("MLproject", "conda.yaml"):
        shutil.copy(REPOSITORY / name, copy / name)
    return copy


def mlflow_run(checkout: Path, *words: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | {
        "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    command = [sys.executable, "-m", "mlflow", "run", ".", "--env-manager=local", "--experiment-name=test", *words]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_every_entry_point_runs_in_quick_mode(checkout, entry_point, monkeypatch):
    done = mlflow_run(checkout, "-e", entry_point, "-P", "quick=true")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    monkeypatch.chdir(checkout)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{checkout}/mlflow.db")
    try:
        runs = mlflow.search_runs(
            experiment_names=["test"], output_format="list",
            filter_string=f"tags.entry_point = '{entry_point}' and attributes.status = 'FINISHED'",
        )  # fmt: skip
        assert len(runs) == 1, "one run, adopted from `mlflow run`, and no stray one"
        run = runs[0]
        assert {"question", "commit", "hardware", "mlflow.note.content", "data.digest"} <= set(run.data.tags)
        assert "cfg/seed" in run.data.params and run.inputs.dataset_inputs
        names = {a.path for a in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
        assert {"config.json", "environment.txt", "figures", "summary.md"} <= names
        if entry_point in ("face_train", "face_improve"):
            assert {"detector.pt"} <= names
            assert {"train/loss", "val/loss", "train/accuracy", "val/accuracy"} <= set(run.data.metrics)
        if entry_point in ("face_detect", "face_improve"):
            assert "threshold.html" in names
    finally:
        mlflow.set_tracking_uri(before)


def test_bad_input_ends_with_one_sentence_and_a_failed_run(checkout):
    done = mlflow_run(checkout, "-e", "face_train", "-P", "data=no/such/folder")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("face_train: ")]
    assert len(said) == 1 and "no/such/folder" in said[0]
    assert "Traceback" not in done.stderr.split("face_train: ")[0]


def test_a_misspelt_parameter_is_refused_with_the_nearest(checkout):
    done = mlflow_run(checkout, "-e", "face_train", "-P", "training.epoch=3")
    assert done.returncode != 0 and "Did you mean --training.epochs?" in done.stderr


TWO = """
import sys
sys.path[:0] = [{src!r}, {tests!r}]
from dataclasses import replace
import torch
from training.test_loop import FAST, bright_or_dark, small_net
from cnnlab.training import fit
from cnnlab.training.precision import make_fabric

fabric = make_fabric("32-true")
seen = []

def transform(images, generator):
    seen.append(images.float().mean((1, 2, 3)))
    return images.float() / 255

net = small_net(seed=fabric.global_rank)
fit(net, bright_or_dark("train"), bright_or_dark("val"), replace(FAST, epochs=1), transform=transform, fabric=fabric)
weights = fabric.all_gather(torch.cat([p.detach().flatten() for p in net.parameters()]))
shards = [set(shard.tolist()) for shard in fabric.all_gather(torch.cat(seen))]
if fabric.is_global_zero:
    assert torch.equal(weights[0], weights[1]), "one network"
    assert len(shards[0]) == len(shards[1]) == 32 and not shards[0] & shards[1], "each picture is seen by one of them"
    print("ONE NETWORK")
"""


def test_two_processes_share_the_pictures_and_end_with_the_same_network(tmp_path, repository):
    program = tmp_path / "two.py"
    program.write_text(TWO.format(src=str(repository / "src"), tests=str(repository / "tests")))
    command = [str(Path(sys.executable).parent / "fabric"), "run", "--accelerator=cpu", "--devices=2", "--strategy=ddp"]
    done = subprocess.run(
        [*command, str(program)], cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and "ONE NETWORK" in done.stdout, done.stderr[-3000:]


def test_two_processes_train_one_network_in_one_run(checkout):
    """Through Lightning Fabric's launcher: both train, the first alone stores."""
    store = f"sqlite:///{checkout}/two.db"
    environment = os.environ | {"MLFLOW_TRACKING_URI": store, "OMP_NUM_THREADS": "1", "PYTHONPATH": "src"}
    command = [str(Path(sys.executable).parent / "fabric"), "run", "--accelerator=cpu", "--devices=2", "--strategy=ddp"]
    done = subprocess.run(
        [*command, "experiments/face/train.py", "--quick", "true"], cwd=checkout, env=environment, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    runs = mlflow.MlflowClient(store).search_runs(["0", "1"])
    assert [run.info.status for run in runs] == ["FINISHED"]
