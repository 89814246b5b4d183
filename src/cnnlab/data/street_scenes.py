"""Drawn street scenes for a machine that has no CamVid: a road in perspective with every one of the 11 classes.

Buildings, trees and fences line the road; cars drive and park, people walk on the pavements, cyclists ride along the
kerb. Light, weather, colours and places are random; classes share colours (a grey car on grey asphalt, a dark coat
before a dark wall), so that shape and place have to be learned as well. Good for trying every experiment end to end;
figures on drawn scenes say nothing about photographs.
"""

from functools import partial

import numpy as np
from PIL import Image, ImageFilter

from cnnlab.data.scene_classes import VOID
from cnnlab.data.street_objects import (
    BUILDING,
    CAR,
    FENCE,
    PAVEMENT,
    ROAD,
    SKY,
    TREE,
    Canvas,
    Draw,
    car,
    cyclist,
    fence,
    house,
    person,
    post,
    sign,
    tree,
)

# How strongly the surface varies from pixel to pixel, and over patches: leaves more than asphalt, asphalt than paint.
_GRAIN = {SKY: 2, BUILDING: 8, ROAD: 6, PAVEMENT: 7, TREE: 22, FENCE: 10, CAR: 4, VOID: 8}
_PATCHES = {SKY: 10, BUILDING: 12, ROAD: 9, PAVEMENT: 10, TREE: 22}

Thing = tuple[int, float, Draw]  # layer from the walls to the middle, distance in metres, how it is drawn
_WALL, _PAVEMENT, _RAILING, _KERB = range(4)


def draw_scenes(count: int, size: tuple[int, int] = (360, 480), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw `count` scenes; the same seed and size give the same pixels.

    Returns:
        images uint8 (count, H, W, 3) and masks uint8 (count, H, W), 0 to 10 and 11 for void.
    """
    scenes = [_draw_scene(np.random.default_rng((seed, number)), size, number) for number in range(count)]
    return np.stack([image for image, _ in scenes]), np.stack([mask for _, mask in scenes])


def _draw_scene(rng: np.random.Generator, size: tuple[int, int], number: int) -> tuple[np.ndarray, np.ndarray]:
    canvas = Canvas(rng, size)
    _sky(canvas)
    kerb, wall = rng.uniform(3.4, 5.2), rng.uniform(7.0, 10.0)
    _ground(canvas, kerb)
    things: list[Thing] = []
    for side in (-1, 1):
        things += _frontage(canvas, side, wall)
        things += _pavement(canvas, side, kerb, wall, railing=(number + (side > 0)) % 2 == 0)
    things += _road(canvas, kerb, cyclists=1 - number % 2)
    # nothing nearer to the walls can hide what stands nearer to the middle, nothing farther away what is near
    for _, _, draw in sorted(things, key=lambda thing: (thing[0], -thing[1])):
        draw()
    if rng.random() < 0.5:  # the camera car's own bonnet, which nobody labelled
        height, width = size
        edge = rng.uniform(0.93, 0.98) * height
        rim = [(0, edge + 8), (0.3 * width, edge), (0.7 * width, edge), (width, edge + 8)]
        canvas.pixels([(0, height), *rim, (width, height)], (24, 24, 28), VOID)
    return _weather(canvas)


def _sky(canvas: Canvas) -> None:
    rng = canvas.rng
    top, low = canvas.pick([(90, 140, 210), (150, 160, 170), (190, 200, 212)]), canvas.pick([(214, 222, 230)], 8)
    share = np.linspace(0, 1, canvas.height)[:, None, None] ** 0.7
    clouds = _smooth(rng, (canvas.height, canvas.width), 6)[..., None] * rng.uniform(0, 40)
    canvas.image.paste(Image.fromarray(_bytes(top * (1 - share) + low * share + clouds)))


def _ground(canvas: Canvas, kerb: float) -> None:
    rng, far, near = canvas.rng, 300.0, 0.9
    canvas.polygon([(-400, 0, far), (400, 0, far), (400, 0, near), (-400, 0, near)], canvas.pick([(150, 146, 140)]),
                   PAVEMENT)  # fmt: skip
    grey = canvas.pick([(96, 96, 100), (120, 118, 118), (80, 82, 88)], 6)
    canvas.polygon([(-kerb, 0, far), (kerb, 0, far), (kerb, 0, near), (-kerb, 0, near)], grey, ROAD)
    for x in (-kerb + 0.5, kerb - 0.5):
        canvas.polygon([(x, 0, 120), (x + 0.12, 0, 120), (x + 0.12, 0, near), (x, 0, near)], grey + 70, ROAD)
    for z in np.arange(rng.uniform(2, 6), 80, 6.0):
        canvas.polygon([(-0.07, 0, z + 3), (0.07, 0, z + 3), (0.07, 0, z), (-0.07, 0, z)], grey + 100, ROAD)
    for x in (-kerb, kerb):  # the kerbstone is pavement
        canvas.polygon([(x, 0, 150), (x * 1.03, 0.1, 150), (x * 1.03, 0.1, near), (x, 0, near)], (182, 180, 174),
                       PAVEMENT)  # fmt: skip


def _frontage(canvas: Canvas, side: int, wall: float) -> list[Thing]:
    """Houses along one side from near to far; between them gardens behind a fence, and places nobody labelled."""
    rng, things, z, x = canvas.rng, [], 3.0, side * wall
    while z < 140:
        far = z + rng.uniform(7, 20)
        kind = rng.choice(["house", "garden", "unlabelled"], p=[0.72, 0.22, 0.06])
        if kind == "house":
            height, jut = rng.uniform(5, 14), rng.uniform(0, 1.5)
            things.append((_WALL, (z + far) / 2, house(canvas, x + side * jut, z, far, height)))
        elif kind == "garden":
            for at in np.arange(z + 2, far, 4.0):
                things.append((_WALL, at, tree(canvas, x + side * rng.uniform(2, 5), at, rng.uniform(4, 9))))
            things.append((_WALL, z, fence(canvas, x, z, far, rng.uniform(1.0, 1.8))))
        else:
            corners = [(x, 0, z), (x, 3, z), (x, 3, far), (x, 0, far)]
            things.append((_WALL, z, partial(canvas.polygon, corners, (70, 66, 62), VOID)))
        z = far
    return things


def _pavement(canvas: Canvas, side: int, kerb: float, wall: float, railing: bool) -> list[Thing]:
    """People, trees and unlabelled bins on one pavement; a railing, lamp posts and signs along its kerb."""
    rng, things, edge = canvas.rng, [], side * (kerb + 0.5)
    for z in rng.uniform(5, 32, rng.integers(1, 5)):
        things.append((_PAVEMENT, z, person(canvas, side * rng.uniform(kerb + 0.8, wall - 0.6), z)))
    for z in rng.uniform(8, 60, rng.integers(0, 5)):
        things.append((_PAVEMENT, z, tree(canvas, side * (kerb + 1.6), z, rng.uniform(4, 9))))
    for z in rng.uniform(6, 30, rng.integers(0, 3)):
        bin_ = partial(canvas.upright, side * (wall - 0.8), z, (-0.35, 0.35, 0, 1.1), (46, 52, 48), VOID)
        things.append((_PAVEMENT, z, bin_))
    if railing:
        near = rng.uniform(4, 14)
        things.append((_RAILING, near, fence(canvas, edge + 0.2 * side, near, near + rng.uniform(5, 14), 1.1)))
    for z in np.arange(rng.uniform(4, 9), 90, rng.uniform(12, 20)):
        things.append((_KERB, z, post(canvas, edge, z, rng.uniform(5, 8), -side)))
    for z in rng.uniform(5, 45, rng.integers(2, 5)):
        things.append((_KERB, z, sign(canvas, edge, z)))
    return things


def _road(canvas: Canvas, kerb: float, cyclists: int) -> list[Thing]:
    """Cars in their lanes and parked, cyclists along the kerb, and now and then someone who crosses."""
    rng, things = canvas.rng, []
    for z in rng.uniform(7, 60, rng.integers(2, 7)):
        away = kerb - 1.1 if rng.random() < 0.5 else kerb / 2
        things.append((_KERB, z, car(canvas, rng.choice((-1, 1)) * away + rng.normal(0, 0.2), z)))
    for z in rng.uniform(5, 22, cyclists + rng.integers(0, 3)):
        things.append((_KERB, z, cyclist(canvas, rng.choice((-1, 1)) * (kerb - 0.7), z)))
    if rng.random() < 0.4:
        z = rng.uniform(6, 30)
        things.append((_KERB, z, person(canvas, rng.uniform(-kerb, kerb), z)))
    return things


def _weather(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """Texture by class, a soft lens, light, and the sensor's noise."""
    rng, mask = canvas.rng, np.array(canvas.mask)
    size = mask.shape
    grain, patches = np.full(VOID + 1, 5, np.float32), np.full(VOID + 1, 4, np.float32)
    grain[list(_GRAIN)], patches[list(_PATCHES)] = list(_GRAIN.values()), list(_PATCHES.values())
    texture = rng.standard_normal(size, np.float32) * grain[mask] + (_smooth(rng, size, 24) - 0.5) * 3 * patches[mask]
    x = np.asarray(canvas.image, np.float32) + texture[..., None]
    x = np.array(Image.fromarray(_bytes(x)).filter(ImageFilter.GaussianBlur(0.5)), np.float32)
    slope, light = rng.uniform(0.75, 1.15), rng.uniform(0.6, 1.15) * (1 + rng.normal(0, 0.04, 3))
    x = ((x - 110) * slope + 110) * light.astype(np.float32)
    return _bytes(x + 3 * rng.standard_normal(x.shape, np.float32)), mask


def _smooth(rng: np.random.Generator, size: tuple[int, int], cells: int) -> np.ndarray:
    """Noise in 0..1 that varies over about 1 / `cells` of the picture, (H, W)."""
    coarse = Image.fromarray(rng.random((cells, cells), np.float32))
    return np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
