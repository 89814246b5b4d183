"""Layer groups: rates by group, freezing, staged unfreezing."""

from dataclasses import replace

import pytest
import torch
from test_loop import FAST, bright_or_dark, small_net
from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.training import Training, fit
from cnnlab.training.groups import LayerGroups
from cnnlab.training.optim import make_optimizer, make_schedule


def states_of_epochs(training: Training, model: nn.Module | None = None):
    """The state of the network before training and after each epoch, and the history."""
    model = model or small_net()
    states = [{k: v.clone() for k, v in model.state_dict().items()}]

    def remember(network, epoch):
        states.append({k: v.clone() for k, v in network.state_dict().items()})
        return {}

    history = fit(model, bright_or_dark("train"), bright_or_dark("val"), training, evaluate=remember).history
    return states, history


def changed(before, after) -> set[str]:
    """First part of the names of all that changed: the layer of `SmallNet`."""
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_frozen_groups_do_not_change_at_all(optimizer):
    """Neither by gradient nor weight decay nor batch-norm statistics."""
    states, _ = states_of_epochs(replace(FAST, trained_groups=1, weight_decay=0.1, optimizer=optimizer))
    assert changed(states[0], states[-1]) == {"4"}
    states, _ = states_of_epochs(replace(FAST, trained_groups=2, weight_decay=0.1, optimizer=optimizer))
    assert changed(states[0], states[-1]) == {"1", "4"}


def test_staged_unfreezing_goes_from_the_head_to_the_input():
    model = small_net()
    states, history = states_of_epochs(replace(FAST, epochs=5, unfreeze_every=2), model)
    steps = [changed(a, b) for a, b in zip(states, states[1:], strict=False)]
    assert steps == [{"4"}, {"4"}, {"1", "4"}, {"1", "4"}, {"0", "1", "4"}]
    assert [epoch["lr/group_2"] > 0 for epoch in history] == [False, False, True, True, True]
    assert all(p.requires_grad for p in model.parameters())  # left as it came


def test_frozen_groups_are_in_evaluation_mode():
    seen = []
    model = small_net()
    model[0].register_forward_hook(lambda module, *_: seen.append((module.training, torch.is_grad_enabled())))
    fit(model, bright_or_dark("train"), bright_or_dark("val"), replace(FAST, epochs=1, trained_groups=2))
    assert (True, True) not in seen and (False, True) in seen


def test_each_group_has_its_rate_and_the_last_factor_goes_for_all_earlier():
    states, history = states_of_epochs(replace(FAST, lr=0.1, lr_factors=(1.0, 0.1), optimizer="sgd"))
    rates = {k: v for k, v in history[0].items() if k.startswith("lr")}
    assert rates == pytest.approx({"lr": 0.1, "lr/group_3": 0.1, "lr/group_2": 0.01, "lr/group_1": 0.01})
    assert changed(states[0], states[1]) == {"0", "1", "4"}


def test_without_such_settings_there_is_one_rate():
    _, history = states_of_epochs(FAST)
    assert [name for name in history[0] if name.startswith("lr")] == ["lr"]


def test_a_network_that_names_no_groups_is_one():
    groups = LayerGroups(nn.Linear(3, 2), FAST)
    assert len(groups) == 1 and groups.count_trained(1) == 1


def test_what_is_in_no_group_goes_with_the_input_and_what_the_network_fixed_stays_fixed():
    model = small_net()
    model.extra = nn.Parameter(torch.zeros(2))
    model[1][0].weight.requires_grad_(False)
    groups = LayerGroups(model, replace(FAST, unfreeze_every=1))
    assert any(p is model.extra for p in groups.parameters[-1])
    groups.set_epoch(1)
    assert not model.extra.requires_grad
    groups.set_epoch(3)
    assert model.extra.requires_grad and not model[1][0].weight.requires_grad


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr_factors": (1.0, 0.1, 0.01, 0.001)}, "lr_factors speaks of 4 layer groups, but this network has 3"),
        ({"trained_groups": 7}, "trained_groups speaks of 7 layer groups"),
    ],
)
def test_more_groups_than_there_are_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        LayerGroups(small_net(), replace(FAST, **settings))


def test_unfreezing_a_network_of_one_group_is_refused():
    with pytest.raises(ConfigError, match="unfreeze_every needs a network of several layer groups"):
        LayerGroups(nn.Linear(3, 2), replace(FAST, unfreeze_every=1))


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, [1, 1, 0.1, 0.01]),  # a tenth at 1/2 and 3/4 of four epochs, read after each
        ({"step_epochs": 1, "step_gamma": 0.5}, [0.5, 0.25, 0.125, 0.0625]),
        ({"step_epochs": 3}, [1, 1, 0.1, 0.1]),
    ],
)
def test_step_decay(settings, wanted):
    training = replace(FAST, lr=1.0, schedule="step", lr_factors=(1.0, 0.1), **settings)
    optimizer = make_optimizer(LayerGroups(small_net(), training), training)
    schedule = make_schedule(optimizer, training, steps_per_epoch=5)
    rates = []
    for _ in range(4):
        for _ in range(5):
            optimizer.step()
            schedule.step()
        rates.append(schedule.get_last_lr())
    wanted = [1, 0.1, 0.01, 0.01] if not settings else wanted
    assert [r[0] for r in rates] == pytest.approx(wanted)
    assert [r[-1] for r in rates] == pytest.approx([0.1 * w for w in wanted])


def test_only_matrices_and_kernels_decay():
    groups = LayerGroups(small_net(), replace(FAST, weight_decay=0.1)).optimizer_groups()
    assert all((p.ndim > 1) == (group["weight_decay"] == 0.1) for group in groups for p in group["params"])
    assert {group["weight_decay"] for group in groups} == {0.0, 0.1}


def rates_after(training: Training, steps_per_epoch: int, steps: range) -> list[float]:
    """The head's rate after each of these numbers of steps, counted from 0."""
    optimizer = make_optimizer(LayerGroups(small_net(), training), training)
    schedule = make_schedule(optimizer, training, steps_per_epoch)
    rates = [schedule.get_last_lr()[0]]
    for _ in steps[1:]:
        optimizer.step()
        schedule.step()
        rates.append(schedule.get_last_lr()[0])
    return rates


def test_a_cosine_falls_to_half_in_the_middle_and_to_none_at_the_end():
    training = replace(FAST, epochs=2, lr=1.0, schedule="cosine")
    rates = rates_after(training, 10, range(21))
    assert rates[0] == 1 and rates[10] == pytest.approx(0.5) and rates[20] == pytest.approx(0, abs=1e-9)
    assert rates[5] == pytest.approx((1 + 0.5**0.5) / 2)


def test_one_cycle_peaks_after_a_fifth_of_the_steps():
    training = replace(FAST, epochs=1, lr=1.0, schedule="one_cycle")
    rates = rates_after(training, 20, range(20))
    assert max(rates) == pytest.approx(1) and rates.index(max(rates)) == 3, "steps 0 to 3 are a fifth of 20"
    assert rates[0] == pytest.approx(1 / 25) and rates[-1] < 0.001


@pytest.mark.parametrize("steps", range(1, 7))
@pytest.mark.parametrize("optimizer", ["sgd", "sgd_plain", "rmsprop", "adagrad", "adamw"])
def test_one_cycle_takes_any_number_of_steps_and_gives_momentum_to_none_that_has_none(steps, optimizer):
    training = replace(FAST, epochs=1, lr=1e-3, schedule="one_cycle", optimizer=optimizer)
    made = make_optimizer(LayerGroups(small_net(), training), training)
    schedule = make_schedule(made, training, steps_per_epoch=steps)
    for _ in range(steps):
        made.step()
        schedule.step() if schedule.last_epoch < schedule.total_steps - 1 else None
    momentum = {group.get("momentum", 0) for group in made.param_groups}
    assert momentum == {0} if optimizer != "sgd" else 0.8 < momentum.pop() <= 0.95


def test_a_linear_schedule_begins_at_the_rate_and_ends_one_step_above_none():
    training = replace(FAST, epochs=2, lr=1.0, schedule="linear")
    rates = rates_after(training, 2, range(4))
    assert rates == pytest.approx([1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize("schedule", ["one_cycle", "linear", "cosine", "step", "constant"])
def test_every_schedule_keeps_the_factors(schedule):
    training = replace(FAST, schedule=schedule, lr_factors=(1.0, 0.1, 0.01))
    optimizer = make_optimizer(LayerGroups(small_net(), training), training)
    plan = make_schedule(optimizer, training, steps_per_epoch=2)
    for _ in range(3):
        optimizer.step()
        plan.step()
    rates = plan.get_last_lr()
    assert rates[0] / rates[-1] == pytest.approx(100)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_the_fused_step_is_the_plain_one_on_channels_last_weights(name):
    def after_three_steps(precision: str) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 4, 1))
        model.to(memory_format=torch.channels_last)
        training = replace(FAST, optimizer=name, weight_decay=0.1, precision=precision)
        optimizer = make_optimizer(LayerGroups(model, training), training)
        assert optimizer.defaults["fused"] is (precision != "16-mixed")
        images = torch.rand(4, 3, 9, 11).contiguous(memory_format=torch.channels_last)
        for _ in range(3):
            model(images).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        return [p.detach() for p in model.parameters()]

    torch.testing.assert_close(after_three_steps("32-true"), after_three_steps("16-mixed"))
