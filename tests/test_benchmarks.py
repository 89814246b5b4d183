"""Every benchmark runs from end to end in quick mode, with a sentence at its end; its times are nothing to test."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
BENCHMARKS = [p.name for p in sorted((REPOSITORY / "benchmarks").glob("*.py")) if "__main__" in p.read_text()]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_it_runs_in_quick_mode(name, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run(
        [sys.executable, REPOSITORY / "benchmarks" / name, "--quick", "True"], cwd=tmp_path, env=environment,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if name == "face_detection.py" and not all(map(importlib.util.find_spec, ("facenet_pytorch", "cv2"))):
        assert done.returncode == 2 and "pip install --no-deps --target PEERS" in done.stderr
        return
    assert done.returncode == 0, done.stderr[-2000:]
    assert " times" in done.stdout and "`mlflow ui` in this folder shows it." in done.stdout
