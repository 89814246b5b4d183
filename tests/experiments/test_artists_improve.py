"""The nested study: a fold's pictures choose nothing for it, a stopped run repeats nothing, settings are refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from optuna.storages import InMemoryStorage

from cnnlab.data.folds import five_folds
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.models import build_model
from cnnlab.models.kernel_machine import Committee, KernelMachine
from cnnlab.models.saved import load_model
from cnnlab.models.simple_cnn import Layout
from cnnlab.reports import paintings, partners
from cnnlab.reports.differences import log_differences, nested_answers
from cnnlab.reports.frozen import both_sides
from cnnlab.search import Search
from cnnlab.tracking import Run
from cnnlab.training import Training
from cnnlab.training.folds import FoldResult
from cnnlab.training.views import Views

PICTURES = ImageSet(
    torch.arange(50, dtype=torch.uint8).view(-1, 1, 1, 1).expand(50, 3, 12, 12).contiguous(), torch.arange(50) % 2,
    ("one", "other"), "numbered", "all",
)  # fmt: skip
FOLDS = five_folds(PICTURES.labels)


@pytest.fixture
def study(load_program, monkeypatch, tmp_path):
    """The study on pictures that stand for nothing, in a folder of its own, its trials kept in memory."""
    module = load_program("studies/artists_improve")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        module, "load_paintings", lambda config, run, sizes: (PICTURES, five_folds(PICTURES.labels, config.seed))
    )
    kept = InMemoryStorage()
    monkeypatch.setattr("cnnlab.search._open_storage", lambda url: kept)
    monkeypatch.setattr(module, "log_classifier", lambda *args, **kwargs: None)
    monkeypatch.setattr(module.plots, "learning_curves", lambda *args, **kwargs: None)
    monkeypatch.setattr(module, "FIRST", {"lrn": module.PLAIN | {"norm": "lrn"}, "plain": module.PLAIN})
    return module


class Trainer:
    """Stands in for trainings: knows which pictures each configuration gets right, and notes what it was given."""

    def __init__(self, module, monkeypatch, right, stop_at=0):
        self.right, self.stop_at, self.calls = right, stop_at, []
        for place in (module, paintings):
            monkeypatch.setattr(place, "train_painter", self)

    def __call__(self, pictures, folds, config, fold, seed, keep_network=False):
        part = folds[fold]
        self.calls.append((config.layout.norm, part, seed, keep_network))
        if len(self.calls) == self.stop_at:
            raise KeyboardInterrupt
        test, val = (self.answers(config, split) for split in (part.test, part.val))
        right = test.argmax(1) == PICTURES.labels[list(part.test)].numpy()
        known = float((val.argmax(1) == PICTURES.labels[list(part.val)].numpy()).mean())
        network = build_model("simple_cnn", 2, size=12, kernels=(3,), strides=(2,), depths=(2,), hidden=2)
        history = [{"epoch": 1, "train/loss": 1.0, "train/accuracy": 1.0, "val/loss": 1.0, "val/accuracy": known}]
        return FoldResult(right, test, 1.0, known, history, 1, 0.1, network if keep_network else None, val)

    def answers(self, config, pictures):
        right = np.array([self.right(config, i) for i in pictures])
        wrong = 1 - PICTURES.labels[list(pictures)].numpy()
        return np.eye(2, dtype=np.float32)[np.where(right, 1 - wrong, wrong)]


def settings(study, **changes):
    given = {"seeds": 1, "workers": 1, "epochs": 1, "backbones": (), "register": False, "partner": False} | changes
    return study.Config(search=Search(trials=2), **given)


def tempting(config, picture):
    """`lrn` knows every picture of the first fold and few others, `plain` none of it and most others."""
    first = picture in FOLDS[0].test
    return first or picture % 5 == 0 if config.layout.norm == "lrn" else not first and picture % 5 != 0


def test_a_fold_s_pictures_choose_nothing_for_it(study, monkeypatch):
    trainer = Trainer(study, monkeypatch, tempting)
    outcome = study.run(settings(study), Run.inactive())
    assert outcome.metrics["test_accuracy"][0] == 0.0, "what is best on the first fold was not chosen for it"
    searched = [part for _, part, _, last in trainer.calls if not last]
    assert len(searched) == 2 * 10 and len({(norm, part) for norm, part, _, _ in trainer.calls}) == 25
    for _, part, _, last in trainer.calls:
        assert not set(part.train) & {*part.val, *part.test}
        assert len(part.train) == (40 if last else 30)
    last = {part.test: norm for norm, part, _, kept in trainer.calls if kept}
    assert last[FOLDS[0].test] == "none" and len(last) == 5
    others = [k for k in range(1, 5) if last[FOLDS[k].test] == "none"]
    for k in others:
        expected = np.mean([tempting(paintings.PaintingConfig(), i) for i in FOLDS[k].test])
        assert outcome.metrics["test_accuracy"][k] == pytest.approx(expected)
    assert outcome.metrics["test_accuracy"] == outcome.metrics["test_seeds_together_accuracy"], (
        "one seed is all of them"
    )


def test_val_accuracy_is_the_mean_of_the_other_folds(study, monkeypatch):
    Trainer(study, monkeypatch, lambda config, picture: picture in FOLDS[2].test or config.layout.norm == "never")
    outcome = study.run(settings(study), Run.inactive())
    assert outcome.metrics["val_accuracy"] == [0.25, 0.25, 0.0, 0.25, 0.25]
    assert outcome.metrics["test_accuracy"] == [0.0, 0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("stop_at", [7, 23])
def test_a_stopped_study_takes_over_what_is_trained(study, monkeypatch, stop_at):
    trainer = Trainer(study, monkeypatch, tempting, stop_at)
    with pytest.raises(KeyboardInterrupt):
        study.run(settings(study), Run.inactive())
    outcome = study.run(settings(study), Run.inactive())
    assert len(trainer.calls) == 26, "25 trainings and the one that was stopped"
    assert len({(norm, part, seed) for norm, part, seed, _ in trainer.calls}) == 25
    assert outcome.metrics["test_accuracy"][0] == 0.0
    again = study.run(settings(study), Run.inactive())
    assert len(trainer.calls) == 26 and again.metrics == outcome.metrics, "a finished one is only told again"


def test_trainings_on_other_folds_are_not_taken_over(study, monkeypatch, tmp_path):
    """Seed 1 deals out other folds: what was trained on those of seed 0 has seen pictures that are now test."""
    trainer = Trainer(study, monkeypatch, tempting)
    winners = [study.PLAIN] * 5
    for seed, seeds in ((0, 2), (1, 1)):
        base = settings(study, seed=seed)
        configs = [study.config_of(params, base, 1) for params in winners]
        folds = five_folds(PICTURES.labels, seed)
        paintings.train_outer_folds(PICTURES, folds, configs, range(seed, seed + seeds), tmp_path, True, 1)
    assert len(trainer.calls) == 15


@pytest.fixture
def fitted(monkeypatch):
    """Which pictures each machine was fitted to; they know nothing, but prefer class 1 the more the fewer they saw."""
    calls = []

    def fit(images, labels, **_):
        calls.append(sorted(images[:, 0, 0, 0].tolist()))
        return build_model("patch_machine", 2, patches=[(3, 2)], grid=(1, 1), dims=2, vectors=1)

    def ask(machine, pictures):
        shares = torch.tensor([[0.2, 0.8]] if len(calls[-1]) == 30 else [[0.45, 0.55]])
        return shares.expand(len(pictures), 2).contiguous(), pictures.labels

    monkeypatch.setattr(partners, "fit_patch_machine", fit)
    monkeypatch.setattr(partners, "predict_views", ask)
    return calls


def test_a_machine_has_not_seen_what_it_is_asked(fitted, tmp_path):
    for _ in range(2):  # the second time all is taken from the file
        said = partners.Partners(PICTURES, FOLDS, {}, tmp_path / "machines.pt", workers=1)
        assert len(fitted) == 15
    for rows, places in zip(fitted, said.wanted, strict=True):
        assert not set(rows) & {i for place in places for i in FOLDS[place].test}
        assert len(rows) == 50 - 10 * len(places)
    assert said.of(3, 1)[0].tolist() == said.of(1, 3)[0].tolist() == pytest.approx([0.2, 0.8])
    assert said.of(3)[0].tolist() == pytest.approx([0.45, 0.55])
    assert said.machine(3).architecture[0] == "patch_machine"


def test_network_and_machine_are_judged_together_and_each_alone(study, monkeypatch, fitted):
    Trainer(study, monkeypatch, tempting)
    outcome = study.run(settings(study, partner=True), Run.inactive())
    alone = study.run(settings(study), Run.inactive())
    # the machine is never sure enough to change a network's answer
    assert outcome.metrics["test_accuracy"] == alone.metrics["test_accuracy"]
    assert outcome.metrics["test_network_accuracy"] == alone.metrics["test_accuracy"]
    assert outcome.metrics["test_machine_accuracy"] == [0.5] * 5
    assert "test_machine_accuracy" not in alone.metrics and "against" not in alone.summary
    assert "The committee against network alone +0.0 [+0.0, +0.0] points, no difference shown;" in outcome.summary


class Watched:
    """Keeps the files of a run that is stored nowhere."""

    def __init__(self, monkeypatch):
        self.meta, self.texts = {}, {}
        monkeypatch.setattr(Run, "log_text", lambda _, name, text: self.texts.update({name: text}))
        monkeypatch.setattr(Run, "log_file", lambda _, path: self.meta.update({path.name: load_model(path)[1]}))


def test_a_stored_network_says_which_fold_it_has_not_seen_and_how_it_looks(study, monkeypatch):
    watched = Watched(monkeypatch)
    monkeypatch.setattr(study, "FIRST", {"six looks": study.PLAIN | {"views": 6}, "plain": study.PLAIN})
    Trainer(study, monkeypatch, lambda config, picture: picture % 2 == 0 or len(config.views) > 1)
    study.run(settings(study), Run.inactive())
    for number in range(1, 6):
        meta = watched.meta[f"model_fold_{number}.pt"]
        assert meta["fold"] == number and meta["data_digest"] == PICTURES.digest and meta["size"] == [12, 12]
        assert Views.of(meta) == study.LOOKS[6]


def test_differences_are_paired_picture_by_picture(monkeypatch):
    watched = Watched(monkeypatch)
    labels = PICTURES.labels.numpy()
    said = np.eye(2, dtype=np.float32)[labels] * 0.6 + 0.2
    said[:10] = said[:10, ::-1]  # the network errs on the first ten, by 0.8 to 0.2
    machine = np.eye(2, dtype=np.float32)[labels]
    machine[5:25] = machine[5:25, ::-1]  # the machine on others, and is surer
    parts = [list(fold.test) for fold in FOLDS]
    results = [[FoldResult(said[p].argmax(1) == labels[p], said[p], 1.0, 1.0, [], 1, 0.1) for p in parts]] * 2
    frozen = [np.ones(len(p), bool) for p in parts]
    answers = nested_answers(labels, FOLDS, results, [machine[p] for p in parts], frozen)
    shares = {name: right.mean() for name, right in answers.items()}
    assert shares == {"committee": 0.6, "network alone": 0.8, "machine alone": 0.6, "frozen features": 1.0}
    assert answers["network alone"].shape == (2, 50) and answers["frozen features"].shape == (1, 50)
    sentence = log_differences(Run.inactive(), answers)
    assert "The committee against network alone -20.0 [" in sentence and "against machine alone +0.0 [" in sentence
    assert "points, worse" in sentence.rpartition("frozen features")[2]
    rows = [line for line in watched.texts["differences.md"].splitlines() if line.startswith("| committee")]
    assert len(rows) == 3 and "| committee, 60.0 % | network alone, 80.0 % | -20.0 [" in rows[0]


def test_a_machine_looks_once_and_the_network_beside_it_in_all_views():
    seen = []

    class Network(torch.nn.Linear):
        def forward(self, x):
            seen.append(type(self).__name__)
            return torch.zeros(len(x), 2)

    class Machine(KernelMachine):
        __init__, forward = torch.nn.Module.__init__, Network.forward

    shares = partners.ask_together(Committee([Network(1, 1), Machine()]), Views(zooms=(0.9, 1.0)), PICTURES)
    assert shares.shape == (50, 2) and torch.allclose(shares, torch.full((50, 2), 0.5))
    assert (seen.count("Network"), seen.count("Machine")) == (4, 1)


def test_other_constants_are_refused(study, monkeypatch):
    Trainer(study, monkeypatch, tempting)
    study.run(settings(study), Run.inactive())
    study.run(settings(study), Run.inactive())
    stronger = study.AUGMENTATIONS | {"strong": replace(study.AUGMENTATIONS["strong"], rotate=20)}
    monkeypatch.setattr(study, "AUGMENTATIONS", stronger)
    with pytest.raises(ConfigError, match="other constants .changed: augmentations.*search.study"):
        study.run(settings(study), Run.inactive())


def test_every_parameter_of_the_space_reaches_the_training(study):
    base = settings(study)
    first = study.config_of(study.PLAIN, base, 7)
    assert (first.training.epochs, first.seed, first.training.monitor) == (7, 0, "last")
    for name, distribution in study.SPACE.items():
        other = next(v for v in (*getattr(distribution, "choices", ()), 5e-4) if v != study.PLAIN[name])
        assert study.config_of(study.PLAIN | {name: other}, base, 7) != first, name
    for params in study.FIRST.values():
        assert params.keys() == study.SPACE.keys()
        assert study.config_of(params, base, 7).build(11)


def test_the_study_s_own_first_trials_can_be_built(study, repository):
    for params in (study.TOGETHER, study.TOGETHER | {"depths": "48-96-192", "head": "average", "norm": "weight"}):
        network = study.config_of(params, study.Config(), 1).build(11)
        assert network(torch.rand(2, 3, 50, 50)).shape == (2, 11)


def test_unfit_settings_are_refused_in_a_sentence(study):
    with pytest.raises(ConfigError, match="chooses layout, training, augmentation and views itself"):
        study.Config(training=Training(epochs=3))
    with pytest.raises(ConfigError, match="chooses layout"):
        study.Config(layout=Layout(norm="batch"))
    with pytest.raises(ConfigError, match="epochs must be at least 0"):
        study.Config(epochs=-1)
    with pytest.raises(ConfigError, match="Did you mean 'efficientnet_lite0'"):
        study.Config(backbones=("efficientnet_lite_0",))
    with pytest.raises(ConfigError, match="sizes must be one or more, each at least 32"):
        study.Config(sizes=())
    with pytest.raises(ConfigError, match="weights=random knows nothing"):
        study.Config(weights="random")
    quick = study.Config(quick=True).shrunk()
    assert (quick.weights, quick.search.trials, quick.workers) == ("random", 1, 1)


def test_a_picture_and_its_mirror_image_have_the_same_features():
    class Corners(torch.nn.Module):
        def embed(self, x):
            return x[:, :, 0, 0]

    pixels = torch.randint(0, 256, (4, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pictures = ImageSet(pixels, torch.zeros(4, dtype=torch.long), ("only",), "made", "all")
    turned = replace(pictures, images=pixels.flip(-1))
    found = both_sides(Corners(), pictures)
    assert found.shape == (4, 3) and np.allclose(found, both_sides(Corners(), turned), atol=1e-6)
    expected = (pixels[:, :, 0, 0].float() + pixels[:, :, 0, -1].float()) / 510
    assert np.allclose(found, expected, atol=1e-3)
