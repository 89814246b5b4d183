"""Training FCN-8s on street scenes: our training loop against the plain loop that one writes first.

    python benchmarks/camvid_training.py --data DIR --record

The plain loop: a `Dataset` that reads image and mask with Pillow, resizes both whole, cuts a window out and mirrors it;
`DataLoader`, 32 bit, contiguous, Adam 3e-4, cross entropy without void; once without and once with worker processes,
and the faster of the two counts. Ours: `cnnlab.training.fit` on `SceneCrops` as the scene experiments run it, scenes in
memory, precision and memory format as the processor likes them. The same network (FCN-8s on EfficientNet-Lite0, random
weights), scenes, crops of 240x320 at magnifications 0.6 to 1.6, threads and batches of 8; whole epochs without
validation, in alternation, medians over repetitions.
"""

import os
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from alternation import compare, our_loop, plain_loop
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.functional import to_tensor

from cnnlab.data.camvid import SceneCrops, SceneSet, load_camvid
from cnnlab.data.scene_classes import IGNORED
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.models import build_model
from cnnlab.tracking import Run
from cnnlab.training import Segmentation


@dataclass(frozen=True)
class Config(Experiment):
    """Compare training loops on FCN-8s."""

    backbone: str = "efficientnet_lite0"
    """below the decoder"""
    limit: int = 48
    """only so many scenes"""
    crop: tuple[int, int] = (240, 320)
    """height and width in pixels"""
    scales: tuple[float, float] = (0.6, 1.6)
    """smallest and largest magnification"""
    batch_size: int = 8
    """crops per step"""
    threads: int = os.cpu_count() or 1
    """threads, for both loops"""
    repetitions: int = 3
    """epochs of each loop; the median is reported"""

    def shrunk(self) -> "Config":
        return replace(self, limit=8, crop=(64, 96), batch_size=4, repetitions=1)


class StudentScenes(Dataset):
    """Scenes in PNG files, read, resized, cut and mirrored one by one with Pillow."""

    def __init__(self, folder: Path, crop: tuple[int, int], scales: tuple[float, float]) -> None:
        self.images, self.masks = sorted(folder.glob("image_*.png")), sorted(folder.glob("mask_*.png"))
        self.crop, self.scales = crop, scales

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        with Image.open(self.images[index]) as image, Image.open(self.masks[index]) as mask:
            scale = float(torch.empty(()).uniform_(*self.scales))
            size = (round(image.width * scale), round(image.height * scale))
            picture = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
            labels = mask.resize(size, Image.Resampling.NEAREST)
        height, width = self.crop
        left = int(torch.randint(abs(size[0] - width) + 1, ())) * (1 if size[0] >= width else -1)
        top = int(torch.randint(abs(size[1] - height) + 1, ())) * (1 if size[1] >= height else -1)
        window = (left, top, left + width, top + height)
        # Pillow fills what lies outside with 0: inverted masks, so that it becomes the ignored 255
        picture, labels = picture.crop(window), ImageOps.invert(ImageOps.invert(labels).crop(window))
        if torch.rand(()) < 0.5:
            picture, labels = ImageOps.mirror(picture), ImageOps.mirror(labels)
        return to_tensor(picture), torch.from_numpy(np.array(labels)).long()


def write_scenes(scenes: SceneSet, folder: Path) -> None:
    """One PNG file per image and per mask."""
    for i, (image, mask) in enumerate(zip(scenes.images, scenes.masks, strict=True)):
        Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(folder / f"image_{i:04}.png")
        Image.fromarray(mask.numpy()).save(folder / f"mask_{i:04}.png")


def run(config: Config, run: Run) -> Outcome:
    """Time both loops in alternation."""
    torch.set_num_threads(config.threads)
    data = load_camvid(config.data, config.quick, config.seed)
    scenes = data.train.take(range(min(config.limit, len(data.train))))
    run.log_data(data.name, scenes.digest, {"train": len(scenes)}, config.data)

    def build() -> torch.nn.Module:
        return build_model("fcn8s", num_classes=len(scenes.classes), backbone=config.backbone)

    with tempfile.TemporaryDirectory() as folder:
        write_scenes(scenes, Path(folder))
        dataset = StudentScenes(Path(folder), config.crop, config.scales)
        loss = partial(F.cross_entropy, ignore_index=IGNORED)
        loops = {
            name: plain_loop(dataset, build(), loss, config.batch_size, workers)
            for name, workers in (("plain", 0), ("plain_with_workers", config.threads))
        }
        crops = SceneCrops(scenes, config.crop, config.scales, seed=config.seed)
        how = {"objective": Segmentation(), "seed": config.seed}
        loops["cnnlab"] = our_loop(build, crops, scenes.take([0]), config.batch_size, **how)
        return compare(loops, len(scenes), config.repetitions, config.seed)


if __name__ == "__main__":
    main(run, Config, entry_point="bench_camvid_training", question="benchmark", doc=__doc__)
