"""The training loop: it learns, it resumes to the same figures, it stops in time, it loses nothing."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from cnnlab.data.imageset import ImageSet
from cnnlab.errors import CheckpointError, ConfigError
from cnnlab.training import Training, fit, loop, predict
from cnnlab.training.checkpoint import load_checkpoint, save_checkpoint
from cnnlab.training.loop import _warm_average

FAST = Training(epochs=4, batch_size=16, lr=1e-2, precision="32-true")


def bright_or_dark(split: str, count: int = 64) -> ImageSet:
    """Two classes that a linear layer can tell apart."""
    generator = torch.Generator().manual_seed(len(split))
    labels = torch.arange(count) % 2
    noise = torch.randint(0, 60, (count, 3, 8, 8), generator=generator)
    images = (noise + 120 * labels.view(-1, 1, 1, 1)).to(torch.uint8)
    return ImageSet(images, labels, ("dark", "bright"), "made", split)


class SmallNet(nn.Sequential):
    """Three layer groups: a convolution with batch norm, a second convolution, the head."""

    def groups(self) -> list[nn.Module]:
        return [self[0], self[1], self[2:]]


def small_net(seed: int = 0) -> SmallNet:
    torch.manual_seed(seed)
    first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
    return SmallNet(first, second, nn.Dropout(0.2), nn.Flatten(), nn.Linear(144, 2))


def noisy(images, generator):
    return images.float() / 255 + 0.1 * torch.randn(images.shape, generator=generator)


def test_it_learns_and_reports_both_splits():
    model = small_net()
    result = fit(model, bright_or_dark("train"), bright_or_dark("val"), FAST)
    assert result.best["val/accuracy"] > 0.95
    assert {"train/loss", "train/accuracy", "val/loss", "val/accuracy", "lr"} <= set(result.history[0])
    assert all(0 <= epoch["data_wait"] <= 1 and epoch["memory_mb"] > 10 for epoch in result.history)
    outputs, labels = predict(model, bright_or_dark("val"))
    assert (outputs.argmax(1) == labels).float().mean().item() == pytest.approx(result.best["val/accuracy"])


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    "change",
    [
        {"prefetch": 0},
        {"ema": 0.9, "schedule": "one_cycle", "optimizer": "adamw", "mixup": 0.4},
        {"unfreeze_every": 1, "lr_factors": (1.0, 0.1), "schedule": "step", "step_epochs": 1, "optimizer": "sgd"},
    ],
)
def test_a_resumed_run_equals_an_unbroken_one(tmp_path, change):
    training = replace(FAST, **change)
    data = bright_or_dark("train"), bright_or_dark("val")
    unbroken = small_net()
    expected = fit(unbroken, *data, training, seed=3, transform=noisy)

    def kill(epoch, metrics):
        if epoch == 2:
            raise Killed

    path = tmp_path / "last.pt"
    with pytest.raises(Killed):
        fit(small_net(), *data, training, seed=3, transform=noisy, checkpoint=path, on_epoch=kill)
    heard = []
    resumed = small_net(seed=9)  # its own weights do not matter: the checkpoint's do
    result = fit(
        resumed, *data, training, seed=3, transform=noisy, checkpoint=path, on_epoch=lambda e, m: heard.append(e)
    )
    assert heard == [1, 2, 3, 4]
    times = ("epoch_seconds", "images_per_second", "data_wait", "memory_mb")
    for got, want in zip(result.history, expected.history, strict=True):
        assert {k: v for k, v in got.items() if k not in times} == {k: v for k, v in want.items() if k not in times}
    for got, want in zip(resumed.state_dict().values(), unbroken.state_dict().values(), strict=True):
        assert torch.equal(got, want)


def test_a_smaller_loss_is_better_and_of_equals_the_later_epoch():
    scores = iter([0.9, 0.1, 0.1, 0.3, 0.5, 0.0])
    training = replace(FAST, epochs=6, patience=2, monitor="my/loss")
    result = fit(small_net(), bright_or_dark("train"), bright_or_dark("val"), training,
                 evaluate=lambda model, epoch: {"my/loss": next(scores)})  # fmt: skip
    assert (result.best_epoch, len(result.history)) == (3, 5)


def test_the_average_is_judged_and_kept_and_not_the_last_weights():
    def trained(ema: float):
        states = []

        def judge(model, epoch):
            states.append({k: v.clone() for k, v in model.state_dict().items()})
            return {}

        model = small_net()
        training = replace(FAST, ema=ema, monitor="last")
        fit(model, bright_or_dark("train"), bright_or_dark("val"), training, evaluate=judge)
        return model.state_dict(), states

    (averaged, judged), (last, _) = trained(0.9), trained(0.0)
    assert all(torch.equal(averaged[name], judged[-1][name]) for name in averaged)
    assert not torch.equal(averaged["4.weight"], last["4.weight"])
    assert (averaged["4.weight"] - last["4.weight"]).norm() < 0.5 * last["4.weight"].norm()


def test_the_average_warms_up():
    """The first weights do not stay for a thousand steps: update n keeps (1 + n) / (10 + n), at most the decay."""
    for count, share in ((0, 0.9), (8, 0.5), (10_000, 0.1)):
        old, steps = torch.tensor([1.0, 0.0]), torch.tensor([3])
        _warm_average(0.9)([old, steps], [torch.tensor([0.0, 1.0]), torch.tensor([4])], count)
        torch.testing.assert_close(old, torch.tensor([1 - share, share]))
        assert steps.item() == 4, "counters are taken over"


@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_a_gradient_is_cut_to_its_largest_norm(clip):
    """A single step of plain descent at rate 1 moves the weights by the gradient."""
    model = small_net()
    before = [p.detach().clone() for p in model.parameters()]
    training = replace(FAST, epochs=1, batch_size=64, optimizer="sgd_plain", lr=1.0, clip_grad=clip)
    fit(model, bright_or_dark("train"), bright_or_dark("val"), training)
    step = torch.cat([(p - b).flatten() for p, b in zip(model.parameters(), before, strict=True)]).norm().item()
    assert step == pytest.approx(0.01, rel=1e-3) if clip else step > 0.02


def test_the_loss_of_mixed_images_is_that_of_both_labels(monkeypatch):
    monkeypatch.setattr(loop, "mix", lambda images, alpha: (images, torch.arange(len(images)).flip(0), 0.75))
    data = bright_or_dark("train", 16)
    model = small_net().train()
    training = replace(FAST, epochs=1, batch_size=16, mixup=1.0)
    order = []

    def plain(images, generator):
        order.append(images)
        return images.float() / 255

    with torch.no_grad():
        model[2].p = 0.0  # no dropout, so that the loss can be worked out
    logits = copy.deepcopy(model)
    history = fit(model, data, bright_or_dark("val"), training, transform=plain).history
    labels = (order[0].float().mean((1, 2, 3)) > 90).long()
    out = logits(order[0].float() / 255)
    wanted = 0.75 * nn.functional.cross_entropy(out, labels) + 0.25 * nn.functional.cross_entropy(out, labels.flip(0))
    assert history[0]["train/loss"] == pytest.approx(wanted.item(), rel=1e-4)


def test_the_best_epoch_is_kept_and_patience_ends_training():
    scores = iter([0.1, 0.9, 0.2, 0.3, 0.4, 0.5])
    states = []

    def judge(model, epoch):
        states.append({k: v.clone() for k, v in model.state_dict().items()})
        return {"val/score": next(scores)}

    model = small_net()
    training = replace(FAST, epochs=6, patience=2, monitor="val/score")
    result = fit(model, bright_or_dark("train"), bright_or_dark("val"), training, evaluate=judge)
    assert (result.best_epoch, len(result.history)) == (2, 4)
    assert all(torch.equal(v, states[1][k]) for k, v in model.state_dict().items())


def test_a_monitor_that_is_no_metric_is_named():
    with pytest.raises(ConfigError, match="monitor=val/acuracy .*val/accuracy"):
        training = replace(FAST, epochs=1, monitor="val/acuracy")
        fit(small_net(), bright_or_dark("train"), bright_or_dark("val"), training)


def test_an_epoch_without_a_number_is_not_kept_when_a_better_one_follows():
    scores = iter([math.nan, 0.4, math.nan, 0.2])
    training = replace(FAST, monitor="val/score")
    result = fit(small_net(), bright_or_dark("train"), bright_or_dark("val"), training,
                 evaluate=lambda model, epoch: {"val/score": next(scores)})  # fmt: skip
    assert result.best_epoch == 2


def test_a_network_that_gives_no_numbers_is_not_returned():
    """The last step may spoil the weights after the last loss was still a number."""

    class Spoiled(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = small_net()

        def forward(self, x):
            return self.net(x) if self.training else self.net(x) * math.nan

    with pytest.raises(FloatingPointError, match="after epoch 2 the network's outputs are no numbers"):
        fit(Spoiled(), bright_or_dark("train"), bright_or_dark("val"), replace(FAST, epochs=2, monitor="last"))


def test_a_last_batch_of_one_image_is_left_out():
    """Batch norm on a map of one pixel has no variance there."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 8), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    history = fit(net, bright_or_dark("train", 33), bright_or_dark("val"), FAST).history
    assert len(history) == FAST.epochs
    alone = fit(small_net(), bright_or_dark("train", 1), bright_or_dark("val"), FAST).history
    assert len(alone) == FAST.epochs, "a data set of one image is its own batch"


def test_bf16_gives_finite_losses():
    result = fit(small_net(), bright_or_dark("train"), bright_or_dark("val"), replace(FAST, precision="bf16-mixed"))
    assert all(math.isfinite(epoch["train/loss"]) for epoch in result.history)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    save_checkpoint(tmp_path / "a.pt", {"fingerprint": "one"})
    with pytest.raises(CheckpointError, match="belongs to other settings or other data"):
        load_checkpoint(tmp_path / "a.pt", "two")


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"half a fi")
    with pytest.raises(CheckpointError, match="a.pt cannot be read"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path):
    """A limit on file size stands for the full disk: the kernel refuses the write half way, as it would there."""
    import resource
    import signal

    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 1})
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match="cannot be written .*the earlier one is intact.*disk space"):
            save_checkpoint(path, {"epoch": 2, "weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert load_checkpoint(path) == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0}, {"lr": -1.0}, {"ema": 1.0}, {"lr_factors": (1.0, 0.0)}, {"label_smoothing": 1.0}, {"mixup": -1},
        {"trained_groups": -1}, {"step_gamma": 0.0}, {"prefetch": -1}, {"step_gamma": 1.0, "schedule": "plateau"},
        {"patience": 3, "monitor": "last"},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Training(**wrong)


@pytest.mark.parametrize("optimizer", ["sgd_plain", "rmsprop", "adagrad"])
def test_every_optimiser_lowers_the_loss(optimizer):
    training = replace(FAST, optimizer=optimizer, lr=0.05 if optimizer == "sgd_plain" else 1e-2)
    history = fit(small_net(), bright_or_dark("train"), bright_or_dark("val"), training).history
    assert history[-1]["train/loss"] < history[0]["train/loss"]


def test_a_plateau_lowers_the_rate_and_goes_on_lowering_it_after_a_resume(tmp_path):
    """Without a step towards the goal: the validation loss never gets better than in the first epoch."""

    def rates(stop: int, epochs: int = 7) -> list[float]:
        seen: list[float] = []

        def on_epoch(epoch, metrics):
            seen.append(metrics["lr"])
            if epoch == stop:
                raise Killed

        training = replace(FAST, epochs=epochs, lr=1e-3, schedule="plateau", step_epochs=2, monitor="never/loss")
        fixed = {"evaluate": lambda model, epoch: {"never/loss": 1.0}}
        try:
            fit(small_net(), bright_or_dark("train"), bright_or_dark("val"), training, **fixed, on_epoch=on_epoch,
                checkpoint=tmp_path / "plateau.pt", fingerprint="plateau")  # fmt: skip
        except Killed:
            pass
        return seen

    rates(stop=4)
    assert rates(stop=0) == pytest.approx([1e-3] * 3 + [1e-4] * 2 + [1e-5] * 2)


def test_a_plateau_with_the_last_epoch_kept_watches_the_validation_loss():
    assert Training(schedule="plateau", monitor="last").watched == "val/loss"
    with pytest.raises(ConfigError, match="is not a metric of this training"):
        fit(small_net(), bright_or_dark("train"), bright_or_dark("val"),
            replace(FAST, schedule="plateau", monitor="val/nothing"))  # fmt: skip
