"""Changes to pictures that leave their subject alone, at several strengths: what does a network still recognise?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Change:
    """One kind of change.

    Attributes:
        strengths: from slight to strong; at `none` the picture is as it was.
        unit: what a strength counts.
        apply: `(float images (B, 3, H, W) in [0, 1], strength) -> the same shape in [0, 1]`.
        none: the strength that changes nothing.
        words: strengths that are no amounts have names.
    """

    strengths: tuple[float, ...]
    unit: str
    apply: Callable[[Tensor, float], Tensor]
    none: float = 0.0
    words: tuple[str, ...] = ()

    def label(self, strength: float) -> str:
        """A strength in words."""
        if self.words:
            return self.words[self.strengths.index(strength)]
        return f"{strength:g}"

    def __call__(self, images: Tensor, strength: float) -> Tensor:
        """uint8 images (B, 3, H, W) -> changed uint8 images."""
        return (self.apply(images.float() / 255, strength).clamp(0, 1) * 255).round().to(torch.uint8)


def translate(images: Tensor, pixels: float) -> Tensor:
    """Moved right and down by so many pixels; what comes in is black, as the pictures' own borders are."""
    by = round(pixels)
    height, width = images.shape[-2:]
    return F.pad(images, (by, 0, by, 0))[..., :height, :width]


def brighten(images: Tensor, share: float) -> Tensor:
    """A share of full brightness added to all channels (taken off where negative)."""
    return images + share


def scale_contrast(images: Tensor, factor: float) -> Tensor:
    """Distance from middle grey times a factor."""
    return 0.5 + factor * (images - 0.5)


def mirror(images: Tensor, kind: float) -> Tensor:
    """1: left and right, 2: top and bottom, 3: both (turned upside down)."""
    axes = {1: (-1,), 2: (-2,), 3: (-1, -2)}[round(kind)]
    return images.flip(axes)


def invert(images: Tensor, share: float) -> Tensor:
    """Mixed with its negative: at 0.5 everything is middle grey, at 1 it is the negative."""
    return (1 - share) * images + share * (1 - images)


CHANGES: Mapping[str, Change] = {
    "translated": Change((1, 2, 4, 8, 12), "pixels right and down", translate),
    "brightened": Change((0.05, 0.1, 0.2, 0.3, 0.4), "added", brighten),
    "darkened": Change((0.05, 0.1, 0.2, 0.3, 0.4), "taken off", lambda images, share: brighten(images, -share)),
    "high contrast": Change((1.25, 1.5, 2.0, 3.0), "times", scale_contrast, none=1.0),
    "low contrast": Change((0.8, 0.6, 0.4, 0.2), "times", scale_contrast, none=1.0),
    "flipped": Change((1, 2, 3), "", mirror, words=("left-right", "top-bottom", "both")),
    "inverted": Change((0.2, 0.4, 0.6, 0.8, 1.0), "share of the negative", invert),
}
"""The assignment's transformations (figure 3), from slight to strong."""
STUDENT = {
    "translated": 44.8, "brightened": 37.9, "darkened": 69.0, "high contrast": 37.9, "low contrast": 69.0,
    "flipped": 51.7, "inverted": 8.0,
}  # fmt: skip
"""A student report's accuracies on its own 87 validation pictures, %, at the assignment's one strength of each."""
