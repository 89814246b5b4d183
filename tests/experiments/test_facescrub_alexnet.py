"""AlexNet on faces: what each command stores, how a photograph gets its names, and refusals in a sentence."""

from dataclasses import replace

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data.embedded import portrait
from cnnlab.errors import ConfigError, DataError
from cnnlab.experiment import execute
from cnnlab.models import build_model
from cnnlab.models.saved import save_model
from cnnlab.tracking import Run


@pytest.fixture
def namer(tmp_path):
    """A file with an untrained network for three people."""
    torch.manual_seed(0)
    path = tmp_path / "namer.pt"
    save_model(path, build_model("mlp", 3), {"classes": ["ann", "bob", "cat"], "size": [28, 28]})
    return str(path)


def photograph(path, *people):
    canvas = np.full((240, 200 * len(people) + 100, 3), 120, np.uint8)
    for place, person in enumerate(people):
        canvas[60:172, 60 + 200 * place : 152 + 200 * place] = portrait(person, 1).image
    Image.fromarray(canvas).save(path)
    return str(path)


def stored(entry_point):
    run = mlflow.search_runs(search_all_experiments=True, output_format="list")[0]
    client = mlflow.MlflowClient()
    figures = {a.path.split("/")[1] for a in client.list_artifacts(run.info.run_id, "figures")}
    assert run.data.tags["entry_point"] == entry_point
    return run, figures, {a.path for a in client.list_artifacts(run.info.run_id)}


def test_every_face_of_a_photograph_gets_a_name(load_program, store, namer, tmp_path):
    predict = load_program("experiments/facescrub/predict")
    config = predict.Config(image=photograph(tmp_path / "two.png", 1, 2), model=namer)
    outcome = execute(predict.run, config, entry_point="facescrub_predict", question="D 2.4", doc="doc")
    assert outcome.metrics["faces"] == 2 and "two.png, 2 faces: " in outcome.summary
    run, figures, files = stored("facescrub_predict")
    assert figures == {"people.png"} and "people.csv" in files
    assert run.data.tags["embedded_data"] == "false" and run.data.tags["people"] == "ann, bob, cat"
    text = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/people.csv").splitlines()
    assert text[0] == "face,x1,y1,x2,y2,score,answer,ann,bob,cat" and len(text) == 3
    for line in text[1:]:
        *_, answer, a, b, c = line.split(",")
        shares = dict(zip(("ann", "bob", "cat"), map(float, (a, b, c)), strict=True))
        assert sum(shares.values()) == pytest.approx(1, abs=1e-3) and shares[answer] == max(shares.values())


def test_a_picture_without_a_face_is_refused_unless_it_is_to_be_taken_whole(load_program, namer, tmp_path):
    predict = load_program("experiments/facescrub/predict")
    Image.fromarray(np.full((90, 120, 3), 130, np.uint8)).save(tmp_path / "wall.png")
    with pytest.raises(DataError, match=r"wall.png: no face was found at threshold 0\.74; .*-P face=whole"):
        predict.run(predict.Config(image=str(tmp_path / "wall.png"), model=namer), Run.inactive())
    whole = predict.Config(image=str(tmp_path / "wall.png"), model=namer, face="whole")
    assert predict.run(whole, Run.inactive()).metrics["faces"] == 1


def test_predicting_without_what_it_needs_ends_in_a_sentence(load_program, store, namer, tmp_path):
    predict = load_program("experiments/facescrub/predict")
    face = photograph(tmp_path / "one.png", 1)
    with pytest.raises(ConfigError, match="No network for people is registered yet: train one"):
        predict.run(predict.Config(image=face), Run.inactive())
    with pytest.raises(ConfigError, match="model needs a photograph to look at: image=PATH"):
        predict.Config(model=namer)
    with pytest.raises(DataError, match="no/such.jpg: there is no such image file"):
        predict.run(predict.Config(image="no/such.jpg", model=namer), Run.inactive())


def test_the_untrained_layers_are_left_out_and_the_run_says_so(load_program, tmp_path):
    """Weights of the convolutions alone, as packages carry them."""
    finetune = load_program("experiments/facescrub/finetune")
    state = build_model("alexnet", 2, conv_only=True).state_dict()
    convolutions = {key: value for key, value in state.items() if key.startswith("features.")}
    torch.save(convolutions, tmp_path / "convolutions.pth")
    model, report = finetune.start(finetune.Config(weights=str(tmp_path / "convolutions.pth")), 6)
    assert model.architecture[1]["conv_only"] and model.classifier_layer.out_features == 6
    assert torch.equal(model.features[0].weight, convolutions["features.0.weight"])
    assert "alexnet without its 4096-unit layers" in report.sentence and "last layer is new" in report.sentence
    model, _ = finetune.start(finetune.Config(weights="random", fully_connected="keep"), 6)
    assert [m.out_features for m in model.classifier if hasattr(m, "out_features")] == [4096, 4096, 6]


def test_fine_tuning_stores_what_predict_uses(load_program, store, tmp_path):
    finetune, predict = (load_program(f"experiments/facescrub/{name}") for name in ("finetune", "predict"))
    config = finetune.Config(quick=True)
    outcome = execute(finetune.run, config, entry_point="facescrub_finetune", question="D 2.4", doc="doc")
    assert {"val_accuracy", "test_accuracy"} <= set(outcome.metrics)
    run, figures, files = stored("facescrub_finetune")
    assert {"augmentation.png", "curves.png", "confusion_test.png", "example.png"} <= figures
    assert {"model.pt", "predictions_test.csv", "classification_test.md"} <= files
    asked = predict.Config(image=photograph(tmp_path / "one.png", 1), model=run.info.run_id)
    assert predict.run(asked, Run.inactive()).metrics["faces"] == 1


def test_features_of_every_layer_and_one_network_of_it_all(load_program, store):
    features = load_program("experiments/facescrub/alexnet_features")
    config = features.Config(quick=True)
    outcome = execute(features.run, config, entry_point="facescrub_alexnet_features", question="D 2.2", doc="doc")
    layers = ("conv1", "conv2", "conv3", "conv4", "conv5", "pool5")
    assert {f"test_accuracy_{layer}" for layer in layers} <= set(outcome.metrics)
    assert outcome.metrics["test_accuracy"] == outcome.metrics["test_accuracy_conv4"]
    run, figures, files = stored("facescrub_alexnet_features")
    assert {"layers.png", "curves.png", "confusion_test.png"} <= figures
    assert {"model.pt", "layers.csv", "layers.md", "system.md"} <= files
    assert "test_accuracy_fc6" not in outcome.metrics and "fc6 and fc7 are left out" in outcome.note
    table = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/layers.md")
    assert table.count("\n| conv") == 5 and "fc6 and fc7 are left out: random has no trained weights" in table
    assert not list((store / "mlruns/checkpoints").rglob("*.pt"))
    with pytest.raises(ConfigError, match="layer=conv9 is unknown; there are conv1"):
        features.run(features.Config(layer="conv9", quick=True, weights="random"), Run.inactive())


def small(layer):
    """Settings that judge a curve of all layers in seconds."""
    return {"quick": True, "weights": "random", "layer": layer, "hidden": 4, "sizes": (63,), "draws": 0, "seeds": 1}


def test_complete_weights_have_the_layers_of_units_in_the_curve(load_program, store, monkeypatch):
    features = load_program("experiments/facescrub/alexnet_features")
    usual = features.pretrained_model

    def complete(*given, **settings):
        model, report = usual(*given, **settings)
        return model, replace(report, complete=True)

    monkeypatch.setattr(features, "pretrained_model", complete)
    config = features.Config(**small("fc6"))
    outcome = features.run(replace(config, training=replace(config.training, epochs=1)), Run.inactive())
    assert {"test_accuracy_conv5", "test_accuracy_fc7"} <= set(outcome.metrics) and outcome.note == ""
    assert outcome.metrics["test_accuracy_fc6"] == outcome.metrics["test_accuracy"]


def test_a_stopped_curve_takes_over_the_layers_that_are_judged(load_program, store, monkeypatch):
    features = load_program("experiments/facescrub/alexnet_features")
    usual, asked = features.learn, []

    def learn(config, backbone, layer, data, run=None):
        asked.append(layer)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return usual(config, backbone, layer, data, run)

    monkeypatch.setattr(features, "learn", learn)
    config = features.Config(**small("conv4"), resume=True)
    config = replace(config, training=replace(config.training, epochs=1))
    with pytest.raises(KeyboardInterrupt):
        features.run(config, Run.inactive())
    resumed = features.run(config, Run.inactive())
    assert asked == ["conv4", "conv1", "conv2", "conv3", "conv4", "conv3", "conv5", "pool5"]
    whole = features.run(replace(config, resume=False), Run.inactive())
    assert len(asked) == 8 + 6 and resumed.metrics == whole.metrics
    assert not list((store / "mlruns/checkpoints").rglob("*.pt"))


def test_data_or_a_file_is_explained_by_a_trained_network_only(load_program, store, namer, tmp_path, monkeypatch):
    guided = load_program("experiments/facescrub/guided_backprop")
    face = photograph(tmp_path / "one.png", 1)
    monkeypatch.setattr(guided, "load_facescrub", lambda *_, **__: pytest.fail("nothing is loaded"))
    for given in ({"image": face}, {"data": str(tmp_path)}):
        with pytest.raises(ConfigError, match="No network for people is registered yet: .*model=RUN_ID"):
            guided.run(guided.Config(**given), Run.inactive())
    network = build_model("alexnet", 3, conv_only=True)
    monkeypatch.setattr(guided, "load_namer", lambda model: (network, ("ann", "bob", "cat"), (64, 64), None))
    outcome = guided.run(guided.Config(image=face), Run.inactive())
    assert outcome.summary.startswith("one.png asked for ") and "image_guided_ssim_all" in outcome.metrics
    assert not any("test" in name or "other_picture" in name for name in outcome.metrics)


def test_explaining_a_face_and_checking_the_explanation(load_program, store, namer, tmp_path):
    guided = load_program("experiments/facescrub/guided_backprop")
    config = guided.Config(quick=True).shrunk()
    outcome = execute(guided.run, config, entry_point="facescrub_guided_backprop", question="D 2.5", doc="doc")
    assert "rank correlation" in outcome.summary and "test_guided_rank_correlation_all" in outcome.metrics
    _, figures, files = stored("facescrub_guided_backprop")
    assert {"attributions.png", "randomised.png", "sanity_check.png"} <= figures and "sanity_check.csv" in files
    with pytest.raises(ConfigError, match="model needs faces to be explained on"):
        guided.Config(model=namer)
    with pytest.raises(ConfigError, match="neither a file nor a test face such as orl/"):
        guided.run(guided.Config(quick=True, image="orl/nobody/1"), Run.inactive())
    with pytest.raises(ConfigError, match="image=nobody/1.jpg is no file; name one"):
        guided.Config(image="nobody/1.jpg")
    with pytest.raises(ConfigError, match="target=eve is nobody this network knows"):
        guided.run(guided.Config(quick=True, target="eve"), Run.inactive())
