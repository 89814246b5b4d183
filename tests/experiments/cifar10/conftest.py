"""Fixtures of CIFAR-10's experiments; `train` is imported by those beside it, so it is loaded before them."""

import pytest
from made_cifar10 import part

from cnnlab.data.cifar10 import Cifar10


@pytest.fixture
def train(load_program):
    return load_program("experiments/cifar10/train")


@pytest.fixture
def data():
    return Cifar10(part("train", 40, 0), part("val", 20, 1), part("test", 20, 2), "official")
