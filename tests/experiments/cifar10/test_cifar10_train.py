"""cifar10_train: validation chooses the epoch, and what a run stores of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_cifar10 import Kept, fitted, part, quick, small_network

from cnnlab.data.alternating import AlternatingFlips
from cnnlab.data.augment import Augmentation
from cnnlab.data.cifar10 import CLASSES
from cnnlab.errors import ConfigError
from cnnlab.models.speednet import SpeedNet
from cnnlab.tracking import Run


def test_test_accuracy_is_that_of_the_epoch_that_validation_chose(train, data, store, monkeypatch):
    states, judged, values = [], {}, iter([0.3, 0.9, 0.5])

    def validate(model, *rest):
        states.append({k: v.clone() for k, v in model.state_dict().items()})
        return {"val/loss": 1.0, "val/accuracy": next(values)}

    def answers_of(model, split, views):
        judged[split.split] = {k: v.clone() for k, v in model.state_dict().items()}
        return split.labels.numpy()

    monkeypatch.setattr("cnnlab.training.loop.validate", validate)
    monkeypatch.setattr(train, "answers_of", answers_of)
    monkeypatch.setattr(train, "cifar_model", small_network)
    monkeypatch.setattr(train, "load_cifar10", lambda *args, **kwargs: data)
    monkeypatch.setattr(train, "log_classifier", lambda *args, **kwargs: None)
    config = quick(train, model="speednet")
    outcome = train.run(replace(config, training=replace(config.training, epochs=3)), Run.inactive())
    assert len(states) == 3 and judged.keys() == {"val", "test"}
    for state in judged.values():
        assert all(torch.equal(state[name], states[1][name]) for name in state)
    assert any(not torch.equal(states[1][name], states[2][name]) for name in states[1])
    assert outcome.variant == "speednet" and outcome.note == "" and outcome.metrics["test_accuracy"] == [1.0]
    assert outcome.metrics["epochs"] == 3 and not list(store.rglob("*.pt")), "the checkpoint goes when all is stored"


def test_other_pixels_are_noted_beside_the_figures(train, data, store, monkeypatch):
    monkeypatch.setattr(train, "load_cifar10", lambda *args, **kwargs: replace(data, pixels="folders of images (.jpg)"))
    monkeypatch.setattr(train, "train_once", lambda *args: (torch.nn.Linear(1, 1), fitted()))
    monkeypatch.setattr(train, "answers_of", lambda model, split, views: split.labels.numpy())
    monkeypatch.setattr(train, "log_answers", lambda *args: np.array([True, False]))
    monkeypatch.setattr(train, "log_classifier", lambda *args, **kwargs: None)
    outcome = train.run(train.Config(seeds=2), Run.inactive())
    assert "not the official pixels" in outcome.note and "(folders of images (.jpg))" in outcome.summary
    assert outcome.metrics["test_accuracy"] == [0.5, 0.5] and outcome.seeds == [0, 1]


def test_precision_recall_and_f1_of_every_class_are_stored(train, data):
    run = Kept()
    model = small_network("speednet").eval()
    answers = train.answers_of(model, data.test)
    right = train.log_answers(run, answers, data.test)
    assert np.array_equal(right, answers == data.test.labels.numpy())
    table = run.texts["classification_test.md"]
    assert all(f"| {name} |" in table for name in CLASSES) and "*weighted*" in table
    assert f"Accuracy {right.mean():.3f}." in table


def test_test_images_may_be_seen_from_several_sides(train, data):
    class Side(torch.nn.Module):
        """Sees class 0 in what is bright on the left, class 1 in what is bright on the right, and the right better."""

        def __init__(self):
            super().__init__()
            self.on = torch.nn.Parameter(torch.ones(()))

        def forward(self, pixels):
            left, right = pixels[..., :16].mean((1, 2, 3)), pixels[..., 16:].mean((1, 2, 3))
            return self.on * 20 * torch.stack((left, 2 * right - 1), 1)

    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    images[0, ..., :16] = images[1, ..., 16:] = 255
    halves = replace(data.test, images=images, labels=torch.tensor([0, 1]), classes=("left", "right"), names=None)
    assert train.answers_of(Side(), halves).tolist() == [0, 1]
    assert train.answers_of(Side(), halves, train.Views(mirror=True)).tolist() in ([0, 0], [1, 1])


def test_mirror_images_by_turns_take_the_place_of_chance(train, data, monkeypatch):
    told = {}

    def fit(model, images, val, training, **settings):
        told.update(settings, images=images)
        return fitted()

    monkeypatch.setattr(train, "fit", fit)
    monkeypatch.setattr(train.plots, "learning_curves", lambda *args, **kwargs: None)
    config = quick(train, model="speednet")
    whitened = []
    monkeypatch.setattr(SpeedNet, "whiten", lambda self, images: whitened.append(len(images)) or self)
    train.train_once(config, data, Run.inactive(), 0)
    assert told["images"] is data.train and told["transform"].flip == 0.5 and whitened == [40]
    train.train_once(replace(config, alternate=True), data, Run.inactive(), 0)
    assert isinstance(told["images"], AlternatingFlips) and told["transform"] == Augmentation(shift=4)


def test_auxiliary_heads_are_trained_if_asked_for(train, data, monkeypatch):
    """Their loss is part of what is minimised, and the network answers alone when it is judged."""
    monkeypatch.setattr(train.plots, "learning_curves", lambda *args, **kwargs: None)
    small = replace(data, train=part("train", 4, 0), val=part("val", 4, 1))
    config = quick(train, model="googlenet", aux_logits=True)
    config = replace(config, training=replace(config.training, batch_size=4, precision="32-true"))
    before = {}
    build = train.cifar_model

    def remembered(*args, **settings):
        model = build(*args, **settings)
        before.update({k: v.clone() for k, v in model.aux.state_dict().items()})
        return model

    monkeypatch.setattr(train, "cifar_model", remembered)
    model, _ = train.train_once(config, small, Run.inactive(), 0)
    weights = [k for k in before if k.endswith("fc2.weight")]
    assert len(weights) == 2 and not any(torch.equal(before[k], model.aux.state_dict()[k]) for k in weights)
    assert train.answers_of(model, small.val).shape == (4,)


@pytest.mark.parametrize("settings, said", [
    ({"model": "resnet81"}, "Unknown model 'resnet81'"),
    ({"seeds": 0}, "seeds must be at least 1"),
    ({"aux_logits": True}, "resnet20 has no auxiliary heads; these have: googlenet, inception_v3"),
])  # fmt: skip
def test_unfit_settings_are_refused_in_a_sentence(train, settings, said):
    with pytest.raises(ConfigError, match=said):
        train.Config(**settings)


def test_a_network_that_cannot_classify_small_images_ends_before_the_data_are_read(train, monkeypatch):
    monkeypatch.setattr(train, "load_cifar10", lambda *args, **kwargs: pytest.fail("read"))
    with pytest.raises(ConfigError, match="cannot classify images of 32x32 pixels"):
        train.run(train.Config(model="alexnet"), Run.inactive())
