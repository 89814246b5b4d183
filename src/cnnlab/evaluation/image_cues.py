"""What can be told of a picture file without understanding the picture: container, compression, border, sharpness.

`measure_file` reads one file; `CUES` says which measurements belong together and what each group means.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image, ImageOps, JpegImagePlugin

from cnnlab.data.images import reading, to_rgb

THUMBNAIL = 32  # side in pixels of the thumbnails that near-duplicates are confirmed on
PREVIEW = 64  # side in pixels of the copies that mean pictures are made of
# The luminance table of the JPEG standard (ITU-T T.81, table K.1) has this mean at the library's quality 50.
_MEAN_TABLE_AT_50 = 57.625
_BAR_TOLERANCE = 10  # grey levels that compression may add to a uniform bar


@dataclass(frozen=True)
class Cue:
    """A group of measurements that a trivial classifier may use.

    Attributes:
        name: for tables and metrics.
        kind: `file` when it comes from how the picture was made and stored, never from what it shows; `pixels` when
            what is shown plays a part too.
        columns: names of the measurements; texts count as categories.
        remedy: what to do when it tells the classes apart.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    remedy: str


CUES = (
    Cue("file_format", "file", ("format",), "Store all pictures in one format, converted by one program."),
    Cue(
        "colour_mode", "file", ("mode", "transparent_share"),
        "Bring all pictures to RGB, transparent ones on a background that does not depend on the class.",
    ),
    Cue(
        "dropped_transparency", "file", ("bare_red", "bare_green", "bare_blue"),
        "A reader that drops the alpha channel sees other borders than one that paints on white: choose one.",
    ),
    Cue("picture_size", "file", ("width", "height"), "Resize to one size, and never enlarge one class only."),
    Cue("aspect", "file", ("aspect",), "Crop or pad all pictures to one aspect in the same way."),
    Cue(
        "jpeg_compression", "file", ("jpeg_quality", "jpeg_colour_table", "jpeg_subsampling", "jpeg_progressive"),
        "Compress again from the best originals with one setting, or compress as augmentation.",
    ),
    Cue(
        "metadata", "file", ("exif_entries", "icc_profile", "comment", "density", "info_entries"),
        "No network reads it, but it shows that the classes come from different sources: look at the other cues.",
    ),
    Cue("bytes_per_pixel", "pixels", ("bytes_per_pixel",), "Detail raises it and so does a finer compression."),
    Cue(
        "border_colour", "pixels", ("border_red", "border_green", "border_blue", "border_spread"),
        "Look at the mean pictures; crop to the subject, or replace the background as augmentation.",
    ),
    Cue(
        "uniform_bars", "pixels", ("bar_rows", "bar_columns"),
        "Crop the bars off, or pad all pictures in the same way.",
    ),
    Cue(
        "sharpness", "pixels", ("sharpness", "sharpness_small"),
        "Look for enlarged or out-of-focus pictures; resize in the same way, blur as augmentation.",
    ),
    Cue("noise", "pixels", ("noise",), "Look for scans, old cameras or strong compression; add noise as augmentation."),
    Cue(
        "blockiness", "pixels", ("blockiness",),
        "The 8x8 grid of JPEG is visible in the pixels: compress as augmentation, or find better originals.",
    ),
    Cue("brightness", "pixels", ("brightness", "contrast"), "Vary brightness and contrast as augmentation."),
    Cue(
        "mean_colour", "pixels", ("mean_red", "mean_green", "mean_blue", "saturation"),
        "Vary colour as augmentation, if colour is not what the classes are about.",
    ),
)  # fmt: skip
COLUMNS = tuple(dict.fromkeys(column for cue in CUES for column in cue.columns))


@dataclass(frozen=True)
class Measured:
    """One file.

    Attributes:
        sha256: of the file's bytes, in hexadecimal.
        phash, dhash: perceptual hashes of 64 bits.
        thumbnail: uint8 (32, 32, 3).
        columns: the measurements of `COLUMNS`, empty where they were not asked for.
        preview: uint8 (64, 64, 3), None where the measurements were not asked for.
    """

    sha256: str
    phash: int
    dhash: int
    thumbnail: np.ndarray
    columns: dict[str, float | str]
    preview: np.ndarray | None


def measure_file(path: Path, cues: bool = True) -> Measured:
    """Read one file once and measure it; without `cues` only what near-duplicates need.

    Raises:
        DataError: the file cannot be read as a picture.
    """
    with reading(path):
        raw = path.read_bytes()
        with Image.open(io.BytesIO(raw)) as picture:
            columns = _file_columns(picture, len(raw)) if cues else {}
            if not cues:
                picture.draft("RGB", (4 * THUMBNAIL, 4 * THUMBNAIL))  # large JPEGs decode at a smaller scale
            rgb = to_rgb(picture)
            if cues:
                columns |= _alpha_columns(picture, rgb)
    page = Image.fromarray(rgb)
    return Measured(
        hashlib.sha256(raw).hexdigest(), _bits(imagehash.phash(page)), _bits(imagehash.dhash(page)),
        _resized(page, THUMBNAIL), columns | pixel_columns(rgb) if cues else {},
        _resized(page, PREVIEW) if cues else None,
    )  # fmt: skip


def _file_columns(picture: Image.Image, size: int) -> dict[str, float | str]:
    """What the container says; the pixels are not decoded for it."""
    width, height = ImageOps.exif_transpose(picture).size if picture.getexif().get(0x0112, 1) > 4 else picture.size
    tables = getattr(picture, "quantization", None) or {}
    jpeg = picture.format in ("JPEG", "MPO") and bool(tables)
    density = picture.info.get("jfif_density") or picture.info.get("dpi") or (1, 1)  # 1 is JFIF's for none
    said = {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "exif", "icc_profile", "comment"}
    named = {"transparency", "progressive", "progression", "adobe", "adobe_transform", "background", "version"}
    return {
        "format": picture.format or "unknown", "mode": picture.mode, "width": width, "height": height,
        "aspect": width / height, "bytes_per_pixel": size / (width * height),
        "jpeg_quality": jpeg_quality(tables[min(tables)]) if jpeg else -1.0,
        "jpeg_colour_table": float(np.mean(tables[max(tables)])) if jpeg else -1.0,
        "jpeg_subsampling": float(JpegImagePlugin.get_sampling(picture)) if jpeg else -2.0,
        "jpeg_progressive": float(bool(picture.info.get("progressive"))),
        "exif_entries": float(len(picture.getexif())), "icc_profile": float("icc_profile" in picture.info),
        "comment": float("comment" in picture.info), "density": float(density[0]),
        "info_entries": float(len(set(picture.info) - said - named)),
    }  # fmt: skip


def jpeg_quality(table: list[int]) -> float:
    """The quality setting, 1 to 100, that makes libjpeg write this luminance table; an estimate for other programs."""
    scale = 100 * float(np.mean(table)) / _MEAN_TABLE_AT_50
    return float(np.clip((200 - scale) / 2 if scale <= 100 else 5000 / scale, 1, 100))


def _alpha_columns(picture: Image.Image, rgb: np.ndarray) -> dict[str, float | str]:
    """Share of transparent pixels, and by how much the border changes when the alpha channel is dropped."""
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        change, share = np.zeros(3), 0.0
    else:
        whole = ImageOps.exif_transpose(picture).convert("RGBA")
        share = float((np.asarray(whole.getchannel("A")) < 128).mean())
        change = frame(np.asarray(whole)[..., :3]).mean(axis=0) - frame(rgb).mean(axis=0)
    return {"transparent_share": share, **dict(zip(("bare_red", "bare_green", "bare_blue"), change, strict=True))}


def frame(rgb: np.ndarray) -> np.ndarray:
    """The pixels of a thin frame, a thirtieth of the shorter side: (n, 3) of an image (H, W, 3)."""
    wide = max(1, round(min(rgb.shape[:2]) / 30))
    sides = rgb[:wide], rgb[-wide:], rgb[wide:-wide, :wide], rgb[wide:-wide, -wide:]
    return np.concatenate([side.reshape(-1, 3) for side in sides])


def pixel_columns(rgb: np.ndarray) -> dict[str, float]:
    """Measurements of an image uint8 (H, W, 3): grey levels from 0 to 255, shares, logarithms of sharpness, noise."""
    edge = frame(rgb).astype(np.float64)
    page = Image.fromarray(rgb)
    grey = np.asarray(page.convert("L"), np.float32)
    small = np.asarray(ImageOps.contain(page.convert("L"), (96, 96)), np.float32)
    rows, columns = _bars(rgb)
    mean = rgb.reshape(-1, 3).mean(axis=0)
    saturation = (rgb.max(axis=2).astype(np.int16) - rgb.min(axis=2)).mean()
    return {
        "border_red": edge[:, 0].mean(), "border_green": edge[:, 1].mean(), "border_blue": edge[:, 2].mean(),
        "border_spread": edge.mean(axis=1).std(), "bar_rows": rows, "bar_columns": columns,
        "sharpness": _sharpness(grey), "sharpness_small": _sharpness(small), "noise": _noise(grey),
        "blockiness": _blockiness(grey), "brightness": float(grey.mean()), "contrast": float(grey.std()),
        "mean_red": mean[0], "mean_green": mean[1], "mean_blue": mean[2], "saturation": float(saturation),
    }  # fmt: skip


def _bars(rgb: np.ndarray) -> tuple[float, float]:
    """Share of rows and of columns at the edges that are of one colour, as letterboxing leaves them."""
    shares = []
    for axis in (1, 0):
        spread = (rgb.max(axis=axis).astype(np.int16) - rgb.min(axis=axis)).max(axis=1)
        busy = np.flatnonzero(spread > _BAR_TOLERANCE)
        shares.append(1 - (busy[-1] - busy[0] + 1) / len(spread) if len(busy) else 1.0)
    return shares[0], shares[1]


def _sharpness(grey: np.ndarray) -> float:
    """Logarithm of the variance of the Laplacian (Pech-Pacheco and others 2000)."""
    if min(grey.shape) < 3:
        return 0.0
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(np.log1p(laplacian.var()))


def _noise(grey: np.ndarray) -> float:
    """Logarithm of the standard deviation of the noise (Immerkaer, Fast Noise Variance Estimation, 1996)."""
    if min(grey.shape) < 3:
        return 0.0
    second = grey[:, :-2] - 2 * grey[:, 1:-1] + grey[:, 2:]
    mask = second[:-2] - 2 * second[1:-1] + second[2:]
    return float(np.log1p(np.sqrt(np.pi / 2) * np.abs(mask).mean() / 6))


def _blockiness(grey: np.ndarray) -> float:
    """How much the steps at one phase of an 8-pixel grid exceed those at the others; 0 without a grid."""
    excess = []
    for steps in (np.abs(np.diff(grey, axis=1)).mean(axis=0), np.abs(np.diff(grey, axis=0)).mean(axis=1)):
        if len(steps) < 16:
            return 0.0
        phases = np.array([steps[phase::8].mean() for phase in range(8)])
        excess.append(phases.max() / (np.median(phases) + 0.1) - 1)
    return float(np.mean(excess))


def _bits(value: imagehash.ImageHash) -> int:
    return int.from_bytes(np.packbits(value.hash).tobytes(), "big")


def _resized(page: Image.Image, side: int) -> np.ndarray:
    filtering = Image.Resampling.BOX if min(page.size) >= side else Image.Resampling.BILINEAR
    return np.array(page.resize((side, side), filtering))
