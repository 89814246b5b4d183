"""Our training loop against the plain loop that one writes first: the network of assignment A, batches of 64, Adam.

    python benchmarks/face_training.py --data DIR --record

The plain loop: `ImageFolder` (Pillow decodes each patch in each epoch), `ToTensor`, `DataLoader`, 32 bit, Adam 3e-4;
once without and once with worker processes, and the faster of the two counts. Ours: `cnnlab.training.fit` as every
experiment runs it, patches in memory, precision and memory format as the processor likes them. The same patches, the
same threads; whole epochs over the training part without validation, in alternation, medians over repetitions.
"""

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from alternation import compare, our_loop, plain_loop, write_pictures
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor

from cnnlab.data.faces import load_face_data
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.models import build_model
from cnnlab.tracking import Run


@dataclass(frozen=True)
class Config(Experiment):
    """Compare training loops."""

    limit: int = 4096
    """only so many patches"""
    threads: int = os.cpu_count() or 1
    """threads, for both loops"""
    repetitions: int = 5
    """epochs of each loop; the median is reported"""

    def shrunk(self) -> "Config":
        return replace(self, limit=128, repetitions=1)


def run(config: Config, run: Run) -> Outcome:
    """Time both loops in alternation."""
    torch.set_num_threads(config.threads)
    data = load_face_data(config.data, seed=config.seed)
    patches = data.train.subset(config.limit) if len(data.train) > config.limit else data.train
    run.log_data(data.name, data.digest, {"train": len(patches)}, config.data)
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(patches, Path(folder))
        dataset = ImageFolder(folder, transform=ToTensor())

        def loss(logits: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(logits.flatten(1), labels)

        loops = {
            name: plain_loop(dataset, build_model("face_fcn"), loss, 64, workers)
            for name, workers in (("plain", 0), ("plain_with_workers", config.threads))
        }
        loops["cnnlab"] = our_loop(lambda: build_model("face_fcn"), patches, patches.subset(64), 64, seed=config.seed)
        return compare(loops, len(patches), config.repetitions, config.seed)


if __name__ == "__main__":
    main(run, Config, entry_point="bench_face_training", question="benchmark", doc=__doc__)
