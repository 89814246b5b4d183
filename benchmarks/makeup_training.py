"""Fine-tuning AlexNet on portraits: our training loop against the plain loop that one writes first.

    python benchmarks/makeup_training.py --data DIR --record

The plain loop: `ImageFolder` (Pillow decodes each portrait in each epoch), torchvision's resize, flip, shifted crop and
jitter, `DataLoader`, 32 bit, contiguous, Adam 3e-4 on all layers; once without and once with worker processes, and the
faster of the two counts. Ours: `cnnlab.training.fit` as the makeup experiments run it, portraits in memory at the
network's size, the same augmentation on whole batches, precision and memory format as the processor likes them. The
same portraits, threads and batches of 64; whole epochs without validation, in alternation, medians over repetitions.
The weights do not matter for the speed and are random.
"""

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from alternation import compare, our_loop, plain_loop, write_pictures
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from cnnlab.data.makeup import STRATEGIES, load_makeup
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.models import build_model
from cnnlab.tracking import Run

PORTRAIT = (109, 89)  # height and width of the course's files


@dataclass(frozen=True)
class Config(Experiment):
    """Compare training loops on AlexNet."""

    limit: int = 512
    """only so many portraits"""
    size: int = 224
    """side of the network's input in pixels"""
    batch_size: int = 64
    """portraits per step"""
    threads: int = os.cpu_count() or 1
    """threads, for both loops"""
    repetitions: int = 3
    """epochs of each loop; the median is reported"""

    def shrunk(self) -> "Config":
        return replace(self, limit=8, size=64, batch_size=8, repetitions=1)


def student_transform(size: int) -> v2.Transform:
    """What `STRATEGIES["whole_face"]` does, with torchvision and for each portrait alone."""
    strategy = STRATEGIES["whole_face"]
    return v2.Compose([
        v2.Resize((size, size)), v2.RandomHorizontalFlip(strategy.flip),
        v2.RandomCrop(size, padding=strategy.shift, padding_mode="edge"),
        v2.ColorJitter(brightness=strategy.brightness, contrast=strategy.contrast),
        v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
    ])  # fmt: skip


def run(config: Config, run: Run) -> Outcome:
    """Time both loops in alternation."""
    torch.set_num_threads(config.threads)

    def build() -> torch.nn.Module:
        return build_model("alexnet", num_classes=2)

    files, portraits = (
        load_makeup(config.data, size, config.quick, config.seed).train.subset(config.limit, config.seed)
        for size in (PORTRAIT, (config.size, config.size))
    )
    run.log_data(portraits.name, portraits.digest, {"train": len(portraits)}, config.data)
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(files, Path(folder))
        dataset = ImageFolder(folder, transform=student_transform(config.size))
        loops = {
            name: plain_loop(dataset, build(), F.cross_entropy, config.batch_size, workers)
            for name, workers in (("plain", 0), ("plain_with_workers", config.threads))
        }
        how = {"transform": STRATEGIES["whole_face"], "seed": config.seed}
        loops["cnnlab"] = our_loop(build, portraits, portraits.subset(2), config.batch_size, **how)
        return compare(loops, len(portraits), config.repetitions, config.seed)


if __name__ == "__main__":
    main(run, Config, entry_point="bench_makeup_training", question="benchmark", doc=__doc__)
