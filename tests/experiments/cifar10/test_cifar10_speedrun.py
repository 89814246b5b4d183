"""cifar10_speedrun: what it begins with, and the settings that it refuses."""

import pytest
from made_cifar10 import quick

from cnnlab.errors import ConfigError
from cnnlab.models.speednet import SpeedNet


@pytest.fixture
def speedrun(load_program, train):
    return load_program("experiments/cifar10/speedrun")


def test_the_speed_run_begins_with_a_whitened_network(speedrun, data, monkeypatch):
    seen = []
    monkeypatch.setattr(SpeedNet, "whiten", lambda self, images: seen.append(len(images)) or self)
    speedrun.untrained(quick(speedrun), data)
    assert seen == [40]


@pytest.mark.parametrize("settings, said", [
    ({"resume": True}, "not resumed"),
    ({"seeds": 0}, "seeds must be at least 1"),
])  # fmt: skip
def test_unfit_settings_are_refused_in_a_sentence(speedrun, settings, said):
    with pytest.raises(ConfigError, match=said):
        speedrun.Config(**settings)
