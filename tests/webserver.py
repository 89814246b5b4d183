"""A web server on this machine for the tests of downloads: it serves files with Range, and misbehaves as told."""

import hashlib
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer:
    """Serves `files` by path; `faults[path]` lists how it treats the next requests for a path, one word each.

    Words: `cut` (half of what is asked for), `no-range`, `weak` (no strong validator), `hang`, `endless`, `trickle`,
    `chunked-cut`, `other-place` (a 206 from another offset), `gzip`, `slow` (a fraction of a second), `to=ADDRESS` (a
    redirect), `to-endless=ADDRESS` (one whose body does not end), or a status such as `500`.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[str]] = {}
        self.headers: dict[str, str] = {}  # added to every answer
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.at_once: Counter[str] = Counter()  # requests in work, by the name the server was called by
        self.most_at_once: Counter[str] = Counter()
        lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                words = owner.faults.get(self.path, [])
                name = self.in_work = self.headers["Host"].partition(":")[0]
                with lock:
                    owner.at_once[name] += 1
                    owner.most_at_once[name] = max(owner.most_at_once[name], owner.at_once[name])
                try:
                    owner.answer(self, words.pop(0) if words else "")
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    self.no_longer_in_work()

            def no_longer_in_work(self) -> None:
                with lock:
                    name, self.in_work = self.in_work, ""
                    owner.at_once[name] -= bool(name)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.stopped = threading.Event()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "WebServer":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def ranges(self, path: str) -> list[str]:
        """The Range headers of all requests for a path, empty where there was none."""
        return [headers.get("range", "") for asked, headers in self.asked if asked == path]

    def answer(self, handler: BaseHTTPRequestHandler, word: str) -> None:
        word, _, target = word.partition("=")
        if word == "to":
            return self._send(handler, 302, b"", {"Location": target})
        if word == "to-endless":
            return self._stream(handler, word, target)
        if word == "slow":
            self.stopped.wait(0.05)
        if handler.path not in self.files or word.isdigit():
            return self._send(handler, int(word or 404), b"sorry", {})
        body = self.files[handler.path]
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        headers = {} if word == "weak" else {"ETag": etag}
        if word == "weak":
            headers["ETag"] = "W/" + etag
        if word == "hang":
            self.stopped.wait(5)
        if word in ("endless", "trickle"):
            return self._stream(handler, word)
        if word == "gzip":
            import gzip

            return self._send(handler, 200, gzip.compress(body), headers | {"Content-Encoding": "gzip"})
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        fresh = handler.headers.get("If-Range", etag) == etag
        status = 200
        if asked and fresh and word != "no-range":
            start = int(asked[1])
            if start >= len(body):
                return self._send(handler, 416, b"", {"Content-Range": f"bytes */{len(body)}"})
            start -= 3 * (word == "other-place")
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body, status = body[start:], 206
        if word == "chunked-cut":
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            handler.wfile.write(b"%x\r\n" % len(body) + body[: len(body) // 2])
            handler.close_connection = True
            return None
        return self._send(handler, status, body, headers, len(body) // 2 if word == "cut" else None)

    def _send(self, handler, status: int, body: bytes, headers: dict[str, str], only: int | None = None) -> None:
        handler.no_longer_in_work()  # before a client can know, who might ask for more at once
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers | self.headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body[:only])
        handler.close_connection = handler.close_connection or only is not None

    def _stream(self, handler, word: str, target: str = "") -> None:
        handler.send_response(302 if target else 200)
        if target:
            handler.send_header("Location", target)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        until = time.monotonic() + 5
        while time.monotonic() < until and not self.stopped.is_set():
            handler.wfile.write(b"x" if word == "trickle" else bytes(50_000))
            if word == "trickle":
                time.sleep(0.05)
