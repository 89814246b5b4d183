"""Q2-1 · Street scenes by fully convolutional networks: do the skip connections pay?

    mlflow run . -e camvid_fcn8s -P data=DIR -P seeds=3     # skip connections from strides 16 and 8
    mlflow run . -e camvid_fcn16s -P data=DIR -P seeds=3    # from stride 16 alone
    mlflow run . -e camvid_fcn32s -P data=DIR -P seeds=3    # none: the last layer is upsampled 32 times

DIR holds CamVid's `train/`, `trainannot/`, `val/` and `valannot/` (`data_fetch` brings them); without it drawn scenes
are used. The three differ in the decoder alone. `-P backbone=vgg16` has the paper's convolutions (without fc6 and
fc7), `alexnet` its smallest; three seeds give mean ± standard deviation, one decides nothing. Trained on crops of the
train frames, judged on all of val at full size: pixel accuracy and mean IoU with void left out, IoU per class,
confusion, mIoU near borders, coloured predictions. The last epoch is kept, so val chooses nothing; test frames
(`test/`, `testannot/`), if they are there, are judged at the very end. `camvid_report` sets the runs side by side and
discusses them (Q2-2).

`val_miou` is that of several views (mirrored, at the sizes of `tta_scales`), `val_miou_plain` and
`val_images_per_second_plain` are of one. (The records of commit c79e5b9f62 call the speed of one view
`val_images_per_second`.)

Budget on two CPU cores with 367 frames: under an hour for a seed; with `vgg16` several hours.

Result: camvid_fcn32s on CamVid (train 367, val 101), seeds 0, 1, 2, AMD EPYC, 1 cores, 24 GiB, no GPU, 5407 s,
    2026-11-22, commit c79e5b9f62:
    val_miou                 0.654 ± 0.010 (3) on 101 samples
    val_pixel_accuracy       0.9155 ± 0.0055 (3) on 101 samples
    val_miou_plain           0.5992 ± 0.0049 (3) on 101 samples
    val_images_per_second    12.9 ± 2.7 (3) on 101 samples
    train_images_per_second  4.16 ± 0.54 (3) on 367 samples
camvid_fcn16s on CamVid (train 367, val 101), seeds 0, AMD EPYC, 1 cores, 24 GiB, no GPU, 2099 s, 2026-11-22, commit
    c79e5b9f62:
    val_miou                 0.7093 (1) on 101 samples
    val_pixel_accuracy       0.9335 (1) on 101 samples
    val_miou_plain           0.6598 (1) on 101 samples
    val_images_per_second    12.75 (1) on 101 samples
    train_images_per_second  4.843 (1) on 367 samples
camvid_fcn8s on CamVid (train 367, val 101), seeds 0, 1, 2, AMD EPYC, 1 cores, 24 GiB, no GPU, 5164 s, 2026-11-22,
    commit c79e5b9f62:
    val_miou                 0.7236 ± 0.0043 (3) on 101 samples
    val_pixel_accuracy       0.93464 ± 0.00032 (3) on 101 samples
    val_miou_plain           0.6853 ± 0.0059 (3) on 101 samples
    val_images_per_second    11.1 ± 3.0 (3) on 101 samples
    train_images_per_second  4.5 ± 1.3 (3) on 367 samples
"""

from cnnlab.data.camvid import load_camvid
from cnnlab.experiment import Outcome, main, parse
from cnnlab.reports.scenes import SceneConfig, run_scenes
from cnnlab.tracking import Run


def run(config: SceneConfig, run: Run) -> Outcome:
    """Train the decoder on 11 classes and judge it."""
    return run_scenes(config, run, load_camvid(config.data, quick=config.quick, seed=config.seed))


if __name__ == "__main__":
    decoder = parse(SceneConfig, __doc__).decoder
    main(run, SceneConfig, entry_point=f"camvid_{decoder}", question="Q2-1", doc=__doc__)
