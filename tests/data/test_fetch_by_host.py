"""Many files from servers that refuse, lie, lead astray and fall silent; every host asked little at once."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import pytest

from cnnlab.data.fetch_by_host import JOURNAL, fetch_by_host
from cnnlab.errors import DataError

QUICK = {"timeout": 0.3, "retries": 0, "backoff": 0.01}


def sha_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.fixture
def fetch(web, tmp_path):
    def run(wanted, **settings):
        return fetch_by_host(wanted, tmp_path / "to" / "here", **(QUICK | settings))

    return run


def serve(web, count: int) -> dict[str, list[str]]:
    """So many files, and where they are."""
    for number in range(count):
        web.files[f"/{number}.jpg"] = b"file %d" % number * 1000
    return {sha_of(body): [web.url + path] for path, body in web.files.items()}


def left(tmp_path) -> set[str]:
    """All files below the test's folder."""
    return {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}


def test_files_arrive_by_their_hash_and_are_not_asked_for_again(web, fetch, tmp_path):
    wanted = serve(web, 20)
    assert fetch(wanted) == {}
    assert left(tmp_path) == {f"to/here/{sha}" for sha in wanted}
    assert fetch(wanted) == {} and len(web.asked) == 20


@pytest.mark.parametrize(("fault", "reason", "lasting"), [
    ("404", "status 404", True), ("410", "status 410", True), ("500", "status 500", False),
    ("cut", "connection cut", False), ("hang", "no answer", False), ("endless", "too large", True),
    ("to=file:///etc/passwd", "bad redirect", True), ("to=ftp://host/file", "bad redirect", True),
    ("to=/0.jpg", "bad redirect", True), ("to=//[half", "bad address", True), ("to=http://127.0.0.1:1/", "unreachable",
    False), ("to=http://" + "x" * 70 + ".test/", "bad address", True),
])  # fmt: skip
def test_every_refusal_has_its_reason_and_leaves_no_file(web, fetch, tmp_path, fault, reason, lasting):
    ((sha, _),) = serve(web, 1).items()
    web.faults["/0.jpg"] = [fault] * 20
    refused = fetch({sha: [web.url + "/0.jpg"]}, limit=100_000)[sha]
    assert (refused.reason, refused.lasting) == (reason, lasting)
    assert isinstance(refused, DataError) and "\n" not in str(refused)
    names = left(tmp_path)
    assert f"to/here/{sha}" not in names and all(name.startswith("to/here/") for name in names)


@pytest.mark.parametrize(("body", "reason"), [(b"other bytes", "wrong bytes"), (b"<html>Sign in</html>", "web page"),
                                              (b"", "wrong bytes")])  # fmt: skip
def test_other_bytes_are_not_kept(web, fetch, tmp_path, body, reason):
    web.files["/0.jpg"] = body
    sha = sha_of(b"the file")
    assert fetch({sha: [web.url + "/0.jpg"]})[sha].reason == reason
    assert left(tmp_path) == {f"to/here/{JOURNAL}"}


def test_a_redirect_is_followed_and_one_with_an_endless_body_is_not_read(web, fetch):
    wanted = serve(web, 1)
    ((sha, _),) = wanted.items()
    web.faults["/moved"] = ["to=/again"]
    web.faults["/again"] = ["to-endless=/0.jpg"]
    began = time.monotonic()
    assert fetch({sha: [web.url + "/moved"]}) == {}
    assert time.monotonic() - began < 4  # the body would come for five seconds


def test_what_a_server_calls_the_file_does_not_matter(web, fetch, tmp_path):
    wanted = serve(web, 1)
    web.headers["Content-Disposition"] = 'attachment; filename="../../../evil"'
    web.headers["Set-Cookie"] = "a=b"
    assert fetch(wanted) == {}
    assert left(tmp_path) == {f"to/here/{sha}" for sha in wanted}


def test_no_host_is_asked_for_more_than_its_share_at_once(web, fetch):
    wanted = serve(web, 24)
    for number in range(24):
        web.faults[f"/{number}.jpg"] = ["slow"]
    there = {sha: [url.replace("127.0.0.1", "localhost") if place % 2 else url] for place, (sha, (url,)) in
             enumerate(wanted.items())}  # fmt: skip
    assert fetch(there, workers=12, per_host=3, timeout=5) == {}
    assert max(web.most_at_once.values()) <= 3 and len(web.most_at_once) == 2
    assert max(web.most_at_once.values()) > 1


def test_a_redirect_to_another_host_counts_for_that_host(web, fetch):
    wanted = serve(web, 12)
    for number in range(12):
        web.faults[f"/from/{number}"] = [f"to={web.url}/{number}.jpg"]
        web.faults[f"/{number}.jpg"] = ["slow"]
    local = web.url.replace("127.0.0.1", "localhost")
    hosts = {sha: [f"{local if n % 2 else web.url}/from/{n}"] for n, sha in enumerate(wanted)}
    assert fetch(hosts, workers=12, per_host=2, timeout=5) == {}
    assert max(web.most_at_once.values()) <= 2


def test_a_silent_host_is_left_alone_after_two_files(fetch):
    wanted = {sha_of(b"%d" % n): [f"http://127.0.0.1:1/{n}"] for n in range(9)}
    reasons = sorted(refused.reason for refused in fetch(wanted, per_host=1).values())
    assert reasons == ["server given up"] * 7 + ["unreachable"] * 2


def test_another_address_of_the_same_file_is_tried(web, fetch):
    ((sha, urls),) = serve(web, 1).items()
    assert fetch({sha: ["http://127.0.0.1:1/a", web.url + "/gone", *urls]}) == {}


def test_what_was_refused_for_good_is_asked_for_once(web, fetch, tmp_path):
    wanted = serve(web, 2)
    gone, _ = wanted
    web.faults["/0.jpg"], web.faults["/1.jpg"] = ["404"], ["503"]
    assert {refused.reason for refused in fetch(wanted).values()} == {"status 404", "status 503"}
    with (tmp_path / "to" / "here" / JOURNAL).open("a") as file:
        file.write('\n{"sha256": "cut by a ki')
    refused = fetch(wanted, workers=1)
    assert set(refused) == {gone} and refused[gone].reason == "status 404" and "/0.jpg" in str(refused[gone])
    assert sorted(path for path, _ in web.asked) == ["/0.jpg", "/1.jpg", "/1.jpg"]
    assert fetch(wanted, ask_again=True) == {}


def test_a_full_disk_ends_the_work(web, fetch, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Room", (), {"free": 10})())
    with pytest.raises(DataError, match="free some room"):
        fetch(serve(web, 3))


def test_a_killed_fetch_goes_on_where_it_was(web, fetch, tmp_path, repository):
    wanted = serve(web, 8)
    cut = list(wanted)[4]
    web.faults["/2.jpg"] = ["404"]
    web.faults["/4.jpg"] = ["cut"]  # the second try waits for a minute, in which the process is killed
    code = (f"from pathlib import Path; from cnnlab.data.fetch_by_host import fetch_by_host; "
            f"fetch_by_host({wanted!r}, Path('to/here'), workers=2, backoff=60, timeout=60)")  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(repository / "src")}
    child = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment)
    folder, until = tmp_path / "to" / "here", time.monotonic() + 60
    while len([sha for sha in wanted if (folder / sha).exists()]) < 6 and time.monotonic() < until:
        time.sleep(0.02)
    while not (folder / f"{cut}.partial").exists() and time.monotonic() < until:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    before = len(web.asked)
    assert [refused.reason for refused in fetch(wanted).values()] == ["status 404"]
    assert [path for path, _ in web.asked[before:]] == ["/4.jpg"]
    assert web.ranges("/4.jpg")[-1] == f"bytes={len(web.files['/4.jpg']) // 2}-"
    assert left(tmp_path) == {f"to/here/{sha}" for sha in wanted if sha != list(wanted)[2]} | {f"to/here/{JOURNAL}"}
