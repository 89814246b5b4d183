"""What stands and moves in a drawn street: each function gives one that draws a thing at its place."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from cnnlab.data.scene_classes import SCENE_CLASSES

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(len(SCENE_CLASSES))

WALLS = ((150, 92, 70), (176, 160, 132), (196, 188, 176), (118, 104, 94), (140, 120, 110), (206, 190, 150))
_PAINT = ((40, 42, 48), (150, 152, 158), (222, 222, 224), (150, 30, 34), (34, 60, 120), (26, 74, 60), (92, 96, 104))
_CLOTHES = ((30, 32, 44), (60, 62, 70), (120, 40, 44), (44, 70, 120), (170, 160, 140), (90, 74, 60), (206, 200, 60))
_PLATES = ((30, 70, 160), (200, 40, 40), (230, 200, 60), (30, 110, 70), (236, 236, 236))
_SKIN = (190, 146, 120)

Colour = Sequence[float]
Draw = Callable[[], None]
Point = tuple[float, float, float]  # metres: right of the camera, above the ground, away from the camera


class Canvas:
    """A picture and its mask of `size` = (height, width) pixels, drawn with the same shapes."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.height, self.width = size
        self.rng = rng
        self.image, self.mask = Image.new("RGB", size[::-1]), Image.new("L", size[::-1], SKY)
        self._paint, self._label = ImageDraw.Draw(self.image), ImageDraw.Draw(self.mask)
        self.focus = 0.85 * self.width
        self.horizon = self.height * rng.uniform(0.42, 0.52)
        self.centre = self.width * rng.uniform(0.42, 0.58)
        self.eye = rng.uniform(1.2, 1.7)  # metres above the road

    def at(self, point: Point) -> tuple[float, float]:
        """Where a point of the street lies in the picture, in pixels (x, y)."""
        x, y, z = point
        return self.centre + self.focus * x / z, self.horizon + self.focus * (self.eye - y) / z

    def polygon(self, points: Sequence[Point], colour: Colour, label: int) -> None:
        """A polygon given in metres."""
        self.pixels([self.at(point) for point in points], colour, label)

    def pixels(self, corners: Sequence[tuple[float, float]], colour: Colour, label: int) -> None:
        """A polygon given in pixels (x, y)."""
        self._paint.polygon(corners, fill=_rgb(colour))
        self._label.polygon(corners, fill=label)

    def upright(self, x: float, z: float, box: tuple[float, float, float, float], colour: Colour, label: int) -> None:
        """A rectangle that faces the camera: `box` = left and right of `x`, bottom and top above ground, metres."""
        left, right, low, high = box
        corners = self.at((x + left, high, z)), self.at((x + right, low, z))
        self._paint.rectangle(corners, fill=_rgb(colour))
        self._label.rectangle(corners, fill=label)

    def oval(self, x: float, z: float, box: tuple[float, float, float, float], colour: Colour, label: int) -> None:
        """An ellipse in the rectangle that `upright` would draw."""
        left, right, low, high = box
        corners = self.at((x + left, high, z)), self.at((x + right, low, z))
        self._paint.ellipse(corners, fill=_rgb(colour))
        self._label.ellipse(corners, fill=label)

    def line(self, points: Sequence[Point], metres: float, colour: Colour, label: int) -> None:
        """A line through the points, as many metres wide at the first of them."""
        width = max(1, round(self.focus * metres / points[0][2]))
        corners = [self.at(point) for point in points]
        self._paint.line(corners, fill=_rgb(colour), width=width)
        self._label.line(corners, fill=label, width=width)

    def pick(self, colours: Sequence[Colour], spread: float = 12) -> np.ndarray:
        """One of the colours, a little changed."""
        return np.array(colours[self.rng.integers(len(colours))]) + self.rng.normal(0, spread, 3)


def house(canvas: Canvas, x: float, near: float, far: float, height: float) -> Draw:
    """A house whose front stands at `x` metres along the street, with its gable towards the camera."""
    rng, colour = canvas.rng, canvas.pick(WALLS)
    shade, glass = rng.uniform(0.7, 0.95), canvas.pick([(50, 56, 66), (90, 104, 120)])
    bay, storey = rng.uniform(2.2, 3.5), rng.uniform(2.6, 3.4)

    def draw() -> None:
        back = x + np.sign(x) * 8
        canvas.polygon([(x, 0, near), (back, 0, near), (back, height, near), (x, height, near)], colour * shade,
                       BUILDING)  # fmt: skip
        canvas.polygon([(x, 0, near), (x, height, near), (x, height, far), (x, 0, far)], colour, BUILDING)
        for z in np.arange(near + 0.8, far - 1.4, bay):
            for y in np.arange(0.9, height - 1.6, storey):
                canvas.polygon([(x, y, z), (x, y + 1.5, z), (x, y + 1.5, z + 1.1), (x, y, z + 1.1)], glass, BUILDING)

    return draw


def tree(canvas: Canvas, x: float, z: float, height: float) -> Draw:
    """A trunk below a crown of round tufts."""
    rng = canvas.rng
    green = canvas.pick([(60, 84, 40), (84, 100, 52), (96, 84, 56), (44, 62, 36)])
    puffs = [(rng.normal(0, 0.16 * height), rng.uniform(0.45, 0.85) * height, rng.uniform(0.1, 0.22) * height,
              rng.uniform(0.75, 1.2)) for _ in range(14)]  # fmt: skip

    def draw() -> None:
        canvas.upright(x, z, (-0.15, 0.15, 0, 0.6 * height), (72, 58, 46), TREE)
        for dx, y, radius, light in puffs:
            canvas.oval(x + dx, z, (-radius, radius, y - radius, y + radius), green * light, TREE)

    return draw


def fence(canvas: Canvas, x: float, near: float, far: float, height: float) -> Draw:
    """A fence or railing along the street, with its bars."""
    colour = canvas.pick([(96, 84, 70), (70, 76, 80), (150, 146, 140), (110, 60, 50)])

    def draw() -> None:
        canvas.polygon([(x, 0, near), (x, height, near), (x, height, far), (x, 0, far)], colour, FENCE)
        for z in np.arange(near, far, 0.5):
            canvas.line([(x, 0, z), (x, height, z)], 0.06, colour * 0.6, FENCE)

    return draw


def post(canvas: Canvas, x: float, z: float, height: float, reach: int) -> Draw:
    """A lamp post whose arm reaches to the left (-1) or right (1)."""
    colour = canvas.pick([(70, 74, 76), (120, 124, 126), (50, 56, 54)])

    def draw() -> None:
        canvas.upright(x, z, (-0.08, 0.08, 0, height), colour, POLE)
        canvas.line([(x, height, z), (x + 1.4 * reach, height + 0.2, z)], 0.1, colour, POLE)

    return draw


def sign(canvas: Canvas, x: float, z: float) -> Draw:
    """A round or square plate on its pole."""
    rng, plate = canvas.rng, canvas.pick(_PLATES, 8)
    round_one, half, low = rng.random() < 0.5, rng.uniform(0.25, 0.55), rng.uniform(1.9, 2.6)

    def draw() -> None:
        canvas.upright(x, z, (-0.04, 0.04, 0, low), (110, 112, 114), POLE)
        shape = canvas.oval if round_one else canvas.upright
        shape(x, z, (-half, half, low, low + 2 * half), plate, SIGN)
        shape(x, z, (-0.5 * half, 0.5 * half, low + 0.5 * half, low + 1.5 * half), 255 - plate, SIGN)

    return draw


def car(canvas: Canvas, x: float, z: float) -> Draw:
    """A car whose nearer end is `z` metres away: tail lights on the left, headlights on the right of the street."""
    rng, paint = canvas.rng, canvas.pick(_PAINT)
    half, height, length = rng.uniform(0.85, 1.0), rng.uniform(1.35, 1.9), rng.uniform(3.6, 4.6)
    waist, lights = 0.58 * height, ((190, 40, 36) if x < 0 else (240, 236, 210))

    def draw() -> None:
        inner = x - np.sign(x) * half  # the flank that the camera sees
        canvas.polygon([(x - half, 0, z), (x + half, 0, z), (x + half, 0, z + length), (x - half, 0, z + length)],
                       (30, 30, 32), CAR)  # fmt: skip
        flank = [(inner, 0.25, z), (inner, waist, z), (inner, waist, z + length), (inner, 0.25, z + length)]
        cabin = [(inner, waist, z + 0.4), (inner * 0.98, height, z + 1), (inner * 0.98, height, z + 0.6 * length),
                 (inner, waist, z + 0.8 * length)]  # fmt: skip
        canvas.polygon(cabin, (44, 50, 58), CAR)
        canvas.polygon(flank, paint * 0.85, CAR)
        for wheel in (z + 0.2 * length, z + 0.8 * length):
            canvas.line([(inner, 0.02, wheel), (inner, 0.55, wheel)], 0.4, (20, 20, 22), CAR)
        for left in (-half, half - 0.25):
            canvas.upright(x + left, z, (0, 0.25, 0, 0.35), (18, 18, 20), CAR)
        roof = [(x - half, waist, z), (x + half, waist, z), (x + 0.8 * half, height, z), (x - 0.8 * half, height, z)]
        canvas.polygon(roof, paint, CAR)
        glass = [(x - 0.85 * half, waist + 0.04, z), (x + 0.85 * half, waist + 0.04, z),
                 (x + 0.7 * half, height - 0.1, z), (x - 0.7 * half, height - 0.1, z)]  # fmt: skip
        canvas.polygon(glass, (54, 62, 72), CAR)
        canvas.upright(x, z, (-half, half, 0.25, waist), paint, CAR)
        canvas.upright(x, z, (-0.3, 0.3, 0.4, 0.52), (220, 216, 190), CAR)
        for left in (-0.95 * half, 0.95 * half - 0.25):
            canvas.upright(x + left, z, (0, 0.25, 0.55, 0.72), lights, CAR)

    return draw


def person(canvas: Canvas, x: float, z: float) -> Draw:
    """Someone standing or walking."""
    rng, coat, trousers = canvas.rng, canvas.pick(_CLOTHES), canvas.pick(_CLOTHES)
    tall, stride, half = rng.uniform(1.5, 1.9), rng.uniform(0.05, 0.3), rng.uniform(0.2, 0.28)

    def draw() -> None:
        for foot in (-stride, stride):
            canvas.line([(x, 0.5 * tall, z), (x + foot, 0, z)], 0.17, trousers, PEDESTRIAN)
        canvas.oval(x, z, (-half, half, 0.42 * tall, 0.88 * tall), coat, PEDESTRIAN)
        canvas.oval(x, z, (-0.11, 0.11, tall - 0.26, tall), _SKIN, PEDESTRIAN)

    return draw


def cyclist(canvas: Canvas, x: float, z: float) -> Draw:
    """A bicycle with its rider, seen from behind or from the side."""
    rng, coat = canvas.rng, canvas.pick(_CLOTHES)
    along = rng.random() < 0.6  # rides along the street, else across and seen from the side
    lean = rng.choice((-1, 1)) * 0.25

    def draw() -> None:
        dark = (28, 28, 30)
        if along:
            canvas.oval(x, z, (-0.06, 0.06, 0, 0.7), dark, BICYCLIST)
            canvas.line([(x - 0.3, 1.0, z), (x + 0.3, 1.0, z)], 0.06, dark, BICYCLIST)
        else:
            for wheel in (-0.5, 0.5):
                canvas.oval(x + wheel, z, (-0.33, 0.33, 0, 0.66), dark, BICYCLIST)
            canvas.line([(x - 0.5, 0.33, z), (x, 0.8, z), (x + 0.5, 0.33, z)], 0.08, coat, BICYCLIST)
            canvas.line([(x, 0.95, z), (x + lean, 0.3, z)], 0.16, dark, BICYCLIST)
        shift = 0 if along else lean / 2
        canvas.oval(x + shift, z, (-0.26, 0.26, 0.7, 1.45), coat, BICYCLIST)
        canvas.oval(x + 2 * shift, z, (-0.13, 0.13, 1.4, 1.7), _SKIN, BICYCLIST)

    return draw


def _rgb(colour: Colour) -> tuple[int, ...]:
    return tuple(int(min(max(value, 0), 255)) for value in colour)
