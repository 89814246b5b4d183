"""The command line made from a dataclass, and what every run stores."""

import json
import os
import time
from dataclasses import dataclass, field

import mlflow
import pytest

from cnnlab.errors import ConfigError, DataError
from cnnlab.experiment import RESUMED, Experiment, Outcome, execute, fingerprint, flatten, main, parse
from cnnlab.training import Training
from cnnlab.training.checkpoint import load_checkpoint, save_checkpoint


@dataclass(frozen=True)
class Config(Experiment):
    """A made-up experiment."""

    width: int = 3
    tta: bool = False
    training: Training = field(default_factory=Training)


def test_settings_come_as_mlflow_projects_writes_them():
    argv = ["--quick", "true", "--training.lr", "0.1", "--training.batch_size=8", "--tta", "--width=5"]
    config = parse(Config, "doc", argv)
    assert (config.quick, config.tta, config.width) == (True, True, 5)
    assert (config.training.lr, config.training.batch_size) == (0.1, 8)
    assert parse(Config, "doc", ["--tta=false", "--quick", "False"]) == Config()


@pytest.mark.parametrize("words", [["1 0.1 0.01"], ["1", "0.1", "0.01"], ["1,0.1,0.01"], ["(1.0, 0.1, 0.01)"]])
def test_several_values_may_come_as_one_word(words):
    config = parse(Config, "doc", ["--training.lr_factors", *words, "--width", "4"])
    assert config.training.lr_factors == (1.0, 0.1, 0.01) and config.width == 4
    assert parse(Config, "doc", [f"--training.lr_factors={words[0]}"]).training.lr_factors[0] == 1.0


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--widht", "3"], "no setting --widht. Did you mean --width?"),
        (["--training.lrr", "3"], "Did you mean --training.lr?"),
        (["--width", "abc"], "--width"),
        (["--training.epochs", "0"], "training.epochs must be at least 1"),
        (["--training.optimizer", "adamm"], "adamm"),
    ],
)
def test_an_unknown_or_ill_typed_setting_is_refused_by_name(argv, sentence, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(Config, "doc", argv)
    assert stop.value.code == 2
    out = capsys.readouterr()
    assert sentence in " ".join((out.out + out.err).split())


def test_a_setting_that_may_be_none_takes_the_words_of_mlproject():
    @dataclass(frozen=True)
    class Undecided(Experiment):
        """A made-up experiment."""

        tta: bool | None = None
        resolution: int | None = None

    config = parse(Undecided, "doc", ["--tta", "true", "--resolution", "480"])
    assert (config.tta, config.resolution) == (True, 480)
    assert parse(Undecided, "doc", ["--tta=none"]) == Undecided()


def test_figures_of_quick_runs_are_not_recorded(store):
    with pytest.raises(ConfigError, match="record=true wants a full run"):
        execute(lambda *_: None, Config(quick=True, record=True), entry_point="made", question="", doc="")


def test_resume_and_record_do_not_change_what_is_trained():
    assert fingerprint(Config(resume=True, record=True)) == fingerprint(Config()) != fingerprint(Config(width=4))
    assert fingerprint(Config(), "data 1") != fingerprint(Config(), "data 2")
    assert flatten(Config())["training.lr"] == 3e-4


def experiment(config: Config, run) -> Outcome:
    run.log_data("made", "0123456789abcdef", {"train": 8, "val": 4}, "memory")
    run.log_metrics({"train/loss": 1.0, "val/loss": 1.1}, step=1)
    return Outcome({"val_accuracy": [0.8, 0.9]}, "It works.", seeds=[0, 1])


def test_a_run_stores_what_every_run_stores(store):
    execute(experiment, Config(record=True), entry_point="made_up", question="X1", doc="Does it work?")
    run = mlflow.search_runs(search_all_experiments=True, output_format="list")[0]
    tags, params = run.data.tags, run.data.params
    assert run.info.status == "FINISHED"
    assert tags["question"] == "X1" and tags["mlflow.note.content"] == "Does it work?"
    assert {"commit", "dirty", "hardware", "data.digest", "entry_point"} <= set(tags)
    assert params["cfg/training.lr"] == "0.0003" and params["cfg/width"] == "3"
    assert run.data.metrics["val_accuracy"] == pytest.approx(0.85)
    assert run.data.metrics["val_accuracy_std"] == pytest.approx(0.0707), "of the seeds"
    assert {d.dataset.name for d in run.inputs.dataset_inputs} == {"made/train (8)", "made/val (4)"}
    names = {a.path for a in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert {"config.json", "environment.txt", "summary.md"} <= names
    record = json.loads((store / "results/made_up.json").read_text())
    assert record["run_id"] == run.info.run_id
    assert record["metrics"]["val_accuracy"] == {"mean": 0.85, "std": 0.0707, "n": 2}
    assert record["data"]["splits"] == {"train": 8, "val": 4}


@pytest.mark.parametrize("record", [False, True])
def test_a_figure_that_is_no_number_costs_no_other(store, record):
    def half(config, run):
        return Outcome({"val_accuracy": 0.8, "val_miou": [0.5, float("nan")]}, "It works.")

    if record:  # a table cannot quote it
        with pytest.raises(DataError, match="'val_miou' has the values"):
            execute(half, Config(record=True), entry_point="made_up", question="X1", doc="doc")
    else:
        execute(half, Config(), entry_point="made_up", question="X1", doc="doc")
    run = mlflow.search_runs(search_all_experiments=True, output_format="list")[0]
    assert run.info.status == ("FAILED" if record else "FINISHED")
    assert run.data.metrics["val_accuracy"] == 0.8 and "val_miou" not in run.data.metrics
    assert run.data.tags["summary"] == "It works. No number came out for val_miou."
    assert not record or "val_miou" in run.data.tags["error"]


def test_a_users_error_fails_the_run_and_is_stored_in_it(store):
    def broken(config, run):
        raise DataError("photo.jpg is cut short; copy it again.")

    with pytest.raises(DataError):
        execute(broken, Config(), entry_point="made_up", question="X1", doc="doc")
    run = mlflow.search_runs(search_all_experiments=True, output_format="list")[0]
    assert run.info.status == "FAILED" and run.data.tags["error"] == "photo.jpg is cut short; copy it again."


def test_the_record_of_a_run_that_went_on_says_what_its_seconds_are(store):
    def going_on(config, run):
        load_checkpoint(store / "part.pt")
        return Outcome({"val_accuracy": 0.8}, "It works.", note="Not complete.")

    save_checkpoint(store / "part.pt", {"epoch": 1})
    past = time.time() - 60
    os.utime(store / "part.pt", (past, past))
    outcome = execute(going_on, Config(), entry_point="made_up", question="X1", doc="doc")
    assert outcome.note == f"Not complete; {RESUMED}"
    outcome = execute(experiment, Config(), entry_point="made_up", question="X1", doc="doc")
    assert outcome.note == "", "what an earlier run of this process has read is not this one's"


def test_a_training_that_diverges_ends_in_a_sentence(store, capsys, monkeypatch):
    def diverging(config, run):
        raise FloatingPointError("training diverged in epoch 3: the loss is no longer a number")

    monkeypatch.setattr("sys.argv", ["made_up.py"])
    monkeypatch.setattr("cnnlab.experiment._end_with_parent", lambda: None)
    with pytest.raises(SystemExit, match="2"):
        main(diverging, Config, entry_point="made_up", question="X1", doc="doc")
    assert "made_up: training diverged in epoch 3" in capsys.readouterr().err
    run = mlflow.search_runs(search_all_experiments=True, output_format="list")[0]
    assert run.info.status == "FAILED" and "epoch 3" in run.data.tags["error"]
