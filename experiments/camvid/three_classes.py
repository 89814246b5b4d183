"""Q2-3 · Street scenes with 3 classes instead of 11: sky, surroundings, traffic.

    mlflow run . -e camvid_three_classes -P data=DIR

Sky; building, pole, road, pavement, tree, sign, fence and void; car, pedestrian and bicyclist. The masks are mapped as
they are read, from the same files as 11 classes. The network and its training are those of `camvid_fcn8s`, and void
counts here, since the course makes it part of a class; mIoU without it stands beside. `camvid_report` compares and
discusses (Q2-4).

Budget on two CPU cores with 367 frames: under an hour for a seed.

Result: camvid_three_classes on CamVid (train 367, val 101), seeds 0, AMD EPYC, 1 cores, 24 GiB, no GPU, 1625 s,
    2026-11-22, commit c79e5b9f62:
    val_miou                 0.9068 (1) on 101 samples
    val_pixel_accuracy       0.9837 (1) on 101 samples
    val_miou_plain           0.8839 (1) on 101 samples
    val_miou_void_left_out   0.9146 (1) on 101 samples
    val_images_per_second    16.16 (1) on 101 samples
    train_images_per_second  6.406 (1) on 367 samples
"""

from dataclasses import replace

from cnnlab.data.camvid import load_camvid, three_classes
from cnnlab.errors import ConfigError
from cnnlab.experiment import Outcome, main
from cnnlab.reports.scenes import SceneConfig, run_scenes
from cnnlab.tracking import Run


def run(config: SceneConfig, run: Run) -> Outcome:
    """Train FCN-8s on 3 classes and judge it."""
    if config.decoder != "fcn8s":
        raise ConfigError(f"decoder={config.decoder}: the question is about FCN-8s; camvid_{config.decoder} has it.")
    data = load_camvid(config.data, quick=config.quick, seed=config.seed)
    labelled = three_classes(data.val, ignore_void=True)
    test = None if data.test is None else three_classes(data.test)
    data = replace(data, train=three_classes(data.train), val=three_classes(data.val), test=test)
    return run_scenes(config, run, data, labelled)


if __name__ == "__main__":
    main(run, SceneConfig, entry_point="camvid_three_classes", question="Q2-3", doc=__doc__)
