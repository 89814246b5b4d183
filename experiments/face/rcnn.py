"""Lecture, week 4 · Does a second stage in R-CNN's manner beat the sliding-window detector, and at what cost?

    mlflow run . -e face_rcnn -P data=DIR                  # photographs with face boxes, as for face_improve
    mlflow run . -e face_rcnn -P data=DIR -P seeds=1 -P roi.method=pool -P roi.side=448

The released window detector proposes at a low threshold; a pretrained backbone sees the photograph once, each proposal
takes its features by RoI align, and a head tells face from background and corrects the box. Only the head is trained,
on the train photographs. Validation chooses, by average precision over IoU 0.5 to 0.9, the head's epoch and how answers
become detections (whose score counts, one correction or two); the test photographs are looked at once, by both
detectors: average precision at IoU 0.5 and 0.75 with the 95 % interval of the difference over photographs, and
milliseconds per image, one image at a time.

What the first stage has seen: with the photographs that its card names, the released detector was trained on the train
ones of this very split (seed 0's), its epoch and threshold chosen on val. The split therefore stays seed 0's whatever
`seed` is, so that no stage ever saw a test photograph; `seed` draws the head's weights and the order of its training.
On the train photographs proposals might fit better than on new ones; so the head also learns from shifted copies of the
true boxes, and the run measures how well proposals fit the faces of train and of val (`train_proposal_iou`,
`val_proposal_iou`). `-P detector=` names another first stage. People whom nobody annotated count as background for both
detectors. On photographs of another source than the detector's, a part of any gain is that the second stage learns
where these boxes let a face end.

Budget on two CPU cores, 630 train photographs and their mirror images, 3 seeds: about 10 minutes, most of it the
backbone's features, which are made once.

Result: face_rcnn on data (train 630, val 86, test 142), seeds 0, 1, 2, AMD EPYC, 1 core, 24 GiB, no GPU, 377 s,
    2026-11-22, commit 44a3d9d404:
    train_rois            30237 (1) on 630 samples
    feature_seconds       95.87 (1)
    train_proposal_iou    0.8531 (1) on 630 samples
    val_proposal_iou      0.8748 (1) on 86 samples
    val_window_ap50       1.000 (1) on 86 samples
    val_window_ap75       0.9171 (1) on 86 samples
    val_window_ap         0.8443 (1) on 86 samples
    val_rcnn_ap50         1.000 ± 0.000 (3) on 86 samples
    val_rcnn_ap75         1.000 ± 0.000 (3) on 86 samples
    val_rcnn_ap           0.9306 ± 0.0054 (3) on 86 samples
    test_window_ap50      0.9993 (1) on 142 samples
    test_window_ap75      0.9359 (1) on 142 samples
    test_window_ap        0.8358 (1) on 142 samples
    test_rcnn_ap50        1.000 ± 0.000 (3) on 142 samples
    test_rcnn_ap75        0.97046 ± 0.00010 (3) on 142 samples
    test_rcnn_ap          0.8995 ± 0.0053 (3) on 142 samples
    test_window_ms        23.22 (1) on 142 samples
    test_rcnn_ms          66.39 (1) on 142 samples
    test_second_stage_ms  43.17 (1) on 142 samples
    test_ap50_gain_low    0 (1) on 142 samples
    test_ap50_gain_high   0.00254 (1) on 142 samples
    test_ap75_gain_low    0.00930 (1) on 142 samples
    test_ap75_gain_high   0.06791 (1) on 142 samples
    The released detector was trained on these train photographs; no stage was trained on val or test ones.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from cnnlab import plots
from cnnlab.data.download import file_sha256
from cnnlab.data.faces import Photo, load_face_data
from cnnlab.detection.detector import Detections, FaceDetector
from cnnlab.detection.rcnn import RCNN, RoIHead, RoISettings, Verdict
from cnnlab.detection.rcnn_training import RoILoss, RoISamples, Sampling, roi_samples
from cnnlab.errors import ConfigError, DataError
from cnnlab.evaluation.detection import average_precision, average_precision_gain, mean_best_overlap
from cnnlab.experiment import Experiment, Outcome, checkpoint_path, fingerprint, main
from cnnlab.models.pretrained import pretrained_model
from cnnlab.plots.boxes import ap_by_overlap
from cnnlab.tracking import Run
from cnnlab.tracking.models import RELEASED, detector_file, released_on
from cnnlab.training import Training, fit

SPLIT_SEED = 0  # the released detector's: another split would put photographs it was trained on into test
VERDICTS = tuple(Verdict(scores, passes) for scores in ("second", "both") for passes in (1, 2))
IOUS = (0.5, 0.75)
OVERLAPS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


@dataclass(frozen=True)
class Config(Experiment):
    """Train and judge a second stage on the window detector's proposals."""

    detector: str = "released"
    """the first stage: `released`, a run id, a registered model, or a detector file"""
    backbone: str = "efficientnet_lite0"
    """network of the registry whose features the head sees"""
    weights: str = "auto"
    """auto, torchvision, packages, random, or the path of a .pth file"""
    roi: RoISettings = field(default_factory=RoISettings)
    sampling: Sampling = field(default_factory=Sampling)
    training: Training = field(default_factory=lambda: Training(
        epochs=12, batch_size=128, optimizer="adamw", lr=2e-3, weight_decay=0.02, schedule="one_cycle", ema=0.99,
        monitor="val/ap",
    ))  # fmt: skip
    seeds: int = 3
    """number of heads from seeds seed, seed+1, …; mean ± standard deviation"""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(f"seeds must be at least 1, not {self.seeds}.")

    def shrunk(self) -> "Config":
        return replace(
            self, weights="random", seeds=1, roi=replace(self.roi, side=128),
            sampling=replace(self.sampling, count=8, mirror=False), training=replace(self.training, epochs=2),
        )  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """A photograph as the second stage finds it: the backbone's maps and the window detector's proposals."""

    photo: Photo
    maps: tuple[dict[int, Tensor], float, float]
    proposals: Tensor
    scores: Tensor

    def decide(self, rcnn: RCNN, verdict: Verdict, head: nn.Module) -> Detections:
        """The second stage's detections."""
        size = self.photo.image.shape[:2]
        return rcnn.decide(size, self.maps, self.proposals, self.scores, verdict, head)


def run(config: Config, run: Run) -> Outcome:
    """Make features, train heads, choose on val, judge both detectors once on test."""
    data = load_face_data(config.data, seed=SPLIT_SEED, quick=config.quick)
    photos = data.photos
    if not all(photos[split] for split in ("train", "val", "test")):
        raise DataError(f"data={config.data} holds no photographs with boxes for train, val and test: give some.")
    run.log_data(data.name, data.digest, {split: len(photos[split]) for split in ("train", "val", "test")}, config.data)
    file = detector_file(config.detector)
    detector = FaceDetector.load(file, min_face=20)
    backbone, report = pretrained_model(config.backbone, 2, config.weights)
    run.log_weights(report)
    if not hasattr(backbone, "pyramid"):
        raise ConfigError(f"backbone={config.backbone} has no pyramid of maps; take efficientnet_lite0 or vgg16.")
    rcnn = RCNN(detector, backbone, config.roi)
    began = time.perf_counter()
    train = roi_samples(rcnn, photos["train"], config.sampling, SPLIT_SEED, fit_range=True, title="train features")
    val = roi_samples(rcnn, photos["val"], replace(config.sampling, mirror=False), SPLIT_SEED, title="val features")
    seen = [Seen(photo, rcnn.maps(photo.image), *rcnn.propose(photo.image)) for photo in photos["val"]]
    feature_seconds = time.perf_counter() - began
    metrics: dict[str, float | list[float]] = {
        "train_rois": float(len(train)), "feature_seconds": feature_seconds,
        "train_proposal_iou": _fit_of_proposals(rcnn, photos["train"][:: max(1, len(photos["train"]) // 100)]),
        "val_proposal_iou": _fit_of_proposals(rcnn, photos["val"]),
    }  # fmt: skip
    origin, seeds = f"{data.digest} {report.sha256} {file_sha256(file)}", range(config.seed, config.seed + config.seeds)
    heads = [train_head(config, run, rcnn, train, val, seen, seed, origin) for seed in seeds]
    rcnn.verdict, table = choose(rcnn, heads, seen)
    run.set_tags({"verdict": rcnn.verdict, "detector": config.detector})
    on_val = [detector.detect_multi_scale(photo.image, threshold=config.roi.floor) for photo in photos["val"]]
    metrics |= _scores([on_val], photos["val"], "val_window")
    metrics |= _scores([[one.decide(rcnn, rcnn.verdict, h) for one in seen] for h in heads], photos["val"], "val_rcnn")

    window, second, times = judge_test(rcnn, heads, photos["test"])
    metrics |= _scores([window], photos["test"], "test_window") | _scores(second, photos["test"], "test_rcnn") | times
    told = []
    for iou in IOUS:
        low, high = average_precision_gain([window], second, [photo.boxes for photo in photos["test"]], iou)
        name = f"ap{round(100 * iou)}"
        metrics |= {f"test_{name}_gain_low": low, f"test_{name}_gain_high": high}
        told.append(_sentence(iou, metrics[f"test_window_{name}"], metrics[f"test_rcnn_{name}"], low, high))
    log_comparison(run, photos["test"], window, second, times)
    log_head(run, rcnn, heads[0], config)
    sentence = (
        f"On {len(photos['test'])} test photographs: {'; '.join(told)}. The window detector takes "
        f"{times['test_window_ms']:.0f} ms an image, the second stage {times['test_second_stage_ms']:.0f} ms more. "
        f"Chosen on val: {_words(rcnn.verdict)}."
    )
    run.log_text("comparison.md", f"# Window detector and second stage\n\n{sentence}\n\nOn val:\n\n{table}\n")
    note = seen_by_detector(data.digest) if config.detector == "released" and not data.embedded else ""
    return Outcome(metrics, sentence, list(seeds), note=note)


def seen_by_detector(digest: str) -> str:
    """What the released detector has seen of photographs with this digest."""
    if digest == released_on(RELEASED):
        return "The released detector was trained on these train photographs; no stage was trained on val or test ones."
    return (  # the digest is that of a whole folder: one with the same photographs and more beside them has another
        "The digest of these photographs is not the one on the released detector's card; where some are the same, the "
        "released detector may have been trained on them."
    )


# ---- training and choosing -------------------------------------------------------------------------------------------
def train_head(
    config: Config, run: Run, rcnn: RCNN, train: RoISamples, val: RoISamples, seen: Sequence[Seen], seed: int,
    digest: str,
) -> RoIHead:  # fmt: skip
    """Train one head; the epoch with the best average precision on val, the mean over `OVERLAPS`, is kept."""
    torch.manual_seed(seed)
    head = RoIHead(rcnn.channels, config.roi.bins)
    truths = [one.photo.boxes for one in seen]

    def evaluate(model: nn.Module, epoch: int) -> dict[str, float]:
        found = [one.decide(rcnn, VERDICTS[0], model) for one in seen]
        return {f"val/{name}": value for name, value in _precisions(found, truths).items()}

    prefix = "" if seed == config.seed else f"seed_{seed}/"
    stamp = fingerprint(replace(config, seed=seed, seeds=1), digest)
    history = fit(
        head, train, val, config.training, seed=seed, objective=RoILoss(), evaluate=evaluate,
        checkpoint=checkpoint_path("face_rcnn", stamp, config.resume), fingerprint=stamp,
        on_epoch=lambda epoch, metrics: run.log_metrics({prefix + k: v for k, v in metrics.items()}, epoch),
        title=f"face_rcnn seed {seed}",
    )  # fmt: skip
    curves = plots.learning_curves(history.history, ("loss", "accuracy", "ap"), kept=history.best_epoch)
    run.log_figure("curves" if not prefix else f"curves_seed_{seed}", curves)
    return head.eval()


def choose(rcnn: RCNN, heads: Sequence[RoIHead], seen: Sequence[Seen]) -> tuple[Verdict, str]:
    """The verdict with the best average precision on val, averaged over heads and overlaps; and all as a table."""
    truths = [one.photo.boxes for one in seen]
    rows, best, chosen = [], -1.0, VERDICTS[0]
    for verdict in VERDICTS:
        every = [_precisions([one.decide(rcnn, verdict, head) for one in seen], truths) for head in heads]
        mean = {name: float(np.mean([one[name] for one in every])) for name in every[0]}
        rows.append(f"| {_words(verdict)} | {mean['ap50']:.4f} | {mean['ap75']:.4f} | {mean['ap']:.4f} |")
        if mean["ap"] > best + 1e-9:  # of equals the simpler one, which comes first
            best, chosen = mean["ap"], verdict
    head = ["| decision | val AP50 | val AP75 | val AP |", "| --- | ---: | ---: | ---: |"]
    return chosen, "\n".join(head + rows)


def _precisions(found: Sequence[Detections], truths: Sequence[np.ndarray]) -> dict[str, float]:
    """Average precision at IoU 0.5 and 0.75, and the mean over `OVERLAPS`, which still tells good boxes from better."""
    every = {iou: average_precision(found, truths, iou) for iou in OVERLAPS}
    return {"ap50": every[0.5], "ap75": every[0.75], "ap": float(np.mean(list(every.values())))}


# ---- judging ---------------------------------------------------------------------------------------------------------
def judge_test(
    rcnn: RCNN, heads: Sequence[RoIHead], photos: Sequence[Photo]
) -> tuple[list[Detections], list[list[Detections]], dict[str, float]]:
    """Detections of both detectors on every photograph, one at a time, and the milliseconds of either stage.

    The stages take turns on each photograph, so that whatever else the machine does weighs on both alike.
    """
    rcnn.head = heads[0]
    rcnn.detect(photos[0].image)  # warm up
    window, second, first_ms, second_ms = [], [[] for _ in heads], [], []
    for photo in tqdm(photos, desc="test", unit="photo", disable=True if len(photos) < 20 else None, leave=False):
        start = time.perf_counter()
        found = rcnn.detector.detect_multi_scale(photo.image, threshold=rcnn.roi.floor)
        first_ms.append(1000 * (time.perf_counter() - start))
        window.append(found)
        for number, head in enumerate(heads):
            rcnn.head = head
            start = time.perf_counter()
            second[number].append(rcnn.detect(photo.image))
            if number == 0:
                second_ms.append(1000 * (time.perf_counter() - start))
    rcnn.head = heads[0]
    one, both = float(np.median(first_ms)), float(np.median(second_ms))
    return window, second, {"test_window_ms": one, "test_rcnn_ms": both, "test_second_stage_ms": both - one}


def _scores(found: Sequence[Sequence[Detections]], photos: Sequence[Photo], prefix: str) -> dict[str, list[float]]:
    every = [_precisions(one, [photo.boxes for photo in photos]) for one in found]
    return {f"{prefix}_{name}": [one[name] for one in every] for name in every[0]}


def _sentence(iou: float, window: list[float], second: list[float], low: float, high: float) -> str:
    verdict = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
    return (
        f"average precision at IoU {iou:g} is {np.mean(window):.3f} for the windows and {np.mean(second):.3f} with the "
        f"second stage (difference {low:+.3f} to {high:+.3f}, 95 %: {verdict})"
    )


def _fit_of_proposals(rcnn: RCNN, photos: Sequence[Photo]) -> float:
    proposals = [rcnn.propose(photo.image)[0].numpy() for photo in photos]
    return mean_best_overlap(proposals, [photo.boxes for photo in photos])


def _words(verdict: Verdict) -> str:
    scores = {"second": "the head's score", "both": "both stages' scores"}[verdict.scores]
    return f"{scores}, {'one correction' if verdict.passes == 1 else f'{verdict.passes} corrections'} of the box"


# ---- what the run stores ---------------------------------------------------------------------------------------------
def log_comparison(
    run: Run, photos: Sequence[Photo], window: Sequence[Detections], second: Sequence[Sequence[Detections]],
    times: dict[str, float],
) -> None:  # fmt: skip
    """Average precision over the overlap asked for, and the photographs whose best boxes changed most."""
    truths = [photo.boxes for photo in photos]
    names = {
        f"window detector, {times['test_window_ms']:.0f} ms": [window],
        f"with the second stage, {times['test_rcnn_ms']:.0f} ms": second,
    }
    curves = {
        name: np.array([[average_precision(f, truths, iou) for iou in OVERLAPS] for f in found])
        for name, found in names.items()
    }
    run.log_figure("average_precision", ap_by_overlap(OVERLAPS, curves, f"{len(photos)} test photographs"))
    gains = [
        _best_overlap(after, photo) - _best_overlap(before, photo)
        for before, after, photo in zip(window, second[0], photos, strict=True)
    ]
    order = np.argsort(gains, kind="stable")
    for title, picked in (("most_gained", order[::-1][:3]), ("most_lost", order[:3])):
        items = []
        for i in picked:
            for name, (boxes, scores) in (("window", window[i]), ("second stage", second[0][i])):
                keep = scores >= 0.5
                items.append({
                    "image": photos[i].image, "boxes": boxes[keep], "scores": scores[keep], "truths": photos[i].boxes,
                    "title": f"{name}: best overlap {_best_overlap((boxes, scores), photos[i]):.2f}",
                })  # fmt: skip
        words = f"{title.replace('_', ' ').capitalize()}; a box is right from IoU 0.75"
        run.log_figure(title, plots.detection_sheet(items, iou_threshold=0.75, width=4.5, title=words))


def _best_overlap(found: Detections, photo: Photo) -> float:
    return mean_best_overlap([found[0][found[1] >= 0.5]], [photo.boxes])


def log_head(run: Run, rcnn: RCNN, head: RoIHead, config: Config) -> None:
    """Store the head with the range of its features and the settings that it belongs to."""
    content = {
        "head": head.cpu().state_dict(), "low": rcnn.low, "span": rcnn.span, "roi": asdict(config.roi),
        "verdict": asdict(rcnn.verdict), "backbone": config.backbone, "detector": config.detector,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "second_stage.pt"
        torch.save(content, path)
        run.log_file(path)


if __name__ == "__main__":
    main(run, Config, entry_point="face_rcnn", question="Lecture, week 4", doc=__doc__)
