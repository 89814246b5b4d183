"""Which process a run belongs to and whether it lives: how the leavings of a `kill -9` are told from what runs."""

import socket

import psutil

HOST, PID, STARTED = "process.host", "process.pid", "process.started"


def process_tags() -> dict[str, str]:
    """Tags that name this process: host, process id, and start time, since ids are used again."""
    me = psutil.Process()
    return {HOST: socket.gethostname(), PID: str(me.pid), STARTED: f"{me.create_time():.2f}"}


def is_alive(tags: dict[str, str]) -> bool | None:
    """Whether the process of these tags runs; None if it cannot be told (another host, or no tags)."""
    if tags.get(HOST) != socket.gethostname() or PID not in tags:
        return None
    try:
        process = psutil.Process(int(tags[PID]))
        same = abs(process.create_time() - float(tags[STARTED])) < 2
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
