"""Downloads from a local web server that cuts, hangs, lies and changes its mind."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from cnnlab.data import download as module
from cnnlab.data.download import download, inside
from cnnlab.data.images import read_image
from cnnlab.errors import DataError

BODY = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def fetch(web, tmp_path):
    web.files["/file.bin"] = BODY

    def run(**settings):
        settings = {"timeout": 0.3, "retries": 2, "backoff": 0.01, "progress": False} | settings
        return download(web.url + settings.pop("address", "/file.bin"), tmp_path / "to" / "file.bin", **settings)

    return run


def left(tmp_path) -> list[str]:
    return sorted(p.name for p in (tmp_path / "to").iterdir())


def test_a_file_arrives_alone_and_is_not_asked_for_again(web, fetch, tmp_path):
    assert fetch(sha256=SHA, size=len(BODY)).read_bytes() == BODY
    assert left(tmp_path) == ["file.bin"]
    assert "cnnlab/" in web.asked[0][1]["user-agent"]
    fetch(sha256=SHA.upper())
    fetch()
    assert len(web.asked) == 1


def test_a_wrong_file_that_lies_there_is_replaced(fetch, tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "file.bin").write_bytes(b"half of a file")
    assert fetch(sha256=SHA).read_bytes() == BODY


@pytest.mark.parametrize("hashed", [True, False])
def test_a_cut_connection_goes_on_where_it_ended(web, fetch, tmp_path, hashed):
    web.faults["/file.bin"] = ["cut", "cut"]
    assert fetch(sha256=SHA if hashed else None).read_bytes() == BODY
    assert web.ranges("/file.bin") == ["", "bytes=150000-", "bytes=225000-"]
    assert left(tmp_path) == ["file.bin"]


def test_what_came_is_kept_for_the_next_call(web, fetch, tmp_path):
    web.faults["/file.bin"] = ["cut"]
    with pytest.raises(DataError, match="connection was cut.*The 150,000 of 300,000 bytes that came are kept"):
        fetch(retries=0)
    assert "file.bin" not in left(tmp_path) and "file.bin.partial" in left(tmp_path)
    assert fetch().read_bytes() == BODY
    assert web.ranges("/file.bin")[1] == "bytes=150000-"


def test_a_server_that_ignores_range_sends_everything_again(web, fetch):
    web.faults["/file.bin"] = ["cut", "no-range"]
    assert fetch().read_bytes() == BODY


def test_a_file_that_changed_in_between_is_fetched_whole(web, fetch):
    web.faults["/file.bin"] = ["cut"]
    with pytest.raises(DataError):
        fetch(retries=0)
    web.files["/file.bin"] = other = BODY[::-1]
    assert fetch().read_bytes() == other
    assert "if-range" in web.asked[1][1]


def test_without_a_strong_validator_nothing_is_glued_together(web, fetch):
    web.faults["/file.bin"] = ["weak"] * 5
    web.faults["/file.bin"][0] = "chunked-cut"
    assert fetch().read_bytes() == BODY
    assert web.ranges("/file.bin") == ["", ""]


@pytest.mark.parametrize("faults", [["cut", "other-place"], ["chunked-cut"], ["500", "503", "429"], ["hang"], ["gzip"]])
def test_what_passes_is_tried_again(web, fetch, tmp_path, faults):
    web.faults["/file.bin"] = list(faults)
    assert fetch(retries=3).read_bytes() == BODY
    assert left(tmp_path) == ["file.bin"]


def test_a_partial_file_that_is_too_long_or_of_another_address_starts_again(web, fetch, tmp_path):
    web.faults["/file.bin"] = ["cut"]
    with pytest.raises(DataError):
        fetch(retries=0)
    with open(tmp_path / "to" / "file.bin.partial", "ab") as file:
        file.write(bytes(200_000))
    assert fetch(sha256=SHA).read_bytes() == BODY
    web.files["/else.bin"] = BODY[:50]
    web.faults["/else.bin"] = ["cut"]
    (tmp_path / "to" / "file.bin").unlink()
    with pytest.raises(DataError):
        fetch(retries=0, address="/else.bin")
    assert fetch().read_bytes() == BODY


def test_wrong_bytes_are_discarded(web, fetch, tmp_path):
    web.files["/file.bin"] = b"poison" * 100
    with pytest.raises(DataError, match="not the file wanted .SHA-256 .* instead of .* and was discarded"):
        fetch(sha256=SHA)
    assert not [name for name in left(tmp_path) if name in ("file.bin", "file.bin.partial")]
    with pytest.raises(DataError, match="600 bytes instead of 601"):
        fetch(size=601)


def test_a_damaged_part_of_an_earlier_try_is_fetched_again(web, fetch, tmp_path):
    web.faults["/file.bin"] = ["cut"]
    with pytest.raises(DataError):
        fetch(retries=0)
    partial = tmp_path / "to" / "file.bin.partial"
    partial.write_bytes(bytes(partial.stat().st_size))
    assert fetch(sha256=SHA).read_bytes() == BODY
    assert len(web.asked) == 3


def test_a_web_page_in_place_of_a_picture(web, fetch, tmp_path):
    web.files["/file.bin"] = b"<!DOCTYPE html><html>Sign in to continue</html>"
    with pytest.raises(DataError, match="it is a web page"):
        fetch(check=read_image)
    assert "file.bin" not in left(tmp_path)


def test_a_picture_passes_its_check(web, fetch, tmp_path):
    Image.new("RGB", (5, 4), "red").save(tmp_path / "red.png")
    web.files["/file.bin"] = (tmp_path / "red.png").read_bytes()
    assert fetch(check=read_image).stat().st_size


@pytest.mark.parametrize(("status", "words"), [("404", "404 .Not Found.; check the address"), ("403", "403"),
                                               ("206", "206"), ("416", "416")])  # fmt: skip
def test_a_refusal_is_said_at_once(web, fetch, status, words):
    web.faults["/file.bin"] = [status] * 9
    with pytest.raises(DataError, match=words):
        fetch()
    assert len(web.asked) == 1


def test_a_silent_server_is_given_up(web, fetch):
    web.faults["/file.bin"] = ["hang"] * 9
    with pytest.raises(DataError, match="no answer within 0.1 s, after 2 tries"):
        fetch(timeout=0.1, retries=1)


def test_a_trickle_is_given_up(web, fetch, monkeypatch):
    monkeypatch.setattr("cnnlab.data.partial._SLOWEST", 1000)
    web.faults["/file.bin"] = ["trickle"] * 9
    with pytest.raises(DataError, match="hardly a byte came within 0.2 s"):
        fetch(timeout=0.2, retries=0)


@pytest.mark.parametrize("word", ["endless", ""])
def test_more_than_expected_is_not_taken(web, fetch, tmp_path, word):
    web.faults["/file.bin"] = [word]
    with pytest.raises(DataError, match="more than the 200,000 expected|more than the 200,000 bytes expected"):
        fetch(limit=200_000)
    assert "file.bin.partial" not in left(tmp_path)


def test_what_is_no_address(tmp_path, web):
    for url in ("file:///etc/passwd", "ftp://host/file", "just words", "http://"):
        with pytest.raises(DataError, match="expected http"):
            download(url, tmp_path / "file.bin")
    with pytest.raises(DataError, match="it refuses connections"):
        download("http://user:secret@127.0.0.1:1/file?token=secret", tmp_path / "file.bin", retries=0)
    with pytest.raises(DataError) as told:
        download("http://user:secret@127.0.0.1:1/file?token=secret", tmp_path / "file.bin", retries=0)
    assert "secret" not in str(told.value)


def test_a_destination_that_cannot_be_written(web, tmp_path):
    web.files["/file.bin"] = BODY
    with pytest.raises(DataError, match="name the file"):
        download(web.url + "/file.bin", tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        download(web.url + "/file.bin", tmp_path / "file" / "below")


def test_a_full_disk_is_seen_before_it_is_full(web, fetch, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Room", (), {"free": 1000})())
    with pytest.raises(DataError, match="300,000 bytes, but 1,000 are free"):
        fetch()


def test_a_link_in_place_of_the_partial_file_is_not_followed(web, fetch, tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "to" / "file.bin.partial").symlink_to(tmp_path / "precious")
    fetch()
    assert (tmp_path / "precious").read_text() == "precious"


def test_retry_after_is_obeyed(web, fetch, monkeypatch):
    waits = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    web.headers["Retry-After"] = "7"
    web.faults["/file.bin"] = ["429"]
    fetch()
    assert waits == [7.0]


HOSTILE = ["../up", "a/../../up", "/etc/passwd", "", "a//b", "c:\\x", "..", ".hidden", "a\nb", "~"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="not to be trusted"):
        inside(tmp_path, name)


def test_a_name_below_the_folder(tmp_path):
    assert inside(tmp_path, "train/0001TP_006690.png") == tmp_path / "train" / "0001TP_006690.png"
    (tmp_path / "out").symlink_to("/tmp")
    with pytest.raises(DataError):
        inside(tmp_path, "out/file")


def test_a_killed_process_is_continued(web, fetch, tmp_path, repository):
    web.faults["/file.bin"] = ["cut"]
    code = f"from cnnlab.data.download import download; download({web.url + '/file.bin'!r}, 'to/file.bin', backoff=60)"
    environment = os.environ | {"PYTHONPATH": str(repository / "src")}
    child = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment)
    partial = tmp_path / "to" / "file.bin.partial"
    until = time.monotonic() + 30
    while not (partial.exists() and partial.stat().st_size == 150_000) and time.monotonic() < until:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert fetch().read_bytes() == BODY
    assert web.ranges("/file.bin") == ["", "bytes=150000-"]
    assert left(tmp_path) == ["file.bin"]
