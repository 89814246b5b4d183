"""Muon: orthogonal steps, norms that stay, and AdamW for the rest."""

import copy

import pytest
import torch
from torch import nn

from cnnlab.models import build_model
from cnnlab.training import Training
from cnnlab.training.groups import LayerGroups
from cnnlab.training.muon import Muon, orthogonalise, split_hidden
from cnnlab.training.optim import make_optimizer


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_singular_values_end_near_one_and_directions_stay(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    out = orthogonalise(matrix, steps=6)
    values = torch.linalg.svdvals(out)
    assert 0.6 < values.min() and values.max() < 1.3
    assert torch.linalg.svdvals(u.T @ out @ v.T).sub(values).abs().max() < 0.05
    cosine = (out * (u @ v)).sum() / out.norm() / (u @ v).norm()
    assert cosine > 0.97


def test_the_first_the_last_and_depthwise_layers_are_adamws():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 16, 3), nn.Flatten(), nn.Linear(16, 2)
    )
    groups = split_hidden(LayerGroups(net, Training()).optimizer_groups())
    assert [p.shape for g in groups if g["hidden"] for p in g["params"]] == [net[2].weight.shape]
    assert sum(len(g["params"]) for g in groups) == len(list(net.parameters()))


@pytest.mark.parametrize(("name", "scores"), [("face_net", 1), ("squeezenet1_1", 1), ("fcn8s", 5)])
def test_convolutions_that_give_the_scores_are_adamws(name, scores):
    """Of an FCN three layers of scores and the two upsamplings between them."""
    settings = {"fcn8s": {"backbone": "alexnet"}, "face_net": {"boxes": False}}.get(name, {})
    net = build_model(name, num_classes=7, **settings)
    groups = split_hidden(LayerGroups(net, Training()).optimizer_groups())
    last = [p for g in groups if not g["hidden"] for p in g["params"] if p.ndim == 4 and len(p) == 7]
    assert len(last) == scores
    assert not any(len(p) == 7 for g in groups if g["hidden"] for p in g["params"])


def test_adamws_part_is_pytorchs():
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    first = Muon(ours.parameters(), lr=0.01, weight_decay=0.1)
    second = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1, betas=(0.9, 0.99))
    for step in range(5):
        x = torch.randn(7, 5, generator=torch.Generator().manual_seed(step))
        for net, optimizer in ((ours, first), (theirs, second)):
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_a_hidden_layer_turns_and_keeps_its_norm():
    conv = nn.Conv2d(4, 6, 3)
    before = conv.weight.detach().clone()
    optimizer = Muon([{"params": [conv.weight], "hidden": True}], lr=0.01, muon_factor=10.0)
    conv.weight.grad = torch.randn_like(before)
    optimizer.step()
    torch.testing.assert_close(conv.weight.norm(), before.norm())
    turned = torch.dot(conv.weight.flatten(), before.flatten()) / before.norm() ** 2
    assert 0.98 < turned < 0.9999


def test_it_learns_and_goes_on_exactly_from_its_state():
    torch.manual_seed(0)
    net = build_model("speednet", num_classes=2, widths=(8, 8, 8)).train()
    training = Training(optimizer="muon", lr=0.01)
    x, y = torch.rand(16, 3, 32, 32), torch.arange(16) % 2
    x[y == 1, 0] += 0.3

    def step(net, optimizer):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    optimizer = make_optimizer(LayerGroups(net, training), training)
    losses = [step(net, optimizer) for _ in range(5)]
    other = build_model("speednet", num_classes=2, widths=(8, 8, 8)).train()
    other.load_state_dict(net.state_dict())
    resumed = make_optimizer(LayerGroups(other, training), training)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert [step(net, optimizer) for _ in range(2)] == [step(other, resumed) for _ in range(2)]
    assert losses[-1] < losses[0]
