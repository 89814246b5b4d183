"""What a run keeps of a network: the origin of its weights, the file to use it with, the registered model."""

import mlflow
import pytest
import torch

from cnnlab.data.download import file_sha256
from cnnlab.errors import ConfigError
from cnnlab.models.pretrained import pretrained_model
from cnnlab.models.saved import load_model
from cnnlab.reports.classifier import log_classifier
from cnnlab.tracking import Run
from cnnlab.tracking.models import model_file, promote


def start():
    return Run.start("test", {}, "A test.", experiment="test")


def test_a_classifier_and_the_origin_of_its_weights_come_back_from_run_and_registry(store):
    torch.manual_seed(0)
    model, report = pretrained_model("squeezenet1_1", 2, "random")
    example = torch.randint(256, (2, 3, 64, 48), dtype=torch.uint8)
    with start() as run:
        run.log_weights(report)
        version = log_classifier(run, model, ("no", "yes"), (64, 48), example, register="makeup")
    tags = mlflow.get_run(run.id).data.tags
    assert tags["weights.network"] == "squeezenet1_1" and tags["weights.source"] == "random"
    assert tags["weights.complete"] == "false" and tags["weights.sha256"] == ""
    assert tags["weights.sentence"] == report.sentence

    promote("makeup", version, 0.5, "data")
    images = torch.rand(1, 3, 64, 48)
    for name in (run.id, "makeup", "models:/makeup/1", "models:/makeup@champion"):
        loaded, meta = load_model(model_file(name))
        assert meta == {"classes": ["no", "yes"], "size": [64, 48]}
        with torch.no_grad():
            assert torch.equal(loaded(images), model(images))
    served = mlflow.pytorch.load_model("models:/makeup/1")
    torch.testing.assert_close(served(images), model(images))

    with start() as trial:  # without an example the file alone
        assert log_classifier(trial, model, ("no", "yes"), (64, 48)) is None
    assert [a.path for a in mlflow.MlflowClient().list_artifacts(trial.id)] == ["model.pt"]

    with start() as user:  # a run that uses a network says which one
        path = model_file("makeup")
    told = mlflow.get_run(user.id).data.tags["loaded.model.pt"]
    assert told == f"makeup, SHA-256 {file_sha256(path)}"


def test_a_file_is_its_own_name_and_what_does_not_exist_is_named(store):
    (store / "own.pt").write_bytes(b"")
    assert str(model_file("own.pt")) == "own.pt"
    with pytest.raises(ConfigError, match="model=nonsense is neither a file, a run with a model.pt, nor a registered"):
        model_file("nonsense")
    with pytest.raises(ConfigError, match="model=released is neither a file"):
        model_file("released")
    with pytest.raises(ConfigError, match="came without weights/none.pt: train a model"):
        model_file("released", released="weights/none.pt")
