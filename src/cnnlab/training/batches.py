"""Batches for training: shuffled, augmented, made ahead while the network computes, and how long it waited for them."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Transform = Callable[[Tensor, torch.Generator], Tensor]


def to_float(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """uint8 (B, C, H, W) to float32 in [0, 1]; the transform of an experiment without augmentation."""
    return images.float().div_(255)


def batches(dataset: Dataset, batch_size: int, generator: torch.Generator | None = None) -> DataLoader:
    """A DataLoader over a data set that hands out whole batches by `__getitems__`; shuffled if given a generator.

    Shuffled ones are for training. A last batch of a single image is left out there, another one in each epoch: batch
    norm has no variance of one pixel.
    """
    shuffle = generator is not None
    single = shuffle and len(dataset) > batch_size > 1 and len(dataset) % batch_size == 1
    return DataLoader(
        dataset, batch_size=batch_size, shuffle=shuffle, generator=generator, collate_fn=_as_is, drop_last=single
    )


def _as_is(batch: Any) -> Any:
    return batch


class Feed:
    """One epoch of augmented batches `(float images, targets)`.

    Args:
        loader: gives `(uint8 images, targets)`.
        transform: the augmentation; what is random in it must come from `generator`.
        generator: of this epoch.
        ahead: batches that a thread makes ahead of the network; 0 makes each when it is asked for. Order and random
            numbers are the same.

    Attributes:
        waited: seconds that the training loop stood waiting for batches.
    """

    def __init__(self, loader: Iterable, transform: Transform, generator: torch.Generator, ahead: int = 0) -> None:
        self.loader, self.transform, self.generator, self.ahead = loader, transform, generator, ahead
        self.waited = 0.0

    def __iter__(self) -> Iterator[tuple[Tensor, Any]]:
        source = make_ahead(self._made(), self.ahead) if self.ahead else self._made()
        try:
            while True:
                asked = time.perf_counter()
                batch = next(source, None)
                self.waited += time.perf_counter() - asked
                if batch is None:
                    return
                yield batch
        finally:
            source.close()

    def _made(self) -> Iterator[tuple[Tensor, Any]]:
        for images, targets in self.loader:
            yield self.transform(images, self.generator).contiguous(memory_format=torch.channels_last), targets


def make_ahead(items: Iterator[Any], ahead: int) -> Iterator[Any]:
    """The same items in the same order, up to `ahead` of them made in a thread of their own before they are asked for.

    What the thread raises is raised here. The thread ends with the items, or when this generator is closed.
    """
    ready: queue.Queue = queue.Queue(ahead)
    closed = threading.Event()
    threads = torch.get_num_threads()

    def work() -> None:
        # One OpenMP thread beside those of the network: two teams that spin on the same cores hold each other up.
        torch.set_num_threads(1)
        started.set()
        try:
            for item in items:
                ready.put((item, None))
                if closed.is_set():
                    return
            ready.put((_END, None))
        except BaseException as error:  # noqa: B036  told to the one who waits, whatever it is
            ready.put((_END, error))

    started = threading.Event()
    worker = threading.Thread(target=work, name="batches", daemon=True)
    worker.start()
    started.wait()
    torch.set_num_threads(threads)  # the number is a thread's own, but threads that start later take the last one set
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        closed.set()
        while worker.is_alive():
            with contextlib.suppress(queue.Empty):  # it may stand before a full queue
                ready.get_nowait()
            worker.join(timeout=0.005)


_END = object()
