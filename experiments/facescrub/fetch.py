"""D0 · Fetch the faces of assignment D from FaceScrub's lists of addresses into training, validation and test.

    mlflow run . -e facescrub_fetch -P data=DIR -P output=data

DIR holds `facescrub_actors.txt` and `facescrub_actresses.txt` (`data=` also takes the files themselves, or their
addresses, with a comma between). Many servers are asked at once, two requests at most to each; a stop at any moment
costs nothing, the same command goes on. Only photographs whose SHA-256 is the listed one are kept; the faces are cut
out by their boxes and resized, every picture is kept once, 70 of each person are for training and the others for
validation and test, no picture in two sets. `facescrub_report.md` counts what was left out by reason and
`facescrub_report.csv` tells it line by line. Most of the addresses are more than ten years old: where too few
photographs of somebody are left, the run says so, and what came is kept.

The photographs are for research and must not be passed on. Without lists, a made miniature is fetched from this
machine. On two cores the time is the servers'; the six people of the course have some 1,400 addresses.

Result: no recorded run yet
"""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from cnnlab import plots
from cnnlab.data import fetch_miniature
from cnnlab.data.face_list import COURSE
from cnnlab.data.fetch_by_host import PER_HOST, WORKERS
from cnnlab.data.fetch_facescrub import FetchedFaces, Gathered, gather, lay_out, sole_user, write_report
from cnnlab.data.images import read_image
from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.tracking import Run

SHOWN = 10  # faces of a person on the sheet


@dataclass(frozen=True)
class Config(Experiment):
    """Fetch the faces."""

    data: str = "embedded"
    """where the lists are: a folder, files or addresses with a comma between; `embedded` is a made miniature"""
    output: str = "data"
    """the folder to make facescrub/ in"""
    people: str = ",".join(name.split()[-1].lower() for name in COURSE)
    """whose faces: names or surnames with a comma between, or `all`"""
    train_images: int = 70
    """faces of each person for training"""
    size: int = 227
    """side of the faces in pixels"""
    workers: int = WORKERS
    """photographs fetched at once"""
    per_host: int = PER_HOST
    """of these from one server"""
    timeout: float = 20.0
    """seconds without an answer after which a try is broken off"""
    retries: int = 2
    """further tries after one that failed"""
    ask_again: bool = False
    """ask also for what an earlier call was refused for good"""


def run(config: Config, run: Run) -> Outcome:
    """Fetch, cut out, divide, and show what came."""
    for name, least in {"train_images": 2, "size": 8, "workers": 1, "per_host": 1, "retries": 0}.items():
        if getattr(config, name) < least:
            raise ConfigError(f"{name}={getattr(config, name)}: at least {least} is needed.")
    embedded = config.data == "embedded"
    people = [name.strip() for name in config.people.split(",") if name.strip()]
    people = [] if embedded or people == ["all"] else people
    with ExitStack() as stack:
        source, output, train_images = config.data, config.output, config.train_images
        if embedded:
            made = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (made / "web").mkdir()
            url = stack.enter_context(fetch_miniature.served(made / "web"))
            source = str(fetch_miniature.make_facescrub(made / "web", url, config.seed))
            output, train_images = str(made / "data"), fetch_miniature.TRAINING_FACES
        folder = stack.enter_context(sole_user(output))
        gathered = gather(
            source, folder, people, config.size, workers=config.workers, per_host=config.per_host,
            ask_again=config.ask_again, timeout=config.timeout, retries=config.retries,
        )  # fmt: skip
        report = write_report(gathered, folder)
        run.log_text("report.md", report)  # also where there are too few faces to go on
        run.log_file(folder / "facescrub_report.csv")
        print(report)
        faces = lay_out(gathered, folder, train_images, config.seed)
        run.log_data("facescrub", faces.digest, faces.counts, config.data)
        for split in faces.names:
            run.log_figure(f"faces_{split}", _sheet(faces, split))
    return _outcome(gathered, faces, embedded)


def _outcome(gathered: Gathered, faces: FetchedFaces, embedded: bool) -> Outcome:
    counts, reasons = faces.counts, gathered.reasons
    listed = len(gathered.listed.faces) + len(gathered.listed.left_out)
    left_out = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return Outcome(
        {"listed": float(listed), "photographs": float(gathered.arrived)}
        | {f"{split}_images": float(count) for split, count in counts.items()},
        ("A made miniature, which is not kept: " if embedded else "")
        + f"{', '.join(f'{count} {split}' for split, count in counts.items())} faces of {len(gathered.people)} people "
        f"are in {faces.folder}, of {listed:,} lines; not kept: {left_out or 'none'}. Digest {faces.digest}.",
    )


def _sheet(faces: FetchedFaces, split: str) -> Figure:
    people = list(faces.names[split])
    shown = [(label, faces.folder / split / person / name) for label, person in enumerate(people)
             for name in _some(faces.names[split][person])]  # fmt: skip
    pixels = np.stack([read_image(path) for _, path in shown])
    labels = torch.tensor([label for label, _ in shown])
    return plots.class_grid(torch.from_numpy(pixels).permute(0, 3, 1, 2), labels, people, per_class=SHOWN)


def _some(names: list[str]) -> list[str]:
    return names[:: max(1, len(names) // SHOWN)][:SHOWN]


if __name__ == "__main__":
    main(run, Config, entry_point="facescrub_fetch", question="D0", doc=__doc__)
