"""What the benchmarks of training share: the loop that one writes first, ours, and both in alternation."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from cnnlab.data.imageset import ImageSet
from cnnlab.experiment import Outcome
from cnnlab.training import Training, fit


@dataclass(frozen=True)
class Epoch:
    """Seconds of one epoch without validation, and the share of them in which a step waited for data."""

    seconds: float
    data_wait: float


def write_pictures(pictures: ImageSet, folder: Path) -> None:
    """Lay pictures out as the course does: one folder per class, one JPEG file per picture."""
    for name in pictures.classes:
        (folder / name).mkdir(parents=True)
    for i, (image, label) in enumerate(zip(pictures.images, pictures.labels.tolist(), strict=True)):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        picture.save(folder / pictures.classes[label] / f"{i:06}.jpg", quality=95)


def plain_loop(
    dataset: Dataset, model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], batch_size: int, workers: int
) -> Callable[[], Epoch]:
    """An epoch of the loop as a first course shows it: DataLoader, 32 bit, contiguous, Adam 3e-4.

    It uses a GPU where there is one, as ours does.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    loader = DataLoader(
        dataset, batch_size=batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)

    def epoch() -> Epoch:
        model.train()
        waited, began = 0.0, time.perf_counter()
        asked = began
        for images, targets in loader:
            waited += time.perf_counter() - asked
            optimizer.zero_grad()
            loss(model(images.to(device)), targets.to(device)).backward()
            optimizer.step()
            asked = time.perf_counter()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
        return Epoch(seconds, waited / seconds)

    return epoch


def our_loop(build: Callable[[], nn.Module], train: Dataset, val: Dataset, batch_size: int, **how) -> Callable:
    """The second epoch of `fit` with the same optimiser, as the plain loop is past its first one too.

    What counts is what `fit` reports of the training part: the plain loop has no other. `how` goes to `fit` (transform,
    objective).
    """
    settings = Training(epochs=2, batch_size=batch_size, optimizer="adam", lr=3e-4, monitor="last")

    def epoch() -> Epoch:
        metrics = fit(build(), train, val, settings, **how).history[-1]
        return Epoch(metrics["epoch_seconds"], metrics["data_wait"])

    return epoch


def compare(loops: Mapping[str, Callable[[], Epoch]], images: int, repetitions: int, seed: int) -> Outcome:
    """Time the loops in alternation, each once before it counts; medians over the repetitions.

    Args:
        loops: by name; `cnnlab` is ours, and the fastest of all others is what it is compared with.
        images: images in an epoch.
        repetitions: epochs of each loop.
        seed: named in the outcome.
    """
    for loop in loops.values():
        loop()
    epochs: dict[str, list[Epoch]] = {name: [] for name in loops}
    for _ in range(repetitions):
        for name, loop in loops.items():
            epochs[name].append(loop())
    speed = {name: images / statistics.median(e.seconds for e in of_loop) for name, of_loop in epochs.items()}
    wait = {name: statistics.median(e.data_wait for e in of_loop) for name, of_loop in epochs.items()}
    for name, of_loop in epochs.items():
        seconds = ", ".join(f"{epoch.seconds:.2f}" for epoch in of_loop)
        print(f"{name:20} {speed[name]:8.1f} images/s   waits for data {wait[name]:5.1%}   epochs {seconds} s")
    plain = max((name for name in loops if name != "cnnlab"), key=speed.__getitem__)
    ratio = speed["cnnlab"] / speed[plain]
    return Outcome(
        {f"train_{name}_images_per_second": value for name, value in speed.items()}
        | {f"train_{name}_data_wait": value for name, value in wait.items()}
        | {"speed_ratio_to_plain": ratio},
        f"cnnlab trains on {ratio:.2f} times as many images per second as the faster plain loop "
        f"({speed['cnnlab']:.1f} to {speed[plain]:.1f}) and waits for data in {wait['cnnlab']:.1%} of the time "
        f"(the plain loop in {wait[plain]:.1%}).",
        [seed],
    )
