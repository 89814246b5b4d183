"""Small trainings on the parts of one data set, one after the other or in several processes of one thread each."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from cnnlab.data.folds import Fold
from cnnlab.data.imageset import ImageSet
from cnnlab.training.batches import Transform, to_float
from cnnlab.training.config import Training
from cnnlab.training.inference import predict
from cnnlab.training.loop import Metrics, fit
from cnnlab.training.views import SINGLE_VIEW, Views, predict_views

Result = TypeVar("Result")
Build = Callable[[], nn.Module]


@dataclass(frozen=True)
class FoldResult:
    """What one training on one fold left; every accuracy is that of the kept network in evaluation mode.

    Attributes:
        right: bool (number of test pictures,), whether each was recognised, in the order of `fold.test`.
        probabilities: float32 (number of test pictures, classes).
        train_accuracy: on the pictures that it was trained on.
        val_accuracy: on `fold.val`.
        history: metrics of every epoch.
        best_epoch: the epoch that was kept, from 1.
        seconds: wall time of the training, validation included.
        network: the trained network, if it was asked for.
        val_probabilities: as `probabilities`, of `fold.val`; not kept in files.
    """

    right: np.ndarray
    probabilities: np.ndarray
    train_accuracy: float
    val_accuracy: float
    history: list[Metrics]
    best_epoch: int
    seconds: float
    network: nn.Module | None = None
    val_probabilities: np.ndarray | None = None

    @property
    def test_accuracy(self) -> float:
        """Share of the test pictures that were recognised."""
        return float(self.right.mean())


def train_fold(
    build: Build, pictures: ImageSet, fold: Fold, training: Training, *, transform: Transform = to_float, seed: int = 0,
    keep_network: bool = False, title: str | None = None, views: Views = SINGLE_VIEW,
) -> FoldResult:  # fmt: skip
    """Train one configuration on `fold.train`, followed on `fold.val`, and judge it on `fold.test`.

    Args:
        build: makes the network; its random weights are drawn from `seed`.
        pictures: all of them, into which the fold points.
        fold: the three parts.
        training: the settings; its `monitor` sees val only.
        transform: augmentation of training batches.
        seed: of weights, order, augmentation and dropout.
        keep_network: whether the result holds the network.
        title: before the progress bar; None shows no bar.
        views: how the trained network looks at a picture of val and test; the history's val figures are of one look.
    """
    began = time.perf_counter()
    torch.manual_seed(seed)
    model = build()
    train, val, test = (pictures.take(getattr(fold, split), split) for split in ("train", "val", "test"))
    history = fit(model, train, val, training, seed=seed, transform=transform, title=title)
    seconds = time.perf_counter() - began
    probabilities, labels = _ask(model, test, views)
    followed, val_labels = _ask(model, val, views)
    return FoldResult(
        (probabilities.argmax(1) == labels).numpy(), probabilities.numpy(), _accuracy(*_ask(model, train)),
        _accuracy(followed, val_labels), history.history, history.best_epoch, seconds,
        model if keep_network else None, followed.numpy(),
    )  # fmt: skip


def _ask(model: nn.Module, part: ImageSet, views: Views = SINGLE_VIEW) -> tuple[Tensor, Tensor]:
    if len(views) > 1:
        return predict_views(model, part, views)
    outputs, labels = predict(model, part)
    return outputs.softmax(1), labels


def _accuracy(probabilities: Tensor, labels: Tensor) -> float:
    return (probabilities.argmax(1) == labels).double().mean().item()


def pooled(results: Sequence[FoldResult], folds: Sequence[Fold]) -> np.ndarray:
    """bool (N,): whether each picture was recognised by the network whose fold tested it, in the data set's order."""
    return assembled([result.right for result in results], folds)


def assembled(parts: Sequence[np.ndarray], folds: Sequence[Fold]) -> np.ndarray:
    """(N, …) in the data set's order, from what each fold's test part has: (number of its pictures, …)."""
    whole = np.zeros((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    for part, fold in zip(parts, folds, strict=True):
        whole[list(fold.test)] = part
    return whole


# ---- several at a time -----------------------------------------------------------------------------------------------
@contextlib.contextmanager
def worker_pool(workers: int = 0) -> Iterator[ProcessPoolExecutor | None]:
    """Processes for `run_jobs`, kept from one call to the next; none for a single worker.

    Args:
        workers: processes; 0 takes one for each core. They end with the block, and with this process.
    """
    workers = workers or _cores()
    if workers <= 1:
        yield None
        return
    # spawned: a forked process would inherit locks and thread pools in whatever state they are
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _prepare_worker)
    try:
        yield pool
    finally:
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:  # a stopped run need not wait for the trainings under way
            process.terminate()
            process.join()


def run_jobs(
    function: Callable[..., Result], jobs: Sequence[tuple[Any, ...]], workers: int = 0,
    pool: ProcessPoolExecutor | None = None,
) -> Iterator[tuple[int, Result]]:  # fmt: skip
    """`(index, function(*jobs[index]))` as the jobs get done, each computed with one thread.

    With one thread each, the figures do not depend on the number of workers. Tiny networks gain nothing from a second
    thread; two trainings beside each other use two cores.

    Args:
        function: at the top level of a module, as are its arguments' types: they go to another process.
        jobs: the arguments of each call.
        workers: processes; 1 computes here, 0 takes one for each core. What a worker raises is raised here, and the
            workers end with this process.
        pool: of `worker_pool`, where there are many calls; made for this one unless given.
    """
    if pool is None and min(workers or _cores(), len(jobs)) > 1:
        with worker_pool(min(workers or _cores(), len(jobs))) as own:
            yield from run_jobs(function, jobs, pool=own)
        return
    if pool is None:
        with _one_thread():
            for index, job in enumerate(jobs):
                yield index, function(*job)
        return
    waiting: dict[Future, int] = {pool.submit(function, *job): index for index, job in enumerate(jobs)}
    while waiting:
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in sorted(done, key=waiting.get):
            yield waiting.pop(future), future.result()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _prepare_worker() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":  # a parent that is killed outright takes its workers along
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1 is PR_SET_PDEATHSIG
