"""Robustness: each network is asked for pictures that it has not seen, and the words follow the figures."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from cnnlab.data.folds import five_folds
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.evaluation.robustness import CHANGES
from cnnlab.models import build_model
from cnnlab.models.saved import save_model
from cnnlab.reports.differences import Difference
from cnnlab.reports.paintings import BASIS
from cnnlab.tracking import Run, open_store
from cnnlab.training import Training
from cnnlab.training.views import SINGLE_VIEW, Views

PICTURES = ImageSet(
    torch.arange(50, dtype=torch.uint8).view(-1, 1, 1, 1).expand(50, 3, 12, 12).contiguous(),
    (torch.arange(50) >= 25).long(), ("dark", "bright"), "numbered", "all",
)  # fmt: skip
FOLDS = five_folds(PICTURES.labels)


@pytest.fixture
def robustness(load_program):
    return load_program("experiments/artists/robustness")


class Threshold(torch.nn.Module):
    """Tells bright from dark pictures by their mean, and remembers which pictures it was asked for first."""

    def __init__(self):
        super().__init__()
        self.level = torch.nn.Parameter(torch.tensor(24.5 / 255))
        self.asked = None

    def forward(self, x):
        mean = x.mean((1, 2, 3))
        if self.asked is None:
            self.asked = sorted((255 * mean).round().int().tolist())
        return torch.stack([self.level - mean, mean - self.level], 1)


def test_each_network_is_asked_for_its_test_part_and_known_answers_come_out(robustness):
    networks = [Threshold() for _ in FOLDS]
    right = robustness.ask([(network, SINGLE_VIEW) for network in networks], PICTURES, FOLDS)
    found = {name: robustness.by_fold(rows, FOLDS) for name, rows in right.items()}
    assert all(rows.shape == (1 + len(CHANGES[name].strengths), 50) for name, rows in right.items())
    assert [network.asked for network in networks] == [list(fold.test) for fold in FOLDS]
    assert {name: rows.shape for name, rows in found.items()} == {
        name: (1 + len(change.strengths), 5) for name, change in CHANGES.items()
    }
    for rows in found.values():
        assert (rows[0] == 1).all(), "the unchanged pictures come first"
    assert (found["flipped"] == 1).all(), "a mean knows no sides"
    assert (found["darkened"][-1] == 0.5).all() and (found["brightened"][-1] == 0.5).all(), "one answer for all"
    assert (found["inverted"][-1] == 0.5).all()


def curves(**ends):
    return {
        name: np.linspace(0.8, ends.get(name.replace(" ", "_"), 0.8), 1 + len(change.strengths))[:, None].repeat(5, 1)
        for name, change in CHANGES.items()
    }


def test_the_reading_says_what_the_figures_say(robustness):
    found = {"baseline": curves(), "best": curves(inverted=0.1, brightened=0.5, darkened=0.6)}
    text = robustness.reading(found, chance=0.16)
    best = next(line for line in text.splitlines() if "**best**" in line)
    assert "largest: inverted (70.0 points)" in best and "artist (16 %): inverted." in best
    assert "Less than 2 points lost: translated, high contrast, low contrast, flipped." in best
    assert "80 % right where things are moved or mirrored and 68 %" in text
    assert "relies more on tones than on places" in text and "edges and drawing alone are not enough" in text
    assert robustness.relies(0.7, 0.68) == "places and tones weigh alike"
    assert robustness.relies(0.5, 0.8) == "it relies more on places than on tones"


def test_the_table_has_every_strength_once(robustness):
    same = {name: [Difference(0.02, -0.01, 0.05)] * len(rows) for name, rows in curves().items()}
    text = robustness.table({"baseline": curves(), "best": curves()}, same, "Made.")
    assert text.count("| +2.0 [-1.0, +5.0] | no difference shown |") == len(text.splitlines()) - 6
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 1 + sum(len(change.strengths) for change in CHANGES.values())
    assert len({row.count("|") for row in rows}) == 1
    assert sum("| 8.0 |" in row for row in rows) == 1, "the student report's figure stands at one strength"


def test_what_differs_is_told_apart_from_what_does_not(robustness):
    rng = np.random.default_rng(0)
    rows = {name: rng.random((1 + len(change.strengths), 400)) for name, change in CHANGES.items()}
    base = {name: share < 0.5 for name, share in rows.items()}
    best = base | {"inverted": rows["inverted"] < 0.2, "darkened": rows["darkened"] < 0.8}
    gains = robustness.differences(base, best)
    assert gains["inverted"][-1].high < 0 < gains["darkened"][-1].low
    assert gains["flipped"][1] == Difference(0.0, 0.0, 0.0)
    text = robustness.told_apart(gains)
    assert "; worse: inverted (-3" in text or "; worse: inverted (-2" in text
    assert "no difference shown: unchanged (+0.0 [+0.0, +0.0]), translated" in text and "; better: darkened (+" in text


def stored(store, seed=0, order=(1, 2, 3, 4, 5), digest=PICTURES.digest, looks=None):
    """A finished run of artists_improve with five networks."""
    client = open_store()
    tags = {"entry_point": "artists_improve", "quick": "false", "data.digest": digest, "seed": str(seed)}
    run = client.create_run("0", tags=tags).info.run_id
    for place, fold in enumerate(order, 1):
        network = build_model("simple_cnn", 2, size=12, kernels=(3,), strides=(2,), depths=(2,), hidden=2)
        path = store / f"model_fold_{place}.pt"
        save_model(path, network, {"fold": fold, "folds_seed": seed, "data_digest": digest} | (looks or {}))
        client.log_artifact(run, str(path))
    client.set_terminated(run)
    return run


def test_the_networks_come_from_the_newest_run_on_the_same_pictures_and_folds(robustness, store, monkeypatch):
    monkeypatch.setattr(robustness, "trained", lambda config, pictures, folds: ["made here"] * 5)
    config = robustness.Config(
        size=12, layout=robustness.Config().layout.__class__(kernels=(3,), strides=(2,), depths=(2,))
    )
    networks, origin = robustness.best_networks(config, PICTURES, FOLDS)
    assert networks == ["made here"] * 5 and "No finished run of artists_improve" in origin
    stored(store, seed=1)
    stored(store, digest="other pictures")
    assert robustness.newest_run(PICTURES.digest, 0) == ""
    run = stored(store)
    networks, origin = robustness.best_networks(config, PICTURES, FOLDS)
    assert run[:8] in origin and networks[0][0](torch.rand(1, 3, 12, 12)).shape == (1, 2)
    assert [views for _, views in networks] == [SINGLE_VIEW] * 5 and origin.endswith("in one look.")
    six = Views(mirror=True, zooms=(0.9, 1.0, 1.1))
    stored(store, looks=asdict(six))
    networks, origin = robustness.best_networks(config, PICTURES, FOLDS)
    assert [views for _, views in networks] == [six] * 5 and "looking as it did there" in origin


def test_networks_that_have_seen_the_pictures_are_refused(robustness):
    right = {"fold": 2, "folds_seed": 0, "data_digest": "d"}
    robustness.check_unseen("run", right, 2, "d", 0)
    for change, said in (
        ({"fold": 1}, "no network that has not seen fold 2"), ({"data_digest": "e"}, "on other pictures"),
        ({"folds_seed": 4}, "folds of seed 4; give that seed"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            robustness.check_unseen("run", right | change, 2, "d", 0)
    with pytest.raises(ConfigError, match="no network that has not seen fold 2"):
        robustness.check_unseen("model.pt", {"classes": ["a"]}, 2, "d", 0)


def test_settings_that_would_choose_on_test_pictures_are_refused(robustness):
    for training in (Training(monitor="val/accuracy"), Training(monitor="last", schedule="plateau")):
        with pytest.raises(ConfigError, match="nothing is left to choose by"):
            robustness.Config(training=training)
    with pytest.raises(ConfigError, match="seeds must be 1, not 3"):
        robustness.Config(seeds=3)
    with pytest.raises(ConfigError, match="keeps nothing to go on from"):
        robustness.Config(resume=True)
    assert robustness.Config().training == BASIS


def test_a_run_tells_both_networks_apart(robustness, monkeypatch, capsys):
    class Always(torch.nn.Linear):
        def forward(self, x):
            return torch.tensor([[1.0, 0.0]]).expand(len(x), 2)

    sizes = []
    monkeypatch.setattr(
        robustness, "load_paintings", lambda _, run, of: sizes.append(of(PICTURES, FOLDS)) or (PICTURES, FOLDS)
    )
    monkeypatch.setattr(robustness, "trained", lambda *args: [(Always(1, 1), SINGLE_VIEW)] * 5)
    best = [(Threshold(), Views(mirror=True)) for _ in FOLDS]
    monkeypatch.setattr(robustness, "best_networks", lambda *args: (best, "Made."))
    outcome = robustness.run(robustness.Config(), Run.inactive())
    assert outcome.metrics["test_baseline_unchanged"] == [0.5] * 5
    assert outcome.metrics["test_best_unchanged"] == [1.0] * 5
    assert outcome.metrics["test_best_inverted_strongest"] == [0.5] * 5
    assert len(outcome.metrics) == 2 * (1 + len(CHANGES)) and "Hardest at full strength" in outcome.summary
    assert "Best against baseline" in outcome.summary and sizes == [{"train": 40, "test": 50}]
