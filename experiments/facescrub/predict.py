"""D 2.4 · Who is it? Finds the faces of a photograph and names each one, with probabilities.

    mlflow run . -e facescrub_predict -P image=PHOTO.jpg                  # by the registered network
    mlflow run . -e facescrub_predict -P image=PHOTO.jpg -P model=RUN_ID  # a run of facescrub_finetune, or a model.pt
    mlflow run . -e facescrub_predict                                     # a stand-in, in seconds

The project's own detector (the released weights) finds faces in a whole photograph; each is cut out as FaceScrub frames
faces. A picture that a face fills is taken as it is; `-P face=whole` takes any picture so. The network knows the people
it was trained on and nobody else: it gives a stranger one of their names too, usually with a lower probability.

Without `model` and `image` a small network is trained on six people of the ORL portraits and asked about one of them.

Result: no recorded run yet
"""

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from cnnlab.data.facescrub import load_facescrub
from cnnlab.data.images import read_image
from cnnlab.data.imageset import ImageSet
from cnnlab.detection.crops import FoundFaces, cut_face, find_faces
from cnnlab.detection.detector import FaceDetector
from cnnlab.errors import ConfigError, DataError
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.models import build_model
from cnnlab.plots.people import people_sheet
from cnnlab.reports.identification import REGISTERED, load_namer
from cnnlab.tracking import Run
from cnnlab.tracking.models import detector_file
from cnnlab.training import Training, fit
from cnnlab.training.views import Views, predict_views

MOST = 9  # faces of one photograph that are named


@dataclass(frozen=True)
class Config(Experiment):
    """Name the people in a photograph."""

    image: str = ""
    """the photograph, or a face cut out of one"""
    model: str = ""
    """a run id, a registered model or a model.pt file; empty: the champion that facescrub_finetune registered"""
    face: Literal["auto", "whole"] = "auto"
    """find the faces, or take the whole picture as one"""
    detector: str = "released"
    """`released`, a run id, a registered model, or a detector file"""
    threshold: float | None = None
    """lowest probability of a face, 0 to 1; by default the detector's own"""

    def __post_init__(self) -> None:
        if self.model and not self.image:
            raise ConfigError("model needs a photograph to look at: image=PATH.")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold={self.threshold} is not a probability; give a number from 0 to 1.")


def run(config: Config, run: Run) -> Outcome:
    """Find the faces, name each, and store one sheet and a table."""
    if config.image:
        image, name = read_image(config.image), Path(config.image).name
        run.set_tags({"embedded_data": "false", "mlflow.runName": f"facescrub_predict {name}"})
        model, people, size, views = load_namer(config.model)
    else:
        model, people, size, views, image, name = stand_in(config)
    run.log_data(name, hashlib.sha256(image.tobytes()).hexdigest()[:16], {"image": 1}, config.image or "embedded")
    run.set_tags({"model": config.model or (REGISTERED if config.image else "stand-in"), "people": ", ".join(people)})
    found = look_for_faces(config, image, name)
    faces = np.stack([cut_face(image, box, size) for box in found.boxes]).transpose(0, 3, 1, 2)
    part = ImageSet(torch.from_numpy(faces.copy()), torch.zeros(len(faces), dtype=torch.long), people, name, "image")
    shares = predict_views(model, part, views)[0].numpy()
    answers = [f"{people[row.argmax()]} {row.max():.1%}" for row in shares]
    boxes = None if found.crop else found.boxes
    titles = answers if len(answers) == 1 else [f"{number}: {text}" for number, text in enumerate(answers, 1)]
    run.log_figure("people", people_sheet(
        faces, shares, people, titles, photo=None if found.crop else image, boxes=boxes, title=name
    ))  # fmt: skip
    run.log_text("people.csv", _table(found, shares, people))
    where = "the whole picture" if found.crop else f"{len(faces)} face{'s' * (len(faces) > 1)}"
    metrics: dict[str, float | list[float]] = {"faces": float(len(faces)), "highest_probability": float(shares.max())}
    return Outcome(metrics, f"{name}, {where}: {'; '.join(answers)} (of {', '.join(people)}).", [config.seed])


def look_for_faces(config: Config, image: np.ndarray, name: str) -> FoundFaces:
    """The faces to name, at most `MOST`.

    Raises:
        DataError: there is no face.
    """
    if config.face == "whole":
        height, width = image.shape[:2]
        return FoundFaces(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32), crop=True)
    detector = FaceDetector.load(detector_file(config.detector))
    if config.threshold is not None:
        detector = detector.with_settings(threshold=config.threshold)
    found = find_faces(detector, image)
    if not len(found.boxes):
        raise DataError(
            f"{config.image or name}: no face was found at threshold {detector.threshold:.2f}; give a picture with a "
            "face seen from the front, lower -P threshold=, or take the picture as it is with -P face=whole."
        )
    return FoundFaces(found.boxes[:MOST], found.scores[:MOST], found.crop)


def stand_in(config: Config) -> tuple[nn.Module, tuple[str, ...], tuple[int, int], Views, np.ndarray, str]:
    """A small network for six ORL people, as `load_namer`; and a test portrait of one of them with its name."""
    size = (28, 28)
    data = load_facescrub("embedded", size, config.quick, config.seed)
    torch.manual_seed(config.seed)
    model = build_model("mlp", len(data.people), size=size)
    settings = Training(epochs=10 if config.quick else 40, batch_size=16, lr=1e-3, monitor="last")
    fit(model, data.train, data.val, settings, seed=config.seed, title="stand-in")
    whole = load_facescrub("embedded", (112, 92), config.quick, config.seed).test
    return model, data.people, size, Views(), whole.images[0].permute(1, 2, 0).numpy(), whole.names[0]


def _table(found: FoundFaces, shares: np.ndarray, people: tuple[str, ...]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["face", "x1", "y1", "x2", "y2", "score", "answer", *people])
    for number, (box, score, row) in enumerate(zip(found.boxes, found.scores, shares, strict=True), 1):
        numbers = [f"{v:.1f}" for v in box]
        writer.writerow([number, *numbers, f"{score:.4f}", people[row.argmax()], *(f"{p:.4f}" for p in row)])
    return text.getvalue()


if __name__ == "__main__":
    main(run, Config, entry_point="facescrub_predict", question="D 2.4", doc=__doc__)
