"""The peak of memory is that of this training, not of what came before it; what is freed stays at hand inside it."""

import contextlib
import sys

import numpy as np
import psutil
import pytest
import torch

from cnnlab.training.memory import _glibc, keep_memory, peak_memory_mb, reset_peak_memory


@pytest.mark.skipif(sys.platform != "linux", reason="a process's own peak can be reset on Linux alone")
def test_the_peak_is_forgotten_when_counting_begins_anew():
    cpu = torch.device("cpu")
    large = np.ones(300 * 2**20, np.uint8)
    with_it = peak_memory_mb(cpu)
    assert with_it > 300 and large[-1] == 1
    del large
    assert peak_memory_mb(cpu) >= with_it, "a peak stays"
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pytest.skip("this container forbids it")
    large = np.ones(300 * 2**20, np.uint8)
    del large
    reset_peak_memory(cpu)
    assert peak_memory_mb(cpu) < with_it - 200


def _rise_after(context) -> float:
    """Megabytes that the process has grown by once 300 have been filled and freed inside of `context`."""
    process = psutil.Process()
    before = process.memory_info().rss
    with context:
        torch.ones(300 * 2**18)
        inside = process.memory_info().rss
    return (inside - before) / 2**20


@pytest.mark.skipif(_glibc() is None, reason="the C library is not glibc")
def test_freed_memory_stays_at_hand_until_the_outermost_end():
    process = psutil.Process()
    assert _rise_after(contextlib.nullcontext()) < 150, "without it, large blocks go back at once"
    with pytest.raises(RuntimeError, match="midway"), keep_memory():
        before = process.memory_info().rss
        assert _rise_after(keep_memory()) > 250
        assert process.memory_info().rss > before + 250 * 2**20, "the end of an inner one changes nothing"
        raise RuntimeError("midway")
    assert process.memory_info().rss < before + 150 * 2**20, "at the end the system has it back, after an error too"
    assert _rise_after(contextlib.nullcontext()) < 150


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr("cnnlab.training.memory._glibc", lambda: None)
    with keep_memory():
        assert torch.ones(3).sum() == 3
