"""A0 · Build the folders of assignment A from photographs with face boxes.

    mlflow run . -e face_data -P photos=DIR -P output=data/faces

DIR holds photographs and a `boxes.csv` (image,x,y,width,height or image,x1,y1,x2,y2); `wider:DIR` stands for WIDER
FACE, `embedded` for the pictures that packages carry. The result is the course's layout: `train/` and `val/` with a
folder of 48x48 patches per class, `full_images/` and `full_boxes/`. Faces are cut with small shifts and scales,
background includes small parts of faces and near misses; the split is by photograph, and the same seed gives the same
files.

Result: no recorded run yet
"""

from dataclasses import dataclass

from cnnlab import plots
from cnnlab.data.faces import load_face_data, write_course_layout
from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.tracking import Run


@dataclass(frozen=True)
class Config(Experiment):
    """Cut face and background patches from photographs."""

    photos: str = "embedded"
    """`embedded`, a folder of photographs with boxes, or wider:DIR"""
    output: str = "data/faces"
    """the folder to make"""

    def __post_init__(self) -> None:
        if self.data != "embedded":
            raise ConfigError("data is what other commands read; name the photographs to cut by photos=.")


def run(config: Config, run: Run) -> Outcome:
    """Cut, write, and show what was cut."""
    data = load_face_data(config.photos, seed=config.seed, quick=config.quick)
    sizes = {"train": len(data.train), "val": len(data.val), "full_images": len(data.full_images)}
    run.log_data(data.name, data.digest, sizes, config.photos)
    if not data.embedded:
        run.set_tags({"embedded_data": "false", "mlflow.runName": "face_data"})
    for split in (data.train, data.val):
        run.log_figure(f"cut_{split.split}", plots.class_grid(split.images, split.labels, split.classes, per_class=40))
    write_course_layout(data, config.output)
    faces = int(data.train.labels.sum() + data.val.labels.sum())
    return Outcome(
        {"train_patches": float(len(data.train)), "val_patches": float(len(data.val)), "face_patches": float(faces)},
        f"{len(data.train)} train and {len(data.val)} val patches of {data.name}, {faces} of them faces, are in "
        f"{config.output}.",
    )


if __name__ == "__main__":
    main(run, Config, entry_point="face_data", question="A0", doc=__doc__)
