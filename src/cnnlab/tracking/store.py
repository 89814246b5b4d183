"""The tracking store: opened once, checked for writing, and cleared of runs whose process died."""

import logging
import os
import tempfile
from pathlib import Path

import mlflow
from filelock import FileLock
from mlflow.entities import RunStatus
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from cnnlab.errors import StoreError
from cnnlab.tracking.process import HOST, is_alive

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# MLflow narrates its migrations and monitors, and warns of the pickles that we choose (`Run.log_model` says why)
for name in ("alembic", "mlflow.store", "mlflow.system_metrics", "mlflow.tracking.fluent"):
    logging.getLogger(name).setLevel(logging.WARNING)
logging.getLogger("mlflow.pytorch").setLevel(logging.ERROR)


def open_store() -> mlflow.MlflowClient:
    """A client on the current tracking store (`sqlite:///mlflow.db` here unless MLFLOW_TRACKING_URI says otherwise).

    Several processes on a fresh SQLite file would migrate it at once and fail, so the first call takes a lock.

    Raises:
        StoreError: the store cannot be opened.
    """
    uri = mlflow.get_tracking_uri()
    try:
        with FileLock(Path(tempfile.gettempdir()) / f"cnnlab-{os.getuid()}-store.lock"):
            client = mlflow.MlflowClient()
            client.search_experiments(max_results=1)
        return client
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise store_error(uri, error) from error


def store_error(uri: str, error: Exception) -> StoreError:
    """The one sentence for a store that cannot be used."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return StoreError(
        f"The tracking store {uri} cannot be used ({reason}): make its folder writable, or set MLFLOW_TRACKING_URI "
        "to another one."
    )


def close_dead_runs(client: mlflow.MlflowClient) -> int:
    """Mark as KILLED every run of this host that is RUNNING although its process is gone; returns how many."""
    closed = 0
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    for run in client.search_runs(experiments, f"attributes.status = 'RUNNING' and tags.`{HOST}` != ''"):
        if is_alive(run.data.tags) is False:
            client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.KILLED))
            closed += 1
    return closed


def had_data(run: mlflow.entities.Run, data: str) -> bool:
    """Whether a run was given these data: the same setting, or a folder that is the other one or directly around it.

    Data sets are named by their own folder or by the one that holds several, so both mean the same. Empty `data` asks
    for none in particular: every run had them.
    """
    given = run.data.params.get("cfg/data", "")
    if not data or given == data:
        return True
    if not given:
        return False
    one, other = Path(given).resolve(), Path(data).resolve()
    return one == other or one.parent == other or one == other.parent
