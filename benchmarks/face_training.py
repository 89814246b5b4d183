"""Our training loop against the plain loop that one writes first: the network of assignment A, batches of 64, Adam.

    python benchmarks/face_training.py --data DIR --record

The plain loop: `ImageFolder` (Pillow decodes each patch in each epoch), `ToTensor`, `DataLoader`, 32 bit, Adam 3e-4;
once without and once with worker processes, and the faster of the two counts. Ours: `cnnlab.training.fit` as every
experiment runs it, patches in memory, precision and memory format as the processor likes them. The same patches, the
same threads; whole epochs over the training part without validation, in alternation, medians over repetitions.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor

from cnnlab.data.faces import load_face_data
from cnnlab.data.imageset import ImageSet
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.models import build_model
from cnnlab.tracking import Run
from cnnlab.training import Training, fit


def write_patches(patches: ImageSet, folder: Path) -> None:
    """Lay patches out as the course does: one folder per class, one JPEG file per patch."""
    for name in patches.classes:
        (folder / name).mkdir(parents=True)
    for i, (image, label) in enumerate(zip(patches.images, patches.labels.tolist(), strict=True)):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        picture.save(folder / patches.classes[label] / f"{i:06}.jpg", quality=95)


def plain_loop(folder: Path, workers: int) -> Callable[[], float]:
    """One epoch of the loop as a first course shows it; returns its seconds."""
    dataset = ImageFolder(str(folder), transform=ToTensor())
    loader = DataLoader(dataset, batch_size=64, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    model = build_model("face_fcn")
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)

    def epoch() -> float:
        start = time.perf_counter()
        model.train()
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images).flatten(1), labels)
            loss.backward()
            optimizer.step()
        return time.perf_counter() - start

    return epoch


def our_loop(patches: ImageSet) -> Callable[[], float]:
    """One epoch of `fit`; returns the seconds that it reports for the training part, as the plain loop has no other."""
    settings = Training(epochs=1, batch_size=64, optimizer="adam", lr=3e-4)
    val = patches.subset(64)
    return lambda: fit(build_model("face_fcn"), patches, val, settings).history[0]["epoch_seconds"]


@dataclass(frozen=True)
class Config(Experiment):
    """Compare training loops."""

    limit: int = 4096
    """only so many patches"""
    threads: int = os.cpu_count() or 1
    """threads, for both loops"""
    repetitions: int = 5
    """epochs of each loop; the median is reported"""


def run(config: Config, run: Run) -> Outcome:
    """Time both loops in alternation."""
    torch.set_num_threads(config.threads)
    data = load_face_data(config.data, seed=config.seed)
    patches = data.train.subset(config.limit) if len(data.train) > config.limit else data.train
    run.log_data(data.name, data.digest, {"train": len(patches)}, config.data)
    with tempfile.TemporaryDirectory() as folder:
        write_patches(patches, Path(folder))
        loops = {
            "plain": plain_loop(Path(folder), workers=0),
            "plain_with_workers": plain_loop(Path(folder), workers=config.threads),
            "cnnlab": our_loop(patches),
        }
        for loop in loops.values():
            loop()
        seconds: dict[str, list[float]] = {name: [] for name in loops}
        for _ in range(config.repetitions):
            for name, loop in loops.items():
                seconds[name].append(loop())
    speed = {name: len(patches) / statistics.median(values) for name, values in seconds.items()}
    plain = max(speed["plain"], speed["plain_with_workers"])
    for name, value in speed.items():
        print(f"{name:20} {value:8.0f} images/s   epochs {', '.join(f'{s:.2f}' for s in seconds[name])} s")
    ratio = speed["cnnlab"] / plain
    return Outcome(
        {f"train_{name}_images_per_second": value for name, value in speed.items()} | {"speed_ratio_to_plain": ratio},
        f"cnnlab trains on {ratio:.2f} times as many images per second as the faster plain loop "
        f"({speed['cnnlab']:.0f} to {plain:.0f}).",
        [config.seed],
    )


if __name__ == "__main__":
    main(run, Config, entry_point="bench_face_training", question="benchmark", doc=__doc__)
