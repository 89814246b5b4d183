"""What a unit of a real network sees, measured: by a pixel that is not a number, and by gradients.

The formula (models/trace.py) says what a unit can see. `units_that_see` tries it out on the network as it is, and
`effective_fields` measures how much of that it makes use of: Luo, Li, Urtasun and Zemel 2016, "Understanding the
effective receptive field in deep convolutional neural networks" (arXiv:1701.04128).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from cnnlab.errors import ConfigError
from cnnlab.explain.attribution import leaf, stand_in
from cnnlab.models.arithmetic import Pair
from cnnlab.models.fields import Axis
from cnnlab.models.layers import device_of
from cnnlab.models.trace import Traced

SHARE = 0.95  # of the gradient that the effective field's square holds


@torch.no_grad()
def units_that_see(model: nn.Module, size: Pair, pixel: Pair) -> dict[str, np.ndarray]:
    """Which units of each layer one pixel reaches: bool (h, w) for each module without parts whose output is a map.

    The pixel is set to "not a number", which every sum and maximum it enters then is as well: no weight can hide it.

    Args:
        model: any network; it is left as it was.
        size: height and width of the picture.
        pixel: row and column.
    """
    network, layers = stand_in(model)
    reached: dict[str, np.ndarray] = {}

    def note(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            reached[name] = output[0].isnan().any(0).cpu().numpy()

    for name, module in layers.items():
        if not list(module.children()):
            module.register_forward_hook(lambda _m, _i, output, name=name: note(name, output))
    picture = torch.zeros(1, 3, *size, device=device_of(model))
    picture[..., pixel[0], pixel[1]] = float("nan")
    network.network(picture)
    return reached


def disagreements(model: nn.Module, traced: Traced, pixels: Sequence[Pair]) -> tuple[int, list[str]]:
    """Hold the traced fields against `units_that_see` for several pixels.

    Layers behind a gate or norm over the whole map are left out: there every unit sees every pixel.

    Returns how many (layer, pixel) were compared, and a line for each that differs.
    """
    compared, wrong = 0, []
    for pixel in pixels:
        reached = units_that_see(model, traced.size, pixel)
        for layer in {layer.name: layer for layer in traced.layers}.values():  # of one that runs twice the last time
            if layer.name not in reached or layer.gated or len(layer.output) != 3:
                continue
            compared += 1
            axes = layer.rows, layer.columns
            told = [np.flatnonzero((a.low <= p) & (p <= a.high)) for a, p in zip(axes, pixel, strict=True)]
            seen = [np.flatnonzero(reached[layer.name].any(1 - side)) for side in (0, 1)]
            for units, expected in zip(seen, told if all(map(len, told)) else ([], []), strict=True):
                # a dilated filter leaves gaps within its field
                if not set(units) <= set(expected) or _ends(units) != _ends(expected):
                    what = f"reaches units {_ends(units)}, the formula says {_ends(expected)}"
                    wrong.append(f"{layer.name}: pixel {pixel} {what}")
    return compared, wrong


def _ends(units: Sequence[int]) -> tuple[int, int] | None:
    return (int(units[0]), int(units[-1])) if len(units) else None


def probe_pixels(size: Pair, count: int = 5) -> list[Pair]:
    """Pixels to try: the middle, two corners, and two places that lie on no grid."""
    height, width = size
    places = [(height // 2, width // 2), (0, 0), (height - 1, width - 1), (height // 3, 2 * width // 3), (1, width - 2)]
    return places[:count]


def effective_fields(
    model: nn.Module, images: Tensor, layers: Sequence[str], seed: int = 0, batch_size: int = 2
) -> dict[str, np.ndarray]:
    """How strongly each pixel moves the middle unit of some layers: float32 (H, W) for each layer.

    The root of the mean over images of the squared gradient, summed over the unit's channels (which random signs do in
    one pass, as the mixed products average out) and over the picture's.

    Args:
        model: any network; it is left as it was.
        images: float32 (B, C, H, W) in [0, 1]; more of them make the map smoother.
        layers: names of modules, as in `named_modules`.
        seed: of the signs.
        batch_size: images at a time; the activations of so many are held.

    Raises:
        ConfigError: the network has no such layer.
    """
    network, modules = stand_in(model)
    outputs: dict[str, Tensor] = {}
    for name in layers:
        if name not in modules:
            raise ConfigError(f"The network has no layer '{name}'; trace lists them.")
        modules[name].register_forward_hook(lambda _m, _i, output, name=name: outputs.__setitem__(name, output))
    generator = torch.Generator().manual_seed(seed)
    squares = {name: torch.zeros(images.shape[-2:]) for name in layers}
    for part in images.split(batch_size):
        with torch.enable_grad():
            pixels = leaf(model, part)
            network.network(pixels)
            for name in layers:
                unit = outputs[name]
                unit = unit[..., unit.shape[2] // 2, unit.shape[3] // 2] if unit.ndim == 4 else unit
                signs = torch.randint(0, 2, unit.shape, generator=generator).to(unit) * 2 - 1
                (gradient,) = torch.autograd.grad((unit * signs).sum(), pixels, retain_graph=True)
                squares[name] += gradient.square().sum((0, 1)).cpu()
            outputs.clear()
    return {name: (square / len(images)).sqrt().numpy() for name, square in squares.items()}


def effective_box(field: np.ndarray, rows: Axis, columns: Axis, share: float = SHARE) -> tuple[int, int, int, int]:
    """The smallest square around the middle of the theoretical field that holds a share of the gradient.

    (x1, y1, x2, y2) in pixels, cut at the picture's border.

    Args:
        field: float (H, W), from `effective_fields`.
        rows, columns: what the layer's units see by the formula.
        share: of the field's sum.
    """
    if not field.sum() > 0:  # nothing reaches the unit, as behind a dead ReLU
        return 0, 0, 0, 0
    middles = [sum(axis.middle) / 2 for axis in (rows, columns)]
    away = [np.abs(np.arange(length) - middle) for length, middle in zip(field.shape, middles, strict=True)]
    distance = np.maximum(away[0][:, None], away[1][None, :])
    order = np.argsort(distance, axis=None)
    held = np.cumsum(field.ravel()[order]) / field.sum()
    radius = distance.ravel()[order[int(np.searchsorted(held, share))]]
    (y, x), (height, width) = middles, field.shape
    left, top = max(0, round(x - radius)), max(0, round(y - radius))
    return left, top, min(width, round(x + radius) + 1), min(height, round(y + radius) + 1)
