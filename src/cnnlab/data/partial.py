"""What has arrived of a download, and one try to get the rest: what the server is asked for, what its answer means."""

import email.utils
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from tqdm import tqdm

from cnnlab import __version__
from cnnlab.errors import DataError

USER_AGENT = f"cnnlab/{__version__} (a teaching laboratory)"
_BLOCK = 2**16
_SLOWEST = 16  # bytes per second; a server below it for a whole timeout counts as silent
_LONGEST_WAIT = 120.0  # seconds; more than that a server's Retry-After does not get
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_REDIRECTS = 10  # as many as browsers follow, about


class Refused(DataError):
    """A file of a long list cannot be had or used, which need not end the work on the others.

    Attributes:
        reason: in two or three words, the same for all such files, so that a report can count.
        lasting: whether asking again is of no use.
    """

    def __init__(self, message: str, reason: str, lasting: bool = True) -> None:
        super().__init__(message)
        self.reason, self.lasting = reason, lasting


class Passing(Exception):
    """Something that may be gone at the next try; `wait` is what the server asked for, in seconds.

    `reason` is what `Refused` has, should it stay.
    """

    def __init__(self, message: str, wait: float = 0.0, reason: str = "connection cut") -> None:
        super().__init__(message)
        self.wait, self.reason = wait, reason


class Partial:
    """The bytes of a file that have arrived, beside the place it will have, and which version of the file they are of.

    Attributes:
        path: where the bytes lie.
        validator: the server's name for this version (strong ETag or date), empty if it gave none.
        total: bytes of the whole file, if the server said so.
    """

    def __init__(self, target: Path, url: str) -> None:
        self.target, self.url = target, url
        self.path = target.with_name(target.name + ".partial")
        self._note = target.with_name(target.name + ".partial.json")
        self.validator, self.total = "", None
        try:
            said = json.loads(self._note.read_text())
            fits = said["url"] == url and not self.path.is_symlink()  # a link would lead the bytes elsewhere
            self.validator, self.total = str(said["validator"]), said["total"]
        except (OSError, ValueError, KeyError, TypeError):
            fits = False
        if not fits:
            self.discard()

    @property
    def length(self) -> int:
        """How many bytes are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, validator: str, total: int | None) -> None:
        """Note what the server says of the file whose first byte is about to come."""
        self.discard()
        self.validator, self.total = validator, total
        self._note.write_text(json.dumps({"url": self.url, "validator": validator, "total": total}))

    def discard(self) -> None:
        """Remove bytes and note."""
        self.path.unlink(missing_ok=True)  # bytes first: a note without bytes is harmless
        self._note.unlink(missing_ok=True)
        self.validator, self.total = "", None


def advance(
    partial: Partial, session: requests.Session, hashed: bool, limit: int, timeout: float, progress: bool
) -> bool:
    """One try to complete a partial file.

    Args:
        partial: what is there.
        session: asks the server.
        hashed: whether the whole file's hash will be checked, so that it may be put together without a validator.
        limit: most bytes of the file.
        timeout: seconds, see `cnnlab.data.download.download`.
        progress: show a bar.

    Returns:
        Whether bytes of an earlier try are part of the file.

    Raises:
        Passing: another try may succeed.
        DataError: no further try would.
    """
    # without validator and hash nothing would tell whether the rest is of the same version
    offset = partial.length if partial.validator or hashed else 0
    if offset and offset == partial.total:
        return True
    with _ask(partial, session, offset, timeout) as response:
        offset = _judge(response, partial, offset, limit)
        if not offset:
            partial.begin(*_described(response))
        room = shutil.disk_usage(partial.path.parent).free
        if partial.total and partial.total - offset > room:
            raise DataError(f"{address(partial.url)}: {partial.total:,} bytes, but {room:,} are free on the disk of "
                            f"{partial.target.parent}; free some room or name another folder.")  # fmt: skip
        with open(partial.path, "ab") as file, tqdm(
            desc=partial.target.name, total=partial.total, initial=offset, unit="B", unit_scale=True, unit_divisor=1024,
            disable=None if progress else True, leave=False,
        ) as bar:  # fmt: skip
            for block in _blocks(response, timeout):
                if file.tell() + len(block) > limit:
                    partial.discard()
                    raise Refused(f"{address(partial.url)}: the server sends more than the {limit:,} bytes expected; "
                                  "what came was discarded.", "too large")  # fmt: skip
                file.write(block)
                bar.update(len(block))
            file.flush()
            os.fsync(file.fileno())
    if partial.total is not None and partial.length != partial.total:
        raise Passing(f"the connection was cut at {partial.length:,} of {partial.total:,} bytes")
    return offset > 0


def _ask(partial: Partial, session: requests.Session, offset: int, timeout: float) -> requests.Response:
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-"} | ({"If-Range": partial.validator} if partial.validator else {})
    shown, url = address(partial.url), partial.url
    try:
        for _ in range(_REDIRECTS + 1):
            response = _send(session, url, headers, timeout)
            target = session.get_redirect_target(response)
            if not target:
                return response
            response.close()
            url = urljoin(url, target)
            if urlsplit(url).scheme not in ("http", "https"):
                raise Refused(f"{shown}: the server leads to {address(url)}, no address of the web; nothing was taken.",
                              "bad redirect")  # fmt: skip
    except requests.exceptions.SSLError as error:
        raise Refused(f"{shown}: the server's certificate is refused ({_reason(error)}).", "certificate") from None
    except requests.Timeout:
        raise Passing(f"no answer within {timeout:g} s", reason="no answer") from None
    except requests.ConnectionError as error:
        raise Passing(f"the server cannot be reached ({_reason(error)})", reason="unreachable") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise Refused(f"{shown}: cannot be fetched ({_reason(error)}); check the address.", "bad address") from None
    raise Refused(f"{shown}: the server leads on and on, {_REDIRECTS} times; check the address.", "bad redirect")


def _send(session: requests.Session, url: str, headers: dict[str, str], timeout: float) -> requests.Response:
    """One request, no redirect followed: Session would read a redirect's body to its end, which need not come."""
    local = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")  # no proxy can reach this machine
    proxies = {"http": "", "https": ""} if local else None
    request = session.prepare_request(requests.Request("GET", url, headers=headers))
    settings = session.merge_environment_settings(url, proxies, True, None, None)
    return session.get_adapter(url).send(request, timeout=timeout, **settings)


def _judge(response: requests.Response, partial: Partial, offset: int, limit: int) -> int:
    """Where the body begins in the file: `offset` when the server goes on from there, 0 when it sends everything."""
    status, shown = response.status_code, address(partial.url)
    if urlsplit(partial.url).scheme == "https" and urlsplit(response.url).scheme != "https":
        raise Refused(f"{shown}: the server leads to an unprotected address (http); nothing was taken.",
                      "bad redirect")  # fmt: skip
    if status in _PASSING:
        raise Passing(f"the server answers {status} ({response.reason})", _asked_wait(response), f"status {status}")
    if status == 416 and offset:
        partial.discard()
        raise Passing("the server cannot go on where the last try ended")
    if status != 200 and not (status == 206 and offset):
        raise Refused(f"{shown}: the server answers {status} ({response.reason}); check the address, the file may "
                      "have moved.", f"status {status}")  # fmt: skip
    offset = offset if status == 206 else 0
    said = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if offset:
        whole = int(said[2]) if said and said[2] != "*" else partial.total
        other = partial.validator and _validator(response) not in ("", partial.validator)
        if not said or int(said[1]) != offset or other or partial.total not in (None, whole):
            partial.discard()
            raise Passing("the server goes on with another version or another place of the file")
        partial.total = whole
    coming = response.headers.get("Content-Length", "")
    if coming.isdigit() and offset + int(coming) > limit:
        partial.discard()
        raise Refused(f"{shown}: the server offers {offset + int(coming):,} bytes, more than the {limit:,} expected; "
                      "nothing was taken.", "too large")  # fmt: skip
    return offset


def _described(response: requests.Response) -> tuple[str, int | None]:
    """Validator and length of the file; neither, where the server compresses it although asked not to."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return "", None
    length = response.headers.get("Content-Length", "")
    return _validator(response), int(length) if length.isdigit() else None


def _validator(response: requests.Response) -> str:
    """What names this version of the file: a strong ETag, else the date of its last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")


def _asked_wait(response: requests.Response) -> float:
    """Seconds of a Retry-After header, which holds seconds or a date."""
    asked = response.headers.get("Retry-After", "")
    try:
        if asked.isdigit():
            return min(float(asked), _LONGEST_WAIT)
        return min(max(email.utils.parsedate_to_datetime(asked).timestamp() - time.time(), 0.0), _LONGEST_WAIT)
    except (ValueError, TypeError):
        return 0.0


def _blocks(response: requests.Response, timeout: float) -> Iterator[bytes]:
    began, received = time.monotonic(), 0
    try:
        # read1 gives what is there; read would wait for a full block, and a trickle would look like silence or worse
        while block := response.raw.read1(_BLOCK, decode_content=True):
            yield block
            received += len(block)
            if (passed := time.monotonic() - began) > timeout:
                if received < _SLOWEST * passed:
                    raise Passing(f"hardly a byte came within {timeout:g} s", reason="no answer")
                began, received = time.monotonic(), 0
    except urllib3.exceptions.ReadTimeoutError:
        raise Passing(f"nothing came for {timeout:g} s", reason="no answer") from None
    except (urllib3.exceptions.HTTPError, ConnectionError) as error:
        raise Passing(f"the connection was cut ({_reason(error)})") from None


def address(url: str) -> str:
    """An address without what may be secret in it: user, password, query."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}{parts.path}" if place else url[:120]


def _reason(error: Exception) -> str:
    text = str(error)
    for words, plain in (("resolve", "its name is not known here"), ("refused", "it refuses connections"),
                         ("IncompleteRead", "the end is missing"), ("reset", "it was reset")):  # fmt: skip
        if words in text:
            return plain
    return (text.splitlines() or [type(error).__name__])[0][:120]
