"""Release the detector of a recorded run: its weights into the package, and the card that says where they come from.

    python -m cnnlab.reports.release            # from the run that results/face_improve.json records
"""

import argparse
import shutil
import sys
from pathlib import Path

import mlflow

from cnnlab.errors import DataError, UserError
from cnnlab.reports.records import read_records
from cnnlab.tracking.models import detector_file

WEIGHTS = Path("src/cnnlab/weights")
TERMS = {
    "origin": "858 photographs with one annotated face each, from the repository BlancNicolas/face_detection_SY32 "
    "(MIT), and face-free pictures that scikit-image and scikit-learn carry",
    "terms": "The weights may be used under the project's licence (MIT). The photographs are not part of the project; "
    "they show people who were not asked, so use the detector for study and research, not to watch people.",
}


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cnnlab.reports.release", description=__doc__.split("\n")[0])
    parser.add_argument("--entry-point", default="face_improve", help="whose record and run to release")
    options = parser.parse_args(arguments)
    try:
        print(f"Released {release(options.entry_point)}")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def release(entry_point: str) -> Path:
    """Copy the run's detector to the package and write its card from record and run; returns the weights' path.

    Raises:
        DataError: there is no record, or it is of embedded data or of a tree with changes that no commit holds.
        ConfigError: the run is not in the tracking store.
    """
    record = read_records("results").get(entry_point)
    if record is None:
        raise DataError(f"results/{entry_point}.json does not exist: run {entry_point} with record=true first.")
    if record.dirty or record.data["name"] == "embedded":
        raise DataError(f"results/{entry_point}.json is of embedded data or uncommitted code: that is not released.")
    weights = WEIGHTS / "face_detector.pt"
    WEIGHTS.mkdir(exist_ok=True)
    shutil.copyfile(detector_file(record.run_id), weights)
    client = mlflow.MlflowClient()
    run = client.get_run(record.run_id)
    trials = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{record.run_id}'")
    seconds = sum((trial.info.end_time - trial.info.start_time) / 1000 for trial in trials if trial.info.end_time)
    minutes = (seconds + sum(m.value for m in client.get_metric_history(record.run_id, "epoch_seconds"))) / 60
    sizes = ", ".join(f"{split} {size}" for split, size in record.data["splits"].items())
    figures = "\n".join(
        f"| `{name}` | {m['mean']:.4g}" + (f" ± {m['std']:.2g} |" if m["n"] > 1 else " |")
        for name, m in record.metrics.items()
    )
    weights.with_suffix(".md").write_text(f"""# Face detector: card

Weights of `face_detector.pt` ({weights.stat().st_size / 1e6:.2f} MB), trained from scratch by this project.

- **Data**: {TERMS["origin"]}. Split by photograph ({sizes}); digest `{record.data["digest"]}`.
- **Network**: `face_net`, fully convolutional, window 48, stride 8; study winner `{run.data.tags.get("winner", "")}`:
  `{run.data.tags.get("winner.params", "")}`.
- **Threshold**: {run.data.tags.get("threshold", "")}. {run.data.tags.get("threshold.reason", "")}
- **Made by**: run `{record.run_id}`, commit `{record.commit[:12]}`, {record.date[:10]}, {record.hardware},
  {minutes:.0f} minutes of trials and training over all sessions, seeds {", ".join(map(str, record.seeds))}.
- **Make them again**: `mlflow run . -e face_improve -P data=DIR -P record=true`, then
  `python -m cnnlab.reports.release`.
- **Terms**: {TERMS["terms"]}

| figure | value |
| --- | --- |
{figures}

Boxes run from hairline to chin and are taller than wide, as the training photographs were annotated.
""")
    return weights


if __name__ == "__main__":
    sys.exit(main())
