"""The network of the speed run: whitening, identity at the start, sizes."""

import torch

from cnnlab.models import build_model
from cnnlab.models.speednet import SpeedNet, whitened


def test_parameters_by_hand():
    net = build_model("speednet", num_classes=10)
    whiten = 24 * 12 + 24
    stages = [(24, 64), (64, 256), (256, 256)]
    convolutions = sum(9 * (i * o + o * o) for i, o in stages)
    norms = sum(2 * 2 * o for _, o in stages)
    assert sum(p.numel() for p in net.parameters()) == whiten + convolutions + norms + 10 * 256


def test_whitened_patches_are_uncorrelated_with_unit_variance():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (200, 1, 12, 12), generator=generator).expand(-1, 3, -1, -1)
    noise = torch.randint(0, 40, (200, 3, 12, 12), generator=generator)
    images = (images // 2 + noise).to(torch.uint8)
    net = build_model("speednet").whiten(images, eps=0.0)
    assert not net.features[0][0].weight.requires_grad
    out = net.features[0][0](net.normalize(images.float() / 255))[:, :12].permute(1, 0, 2, 3).flatten(1).double()
    second_moments = out @ out.T / out.shape[1]
    torch.testing.assert_close(second_moments, torch.eye(12, dtype=torch.double), atol=1e-3, rtol=0)


def test_the_first_layer_is_computed_from_all_classes(monkeypatch):
    seen = []
    monkeypatch.setattr(SpeedNet, "whiten", lambda self, images: seen.append(images) or self)
    labels = torch.arange(10).repeat_interleave(8)  # class after class, as folders are read
    images = labels.to(torch.uint8).view(-1, 1, 1, 1).expand(80, 3, 32, 32)
    net = build_model("speednet")
    assert whitened(net, images, 20) is net
    assert len(seen[0]) == 20 and seen[0][:, 0, 0, 0].unique().tolist() == list(range(10))
    other = torch.nn.Linear(2, 2)
    assert whitened(other, images) is other, "a network that does not begin by whitening stays as it is"


def test_a_convolution_begins_by_passing_its_input_on():
    conv = build_model("speednet").features[2][4]  # the second of a stage: as many channels in as out
    x = torch.rand(2, 256, 5, 5)
    torch.testing.assert_close(conv(x), x)


def test_any_size_from_24_pixels():
    net = build_model("speednet", num_classes=7, widths=(8, 16, 16)).eval()
    for side in (24, 32, 224):
        assert net(torch.rand(2, 3, side, side)).shape == (2, 7)
    assert {s: m.shape[1] for s, m in net.pyramid(torch.rand(1, 3, 64, 64)).items()} == net.pyramid_channels
