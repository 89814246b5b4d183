"""FaceScrub fetched end to end from a server on this machine: made pictures, and real ones where they are at hand."""

import hashlib
import io

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from cnnlab.data.face_list import find_lists
from cnnlab.data.facescrub import load_facescrub
from cnnlab.data.fetch_facescrub import gather, lay_out, sole_user, write_report
from cnnlab.data.images import read_image
from cnnlab.errors import DataError

QUICK = {"timeout": 0.5, "retries": 0, "backoff": 0.01}


def picture(seed: int, form: str = "JPEG", mode: str = "RGB") -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 10, 3), np.uint8)
    body = io.BytesIO()
    Image.fromarray(noise).resize((80, 60), Image.Resampling.BICUBIC).convert(mode).save(body, form)
    return body.getvalue()


@pytest.fixture
def listed(web, tmp_path):
    """Two people with seven pictures each on the server, and what writes their list; returns the lines."""
    lines = []
    for number in range(14):
        body = picture(number, *(("PNG", "RGBA") if number == 3 else ("PNG", "P") if number == 4 else ()))
        web.files[f"/{number}.jpg"] = body
        lines.append(row(number, web.url + f"/{number}.jpg", body))

    def write(*more: str) -> str:
        (tmp_path / "lists").mkdir(exist_ok=True)
        (tmp_path / "lists" / "facescrub_actors.txt").write_text("\n".join([*lines, *more]))
        return str(tmp_path / "lists")

    write.lines = lines
    return write


def row(number: int, url: str, body: bytes, name: str = "", box: str = "10,10,50,50") -> str:
    name = name or ("Ann Doe" if number % 2 else "Bob Roe")
    return "\t".join([name, str(number), str(number), url, box, hashlib.sha256(body).hexdigest()])


def fetch(source, output, train_images=3, people=(), size=32):
    with sole_user(output) as folder:
        gathered = gather(source, folder, people, size, **QUICK)
        write_report(gathered, folder)
        return gathered, lay_out(gathered, folder, train_images)


def files(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_faces_come_in_the_layout_that_experiments_read(web, listed, tmp_path):
    gathered, faces = fetch(listed(), tmp_path / "out")
    assert faces.counts == {"training": 6, "validation": 4, "test": 4} and not gathered.reasons
    read = load_facescrub(tmp_path / "out", (32, 32), least=7)
    assert read.people == ("doe", "roe") and read.sizes == {"train": 6, "val": 4, "test": 4}
    one = faces.names["training"]["roe"][0]
    number = int(one.removeprefix("roe_").removesuffix(".png"))
    whole = np.asarray(Image.open(io.BytesIO(web.files[f"/{number}.jpg"])).convert("RGB"))
    expected = Image.fromarray(whole[10:50, 10:50]).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.array_equal(read_image(faces.folder / "training" / "roe" / one), np.asarray(expected))
    assert {name.split("/")[0] for name in files(tmp_path / "out")} == {
        "facescrub", "facescrub_originals", "facescrub_report.csv", "facescrub_report.md"}  # fmt: skip


def test_everything_that_can_go_wrong_is_counted_and_nothing_is_written_elsewhere(web, listed, tmp_path):
    bodies = {name: picture(100 + place) for place, name in enumerate(("gone", "poison", "slow", "endless", "away"))}
    bomb = io.BytesIO()
    Image.new("1", (9000, 9000)).save(bomb, "PNG")
    page = b"<!doctype html><title>../../x</title>"
    web.files |= {"/poison": picture(0), "/slow": bodies["slow"], "/endless": bodies["endless"], "/page": page}
    web.files |= {"/away": bodies["away"], "/bomb": bomb.getvalue(), "/html": page}
    web.faults = {"/slow": ["hang"], "/endless": ["endless"], "/away": ["to=file:///etc/passwd"]}
    same = io.BytesIO()
    Image.open(io.BytesIO(picture(2))).save(same, "JPEG", quality=50)
    web.files["/same"] = same.getvalue()
    more = [row(n, web.url + "/" + name, body) for n, (name, body) in enumerate(bodies.items(), start=20)]
    more += [
        row(30, web.url + "/page", picture(30)),  # the list wants a picture, the server has a page
        row(32, web.url + "/html", page),  # the list wants the page
        row(34, web.url + "/bomb", bomb.getvalue()), row(36, web.url + "/same", same.getvalue()),
        row(38, web.url + "/5.jpg", web.files["/5.jpg"], "Bob Roe", "60,40,90,60"),
        row(40, web.url + "/0.jpg", web.files["/0.jpg"], "Ann Doe"), "Ann Doe\t3",
        row(42, "file:///etc/passwd", b""), row(44, web.url + "/0.jpg", b"")[:-64] + "../" * 21 + "x",
    ]  # fmt: skip
    before = set(files(tmp_path))
    gathered, faces = fetch(listed(*more), tmp_path / "out", train_images=2, people=["doe", "roe"])
    assert gathered.reasons == {
        "status 404": 1, "wrong bytes": 1, "no answer": 1, "too large": 1, "bad redirect": 1, "web page": 1,
        "not a picture": 1, "decompression bomb": 1, "duplicate by looks": 1, "box outside its picture": 1,
        "two names": 2, "damaged line": 3,
    }  # fmt: skip
    report = (tmp_path / "out" / "facescrub_report.md").read_text()
    assert all(f"| {reason} | {count} |" in report for reason, count in gathered.reasons.items())
    told = (tmp_path / "out" / "facescrub_report.csv").read_text().splitlines()
    assert len(told) == 1 + 14 + len(more) and sum(",kept," in line for line in told) == len(gathered.faces)
    assert {name for name in set(files(tmp_path)) - before if not name.startswith("out/")} == {
        "lists/facescrub_actors.txt"
    }


def test_a_name_that_leads_elsewhere_stays_in_the_folder(web, listed, tmp_path):
    more = []
    for number in range(50, 58):
        web.files[f"/{number}"] = picture(number)
        more.append(row(number, f"{web.url}/{number}", picture(number), "../../../../tmp/Evil"))
    _, faces = fetch(listed(*more), tmp_path / "out")
    assert set(faces.names["training"]) == {"doe", "roe", "evil"}
    assert all(path.resolve().is_relative_to(tmp_path) for path in (tmp_path / "out").rglob("*"))


def test_too_few_pictures_are_said_and_what_came_is_kept(web, listed, tmp_path):
    with pytest.raises(
        DataError, match="Too few pictures: 7 of doe, 7 of roe; 70 of each are for training and at least 2"
    ):
        fetch(listed(), tmp_path / "out", train_images=70)
    asked = len(web.asked)
    assert "14 photographs are there" in (tmp_path / "out" / "facescrub_report.md").read_text()
    assert not (tmp_path / "out" / "facescrub").exists()
    fetch(listed(), tmp_path / "out")
    assert len(web.asked) == asked


def test_another_division_replaces_the_earlier_one_and_the_same_is_the_same(listed, tmp_path):
    _, first = fetch(listed(), tmp_path / "out")
    _, again = fetch(listed(), tmp_path / "out")
    _, other = fetch(listed(), tmp_path / "out", train_images=2)
    assert first == again and other.counts["training"] == 4
    assert len(list((tmp_path / "out" / "facescrub").rglob("*.png"))) == 14


def test_a_folder_that_was_not_made_here_is_left_alone(listed, tmp_path):
    precious = tmp_path / "out" / "facescrub" / "training" / "mine.jpg"
    precious.parent.mkdir(parents=True)
    precious.write_text("precious")
    with pytest.raises(DataError, match="holds files that facescrub_fetch did not make; name another output"):
        fetch(listed(), tmp_path / "out")
    assert precious.read_text() == "precious"


def test_one_process_at_a_time(listed, tmp_path):
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / "facescrub.lock"), pytest.raises(DataError, match="another facescrub_fetch is at"):
        fetch(listed(), tmp_path / "out")


def test_lists_may_be_on_the_web_or_be_no_lists(web, listed, tmp_path):
    web.files["/a/facescrub_actors.txt"] = "\n".join(listed.lines).encode()
    web.files["/page.txt"] = b"<html>"
    _, faces = fetch(web.url + "/a/facescrub_actors.txt", tmp_path / "out")
    assert faces.counts["training"] == 6
    with pytest.raises(DataError, match="it is a web page"):
        fetch(web.url + "/page.txt", tmp_path / "out")
    with pytest.raises(DataError, match="absent.txt: there is no such list; name the folder"):
        fetch(str(tmp_path / "absent.txt"), tmp_path / "out")


def test_what_a_killed_process_left_does_no_harm(web, listed, tmp_path):
    fetch(listed(), tmp_path / "out")
    for name in ("cutouts/doe_77.png", "training/doe/doe_77.png"):
        path = tmp_path / "out" / "facescrub.unfinished" / name
        path.parent.mkdir(parents=True)
        path.write_text("half")
    (tmp_path / "out" / "facescrub.lock").write_text("")
    sha = hashlib.sha256(web.files["/3.jpg"]).hexdigest()
    (tmp_path / "out" / "facescrub_originals" / sha).write_bytes(web.files["/3.jpg"][:100])
    web.asked.clear()
    _, faces = fetch(listed(), tmp_path / "out")
    assert [path for path, _ in web.asked] == ["/3.jpg"]
    assert len(list(faces.folder.rglob("*.png"))) == 14 and not (tmp_path / "out" / "facescrub.unfinished").exists()


@pytest.mark.real_data
def test_the_sixty_originals(web, facescrub_dir, tmp_path):
    """Five photographs of each of twelve people, served under their hashes; the list's own addresses are replaced."""
    source = facescrub_dir / "facescrub"
    lines = [line.split("\t") for path in find_lists(str(source)) for line in path.read_text().split("\n")]
    (tmp_path / "lists").mkdir()
    kept = []
    for line in lines:
        if len(line) == 6 and (source / "originals" / line[5]).is_file():
            web.files[f"/{line[5]}"] = (source / "originals" / line[5]).read_bytes()
            kept.append("\t".join([*line[:3], f"{web.url}/{line[5]}", *line[4:]]))
    gone = ["\t".join([*line[:3], f"{web.url}/{line[5]}", *line[4:]]) for line in lines if len(line) == 6][:3]
    damaged = ["\t".join(line) for line in lines if len(line) not in (1, 6)]
    (tmp_path / "lists" / "facescrub_actors.txt").write_text("\n".join([*kept, *damaged, *gone]))
    assert len(web.files) == 60 and len(damaged) == 1
    gathered, faces = fetch(str(tmp_path / "lists"), tmp_path / "out", train_images=1, size=227)
    assert gathered.arrived == 60 and len(gathered.people) == 12 and gathered.reasons["damaged line"] == 1
    assert faces.counts["training"] == 12 and sum(faces.counts.values()) == len(gathered.faces)
    assert {read_image(path).shape for path in faces.folder.rglob("*.png")} == {(227, 227, 3)}
