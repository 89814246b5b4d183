"""What the five AlexNet commands of assignment B measured, collected from their runs; makeup_words.py discusses it."""

import csv
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
from mlflow.entities import Run as StoredRun
from mlflow.exceptions import MlflowException

from cnnlab.data.imageset import ImageSet
from cnnlab.data.makeup import CLASSES
from cnnlab.evaluation.comparison import wilson_interval
from cnnlab.experiment import RESUMED, without_remark
from cnnlab.reports.records import Record, read_records
from cnnlab.tracking import had_data

PREDICTIONS = "predictions.csv"
COMMANDS = {
    "Q1-1": "features heavy",
    "Q1-2": "finetune heavy",
    "Q1-3": "scratch heavy",
    "Q1-5": "features whole_face",
    "Q1-6": "finetune whole_face",
}
"""Question -> mode and augmentation."""


@dataclass(frozen=True)
class Measured:
    """What one command measured on val.

    Attributes:
        command: mode and augmentation.
        mean: accuracy, the mean over seeds.
        std: over seeds, of the sample; 0 for one seed.
        seeds: their number.
        count: validation portraits.
        digest: of the data.
        place: the run, or the record's file.
        values: accuracy of each seed; empty if not known.
        right: bool (seeds, N), or None where no predictions are at hand.
        confusion: counts (2, 2) summed over seeds, rows truth, or None.
        names: the portraits in order.
        history: metrics of each epoch, of the first seed.
        weights: `complete`, `convolutions only` where other layers began untrained, or `random`.
        sentence: where the weights came from.
        data: name of the data set.
        first_seed: the others follow it.
    """

    command: str
    mean: float
    std: float
    seeds: int
    count: int
    digest: str
    place: str
    values: tuple[float, ...] = ()
    right: np.ndarray | None = None
    confusion: np.ndarray | None = None
    names: tuple[str, ...] = ()
    history: tuple[dict[str, float], ...] = ()
    weights: str = "complete"
    sentence: str = ""
    data: str = ""
    first_seed: int = 0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy, by the number of portraits."""
        return wilson_interval(self.mean, self.count)

    @property
    def recalls(self) -> tuple[float, float] | None:
        """Shares of the portraits without and with heavy makeup that were recognised."""
        if self.confusion is None:
            return None
        return tuple(self.confusion.diagonal() / np.maximum(self.confusion.sum(axis=1), 1))


def collect(
    client: mlflow.MlflowClient, quick: bool = False, parent: str = "", data: str = "", results: str = "results"
) -> dict[str, Measured]:
    """The newest finished run of each command in its usual settings, all on the same data: `{question: Measured}`.

    Args:
        client: on the tracking store.
        quick: whether quick runs are wanted, or others.
        parent: only runs below this one.
        data: only runs that were given these data; those of the newest run unless given.
        results: folder of records, which stand in for runs that the store does not hold.
    """
    experiments = [e.experiment_id for e in client.search_experiments()]
    found: dict[str, list[StoredRun]] = {}
    for question, command in COMMANDS.items():
        wanted = f"attributes.status = 'FINISHED' and tags.command = '{command}'"
        wanted += f" and tags.quick = '{str(quick).lower()}'"
        wanted += f" and tags.`mlflow.parentRunId` = '{parent}'" if parent else ""
        runs = client.search_runs(experiments, wanted, order_by=["attributes.start_time DESC"])
        runs = [r for r in runs if had_data(r, data)]
        found[question] = [r for r in runs if not r.data.tags.get("own_settings")]
        for run in () if found[question] else runs:
            print(f"{question}: run {run.info.run_id[:8]} passed over: {run.data.tags['own_settings']}.", flush=True)
    newest = max((r for runs in found.values() for r in runs), key=lambda r: r.info.start_time, default=None)
    digest = newest.data.tags.get("data.digest", "") if newest else ""
    measured = {}
    for question, runs in found.items():
        same = [r for r in runs if r.data.tags.get("data.digest", "") == digest]
        if same:
            measured[question] = from_run(client, same[0])
    if parent or data:
        return measured
    records = {r.entry_point: r for r in read_records(results).values()}
    for question, command in COMMANDS.items():
        record = records.get("makeup_{}_{}".format(*command.split()))
        if record and question not in measured and record.data["digest"] == (digest or record.data["digest"]):
            digest = record.data["digest"]
            measured[question] = from_record(record, command)
    return {question: measured[question] for question in COMMANDS if question in measured}


def from_run(client: mlflow.MlflowClient, run: StoredRun) -> Measured:
    """What a run of `makeup_features`, `makeup_finetune` or `makeup_scratch` stored."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = client.download_artifacts(run.info.run_id, PREDICTIONS, folder)
        except (MlflowException, OSError):
            return _of_metric(run)
        names, labels, probabilities = read_predictions(Path(path).read_text(encoding="utf-8"))
    predicted = probabilities > 0.5
    right = predicted == labels.astype(bool)
    values = right.mean(axis=1)
    confusion = np.zeros((2, 2), int)
    for row in predicted:
        np.add.at(confusion, (labels, row.astype(int)), 1)
    keys = [k for k in run.data.metrics if k in ("train/accuracy", "val/accuracy", "train/loss", "val/loss")]
    history: dict[int, dict[str, float]] = {}
    for key in keys:
        for point in client.get_metric_history(run.info.run_id, key):
            history.setdefault(point.step, {"epoch": point.step})[key] = point.value
    return Measured(
        run.data.tags["command"], float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        len(values), len(labels), run.data.tags.get("data.digest", ""), run.info.run_id, tuple(map(float, values)),
        right, confusion, tuple(names), tuple(history[k] for k in sorted(history)), **_described(run),
    )  # fmt: skip


def _of_metric(run: StoredRun) -> Measured:
    """A run whose predictions are gone: its accuracy and the portraits that it was judged on."""
    sizes = [d.dataset.name for d in run.inputs.dataset_inputs if "/val (" in d.dataset.name]
    count = int(sizes[0].rpartition("(")[2].rstrip(")")) if sizes else 400
    tags, metrics = run.data.tags, run.data.metrics
    return Measured(
        tags["command"], metrics["val_accuracy"], metrics.get("val_accuracy_std", 0.0),
        int(run.data.params.get("cfg/seeds", 1)), count, tags.get("data.digest", ""), run.info.run_id,
        **_described(run),
    )  # fmt: skip


def _described(run: StoredRun) -> dict:
    """What the run's tags and parameters say of weights, data and seeds."""
    tags, first = run.data.tags, int(run.data.params.get("cfg/seed", 0))
    weights = "complete" if tags.get("weights.complete", "true") == "true" else "convolutions only"
    weights = "random" if tags.get("weights.source") == "random" else weights
    known = {"sentence": tags.get("weights.sentence", ""), "data": tags.get("data", "")}
    return known | {"weights": weights, "first_seed": first}


def from_record(record: Record, command: str) -> Measured:
    """What a record holds of it: no predictions and no curves."""
    figures = record.metrics["val_accuracy"]
    weights = "convolutions only" if "not complete" in record.note else "complete"
    weights = "random" if command.startswith("scratch") else weights
    return Measured(
        command, figures["mean"], figures["std"], int(figures["n"]), record.data["splits"]["val"],
        record.data["digest"], f"results/{record.entry_point}.json", weights=weights,
        sentence=without_remark(record.note, RESUMED), data=record.data["name"],
        first_seed=min(record.seeds, default=0),
    )  # fmt: skip


def predictions_csv(val: ImageSet, probabilities: np.ndarray, first_seed: int) -> str:
    """CSV of portrait, true class, and each seed's probability of heavy makeup (`probabilities` is (seeds, N))."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["portrait", "true", *(f"seed_{first_seed + k}" for k in range(len(probabilities)))])
    names = val.names or [str(i) for i in range(len(val))]
    for name, label, row in zip(names, val.labels.tolist(), probabilities.T, strict=True):
        writer.writerow([name, val.classes[label], *(f"{p:.6f}" for p in row)])
    return text.getvalue()


def read_predictions(text: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names (N), labels (N) into `CLASSES`, and probabilities (seeds, N) of heavy makeup from `predictions.csv`."""
    rows = list(csv.reader(io.StringIO(text)))[1:]
    labels = np.array([CLASSES.index(row[1]) for row in rows])
    return [row[0] for row in rows], labels, np.array([[float(p) for p in row[2:]] for row in rows]).T
