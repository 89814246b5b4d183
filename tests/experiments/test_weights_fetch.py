"""weights_fetch: names that have no weights are refused before anything is asked for."""

import pytest

from cnnlab.errors import ConfigError


def test_unfit_settings_are_refused_in_a_sentence(load_program):
    weights = load_program("experiments/transfer/weights")
    with pytest.raises(ConfigError, match="'resnet20' has no pretrained weights. There are some for"):
        weights.Config(networks="alexnet,resnet20")
    with pytest.raises(ConfigError, match="weights=torchvision: it has none for efficientnet_lite0; take auto, pack"):
        weights.Config(weights="torchvision")
    assert weights.Config(weights="torchvision", networks="alexnet, vgg16").names == ["alexnet", "vgg16"]
