"""Thousands of files from a thousand servers: many servers at once, each one spared, nothing asked for twice.

requests carries the connections, `cnnlab.data.download` each file; here is only who is asked when, and what is
remembered of those that refused.
"""

import json
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from tqdm import tqdm

from cnnlab.data.download import download, file_sha256
from cnnlab.data.images import map_threads
from cnnlab.data.partial import Refused
from cnnlab.data.sources import LARGEST
from cnnlab.errors import DataError

WORKERS = 16  # servers asked at once
PER_HOST = 2  # requests to one server at once, as few as a browser of 1997 (RFC 2068, section 8.1.4)
JOURNAL = "refused.jsonl"
_SILENT = 2  # files in a row for which a server was silent or not there, after which it is left alone
_NO_ANSWER = ("unreachable", "no answer")


def fetch_by_host(
    wanted: Mapping[str, Sequence[str]], folder: Path, *, workers: int = WORKERS, per_host: int = PER_HOST,
    ask_again: bool = False, title: str = "photographs", **settings: Any,
) -> dict[str, Refused]:  # fmt: skip
    """Bring files that are known by their hash to `folder`, each under the name of its hash; call again to go on.

    What is there is kept. What a server refused for good, or what was not the file, is noted in `folder`/refused.jsonl
    and not asked for again; silence and the like is. After two files in a row for which a server was silent, its others
    wait for the next call.

    Args:
        wanted: addresses by SHA-256 (64 lower-case hexadecimal digits); they are tried in turn.
        folder: made as needed; nothing is written elsewhere, whatever a server says.
        workers: files fetched at once.
        per_host: of these from one server, also where it is led to.
        ask_again: ask also for what was refused for good.
        title: of the progress bar.
        settings: of `download`.

    Returns:
        Why a file did not come, by SHA-256; the others are there.

    Raises:
        DataError: the disk is full or cannot be written.
    """
    settings = {"limit": LARGEST, "timeout": 20.0, "retries": 2, "progress": False} | settings
    folder.mkdir(parents=True, exist_ok=True)
    journal = _Journal(folder / JOURNAL, forget=ask_again)
    there = map_threads(lambda sha: _is_there(folder / sha, sha), wanted)
    missing = [sha for sha, right in zip(wanted, there, strict=True) if not right]
    with requests.Session() as session, tqdm(desc=title, total=len(missing), disable=None) as bar:
        # urllib3 holds back further connections to a host, which counts for redirects too; a proxy is one host for all
        adapter = HTTPAdapter(4 * workers, per_host, pool_block=not requests.utils.getproxies())
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        queue = _Queue(wanted, missing, journal, per_host, bar)

        def fetch(sha: str, url: str) -> None:
            download(url, folder / sha, sha, session=session, **settings)

        with ThreadPoolExecutor(workers) as pool:
            running: dict[Future, tuple[str, str, str]] = {}
            try:
                while True:
                    while len(running) < workers and (job := queue.next()):
                        running[pool.submit(fetch, *job[1:])] = job
                    if not running:
                        return queue.refused
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        queue.settle(*running.pop(future), _refusal(future))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


class _Queue:
    """Which file is asked for next, and of whom."""

    def __init__(
        self, wanted: Mapping[str, Sequence[str]], missing: Sequence[str], journal: "_Journal", per_host: int, bar: tqdm
    ) -> None:
        self.refused: dict[str, Refused] = {}
        self._journal, self._per_host, self._bar = journal, per_host, bar
        self._waiting: dict[str, deque[str]] = {}  # files by host
        self._urls = {sha: deque(wanted[sha]) for sha in missing}
        self._busy: Counter[str] = Counter()
        self._silent: Counter[str] = Counter()
        for sha in missing:
            self._enqueue(sha)

    def next(self) -> tuple[str, str, str] | None:
        """Host, file and address of what may be asked for now; hosts take turns."""
        host = next((h for h, files in self._waiting.items() if files and self._busy[h] < self._per_host), None)
        if host is None:
            return None
        files = self._waiting.pop(host)
        self._waiting[host] = files  # now the last one
        sha = files.popleft()
        self._busy[host] += 1
        return host, sha, self._urls[sha].popleft()

    def settle(self, host: str, sha: str, url: str, refusal: Refused | None) -> None:
        """Note how it went; another address of the file is tried, a silent host is left alone."""
        self._busy[host] -= 1
        if refusal is None:
            self._silent[host] = 0
            self._bar.update()
            return
        if refusal.lasting:
            self._journal.add(sha, url, refusal)
        self._silent[host] = self._silent[host] + 1 if refusal.reason in _NO_ANSWER else 0
        self._give_up(sha, refusal)
        if self._silent[host] >= _SILENT:
            left, self._waiting[host] = self._waiting.get(host, deque()), deque()
            for other in left:
                self._urls[other].popleft()
                self._give_up(other, _left_alone(host))

    def _give_up(self, sha: str, refusal: Refused) -> None:
        self.refused[sha] = refusal
        self._enqueue(sha)

    def _enqueue(self, sha: str) -> None:
        """Queue a file at the host of its next address, if there is one worth asking."""
        urls = self._urls[sha]
        while urls:
            host = urlsplit(urls[0]).hostname or ""
            if self._silent[host] >= _SILENT:
                refusal = _left_alone(host)
            elif (remembered := self._journal.get(sha, urls[0])) is not None:
                refusal = remembered
            else:
                self.refused.pop(sha, None)
                self._waiting.setdefault(host, deque()).append(sha)
                return
            self.refused[sha] = refusal
            urls.popleft()
        self._bar.update()
        self._bar.set_postfix(refused=len(self.refused), refresh=False)


class _Journal:
    """What was refused for good, one JSON object a line; a line cut by a kill is passed over."""

    def __init__(self, path: Path, forget: bool) -> None:
        self._path, self._known = path, {}
        if forget:
            path.unlink(missing_ok=True)
        for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
            try:
                said = json.loads(line)
                self._known[said["sha256"], said["url"]] = Refused(str(said["message"]), str(said["reason"]))
            except (ValueError, KeyError, TypeError):
                continue

    def get(self, sha: str, url: str) -> Refused | None:
        return self._known.get((sha, url))

    def add(self, sha: str, url: str, refusal: Refused) -> None:
        entry = {"sha256": sha, "url": url, "reason": refusal.reason, "message": str(refusal)}
        try:
            with self._path.open("a") as file:
                file.write("\n" * (file.tell() > 0) + json.dumps(entry))  # so that a line that was cut ends here
        except OSError as error:
            raise DataError(f"{self._path}: cannot be written ({error.strerror or error}); free some room or name "
                            "another output.") from error  # fmt: skip


def _is_there(path: Path, sha: str) -> bool:
    return path.is_file() and file_sha256(path) == sha


def _refusal(future: Future) -> Refused | None:
    """How the file was refused; whatever else went wrong goes on up."""
    try:
        future.result()
    except Refused as error:
        return error
    return None


def _left_alone(host: str) -> Refused:
    return Refused(f"{host}: was silent for two files in a row, so that the others were not asked for; the same "
                   "command asks again.", "server given up", lasting=False)  # fmt: skip
