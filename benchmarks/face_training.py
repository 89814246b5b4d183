"""Our training loop against the plain loop that one writes first: the network of assignment A, batches of 64, Adam.

    python benchmarks/face_training.py --data DIR --output results/bench_face_training.json

The plain loop: `ImageFolder` (Pillow decodes each patch in each epoch), `ToTensor`, `DataLoader`, 32 bit, Adam 3e-4;
once without and once with worker processes, and the faster of the two counts. Ours: `cnnlab.training.fit` as every
experiment runs it, patches in memory, precision and memory format as the processor likes them. The same patches, the
same threads; whole epochs over the training part without validation, in alternation, medians over repetitions.
"""

import argparse
import json
import os
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from face_detection import _processor
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor

from cnnlab.data.faces import load_face_data
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import UserError
from cnnlab.models import build_model
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="embedded", help="as for the experiments; embedded needs no files")
    parser.add_argument("--limit", type=int, default=4096, help="only so many patches")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    patches = load_face_data(args.data).train
    if len(patches) > args.limit:
        patches = patches.subset(args.limit)
    with tempfile.TemporaryDirectory() as folder:
        write_patches(patches, Path(folder))
        loops = {
            "plain": plain_loop(Path(folder), workers=0),
            "plain_with_workers": plain_loop(Path(folder), workers=args.threads),
            "cnnlab": our_loop(patches),
        }
        for loop in loops.values():
            loop()
        seconds = {name: [] for name in loops}
        for _ in range(args.repetitions):
            for name, loop in loops.items():
                seconds[name].append(loop())
    speed = {name: len(patches) / statistics.median(values) for name, values in seconds.items()}
    plain = max(speed["plain"], speed["plain_with_workers"])
    for name, value in speed.items():
        print(f"{name:20} {value:8.0f} images/s   epochs {', '.join(f'{s:.2f}' for s in seconds[name])} s")
    print(f"cnnlab trains {speed['cnnlab'] / plain:.2f} times as many images per second as the faster plain loop.")
    report = {
        "command": shlex.join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "hardware": {"processor": _processor(), "threads": args.threads, "torch": torch.__version__},
        "data": {"name": patches.name, "patches": len(patches)},
        "repetitions": args.repetitions,
        "seconds_per_epoch": seconds,
        "images_per_second": speed,
        "ratio_to_plain": speed["cnnlab"] / plain,
    }
    print(report["command"])
    if args.output:
        args.output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
