"""What part of the picture each unit of a map sees: `Axis` along one side of the picture, `Field` along both.

field_rules.py says how each operation of PyTorch passes it on. Two accounts are kept. `low` and `high` are exact pixels
of this picture, borders and odd remainders included. `size` and `jump` are the formula's, which knows no border:
Araujo, Norris and Sim 2019, "Computing receptive fields of convolutional neural networks"
(https://distill.pub/2019/computing-receptive-fields/).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

NOTHING = -1  # index of a tap that lies on padding


@dataclass(frozen=True)
class Axis:
    """What the units of a map see along one side of the picture.

    Attributes:
        low: int64 (units,), the first pixel that each unit sees.
        high: int64 (units,), the last one; below `low` where a unit sees padding only.
        size: pixels that a unit sees by the formula, far from any border.
        jump: pixels between the parts of neighbouring units.
    """

    low: np.ndarray
    high: np.ndarray
    size: Fraction
    jump: Fraction

    @classmethod
    def of_picture(cls, pixels: int) -> "Axis":
        """Each pixel sees itself."""
        return cls(np.arange(pixels), np.arange(pixels), Fraction(1), Fraction(1))

    @property
    def units(self) -> int:
        """Length of the map."""
        return len(self.low)

    @property
    def middle(self) -> tuple[int, int]:
        """First and last pixel that the middle unit sees."""
        return int(self.low[self.units // 2]), int(self.high[self.units // 2])

    def gather(self, taps: np.ndarray, extent: int = 1, stride: Fraction | int = 1) -> "Axis":
        """Units that each see what several units of this map see.

        Args:
            taps: int (units, K), indices into this map; NOTHING where a tap lies on padding.
            extent: units that a window spans, gaps included, for the formula.
            stride: units of this map between neighbouring windows, for the formula.
        """
        taps = np.where((taps < 0) | (taps >= self.units), NOTHING, taps)
        far = np.iinfo(np.int64).max
        low = np.where(taps == NOTHING, far, self.low[taps]).min(1)
        high = np.where(taps == NOTHING, -1, self.high[taps]).max(1)
        return Axis(low, high, self.size + (extent - 1) * self.jump, self.jump * stride)

    def collapse(self) -> "Axis":
        """One unit that sees all that this map sees."""
        whole = self.gather(np.arange(self.units)[None], self.units)
        return replace(whole, jump=self.jump)

    def union(self, other: "Axis") -> "Axis":
        """What either of two maps of the same length sees; by the formula the larger of both."""
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return Axis(low, high, max(self.size, other.size), max(self.jump, other.jump))


@dataclass(frozen=True)
class Field:
    """What a tensor's units see of the picture.

    Attributes:
        rows, columns: along the picture's height and width.
        dims: the tensor's dimensions that run along them; None where a map has been collapsed to one unit.
        gated: a factor or a norm that is made from a whole map (squeeze-and-excitation, group norm) has touched it, so
            that strictly every unit sees the whole picture. `rows` and `columns` leave that path out.
    """

    rows: Axis
    columns: Axis
    dims: tuple[int | None, int | None]
    gated: bool = False

    @classmethod
    def of_picture(cls, height: int, width: int) -> "Field":
        """The field of a batch of pictures (B, C, H, W)."""
        return cls(Axis.of_picture(height), Axis.of_picture(width), (2, 3))

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns."""
        return self.rows, self.columns

    def collapsed(self, sides: Sequence[int] = (0, 1)) -> "Field":
        """With some sides (0 rows, 1 columns) collapsed to one unit each."""
        axes = [axis.collapse() if side in sides else axis for side, axis in enumerate(self.axes)]
        dims = tuple(None if side in sides else dim for side, dim in enumerate(self.dims))
        return Field(axes[0], axes[1], (dims[0], dims[1]), self.gated)
