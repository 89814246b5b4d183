"""Training on folds: judged on test alone, the same figures wherever a job runs, errors that come home."""

import os
from functools import partial

import numpy as np
import pytest
import torch

from cnnlab.data.folds import Fold, five_folds
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.models import build_model
from cnnlab.training import Training
from cnnlab.training.folds import pooled, run_jobs, train_fold, worker_pool

FAST = Training(epochs=3, batch_size=8, optimizer="adam", lr=1e-2, monitor="last", precision="32-true", prefetch=0)
BUILD = partial(build_model, "simple_cnn", 2, size=12, kernels=(3,), strides=(2,), depths=(4,), hidden=8)


def bright_and_dark(count: int = 60) -> ImageSet:
    labels = torch.arange(count) % 2
    noise = torch.randint(0, 60, (count, 3, 12, 12), generator=torch.Generator().manual_seed(0))
    return ImageSet((noise + 120 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels, ("dark", "bright"), "made", "all")


def process_and_threads(number: int) -> tuple[int, int, int]:
    return number * number, os.getpid(), torch.get_num_threads()


def refuse(number: int) -> None:
    raise ConfigError(f"job {number} cannot be done.")


def test_a_fold_is_trained_and_judged_on_its_test_pictures():
    pictures = bright_and_dark()
    fold = five_folds(pictures.labels)[0]
    result = train_fold(BUILD, pictures, fold, FAST, keep_network=True)
    assert result.right.shape == (len(fold.test),) and result.right.dtype == bool
    assert result.test_accuracy > 0.9 and result.train_accuracy > 0.9 and result.best_epoch == 3
    assert np.allclose(result.probabilities.sum(axis=1), 1, atol=1e-5)
    again = train_fold(BUILD, pictures, fold, FAST)
    assert np.array_equal(again.probabilities, result.probabilities) and again.network is None
    other = train_fold(BUILD, pictures, fold, FAST, seed=1)
    assert not np.array_equal(other.probabilities, result.probabilities)


def test_what_test_pictures_show_changes_nothing_in_training():
    pictures = bright_and_dark()
    fold = five_folds(pictures.labels)[0]
    masked = pictures.images.clone()
    masked[list(fold.test)] = 0
    other = ImageSet(masked, pictures.labels, pictures.classes, "made", "all")
    first, second = (train_fold(BUILD, p, fold, FAST) for p in (pictures, other))
    without = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")
    assert [[h[k] for k in without] for h in first.history] == [[h[k] for k in without] for h in second.history]


def test_pooled_puts_each_picture_in_its_place():
    folds = [Fold((1, 3), (), (0, 2)), Fold((0, 2), (), (1, 3))]
    results = [type("R", (), {"right": np.array(r)})() for r in ([True, False], [False, True])]
    assert pooled(results, folds).tolist() == [True, False, False, True]


def test_jobs_run_here_with_one_thread_and_leave_the_number_of_threads_as_it_was():
    before = torch.get_num_threads()
    done = list(run_jobs(process_and_threads, [(2,), (3,)], workers=1))
    assert done == [(0, (4, os.getpid(), 1)), (1, (9, os.getpid(), 1))]
    assert torch.get_num_threads() == before


def test_jobs_run_in_other_processes_and_their_errors_are_raised_here():
    done = dict(run_jobs(process_and_threads, [(n,) for n in range(4)], workers=2))
    assert {index: value[0] for index, value in done.items()} == {0: 0, 1: 1, 2: 4, 3: 9}
    assert all(pid != os.getpid() and threads == 1 for _, pid, threads in done.values())
    with pytest.raises(ConfigError, match="job 0 cannot be done"):
        list(run_jobs(refuse, [(0,), (0,)], workers=2))


def accuracies(done) -> list[tuple[int, float, np.ndarray]]:
    return sorted(((index, r.val_accuracy, r.probabilities) for index, r in done), key=lambda row: row[0])


def test_a_pool_that_serves_two_calls_gives_what_no_pool_gives():
    pictures = bright_and_dark()
    folds = five_folds(pictures.labels)
    jobs = [(BUILD, pictures, fold, FAST) for fold in folds[:2]]
    work = partial(train_fold, keep_network=True)
    alone = accuracies(run_jobs(work, jobs, workers=1))
    with worker_pool(2) as pool:
        assert {value[1] for _, value in run_jobs(process_and_threads, [(n,) for n in range(4)], pool=pool)} <= set(
            process.pid for process in pool._processes.values()
        )
        done = list(run_jobs(work, jobs, pool=pool))
        processes = list(pool._processes.values())
    for (place, val, probabilities), (other, same, equal) in zip(alone, accuracies(done), strict=True):
        assert (place, val) == (other, same) and np.allclose(probabilities, equal, atol=1e-6)
    assert all(isinstance(result.network, torch.nn.Module) for _, result in done)
    assert not any(process.is_alive() for process in processes), "they end with the block"


def test_one_worker_needs_no_pool():
    with worker_pool(1) as pool:
        assert pool is None
        assert list(run_jobs(process_and_threads, [(2,)], 1, pool))[0][1][1] == os.getpid()
