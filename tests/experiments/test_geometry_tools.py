"""artists_receptive_field and conv_arithmetic: the answer, the tables, the user's own pictures, and bad settings."""

import mlflow
import numpy as np
import pytest
from PIL import Image

from cnnlab.errors import ConfigError, DataError
from cnnlab.experiment import execute, parse
from cnnlab.models.arithmetic import Convolution
from cnnlab.models.trace import on_meta, trace
from cnnlab.reports.arithmetic import aligned, convolution_words, layer_rows, network_rows
from cnnlab.reports.depth import answer_page


@pytest.fixture
def fields(load_program):
    return load_program("experiments/artists/receptive_field")


@pytest.fixture
def arithmetic(load_program):
    return load_program("experiments/cifar10/arithmetic")


def run(module, config, name):
    outcome = execute(module.run, config, entry_point=name, question="", doc="doc")
    stored = mlflow.search_runs(search_all_experiments=True, output_format="list")[0]
    client = mlflow.MlflowClient()
    text = {p: mlflow.artifacts.load_text(f"{stored.info.artifact_uri}/{p}") for p in
            (a.path for a in client.list_artifacts(stored.info.run_id)) if p.endswith(".md")}  # fmt: skip
    return outcome, text, {a.path for a in client.list_artifacts(stored.info.run_id, "figures")}


# ---- receptive fields ------------------------------------------------------------------------------------------------
def test_the_question_is_answered_in_three_ways_that_agree(fields, store):
    settings = {"models": "simple_cnn", "pictures": 1, "weights": "random"}
    outcome, text, figures = run(fields, fields.Config(**settings), "artists_receptive_field")
    assert outcome.metrics["answer_formula"] == outcome.metrics["answer_gradient"] == outcome.metrics["answer_traced"]
    assert outcome.metrics["answer_formula"] == 7 and "**7 × 7 pixels.**" in text["answer_1_1.md"]
    assert outcome.metrics["simple_cnn_receptive_field"] == 13 >= outcome.metrics["simple_cnn_effective_field"] > 1
    assert outcome.metrics["fields_tried"] == 10 and outcome.metrics["fields_disagreeing"] == 0
    assert {"figures/question_1_1.png", "figures/fields_simple_cnn.png", "figures/growth.png"} <= figures


def test_several_small_filters_are_cheaper_than_a_large_one():
    page = answer_page({"formula": 7, "traced": 7, "gradient": 7})
    assert "| 7×7 | 7×7 | 12,544 |" in page and "| 5×5 then 3×3 | 7×7 | 8,704 |" in page
    assert "| 3×3 then 3×3 then 3×3 | 7×7 | 6,912 |" in page


def test_the_users_own_picture_and_folder(fields, tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 4), np.uint8)
    Image.fromarray(picture).save(tmp_path / "mine.png")
    found, source = fields.load_pictures(fields.Config(image=str(tmp_path / "mine.png")))
    assert len(found) == 1 and found[0].shape == (40, 60, 3) and source.endswith("mine.png")
    assert fields.as_batch(found, 24).shape == (1, 3, 24, 24)
    for artist in ("degas", "monet"):
        (tmp_path / "data/artists" / artist).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(picture[..., :3]).save(tmp_path / f"data/artists/{artist}/{number}.png")
    for folder in ("data", "data/artists"):
        assert len(fields.load_pictures(fields.Config(data=str(tmp_path / folder), pictures=3))[0]) in (2, 3)
    with pytest.raises(DataError, match="there is no such image file"):
        fields.load_pictures(fields.Config(image=str(tmp_path / "none.png")))


def test_the_released_detector_and_unknown_networks(fields, store):
    config = fields.Config(weights="random")
    name, model, weights = fields.load_network("face_detector", config, None)
    assert name == "face_detector" and "released" in weights and model.window == 48 and not model.training
    with pytest.raises(ConfigError, match="Unknown model 'alexnett'. Did you mean 'alexnet'"):
        fields.load_network("alexnett", config, None)
    with pytest.raises(ConfigError, match="models is empty"):
        fields.Config(models=" , ")


def test_layers_are_chosen_evenly_with_the_last(fields):
    model = on_meta("vgg16")
    layers = trace(model, (64, 64)).maps()
    chosen = fields.chosen(layers, dict(model.named_modules()), 4)
    assert len(layers) == 18 and len(chosen) == 4 and chosen[-1].name == "features.30"


# ---- arithmetic ------------------------------------------------------------------------------------------------------
def test_a_layer_on_the_command_line(arithmetic):
    words = "--W 32 --D 3 --K 10 --F 5 --S 1 --P 2 --models none".split()
    config = parse(arithmetic.Config, "doc", words)
    assert config.layer.output == (10, 32, 32) and config.layer.parameters == 760 and config.names == []


def test_every_network_that_all_names_can_be_counted(arithmetic):
    """Each on the device `meta`, which needs no memory; machines and committees are left out."""
    config = arithmetic.Config(models="all")
    assert len(config.names) > 40 and "committee" not in config.names
    for name in config.names[:: 7]:
        assert arithmetic.count(name, config).parameters > 0


def test_tables_of_a_layer_and_a_network(arithmetic, store):
    outcome, text, figures = run(arithmetic, arithmetic.Config(models="alexnet"), "conv_arithmetic")
    assert outcome.metrics["layer_parameters"] == 34_944 and outcome.metrics["layer_output_side"] == 55
    assert outcome.metrics["alexnet_parameters"] == 61_100_840
    assert outcome.metrics["alexnet_multiply_adds"] == 714_188_480
    assert "= (227 - 11 + 0) / 4 + 1 = 55" in text["layer.md"] and "| alexnet | 224×224 | 8 |" in text["networks.md"]
    assert {"figures/layer.png", "figures/costs_alexnet.png", "figures/networks.png"} <= figures


def test_words_tell_what_rounding_leaves_out():
    words = convolution_words(Convolution((3, 10, 11), 2, (3, 3), (2, 2)))
    assert "W2 = (W1 - F + 2P) / S + 1 = (11 - 3 + 0) / 2 + 1 = 5\n" in words
    assert (
        "= (10 - 3 + 0) / 2 + 1 = 4.5, rounded down to 4: the last 1 of the padded input are met by no filter" in words
    )


def test_rows_of_a_network():
    rows = layer_rows(trace(on_meta("face_net"), (48, 48)))
    assert rows[0]["kind"] == "convolution" and rows[0]["kernel"] == "4×4" and rows[0]["output W×H×D"] == "23×23×16"
    assert rows[-1]["layer"] == "sum" and rows[-1]["parameters"].replace(",", "").isdigit()
    assert len({len(line) for line in aligned(network_rows({"a": trace(on_meta("mlp"), (28, 28))})).split("\n")}) <= 2


@pytest.mark.parametrize(("settings", "words"), [
    ({"models": "alexnet,resnet1"}, "There is no model 'resnet1'"), ({"F": 300}, "A filter of 300 pixels does not fit"),
    ({"S": 0}, "The stride is 0"), ({"size": -1}, "size and num_classes"),
])  # fmt: skip
def test_bad_settings_are_refused_before_anything_runs(arithmetic, settings, words):
    with pytest.raises(ConfigError, match=words):
        arithmetic.Config(**settings)
