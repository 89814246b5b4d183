"""Optuna studies that can be stopped at any moment and resumed: the planned trials and no more, none repeated."""

import copy
import dataclasses
import hashlib
import json
import math
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, distribution_to_json
from optuna.storages import BaseStorage, GrpcStorageProxy, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import MaxTrialsCallback
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from cnnlab.errors import ConfigError, StoreError
from cnnlab.tracking import Run, is_alive, process_tags

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
RUN_ID, SPACE, PROCESS, LABEL, CONSTANTS = "run_id", "search_space", "process", "label", "constants"
DIVERGED = "diverged"
POLL = 5.0  # seconds between two looks at the trials of other processes

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@dataclass(frozen=True)
class Search:
    """How a study is kept and how long it is."""

    study: str = ""
    """name; made from the entry point and the data unless given. The same name continues the same study"""
    trials: int = 10
    """planned number of finished trials, earlier ones of the same study among them"""
    storage: str = "sqlite:///studies/studies.db"
    """database URL (PostgreSQL for many machines), or grpc://HOST:PORT of `optuna.storages.run_grpc_proxy_server`"""
    prune: bool = True
    """end sampled trials early that fall below the median of the others"""

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ConfigError(f"search.trials must be at least 1, not {self.trials}.")


Report = Callable[[int, float], None]
Objective = Callable[[dict[str, Any], Run, Report], float]


def search(
    run: Run,
    settings: Search,
    space: Mapping[str, BaseDistribution],
    objective: Objective,
    *,
    name: str,
    direction: Literal["maximize", "minimize"] = "maximize",
    first: Mapping[str, dict[str, Any]] | None = None,
    seed: int = 0,
    warmup_epochs: int = 1,
    constants: Mapping[str, Any] | None = None,
) -> optuna.Study:
    """Search `space` until the planned number of trials has finished; each trial is a child run of `run`.

    Several processes may work on one study. Each returns when the planned number of trials has finished, whoever ran
    them.

    Args:
        run: the study's run; earlier trials of the study become its children too.
        settings: name, length, storage.
        space: parameter name to distribution; a study made with another space is refused.
        objective: `(params, child run, report) -> value`; `report(epoch, value)` may end the trial by pruning.
        name: the study's name where the settings give none.
        direction: of the objective; a study made with the other one is refused.
        first: label to parameters of trials that are run, whole, before the sampler chooses.
        seed: of the sampler, moved on by each trial's number, so that neither a resumed study nor one of several
            processes repeats its draws.
        warmup_epochs: epochs in which no trial is pruned.
        constants: name to what a trial's parameters stand for in the code (augmentations by name, first trials,
            settings that no parameter changes); see `constants_digest`. A study whose trials were made with others is
            refused; one that does not know them yet takes these.

    Raises:
        ConfigError: the study of that name has another search space or direction, or other constants.
        StoreError: the database cannot be used.
    """
    study = _open_study(settings, space, settings.study or name, direction, constants or {})
    with _alone(study):
        revive_dead_trials(study)
        for label, params in (first or {}).items():
            study.enqueue_trial(params, user_attrs={LABEL: label}, skip_if_exists=True)
    for trial in study.get_trials(deepcopy=False):
        if trial.state != TrialState.WAITING and RUN_ID in trial.user_attrs:
            run.adopt(trial.user_attrs[RUN_ID])
    drawn_at_random = max(len(first or {}), 4)
    study.pruner = (
        optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=warmup_epochs + 1, n_min_trials=3)
        if settings.prune
        else optuna.pruners.NopPruner()
    )
    done = count_finished(study)
    run.resumed = run.resumed or done > 0
    print(f"Study {study.study_name}: {done} of {settings.trials} trials are finished.", flush=True)

    def one_trial(trial: Trial) -> float:
        study.sampler = optuna.samplers.TPESampler(seed=seed + trial.number, n_startup_trials=drawn_at_random)
        return _run_trial(trial, run, space, objective, settings.trials, maximise=direction == "maximize")

    taken = (*FINISHED, TrialState.RUNNING)
    waiting = False
    while count_finished(study) < settings.trials:
        if len(study.get_trials(deepcopy=False, states=taken)) < settings.trials:
            study.optimize(one_trial, callbacks=[MaxTrialsCallback(settings.trials, states=taken)])
        else:  # the last ones run in other processes; of one that dies the trial is ours
            if not waiting:
                print("The last trials run in other processes: waiting for them.", flush=True)
            waiting = True
            time.sleep(POLL)
            optuna.storages.fail_stale_trials(study)
            with _alone(study):
                revive_dead_trials(study)
    return study


def count_finished(study: optuna.Study) -> int:
    """Number of trials that were completed or pruned."""
    return len(study.get_trials(deepcopy=False, states=FINISHED))


def revive_dead_trials(study: optuna.Study) -> int:
    """Queue again, with the same parameters, the trials that failed or whose process on this host is gone.

    Parameters are not at fault where a trial fails (a divergence is pruned): it was stopped, a disk was full, a server
    away. Optuna's heartbeat does the same for other hosts, after its grace period, but not through grpc://. Returns how
    many were queued.
    """
    revived = 0
    retry = RetryHeartbeatStaleTrialCallback(max_retry=None)
    trials = study.get_trials(deepcopy=False)
    retried = {number for trial in trials for number in trial.system_attrs.get("retry_history", [])}
    for trial in trials:
        gone = trial.state == TrialState.RUNNING and is_alive(trial.user_attrs.get(PROCESS, {})) is False
        if gone:
            try:
                study._storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL)
            except optuna.exceptions.UpdateFinishedTrialError:  # another process was faster
                continue
        if gone or (trial.state == TrialState.FAIL and trial.number not in retried):
            again = copy.copy(trial)  # without its process: it is not dead while it waits for a new one
            again.user_attrs = {key: value for key, value in trial.user_attrs.items() if key != PROCESS}
            retry(study, again)
            revived += 1
    return revived


def _alone(study: optuna.Study) -> FileLock:
    """A lock among this user's processes on this machine: two that queue trials at once would queue them twice."""
    name = hashlib.sha256(study.study_name.encode()).hexdigest()[:12]
    return FileLock(Path(tempfile.gettempdir()) / f"cnnlab-{os.getuid()}-study-{name}.lock")


def params_digest(params: Mapping[str, Any]) -> str:
    """12 hex digits for a set of parameters: a trial that is tried again finds its checkpoint by it."""
    return hashlib.sha256(json.dumps(dict(params), sort_keys=True).encode()).hexdigest()[:12]


def constants_digest(value: Any) -> str:
    """12 hex digits for a constant: plain values, dataclasses, and mappings and sequences of such.

    Of a dataclass the fields count that differ from its defaults, so that a new setting, which changes no training that
    does not name it, ends no study.
    """
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True).encode()).hexdigest()[:12]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        made = {f.name: f.default_factory() if callable(f.default_factory) else f.default for f in fields(value)}
        named = {name: getattr(value, name) for name, default in made.items() if getattr(value, name) != default}
        return {type(value).__name__: _plain(named)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


@contextmanager
def kept_while_undecided(*checkpoints: Path) -> Iterator[None]:
    """Remove a trial's checkpoints once it has ended well, was pruned or diverged; a stopped one needs them."""
    try:
        yield
    except (optuna.TrialPruned, FloatingPointError):
        for path in checkpoints:
            path.unlink(missing_ok=True)
        raise
    for path in checkpoints:
        path.unlink(missing_ok=True)


def _run_trial(
    trial: Trial, run: Run, space: Mapping[str, BaseDistribution], objective: Objective, planned: int, maximise: bool
) -> float:
    trial.set_user_attr(PROCESS, process_tags())
    params = {name: _suggest(trial, name, distribution) for name, distribution in space.items()}
    label = trial.user_attrs.get(LABEL, "")
    title = f"trial {trial.number}" + (f" · {label}" if label else "")
    best = -math.inf if maximise else math.inf

    def report(epoch: int, value: float) -> None:
        nonlocal best
        if math.isnan(value):
            raise FloatingPointError("the objective is not a number")
        best = max(best, value) if maximise else min(best, value)
        trial.report(best, epoch)  # the best so far, so that a pruned trial is remembered by it and not by its last
        if trial.should_prune() and not label:  # named ones are what all others are compared with
            raise optuna.TrialPruned()

    print(f"{title} of {planned}: " + ", ".join(f"{k}={_short(v)}" for k, v in params.items()), flush=True)
    with run.child(title, {"trial": trial.number, "trial.state": "RUNNING"}) as child:
        trial.set_user_attr(RUN_ID, child.id)
        child.log_config(params)
        try:
            value = objective(params, child, report)
        except FloatingPointError as error:
            child.set_tags({"trial.state": "PRUNED"})
            trial.set_user_attr(DIVERGED, True)
            print(f"{title}: {error}", flush=True)
            raise optuna.TrialPruned(str(error)) from error
        except optuna.TrialPruned:
            child.set_tags({"trial.state": "PRUNED"})
            child.log_metrics({"objective": best} if math.isfinite(best) else {})
            print(f"{title}: pruned at {best:.4f}", flush=True)
            raise
        child.set_tags({"trial.state": "COMPLETE"})
        child.log_metrics({"objective": value})
        print(f"{title}: {value:.4f}", flush=True)
    return value


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    suggest = trial.suggest_float if isinstance(distribution, FloatDistribution) else trial.suggest_int
    return suggest(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _open_storage(url: str) -> BaseStorage:
    if url.startswith("grpc://"):
        host, _, port = url.removeprefix("grpc://").partition(":")
        return GrpcStorageProxy(host=host, port=int(port or 13000))
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return RDBStorage(
        url,
        engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None,
        heartbeat_interval=60,
        grace_period=180,
        heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=5),
    )


def _open_study(
    settings: Search, space: Mapping[str, BaseDistribution], name: str, direction: str, constants: Mapping[str, Any]
) -> optuna.Study:
    try:
        study = optuna.create_study(
            study_name=name, storage=_open_storage(settings.storage), direction=direction, load_if_exists=True
        )
    except ImportError as error:  # a server's database needs its driver
        raise StoreError(f"search.storage={settings.storage} needs a package ({error}): install it.") from error
    except (SQLAlchemyError, OSError, optuna.exceptions.StorageInternalError) as error:
        raise StoreError(
            f"The study database {settings.storage} cannot be used ({str(error).splitlines()[0]}): make its folder "
            "writable, or give another one with search.storage."
        ) from error
    described = {name: json.loads(distribution_to_json(d)) for name, d in sorted(space.items())}
    earlier = study.user_attrs.get(SPACE)
    remedy = "give the new study a name of its own with search.study, or restore what it was made with."
    if study.direction.name.lower() != direction:
        raise ConfigError(f"The study {name} was made to {study.direction.name.lower()}, not to {direction}: {remedy}")
    if earlier is None:
        study.set_user_attr(SPACE, described)
    elif earlier != described:
        changed = sorted(k for k in {*earlier, *described} if earlier.get(k) != described.get(k))
        what = f"another search space (changed: {', '.join(changed)})"
        raise ConfigError(f"The study {name} was made with {what}: {remedy}")
    known: dict[str, str] = study.user_attrs.get(CONSTANTS, {})
    digests = {key: constants_digest(value) for key, value in constants.items()}
    if changed := sorted(key for key in digests if known.get(key, digests[key]) != digests[key]):
        raise ConfigError(f"The study {name} was made with other constants (changed: {', '.join(changed)}): {remedy}")
    if known | digests != known:
        study.set_user_attr(CONSTANTS, known | digests)
    return study


def trial_rows(study: optuna.Study) -> Sequence[FrozenTrial]:
    """The finished trials in order of their number."""
    return study.get_trials(deepcopy=False, states=FINISHED)
