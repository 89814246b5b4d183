"""The peak of memory is that of this training, not of what came before it."""

import sys

import numpy as np
import pytest
import torch

from cnnlab.training.memory import peak_memory_mb, reset_peak_memory


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
