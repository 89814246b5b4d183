"""Batches made ahead are the same ones in the same order; errors arrive; no thread is left behind."""

import threading

import pytest
import torch
from test_loop import FAST, bright_or_dark, noisy, small_net

from cnnlab.training import fit
from cnnlab.training.batches import Feed, batches, make_ahead


def epoch_of(ahead: int) -> list:
    shuffling, augmenting = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    feed = Feed(batches(bright_or_dark("train"), 16, shuffling), noisy, augmenting, ahead)
    made = list(feed)
    assert feed.waited > 0
    return made


@pytest.mark.parametrize("ahead", [1, 3])
def test_made_ahead_or_not_the_batches_are_the_same(ahead):
    for (x, y), (x0, y0) in zip(epoch_of(ahead), epoch_of(0), strict=True):
        assert torch.equal(x, x0) and torch.equal(y, y0)


def test_training_does_not_depend_on_it():
    def losses(ahead: int) -> list[float]:
        training = FAST.__class__(epochs=2, batch_size=16, precision="32-true", prefetch=ahead, mixup=0.3)
        data = bright_or_dark("train"), bright_or_dark("val")
        return [epoch["train/loss"] for epoch in fit(small_net(), *data, training, transform=noisy).history]

    assert losses(0) == losses(2)


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "batches"]


def test_an_error_while_making_a_batch_reaches_the_training():
    def items():
        yield 1
        raise OSError("the disk is gone")

    made = make_ahead(items(), 1)
    assert next(made) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(made)
    assert workers() == []


def test_a_training_that_ends_early_leaves_no_thread():
    made = make_ahead(iter(range(1000)), 2)
    assert next(made) == 0
    made.close()
    assert workers() == []


def test_threads_of_the_network_stay_as_many_as_they_were():
    """The number is a thread's own, but a thread that starts later takes the one that was set last."""
    before, later = torch.get_num_threads(), []
    try:
        torch.set_num_threads(2)
        assert list(make_ahead(iter(range(3)), 1)) == [0, 1, 2]
        new = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        new.start()
        new.join()
        assert torch.get_num_threads() == 2 and later == [2]
    finally:
        torch.set_num_threads(before)
