"""cifar10_transfer: the images enlarged, the five ways to train, and their table."""

import re
from dataclasses import replace

import pytest
import torch
from made_cifar10 import answers

from cnnlab.errors import ConfigError
from cnnlab.models.pretrained import WeightsReport


@pytest.fixture
def transfer(load_program, train):
    return load_program("experiments/cifar10/transfer")


def test_enlarged_images_keep_their_colours_and_labels(transfer, data):
    flat = replace(data.train, images=torch.full_like(data.train.images, 77))
    large = transfer.enlarged(flat, 48)
    assert large.images.shape == (40, 3, 48, 48) and large.images.dtype == torch.uint8
    assert (large.images == 77).all() and torch.equal(large.labels, flat.labels)
    assert torch.equal(transfer.enlarged(data.train, 32).images, data.train.images)


def test_the_five_ways_differ_in_what_trains(transfer):
    base = transfer.Config().training
    ways = {name: replace(base, **settings) for name, settings in transfer.SCENARIOS.items()}
    assert ways["fixed features"].trained_groups == 1 and ways["last blocks"].trained_groups == 2
    assert ways["staged unfreezing"].unfreeze_every and ways["all layers"].lr_factors[-1] < 1
    assert ways["from random weights"] == base
    assert ways["staged unfreezing"].schedule == "linear", "one cycle is over before the last groups have their turn"
    assert {way.monitor for way in ways.values()} == {"last"}, "validation chooses nothing"


def test_differences_are_those_to_fixed_features(transfer):
    report = WeightsReport("n", "s", "", True, (), "Weights of s.")
    rows = [
        {"name": name, "right": answers(share, 0), "seconds": 5.0}
        for name, share in (("fixed features", 0.5), ("all layers", 0.75))
    ]
    lines = transfer.table(rows, report, 100, "official").splitlines()
    assert re.search(r"fixed features \| 50\.0 \| 45\.1–54\.9 \| — ", lines[-2])
    assert re.search(r"all layers \| 75\.0 \| .* \| \+25\.0 \[\+20\.8, \+29\.2\]", lines[-1])


@pytest.mark.parametrize("settings, said", [
    ({"size": 16}, "size must be at least 32"),
    ({"weights": "random"}, "leaves nothing to transfer"),
    ({"backbone": "efficientnet_lite9"}, "Unknown model 'efficientnet_lite9'"),
])  # fmt: skip
def test_unfit_settings_are_refused_in_a_sentence(transfer, settings, said):
    with pytest.raises(ConfigError, match=said):
        transfer.Config(**settings)
