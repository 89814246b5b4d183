"""Training steps with and without the memory of the last one: what `cnnlab.training.memory.keep_memory` is worth.

    python benchmarks/kept_memory.py --record

Forward and backward passes on random pixels, in the precision and memory format that `fit` would take; with glibc as it
is, which returns large blocks to the system as they are freed, and inside of `keep_memory`, in alternation. The median
over rounds of a few steps. On another C library, or on a GPU, nothing differs.
"""

import contextlib
import os
import statistics
import time
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from cnnlab.devices import native_bf16
from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.models import build_model
from cnnlab.reports.text_tables import table_lines
from cnnlab.tracking import Run
from cnnlab.training.memory import keep_memory

BATCHES = {"speednet": (1000, 32), "alexnet": (64, 224), "efficientnet_lite0": (32, 128), "resnet18": (128, 32)}
"""Images in a batch and their sides, as the experiments that train these networks have them."""


@dataclass(frozen=True)
class Config(Experiment):
    """Time training steps with and without kept memory."""

    models: tuple[str, ...] = tuple(BATCHES)
    """names in the model registry, of those that have a batch here"""
    threads: int = os.cpu_count() or 1
    """threads, for both"""
    steps: int = 4
    """training steps of a round"""
    repetitions: int = 5
    """rounds of each; the median is reported"""

    def __post_init__(self) -> None:
        if unknown := [name for name in self.models if name not in BATCHES]:
            raise ConfigError(f"There is no batch for {', '.join(unknown)}; there is one for {', '.join(BATCHES)}.")

    def shrunk(self) -> "Config":
        return replace(self, models=("speednet",), steps=1, repetitions=1)


class Steps:
    """Training steps of one network on one batch of random pixels."""

    def __init__(self, name: str, quick: bool) -> None:
        self.images, side = (4, 32) if quick else BATCHES[name]
        self.model: nn.Module = build_model(name, num_classes=10).to(memory_format=torch.channels_last)
        self.pixels = torch.rand(self.images, 3, side, side).contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(0, 10, (self.images,))

    def speed(self, steps: int) -> float:
        """Images per second over so many steps."""
        began = time.perf_counter()
        for _ in range(steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=native_bf16("cpu")):
                loss = F.cross_entropy(self.model(self.pixels), self.labels)
            loss.backward()
            self.model.zero_grad()
        return steps * self.images / (time.perf_counter() - began)


def run(config: Config, run: Run) -> Outcome:
    """Time each network in alternation."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    metrics: dict[str, float] = {}
    for name in config.models:
        steps = Steps(name, config.quick)
        steps.speed(2)
        speeds: dict[str, list[float]] = {"returned": [], "kept": []}
        for _ in range(config.repetitions):
            for way, context in (("returned", contextlib.nullcontext), ("kept", keep_memory)):
                with context():
                    steps.speed(1)  # the first step after a change finds no memory yet
                    speeds[way].append(steps.speed(config.steps))
        median = {way: statistics.median(values) for way, values in speeds.items()}
        metrics |= {f"{name}_{way}_images_per_second": value for way, value in median.items()}
        metrics[f"{name}_speed_ratio"] = median["kept"] / median["returned"]
    rows = [
        [name, *(f"{metrics[f'{name}_{key}']:.1f}" for key in ("returned_images_per_second", "kept_images_per_second")),
         f"{metrics[f'{name}_speed_ratio']:.2f}"]
        for name in config.models
    ]  # fmt: skip
    print(table_lines(["network", "returned, images/s", "kept, images/s", "ratio"], rows))
    ratios = ", ".join(f"{name} {metrics[f'{name}_speed_ratio']:.2f}" for name in config.models)
    return Outcome(metrics, f"With freed memory kept, steps are so many times as fast: {ratios}.", [config.seed])



if __name__ == "__main__":
    main(run, Config, entry_point="bench_kept_memory", question="benchmark", doc=__doc__)
