"""Studies: the planned number of trials and no more, none repeated, a killed one continued from its last epoch."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import mlflow
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from cnnlab.errors import CheckpointError, ConfigError, StoreError
from cnnlab.search import PROCESS, Search, constants_digest, count_finished, search
from cnnlab.tracking import Run, close_dead_runs, open_store, process_tags
from cnnlab.training.views import SINGLE_VIEW, Views

SPACE = {"x": FloatDistribution(-1, 1), "kind": CategoricalDistribution(["a", "b"])}


def objective(params, child, report):
    report(1, -abs(params["x"]))
    return -abs(params["x"])


def run_study(trials: int, space=SPACE, objective=objective, **kwargs) -> tuple[optuna.Study, str]:
    settings = Search(study="test", trials=trials, storage="sqlite:///studies/test.db", prune=False)
    with Run.start("study", {}, "A study.", experiment="test") as run:
        return search(run, settings, space, objective, name="test", **kwargs), run.id


def test_a_resumed_study_ends_at_the_planned_number_and_repeats_none(store):
    first = {"plain": {"x": 0.5, "kind": "a"}}
    run_study(3, first=first)
    study, parent = run_study(7, first=first)
    again, _ = run_study(7, first=first)
    assert count_finished(study) == count_finished(again) == 7
    params = [tuple(sorted(t.params.items())) for t in again.trials]
    assert len(params) == len(set(params)) == 7
    assert again.trials[0].params == first["plain"]


def test_all_trials_are_children_of_the_latest_run(store):
    run_study(2)
    _, parent = run_study(4)
    children = open_store().search_runs(
        [mlflow.get_experiment_by_name("test").experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'"
    )
    assert len(children) == 4
    assert all(child.data.metrics["objective"] <= 0 and "cfg/x" in child.data.params for child in children)


def test_another_search_space_or_direction_is_refused(store):
    run_study(1)
    with pytest.raises(ConfigError, match="another search space .changed: y.*search.study"):
        run_study(2, space=SPACE | {"y": FloatDistribution(0, 1)})
    with pytest.raises(ConfigError, match="changed: x"):
        run_study(2, space=SPACE | {"x": FloatDistribution(-2, 2)})
    with pytest.raises(ConfigError, match="made to maximize, not to minimize.*search.study"):
        run_study(2, direction="minimize")


def test_what_a_trial_s_words_stand_for_may_not_change_within_a_study(store):
    looks = {1: Views(mirror=False), 6: Views(zooms=(0.9, 1.1))}
    run_study(1)  # an older study, which knows of no constants
    run_study(2, constants={"looks": looks, "width": 3})
    study, _ = run_study(3, constants={"looks": dict(looks), "width": 3, "new name": 1})
    assert count_finished(study) == 3, "the same ones, and one more name"
    for changed in (looks | {6: Views(zooms=(0.8, 1.1))}, {1: looks[1]}):
        with pytest.raises(ConfigError, match=r"other constants \(changed: looks\): .*search.study"):
            run_study(4, constants={"looks": changed, "width": 3})
    with pytest.raises(ConfigError, match="changed: new name, width"):
        run_study(4, constants={"looks": looks, "width": 4, "new name": 2})
    assert count_finished(run_study(4)[0]) == 4


def test_a_constant_is_what_differs_from_its_defaults():
    @dataclass(frozen=True)
    class Views:  # the class above, which has got a setting more since
        mirror: bool = True
        zooms: tuple[float, ...] = (1.0,)
        shift: int = 0
        tilt: float = 0.0

    assert constants_digest(Views(mirror=False)) == constants_digest(SINGLE_VIEW)
    assert constants_digest(Views(mirror=False, tilt=0.1)) != constants_digest(SINGLE_VIEW)
    assert constants_digest({"a": [Views()]}) == constants_digest({"a": (Views(),)}) != constants_digest({"a": ()})


def test_a_pruned_trial_counts_and_is_remembered_by_its_best(store):
    def falling(params, child, report):
        report(1, 0.9)
        report(2, 0.1)
        raise optuna.TrialPruned

    study, _ = run_study(2, objective=falling)
    assert [t.state for t in study.trials] == [TrialState.PRUNED] * 2
    assert [t.value for t in study.trials] == [0.9, 0.9]


def test_a_diverged_trial_does_not_end_the_study(store):
    values = iter([float("nan"), 0.5, 0.6])

    def sometimes(params, child, report):
        value = next(values)
        report(1, value)
        return value

    study, _ = run_study(3, objective=sometimes)
    assert count_finished(study) == 3


def test_a_network_that_diverges_is_a_pruned_trial(store):
    def diverging(params, child, report):
        raise FloatingPointError("training diverged in epoch 1")

    study, _ = run_study(2, objective=diverging)
    assert [t.state for t in study.trials] == [TrialState.PRUNED] * 2


@pytest.mark.parametrize("reason", [KeyboardInterrupt, CheckpointError, ConnectionError])
def test_a_trial_that_was_stopped_is_tried_again_with_its_name(store, reason):
    def stopping(params, child, report):
        raise reason

    first = {"plain": {"x": 0.5, "kind": "a"}}
    for _ in range(2):
        with pytest.raises(reason):
            run_study(2, objective=stopping, first=first)
    study, _ = run_study(2, first=first)
    assert count_finished(study) == 2
    done = [t for t in study.trials if t.state == TrialState.COMPLETE]
    assert done[0].params == first["plain"] and done[0].user_attrs["label"] == "plain"
    again, _ = run_study(2, first=first)
    assert len(again.trials) == len(study.trials)


def test_a_trial_that_was_failed_and_not_yet_queued_again_is_not_lost(store):
    study, _ = run_study(1)
    study.add_trial(optuna.create_trial(state=TrialState.FAIL, params={"x": 0.25, "kind": "b"}, distributions=SPACE))
    again, _ = run_study(3)
    assert {"x": 0.25, "kind": "b"} in [t.params for t in again.trials if t.state == TrialState.COMPLETE]
    assert len(run_study(3)[0].trials) == len(again.trials), "once"


def test_draws_depend_on_the_trial_and_not_on_who_asks(store):
    unbroken, _ = run_study(4)
    drawn = [t.params for t in unbroken.trials]
    optuna.delete_study(study_name="test", storage="sqlite:///studies/test.db")
    for trials in range(1, 5):
        study, _ = run_study(trials)
    assert [t.params for t in study.trials] == drawn


def test_the_last_trial_of_another_process_is_waited_for(store, monkeypatch):
    """Two of three trials are left, of which one runs elsewhere: one is run here, and the result awaits the other."""
    study, _ = run_study(1)
    other = study.ask(SPACE)
    other.set_user_attr(PROCESS, process_tags())
    looked = []

    def later(seconds: float) -> None:
        looked.append(count_finished(study))
        study.tell(other, -0.5)

    monkeypatch.setattr(time, "sleep", later)
    done, _ = run_study(3)
    assert looked == [2] and count_finished(done) == 3 and len(done.trials) == 3


def test_a_trial_whose_process_dies_while_it_is_waited_for_is_run_here(store, monkeypatch):
    study, _ = run_study(1)
    other = study.ask(SPACE)
    other.set_user_attr(PROCESS, process_tags())
    dead = process_tags() | {"process.started": "-1000"}
    monkeypatch.setattr(time, "sleep", lambda seconds: other.set_user_attr(PROCESS, dead))
    done, _ = run_study(2)
    assert [t.state for t in done.trials] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert done.trials[2].params == other.params


def test_a_database_that_cannot_be_written_is_named(store):
    (store / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="none.x.db cannot be used"):
        with Run.start("study", {}, "A study.", experiment="test") as run:
            search(run, Search(storage="sqlite:////proc/none/x.db"), SPACE, objective, name="file")


PROGRAM = """
import sys, time, torch
from pathlib import Path
sys.path[:0] = [{src!r}, {tests!r}]
from test_search import SPACE
from training.test_loop import FAST, bright_or_dark, small_net
from cnnlab.search import Search, params_digest, search
from cnnlab.tracking import Run, close_dead_runs, open_store
from cnnlab.training import fit

def objective(params, child, report):
    def on_epoch(epoch, metrics):
        child.log_metrics(metrics, epoch)
        report(epoch, metrics["val/accuracy"])
        with open("epochs.log", "a") as log:
            log.write(params_digest(params) + " " + str(epoch) + "\\n")
    def slow(images, generator):
        with open("batches.log", "a") as log:
            log.write("batch\\n")
        time.sleep({pause})
        return images.float() / 255
    checkpoint = Path("checkpoints") / (params_digest(params) + ".pt")
    result = fit(small_net(), bright_or_dark("train"), bright_or_dark("val"), FAST, transform=slow,
                 checkpoint=checkpoint, on_epoch=on_epoch)
    return result.best["val/accuracy"]

close_dead_runs(open_store())
with Run.start("study", {{}}, "A study.", experiment="test") as run:
    settings = Search(study="killed", trials=2, storage="sqlite:///studies/test.db", prune=False)
    search(run, settings, SPACE, objective, name="killed")
"""


def test_kill_9_during_an_epoch_loses_at_most_that_epoch(store, repository):
    """Killed in the third epoch of the first trial; the same command then finishes both, the first from epoch 3."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{store}/mlflow.db", "OMP_NUM_THREADS": "1"}

    def start(pause: float) -> subprocess.Popen:
        program = PROGRAM.format(src=str(repository / "src"), tests=str(repository / "tests"), pause=pause)
        (store / "program.py").write_text(textwrap.dedent(program))
        return subprocess.Popen([sys.executable, "program.py"], cwd=store, env=environment)

    log = Path("epochs.log")
    process = start(pause=0.25)  # four steps an epoch: time enough to hit the middle of one
    deadline = time.monotonic() + 120
    while not (log.exists() and len(log.read_text().splitlines()) == 2):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = log.read_text().split()[0]
    log.write_text("")
    Path("batches.log").write_text("")

    assert start(pause=0).wait(timeout=120) == 0
    seen = log.read_text().splitlines()
    assert seen[:4] == [f"{killed} {epoch}" for epoch in (1, 2, 3, 4)]  # 1 and 2 told again from the checkpoint
    trained = len(Path("batches.log").read_text().splitlines())
    assert trained == 2 * 4 + 4 * 4, "batches of two epochs of the first trial, and of all four of the second"
    study = optuna.load_study(study_name="killed", storage="sqlite:///studies/test.db")
    assert [t.state.name for t in study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert study.trials[1].params == study.trials[0].params
    client = open_store()
    runs = client.search_runs([mlflow.get_experiment_by_name("test").experiment_id])
    assert sorted(r.info.status for r in runs) == ["FINISHED"] * 3 + ["KILLED"] * 2
    assert close_dead_runs(client) == 0
