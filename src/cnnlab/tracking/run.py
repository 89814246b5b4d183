"""An MLflow run as an experiment sees it: few verbs, each stores something that a reader of the UI wants."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from matplotlib.figure import Figure
from mlflow.data.filesystem_dataset_source import FileSystemDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
from sqlalchemy.exc import SQLAlchemyError
from torch import nn

from cnnlab.models.pretrained import WeightsReport
from cnnlab.tracking.process import process_tags
from cnnlab.tracking.store import open_store, store_error

PARENT = "mlflow.parentRunId"


class _LocalSource(FileSystemDatasetSource):
    """A folder or `embedded`: where a data set was read from, shown beside it in the UI."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    uri = property(lambda self: self._uri)

    @staticmethod
    def _get_source_type() -> str:
        return "local"

    def load(self, dst_path: str | None = None) -> str:
        return self._uri

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> "_LocalSource":
        return cls(str(raw_source))

    def to_dict(self) -> dict[str, str]:
        return {"uri": self._uri}

    @classmethod
    def from_dict(cls, source_dict: dict[str, str]) -> "_LocalSource":
        return cls(source_dict["uri"])


class Run:
    """One MLflow run. A run that is not active (a second process of the same training) stores nothing."""

    def __init__(self, client: mlflow.MlflowClient | None, run_id: str, entry_point: str = "") -> None:
        self._client = client
        self.id = run_id
        self.entry_point = entry_point
        self.datasets: dict[str, Any] = {}
        self.began = time.time()
        self.resumed = False  # a study that goes on sets it
        self.disposable: list[Path] = []
        """files that only serve to resume: removed when all is stored and the run has ended well"""

    # ---- life ------------------------------------------------------------------------------------------------------
    @classmethod
    @contextmanager
    def start(cls, entry_point: str, tags: Mapping[str, str], description: str, experiment: str) -> Iterator["Run"]:
        """Open the run of this process: the one that `mlflow run` made, or else a new one in `experiment`.

        Raises:
            StoreError: the store cannot be written.
        """
        client = open_store()
        adopted = os.environ.get("MLFLOW_RUN_ID")
        mlflow.set_system_metrics_sampling_interval(5)
        mlflow.set_system_metrics_samples_before_logging(1)
        try:
            if not adopted:
                mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", experiment))
            active = mlflow.start_run(run_name=None if adopted else entry_point, log_system_metrics=True)
            run = cls(client, active.info.run_id, entry_point)
            run.set_tags({"mlflow.runName": entry_point, "mlflow.note.content": description, **process_tags(), **tags})
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise store_error(mlflow.get_tracking_uri(), error) from error
        status = "FAILED"
        try:
            yield run
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            mlflow.end_run(status)
        for path in run.disposable:
            path.unlink(missing_ok=True)

    @classmethod
    def inactive(cls, entry_point: str = "") -> "Run":
        """A run that stores nothing."""
        return cls(None, "", entry_point)

    @contextmanager
    def child(self, name: str, tags: Mapping[str, str] | None = None) -> Iterator["Run"]:
        """A run below this one, by its id and not by what is active, so that it holds in threads as well."""
        if self._client is None:
            yield Run.inactive(name)
            return
        tags = {PARENT: self.id, "mlflow.runName": name, **process_tags(), **(tags or {})}
        experiment = self._client.get_run(self.id).info.experiment_id
        child = Run(self._client, self._client.create_run(experiment, tags=tags).info.run_id, self.entry_point)
        status = "FAILED"
        try:
            yield child
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            self._client.set_terminated(child.id, status)

    def adopt(self, run_id: str) -> None:
        """Make another run a child of this one: the trials of a study follow it to the run that continues it."""
        if self._client:
            self._client.set_tag(run_id, PARENT, self.id)

    # ---- what is stored --------------------------------------------------------------------------------------------
    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set several tags."""
        if self._client:
            for key, value in tags.items():
                self._client.set_tag(self.id, key, str(value)[:5000])

    def log_config(self, flat: Mapping[str, Any]) -> None:
        """Log resolved settings as parameters under `cfg/`, apart from the raw ones that `mlflow run` logged."""
        if self._client:
            params = [Param(f"cfg/{key}", str(value)[:6000]) for key, value in flat.items()]
            self._client.log_batch(self.id, params=params)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log several metrics of one step in one call."""
        if self._client:
            now = int(time.time() * 1000)
            self._client.log_batch(self.id, metrics=[Metric(k, float(v), now, step) for k, v in metrics.items()])

    def log_data(self, name: str, digest: str, splits: Mapping[str, int], source: str) -> None:
        """Store a data set's name, digest, place and sizes, one dataset entry per split."""
        self.datasets[name] = {"name": name, "digest": digest, "splits": dict(splits)}
        self.set_tags({"data": name, "data.digest": digest})
        if self._client:
            entries = [
                DatasetInput(
                    MetaDataset(
                        _LocalSource(source), name=f"{name}/{split} ({size})", digest=digest[:36]
                    )._to_mlflow_entity(),
                    [InputTag(MLFLOW_DATASET_CONTEXT, split)],
                )
                for split, size in splits.items()
            ]
            self._client.log_inputs(self.id, entries)

    def log_weights(self, report: WeightsReport, prefix: str = "weights") -> None:
        """Store what a network started from: source, hash and completeness of its weights, as tags `prefix`.*."""
        told = {
            "network": report.network, "source": report.source, "sha256": report.sha256,
            "complete": str(report.complete).lower(), "sentence": report.sentence,
        }  # fmt: skip
        self.set_tags({f"{prefix}.{name}": value for name, value in told.items()})

    def log_figure(self, name: str, figure: Figure) -> None:
        """Store a figure as `figures/<name>.png`."""
        if self._client:
            self._client.log_figure(self.id, figure, f"figures/{name}.png", save_kwargs={"dpi": 110})

    def log_text(self, path: str, text: str) -> None:
        """Store a text (Markdown, HTML, CSV) as an artifact."""
        if self._client:
            self._client.log_text(self.id, text, path)

    def log_arrays(self, path: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Store arrays as a compressed npz artifact."""
        if self._client:
            with tempfile.TemporaryDirectory() as folder:
                np.savez_compressed(Path(folder) / path, **arrays)
                self.log_file(Path(folder) / path)

    def log_file(self, local: Path, folder: str = "") -> None:
        """Store a file as an artifact."""
        if self._client:
            self._client.log_artifact(self.id, str(local), folder or None)

    def log_model(self, model: nn.Module, example: torch.Tensor, name: str = "model", register: str = "") -> str | None:
        """Store a network as an MLflow model with signature and input example; returns its registered version.

        The signature leaves batch, height and width open, as the network does. It is pickled: the exported format
        (pt2) would fix the image's size, and a fully convolutional network is there to take any.

        Args:
            model: the network, in evaluation mode on the CPU afterwards.
            example: float32 (B, C, H, W), B at least 2.
            name: its name within the run.
            register: name in the model registry, if it is to be registered.

        Raises:
            RuntimeError: this is a child; MLflow stores models with the run that is active.
        """
        if self._client is None:
            return None
        if (active := mlflow.active_run()) is None or active.info.run_id != self.id:
            raise RuntimeError("a child run has no model of its own: log it with the run that was started")
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        model = model.eval().cpu()
        with torch.no_grad():
            output = model(example)
        free = [-1] * (example.ndim - 2)
        signature = ModelSignature(
            Schema([TensorSpec(np.dtype("float32"), (-1, example.shape[1], *free))]),
            Schema([TensorSpec(np.dtype("float32"), (-1, output.shape[1], *[-1] * (output.ndim - 2)))]),
        )
        info = mlflow.pytorch.log_model(
            model, name=name, signature=signature, input_example=example.numpy(), serialization_format="pickle",
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", "cnnlab"],
            registered_model_name=register or None, await_registration_for=30,
        )  # fmt: skip
        return str(info.registered_model_version) if register else None
