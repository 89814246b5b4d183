"""A trained network in one file: what comes back, and what is said when it cannot."""

import pytest
import torch

from cnnlab.errors import CheckpointError, ConfigError, DataError
from cnnlab.models import build_model
from cnnlab.models.saved import load_model, save_model


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_model("efficientnet_lite0", num_classes=3, dropout=0.1).eval()


def test_a_model_and_its_meta_come_back(tmp_path, model):
    save_model(tmp_path / "new" / "model.pt", model, {"classes": ["a", "b", "c"], "size": [160, 128]})
    loaded, meta = load_model(tmp_path / "new" / "model.pt", num_classes=3)
    assert meta == {"classes": ["a", "b", "c"], "size": [160, 128]} and not loaded.training
    assert loaded.architecture == model.architecture
    images = torch.rand(2, 3, 64, 48)
    with torch.no_grad():
        assert torch.equal(loaded(images), model(images))


def test_half_precision_halves_the_file_and_hardly_moves_the_outputs(tmp_path, model):
    model.features[0].norm.running_var[0] = 1e6  # more than 16 bits hold: stays in 32
    save_model(tmp_path / "full.pt", model, {})
    save_model(tmp_path / "half.pt", model, {}, half=True)
    assert (tmp_path / "half.pt").stat().st_size < 0.55 * (tmp_path / "full.pt").stat().st_size
    loaded, _ = load_model(tmp_path / "half.pt")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32} and loaded.features[0].norm.running_var[0] == 1e6
    assert {p.dtype for p in model.parameters()} == {torch.float32}, "the network itself is left as it was"
    images = torch.rand(2, 3, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), model(images), atol=0.02, rtol=0.02)


def test_another_number_of_classes_is_one_sentence(tmp_path, model):
    save_model(tmp_path / "model.pt", model, {"classes": ["a", "b", "c"]})
    with pytest.raises(ConfigError, match=r"model.pt knows 3 classes \(a, b, c\), but 11 are wanted; choose a model"):
        load_model(tmp_path / "model.pt", num_classes=11)


def test_files_that_are_no_models(tmp_path, model):
    with pytest.raises(CheckpointError, match="no model file .*nothing.pt"):
        load_model(tmp_path / "nothing.pt")
    torch.save(model.state_dict(), tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match="state.pt is not a model file"):
        load_model(tmp_path / "state.pt")
    save_model(tmp_path / "model.pt", model, {})
    (tmp_path / "cut.pt").write_bytes((tmp_path / "model.pt").read_bytes()[:9000])
    with pytest.raises(DataError, match="cut.pt is no file of weights that can be read"):
        load_model(tmp_path / "cut.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    del content["state"]["classifier.1.bias"]
    torch.save(content, tmp_path / "lacking.pt")
    with pytest.raises(CheckpointError, match="lacking.pt does not fit the network it names"):
        load_model(tmp_path / "lacking.pt")


def test_a_network_without_a_name_and_a_folder_that_cannot_be_written(tmp_path, model):
    with pytest.raises(ConfigError, match="made by build_model"):
        save_model(tmp_path / "x.pt", torch.nn.Linear(1, 1), {})
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="could not be written"):
        save_model(tmp_path / "file" / "model.pt", model, {})
