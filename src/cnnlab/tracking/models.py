"""Where a trained network comes from: a run, the registry, a file, or the weights released with the project."""

import re
import tempfile
from importlib.resources import files
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from cnnlab.data.download import file_sha256
from cnnlab.errors import ConfigError
from cnnlab.tracking.store import open_store

MODEL_FILE = "model.pt"
DETECTOR_FILE = "detector.pt"
RELEASED = "weights/face_detector.pt"


def model_file(model: str, filename: str = MODEL_FILE, released: str = "") -> Path:
    """The file of a trained network that `model` names; an open run keeps its hash, as the tag `loaded.<filename>`.

    Args:
        model: `released`; a path; a run id; `models:/NAME@ALIAS` or `models:/NAME/VERSION`; or a registered model's
            NAME, which means its champion.
        filename: the artifact that holds the network in a run.
        released: the file within the package that `released` stands for, if weights are released for this purpose.

    Raises:
        ConfigError: there is no such thing, with what there is instead.
    """
    path = _found(model, filename, released)
    if active := mlflow.active_run():
        told = f"{model}, SHA-256 {file_sha256(path)}"
        mlflow.MlflowClient().set_tag(active.info.run_id, f"loaded.{filename}", told)
    return path


def _found(model: str, filename: str, released: str) -> Path:
    if model == "released" and released:
        path = Path(str(files("cnnlab") / released))
        if not path.is_file():
            raise ConfigError(f"This copy of cnnlab came without {released}: train a model and name its run.")
        return path
    if Path(model).is_file():
        return Path(model)
    client = open_store()
    try:
        run_id = model if re.fullmatch(r"[0-9a-f]{32}", model) else _run_of_version(client, model)
        folder = tempfile.mkdtemp(prefix="cnnlab-")
        return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=filename, dst_path=folder))
    except (MlflowException, OSError) as error:
        registered = ", ".join(m.name for m in client.search_registered_models()) or "none yet"
        neither = "neither `released`, a file" if released else "neither a file"
        raise ConfigError(
            f"model={model} is {neither}, a run with a {filename}, nor a registered model (registered: {registered})."
        ) from error


def detector_file(model: str) -> Path:
    """The face detector's file that `model` names; see `model_file`."""
    return model_file(model, DETECTOR_FILE, RELEASED)


def released_on(released: str) -> str:
    """Digest of the data that released weights were trained on, as the card beside them says; empty without one."""
    card = Path(str(files("cnnlab") / released)).with_suffix(".md")
    found = re.search(r"digest `([0-9a-f]+)`", card.read_text(encoding="utf-8")) if card.is_file() else None
    return found[1] if found else ""


def _run_of_version(client: mlflow.MlflowClient, model: str) -> str:
    name = model.removeprefix("models:/")
    if "@" in name:
        return client.get_model_version_by_alias(*name.split("@", 1)).run_id
    if "/" in name:
        return client.get_model_version(*name.split("/", 1)).run_id
    return client.get_model_version_by_alias(name, "champion").run_id


def promote(name: str, version: str, score: float, data_digest: str) -> bool:
    """Give the alias `champion` to a registered version, unless the champion scored higher on the same data.

    Returns whether the version is the champion now.
    """
    client = mlflow.MlflowClient()
    client.set_model_version_tag(name, version, "val_score", f"{score:.6f}")
    client.set_model_version_tag(name, version, "data_digest", data_digest)
    try:
        champion = client.get_model_version_by_alias(name, "champion")
    except MlflowException:
        champion = None
    if champion and champion.tags.get("data_digest") == data_digest:
        if float(champion.tags.get("val_score", "-inf")) > score:
            return False
    client.set_registered_model_alias(name, "champion", version)
    return True
