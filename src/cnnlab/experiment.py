"""What an experiment is: a frozen dataclass of settings, a function `run(config, run) -> Outcome`, and `main`.

`main` makes the command line from the dataclass, opens the MLflow run, stores what every run stores, and prints where
to look. An experiment states only what is its own.
"""

import dataclasses
import difflib
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import tyro

from cnnlab.errors import ConfigError, UserError
from cnnlab.reports.records import Record, aggregate, write_record
from cnnlab.tracking import Run, close_dead_runs, open_store
from cnnlab.tracking.provenance import code_revision, environment, hardware
from cnnlab.training.checkpoint import resumed_since

CHECKPOINTS = Path("mlruns/checkpoints")
RESUMED = "stopped and resumed: the seconds of the whole run are those of its last part alone"
C = TypeVar("C", bound="Experiment")


@dataclass(frozen=True)
class Experiment:
    """Settings that every experiment has."""

    data: str = "embedded"
    """`embedded`, or a folder of your own data"""
    seed: int = 0
    """seeds initial weights, order and augmentation"""
    quick: bool = False
    """the same path end to end on a handful of samples, in seconds"""
    resume: bool = False
    """continue from the last epoch of a run with these settings that was stopped"""
    record: bool = False
    """write results/<entry point>.json from this run"""

    def shrunk(self: C) -> C:
        """These settings for the quick mode."""
        return self


@dataclass
class Outcome:
    """What an experiment returns: figures by name (one value for each seed that ran) and a sentence for people."""

    metrics: dict[str, float | list[float]]
    summary: str
    seeds: list[int] = field(default_factory=lambda: [0])
    variant: str = ""
    """tells this run's record from others of the same entry point: results/<entry point>_<variant>.json"""
    note: str = ""
    """what a reader of the recorded figures must know, such as weights that were not complete"""


def main(
    experiment: Callable[[Any, Run], Outcome], config_type: type[C], *, entry_point: str, question: str, doc: str
) -> Outcome:
    """Run one experiment from the command line; ends the process with status 2 and one sentence on a user's error."""
    config = parse(config_type, doc)
    try:
        _end_with_parent()
        return execute(experiment, config, entry_point=entry_point, question=question, doc=doc)
    except UserError as error:
        print(f"{entry_point}: {error}", file=sys.stderr)
        sys.exit(2)
    except FloatingPointError as error:
        print(f"{entry_point}: {error}. A lower training.lr, or training.clip_grad, may keep it.", file=sys.stderr)
        sys.exit(2)


def execute(
    experiment: Callable[[Any, Run], Outcome], config: C, *, entry_point: str, question: str, doc: str
) -> Outcome:
    """Run one experiment with resolved settings inside its MLflow run."""
    if config.quick and config.record:
        raise ConfigError("record=true wants a full run: figures of quick=true say nothing. Leave one of them out.")
    config = config.shrunk() if config.quick else config
    if int(os.environ.get("RANK", 0)) > 0:  # a second process of the same training: trains, stores nothing
        return experiment(config, Run.inactive(entry_point))
    revision = code_revision()
    close_dead_runs(open_store())
    tags = {
        "entry_point": entry_point, "question": question, "embedded_data": str(config.data == "embedded").lower(),
        "quick": str(config.quick).lower(), "seed": config.seed, "hardware": hardware(), **revision,
    }  # fmt: skip
    with Run.start(entry_point, tags, doc.strip(), experiment=Path(sys.argv[0]).parent.name or "cnnlab") as run:
        if config.data == "embedded":
            run.set_tags({"mlflow.runName": f"{entry_point} (embedded data)"})
        run.log_config(flatten(config))
        run.log_text("config.json", json.dumps(flatten(config), indent=2, default=str))
        run.log_text("environment.txt", environment())
        try:
            outcome = experiment(config, run)
        except (UserError, FloatingPointError) as error:
            run.set_tags({"error": error})
            raise
        seconds = time.time() - run.began
        if run.resumed or resumed_since(run.began):
            outcome.note = join_remarks(outcome.note.rstrip("."), RESUMED)
        values = _lists(outcome.metrics)
        wanting = sorted(name for name, found in values.items() if not found or not all(map(isfinite, found)))
        if wanting:  # all else of a long run is stored, and only a record refuses them
            outcome.summary += f" No number came out for {', '.join(wanting)}."
        figures = aggregate({name: found for name, found in values.items() if name not in wanting})
        spreads = {f"{name}_std": m["std"] for name, m in figures.items() if m["n"] > 1}
        run.log_metrics({"seconds": seconds, **{name: m["mean"] for name, m in figures.items()}, **spreads})
        run.set_tags({"summary": outcome.summary})
        run.log_text("summary.md", f"# {entry_point}\n\n{outcome.summary}\n")
        if config.record:
            try:
                run.log_file(write_record(_record(run, outcome, revision, seconds), Path("results")))
            except UserError as error:
                run.set_tags({"error": error})
                raise
    print(f"\n{outcome.summary}\n{seconds:.0f} s. Run {run.id}: `mlflow ui` in this folder shows it.", flush=True)
    return outcome


def join_remarks(*remarks: str) -> str:
    """The note of a record from several remarks, of which some may be empty."""
    return "; ".join(filter(None, remarks))


def without_remark(note: str, remark: str) -> str:
    """A note that `join_remarks` made, without one of its remarks."""
    return "; ".join(part for part in note.split("; ") if part != remark)


def _lists(metrics: dict[str, float | list[float]]) -> dict[str, list[float]]:
    return {name: value if isinstance(value, list) else [value] for name, value in metrics.items()}


def _record(run: Run, outcome: Outcome, revision: dict[str, str], seconds: float) -> Record:
    data = next(iter(run.datasets.values()), {"name": "none", "digest": "", "splits": {}})
    name = f"{run.entry_point}_{outcome.variant}" if outcome.variant else run.entry_point
    return Record(
        entry_point=name, run_id=run.id, commit=revision["commit"], dirty=revision["dirty"] != "false",
        date=datetime.now(UTC).date().isoformat(), hardware=hardware(), data=data, seeds=outcome.seeds,
        metrics=aggregate(_lists(outcome.metrics)), seconds=seconds, note=outcome.note,
    )  # fmt: skip


# ---- settings --------------------------------------------------------------------------------------------------------
def parse(config_type: type[C], doc: str, argv: list[str] | None = None) -> C:
    """Settings from the command line; `-P name=value` of `mlflow run` arrives here as `--name value`.

    An unknown or ill-typed setting ends the process with its name and the nearest known one.
    """
    argv = _normalised(list(sys.argv[1:] if argv is None else argv), config_type)
    try:
        return tyro.cli(config_type, args=argv, description=doc.strip(), config=(tyro.conf.FlagConversionOff,))
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _normalised(argv: list[str], config_type: type) -> list[str]:
    # tyro wants True or False and one word for each member of a tuple; people and MLproject write true, false, or the
    # bare flag, and `-P crops.size="240 320"` arrives as one word
    fields = flatten(config_type())
    known = {"--" + name.replace("_", "-") for name in fields}
    # a setting that may also be None: true, false and none are words there, and what is no word stays as it is
    booleans = {
        "--" + name.replace("_", "-") for name, value in fields.items() if value is None or isinstance(value, bool)
    }
    tuples = {"--" + name.replace("_", "-") for name, value in fields.items() if isinstance(value, tuple)}
    out: list[str] = []
    for index, word in enumerate(argv):
        flag, _, value = word.partition("=")
        flag = flag.replace("_", "-") if flag.startswith("--") else flag
        before = argv[index - 1].replace("_", "-") if index else ""
        if flag.startswith("--") and flag not in known | {"--help"}:
            near = difflib.get_close_matches(flag, known, 1)
            hint = f" Did you mean {near[0]}?" if near else " `--help` lists them."
            print(f"There is no setting {flag}.{hint}", file=sys.stderr)
            sys.exit(2)
        if flag in booleans:
            following = value or (argv[index + 1] if index + 1 < len(argv) else "--")
            out += [flag] + ([value.capitalize()] if value else ["True"] if following.startswith("--") else [])
        elif before in booleans and not word.startswith("--"):
            out.append(word.capitalize())
        elif flag in tuples and value:
            out += [flag, *_members(value)]
        elif before in tuples and not word.startswith("--"):
            out += _members(word)
        else:
            out += [flag, value] if "=" in word and flag in known else [flag if flag in known else word]
    return out


def _members(text: str) -> list[str]:
    return text.strip("()[] ").replace(",", " ").split()


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dataclasses as one dictionary with dotted names."""
    flat: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        name = prefix + item.name
        flat |= flatten(value, name + ".") if dataclasses.is_dataclass(value) else {name: value}
    return flat


def fingerprint(config: Any, data_digest: str = "") -> str:
    """16 hex digits that stand for settings and data; `resume` and `record` do not change what is trained."""
    settings = config if isinstance(config, dict) else flatten(config)
    flat = {k: v for k, v in settings.items() if k not in ("resume", "record")}
    text = json.dumps(flat, sort_keys=True, default=str) + data_digest
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def checkpoint_path(entry_point: str, stamp: str, resume: bool) -> Path:
    """Where a run with this fingerprint keeps its checkpoint; an earlier one is removed unless it is to be resumed.

    Says so where there is none to resume but others are: with one setting changed, hours of work would begin anew.
    """
    path = CHECKPOINTS / entry_point / f"{stamp}.pt"
    if int(os.environ.get("RANK", 0)) == 0:
        if not resume:
            path.unlink(missing_ok=True)
        elif not path.exists() and any(path.parent.glob("*.pt")):
            print(f"resume=true: {path.parent} has none of these settings and data; this training starts at epoch 1.")
    return path


def _end_with_parent() -> None:
    # a terminated `mlflow run` would leave its child training: on Linux the kernel tells us, and the run is closed
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if "MLFLOW_RUN_ID" in os.environ and sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1 is PR_SET_PDEATHSIG
