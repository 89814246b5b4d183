"""Which process a run belongs to and whether it lives: how the leavings of a `kill -9` are told from what runs."""

import socket
from pathlib import Path

import psutil

HOST, BOOT, PID, STARTED = "process.host", "process.boot", "process.pid", "process.started"


def process_tags() -> dict[str, str]:
    """Tags that name this process: machine, its boot, process id, and the second of its start, since ids come again."""
    me = psutil.Process()
    return {HOST: _host(), BOOT: _boot(), PID: str(me.pid), STARTED: f"{_started(me):.2f}"}


def is_alive(tags: dict[str, str]) -> bool | None:
    """Whether the process of these tags runs; None if it cannot be told (another host, or no tags)."""
    if tags.get(HOST) != _host() or PID not in tags:
        return None
    if tags.get(BOOT, "") != _boot():
        return False
    try:
        process = psutil.Process(int(tags[PID]))
        same = abs(_started(process) - float(tags[STARTED])) < 1
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _host() -> str:
    """Name and id of the machine: copies of one disk image share the name, and containers may share the id."""
    return f"{socket.gethostname()} {_line('/etc/machine-id')}".strip()


def _boot() -> str:
    return _line("/proc/sys/kernel/random/boot_id")


def _started(process: psutil.Process) -> float:
    """Seconds from the machine's boot to the process's start: a clock that is set moves both ends alike."""
    return process.create_time() - psutil.boot_time()


def _line(path: str) -> str:
    """A file's text; empty where a system has no such file."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
