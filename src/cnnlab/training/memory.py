"""What training does with memory: keep what it frees for its next step, and tell the most that it took."""

import contextlib
import ctypes
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psutil
import torch

# glibc's mallopt: names of its settings, and what it comes to by itself once large blocks have been freed (malloc.h)
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_LARGEST = 32 * 2**20
_kept = threading.Lock()
_keepers = 0


@contextlib.contextmanager
def keep_memory() -> Iterator[None]:
    """Large blocks of memory that are freed inside stay with the process, for the next step to use again.

    glibc hands every block of more than 32 MB back to the system as it is freed, and asks for it again in the next
    training step, page by page and filled with zeros: on a CPU a good part of the time that large layers take. At the
    end of the outermost one, what is free goes back to the system. Does nothing where the C library is another one.
    Also a decorator: `@keep_memory()`.
    """
    global _keepers
    libc = _glibc()
    if libc is None:
        yield
        return
    with _kept:
        _keepers += 1
        if _keepers == 1:
            libc.mallopt(_MMAP_MAX, 0)
            libc.mallopt(_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        with _kept:
            _keepers -= 1
            if not _keepers:
                libc.mallopt(_MMAP_MAX, 65536)
                libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
                libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST)
                libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def reset_peak_memory(device: torch.device) -> None:
    """Begin counting anew, where that is possible: on a GPU and, for a process's own peak, on Linux."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        with contextlib.suppress(OSError):  # some containers forbid it: then the peak is that of all trainings so far
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device: torch.device) -> float:
    """Megabytes (2^20 bytes): the peak of tensors on a GPU, elsewhere of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
