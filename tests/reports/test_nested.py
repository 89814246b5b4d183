"""Nested cross-validation: no search sees its fold, and a training serves two searches."""

import torch

from cnnlab.data.folds import five_folds
from cnnlab.reports.nested import PairCache, outer_fold, pair_fold


def test_a_search_never_trains_on_its_fold_nor_on_what_judges():
    folds = five_folds(torch.arange(60) % 3)
    for outer in range(5):
        for inner in set(range(5)) - {outer}:
            pair = pair_fold(folds, outer, inner)
            assert pair.test == folds[outer].test and pair.val == folds[inner].test
            assert not set(pair.train) & {*pair.val, *pair.test}
            assert len(pair.train) + len(pair.val) + len(pair.test) == 60
            assert pair.train == pair_fold(folds, inner, outer).train, "the same network serves both searches"
        last = outer_fold(folds, outer)
        assert not set(last.train) & set(last.test) and len(last.train) + len(last.test) == 60


def test_kept_accuracies_serve_both_searches_and_outlive_the_process(tmp_path):
    cache = PairCache(tmp_path / "deep/pairs.json")
    params = {"depth": 3, "norm": "batch"}
    assert cache.get(params, 0, 1) is None
    cache.put(params, {0: 0.7, 1: 0.8})
    again = PairCache(tmp_path / "deep/pairs.json")
    assert again.get(params, 0, 1) == 0.8 and again.get(params, 1, 0) == 0.7
    assert again.get({"norm": "batch", "depth": 3}, 0, 1) == 0.8
    assert again.get(params, 0, 2) is None and again.get({"depth": 4, "norm": "batch"}, 0, 1) is None
    assert len(again) == 1
