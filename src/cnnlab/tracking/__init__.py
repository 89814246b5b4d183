"""The one place that knows MLflow: runs and their children, data sets, figures, models and the registry."""

from cnnlab.tracking.process import is_alive, process_tags
from cnnlab.tracking.run import Run
from cnnlab.tracking.store import close_dead_runs, had_data, open_store

__all__ = ["Run", "close_dead_runs", "had_data", "is_alive", "open_store", "process_tags"]
