"""Which pixels a network's answer hangs on, by captum.

All functions take a network that maps float images (B, C, H, W) to logits (B, K), or to one set of logits per position
(B, K, h, w), of which a class's sum is explained. They work on a stand-in that shares the weights: the network keeps
its mode, its gradients and its in-place activations, and no hook stays behind.
"""

import copy
import difflib
import warnings
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import GuidedBackprop, LayerAttribution, LayerGradCam, Saliency
from torch import Tensor, nn

from cnnlab.errors import ConfigError
from cnnlab.models.layers import device_of

_NO_MAP = (  # layers that only pick from, blur or repeat the map before them
    nn.Dropout, nn.Dropout2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Flatten,
    nn.Identity, nn.Upsample, nn.ConvTranspose2d, nn.ZeroPad2d,
)  # fmt: skip


@dataclass(frozen=True)
class Attributions:
    """What `explain` finds for a batch.

    Attributes:
        target: int64 (B,), the class explained for each image.
        saliency: float32 (B, H, W), not negative.
        guided: float32 (B, C, H, W), signed.
        grad_cam: float32 (B, H, W), not negative; all zero where no part of the image speaks for the class.
        layer: name of the layer that Grad-CAM looked at.
        rectifiers: ReLU and ReLU6 modules that guided back-propagation governed; with none it is the plain gradient.
    """

    target: np.ndarray
    saliency: np.ndarray
    guided: np.ndarray
    grad_cam: np.ndarray
    layer: str
    rectifiers: int

    def strengths(self) -> dict[str, np.ndarray]:
        """The three maps without sign and colour, each (B, H, W), by the name a reader knows."""
        return {
            "saliency": self.saliency, "guided back-propagation": np.abs(self.guided).max(1), "Grad-CAM": self.grad_cam,
        }  # fmt: skip


def explain(
    model: nn.Module, images: Tensor, target: Tensor | int | None = None, layer: str = "", batch_size: int = 16
) -> Attributions:
    """All three maps for each image.

    Args:
        model: the network.
        images: float32 (B, C, H, W), as the network takes them.
        target: a class for all images, one for each (B,), or None for the one that the network predicts.
        layer: name of the layer for Grad-CAM; by default `find_cam_layer` chooses.
        batch_size: images at a time.
    """
    layer = layer or find_cam_layer(model, images[:1])
    targets = _targets(model, images, target, batch_size)
    parts = []
    for start in range(0, len(images), batch_size):
        batch, wanted = images[start : start + batch_size], targets[start : start + batch_size]
        parts.append((
            saliency(model, batch, wanted), guided_backprop(model, batch, wanted), grad_cam(model, batch, wanted, layer)
        ))  # fmt: skip
    maps = [np.concatenate(kind) for kind in zip(*parts, strict=True)]
    rectifiers = sum(isinstance(module, (nn.ReLU, nn.ReLU6)) for module in model.modules())
    return Attributions(targets.numpy(), *maps, layer, rectifiers)


def saliency(model: nn.Module, images: Tensor, target: Tensor | int | None = None) -> np.ndarray:
    """Largest absolute gradient of the class's logit over the channels: float32 (B, H, W).

    Simonyan, Vedaldi and Zisserman 2013, arXiv:1312.6034. Arguments as for `explain`.
    """
    targets = _targets(model, images, target)
    network, _ = stand_in(model)
    with torch.enable_grad():
        gradients = Saliency(network).attribute(leaf(model, images), target=targets.to(device_of(model)), abs=True)
    return gradients.amax(1).cpu().numpy()


def guided_backprop(model: nn.Module, images: Tensor, target: Tensor | int | None = None) -> np.ndarray:
    """The class logit's gradient, negative parts dropped at every ReLU and ReLU6 on the way back: (B, C, H, W).

    Springenberg et al. 2014, arXiv:1412.6806. Other activations pass the gradient as it is, and so does a call of
    `F.relu`, which no hook can see. Arguments as for `explain`.
    """
    targets = _targets(model, images, target)
    network, _ = stand_in(model)
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU")
        guided = GuidedBackprop(network).attribute(leaf(model, images), target=targets.to(device_of(model)))
    return guided.detach().cpu().numpy()


def grad_cam(model: nn.Module, images: Tensor, target: Tensor | int | None = None, layer: str = "") -> np.ndarray:
    """The last map's channels, weighted by the class logit's mean gradient, what speaks for the class: (B, H, W).

    Selvaraju et al. 2016, arXiv:1610.02391; enlarged bilinearly to the image. Arguments as for `explain`.
    """
    name = layer or find_cam_layer(model, images[:1])
    targets = _targets(model, images, target)
    network, layers = stand_in(model)
    if name not in layers:
        near = difflib.get_close_matches(name, layers, 1)
        raise ConfigError(f"The network has no layer '{name}'." + (f" Did you mean '{near[0]}'?" if near else ""))
    with torch.enable_grad():
        method = LayerGradCam(network, layers[name])
        maps = method.attribute(leaf(model, images), target=targets.to(device_of(model)), relu_attributions=True)
    if maps.ndim != 4:
        raise ConfigError(f"Layer '{name}' gives no map; Grad-CAM wants a convolutional layer.")
    return LayerAttribution.interpolate(maps, images.shape[2:], "bilinear")[:, 0].detach().cpu().numpy()


def find_cam_layer(model: nn.Module, images: Tensor) -> str:
    """Name of the layer whose map Grad-CAM uses: the last one before the image is pooled to a vector.

    Of a network with logits at every position it is the last one at the coarsest stride. Layers that only pool or drop
    count as part of the one before them.

    Raises:
        ConfigError: no convolution gives a map larger than 1x1.
    """
    network, layers = stand_in(model)
    names = {module: name for name, module in layers.items()}
    found: list[tuple[str, int]] = []
    seen_convolution = False

    def note(module: nn.Module, _: object, output: object) -> None:
        nonlocal seen_convolution
        seen_convolution |= isinstance(module, nn.Conv2d)
        is_map = isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1
        if is_map and seen_convolution and not isinstance(module, _NO_MAP):
            found.append((names[module], output.shape[2] * output.shape[3]))

    for module in layers.values():
        if not list(module.children()):
            module.register_forward_hook(note)
    with torch.no_grad():
        output = network.network(images[:1].to(device_of(model)))
    if not found:
        raise ConfigError("The network has no convolution with a map larger than 1x1, so there is no Grad-CAM for it.")
    if output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
        coarsest = min(size for _, size in found)
        found = [(name, size) for name, size in found if size == coarsest]
    return found[-1][0]


@torch.no_grad()
def class_shares(model: nn.Module, images: Tensor, batch_size: int = 64) -> np.ndarray:
    """Softmax probability of each class (B, K); where there are logits at every position, their mean over them."""
    network, _ = stand_in(model)
    outputs = [network.network(part.to(device_of(model))).float() for part in images.split(batch_size)]
    shares = [out.softmax(1).flatten(2).mean(2) if out.ndim > 2 else out.softmax(1) for out in outputs]
    return torch.cat(shares).cpu().numpy()


def share_within(maps: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Share of each map's sum that lies in a region: (B,); nan where a map is zero everywhere.

    A map that looks everywhere alike has the region's share of the area.

    Args:
        maps: (B, H, W), not negative.
        region: bool (H, W), or one for each map (B, H, W).
    """
    maps = np.asarray(maps, np.float64)
    region = np.broadcast_to(np.asarray(region, bool), maps.shape)
    total = maps.sum((1, 2))
    return np.divide((maps * region).sum((1, 2)), total, out=np.full(len(maps), np.nan), where=total > 0)


# ---- the stand-in ----------------------------------------------------------------------------------------------------
class _ClippedReLU(nn.ReLU):
    """ReLU6 as a kind of nn.ReLU: captum guides those and their kind only."""

    def forward(self, x: Tensor) -> Tensor:
        return F.hardtanh(x, 0.0, 6.0)


class _ClassSums(nn.Module):
    """Logits (B, K); those of every position (B, K, h, w) summed."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        return logits.flatten(2).sum(2) if logits.ndim > 2 else logits


def stand_in(model: nn.Module) -> tuple[_ClassSums, dict[str, nn.Module]]:
    """Modules of its own over the same weights, in evaluation mode, and its layers by the network's names for them."""
    shared: dict[int, object] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    network = copy.deepcopy(model, shared).eval()
    if isinstance(network, nn.ReLU6):
        network = _ClippedReLU()
    for parent in list(network.modules()):
        for name, child in list(parent._modules.items()):  # named_children would skip one module's second name
            if isinstance(child, nn.ReLU6):
                setattr(parent, name, _ClippedReLU())
            elif getattr(child, "inplace", False):  # hooks on the way back need every activation as it was
                child.inplace = False
    return _ClassSums(network), dict(network.named_modules())


def leaf(model: nn.Module, images: Tensor) -> Tensor:
    """Images on the device of the network, as what gradients are taken to."""
    return images.detach().float().to(device_of(model)).clone().requires_grad_()


def _targets(model: nn.Module, images: Tensor, target: Tensor | int | None, batch_size: int = 64) -> Tensor:
    if target is None:
        return torch.from_numpy(class_shares(model, images, batch_size).argmax(1))
    targets = torch.as_tensor(target, dtype=torch.int64).cpu()
    if targets.ndim and len(targets) != len(images):
        raise ConfigError(f"There are {len(targets)} classes to explain for {len(images)} images; give one for each.")
    targets = targets.expand(len(images))
    with torch.no_grad():
        classes = stand_in(model)[0](images[:1].to(device_of(model))).shape[1]
    if not 0 <= int(targets.min()) <= int(targets.max()) < classes:
        worst = int(targets.max() if targets.max() >= classes else targets.min())
        raise ConfigError(f"Class {worst} cannot be explained: the network has classes 0 to {classes - 1}.")
    return targets
