"""What the tests of CIFAR-10 make up: images, answers, a small network, a run that keeps what it is told."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from cnnlab.data.cifar10 import CLASSES
from cnnlab.data.imageset import ImageSet
from cnnlab.models import build_model
from cnnlab.tracking import Run
from cnnlab.training import Fit


def part(split, count, seed):
    labels = torch.arange(count) % 10
    noise = torch.randint(0, 120, (count, 3, 32, 32), generator=torch.Generator().manual_seed(seed))
    return ImageSet((noise + 12 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels, CLASSES, "cifar10", split)


def small_network(name, classes=10, **settings):
    return build_model("speednet", classes, widths=(8, 8, 8), depth=1)


def quick(module, **settings):
    return replace(module.Config(quick=True).shrunk(), **settings)


def answers(share, seed, count=400):
    return np.random.default_rng(seed).permutation(np.arange(count) < share * count)


def fitted(epochs=1, seconds=1.0):
    row = {"images_per_second": 10.0, "epoch_seconds": seconds, "val/accuracy": 0.5}
    return Fit([{"epoch": k + 1, **row} for k in range(epochs)], best_epoch=epochs)


class Kept(Run):
    """A run that keeps the texts, tags and children it is told."""

    def __init__(self):
        super().__init__(None, "", "")
        self.texts, self.tags, self.children = {}, {}, {}

    def log_text(self, path, text):
        self.texts[path] = text

    def set_tags(self, tags):
        self.tags |= tags

    @contextmanager
    def child(self, name, tags=None):
        self.children[name] = Kept()
        self.children[name].set_tags(tags or {})
        yield self.children[name]
