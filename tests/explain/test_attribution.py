"""Attribution maps against gradients worked out by hand, and the network unharmed by being asked."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.explain import explain, find_cam_layer, grad_cam, guided_backprop, saliency, share_within
from cnnlab.explain.attribution import class_shares


def weighted(rectifier: nn.Module, signs=(2.0, -3.0)) -> nn.Sequential:
    """Pixel p (one channel) -> rectifier(signs[k] * p) -> class 0 sums all of it, class 1 takes its negative."""
    net = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), rectifier, nn.Flatten(), nn.Linear(2 * 4, 2, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor(signs).view(2, 1, 1, 1))
        net[3].weight.copy_(torch.stack([torch.ones(8), -torch.ones(8)]))
    return net


PIXELS = torch.tensor([[[[1.0, -1.0], [4.0, 0.0]]]])


@pytest.mark.parametrize(("rectifier", "by_hand"), [
    # slope 2 where 2p is let through, -3 where -3p is: p = 1, -1, 4, 0
    (nn.ReLU(), [[2.0, -3.0], [2.0, 0.0]]),
    (nn.ReLU(inplace=True), [[2.0, -3.0], [2.0, 0.0]]),
    (nn.ReLU6(), [[2.0, -3.0], [0.0, 0.0]]),  # 2 * 4 is clipped at 6
    (nn.ReLU6(inplace=True), [[2.0, -3.0], [0.0, 0.0]]),
])  # fmt: skip
def test_gradients_through_a_rectifier(rectifier, by_hand):
    net = weighted(rectifier)
    np.testing.assert_allclose(saliency(net, PIXELS, 0)[0], np.abs(by_hand))
    np.testing.assert_allclose(guided_backprop(net, PIXELS, 0)[0, 0], by_hand)
    np.testing.assert_allclose(saliency(net, PIXELS, 1)[0], np.abs(by_hand))
    # class 1 sends a negative gradient down: guided back-propagation drops all of it at the rectifier
    np.testing.assert_array_equal(guided_backprop(net, PIXELS, 1), 0)


def test_guided_differs_from_the_plain_gradient_where_signs_meet():
    """One channel speaks for, one against the class: the gradient cancels, the guided one keeps what speaks for it."""
    net = weighted(nn.ReLU6(), signs=(1.0, 1.0))
    with torch.no_grad():
        net[3].weight[0, 4:] = -1.0
    pixels = torch.ones(1, 1, 2, 2)
    np.testing.assert_allclose(saliency(net, pixels, 0), 0)
    np.testing.assert_allclose(guided_backprop(net, pixels, 0), 1)


def test_saliency_is_the_largest_channel():
    net = nn.Sequential(nn.Conv2d(3, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([1.0, -5.0, 2.0]).view(1, 3, 1, 1))
    np.testing.assert_allclose(saliency(net, torch.rand(2, 3, 2, 2)), np.full((2, 2, 2), 5 / 4), rtol=1e-6)


def test_grad_cam_by_hand():
    """Channel 0 marks the left half and speaks for class 0, channel 1 the right half and speaks for class 1."""
    class Halves(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1, bias=False)
            self.relu = nn.ReLU()
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.head = nn.Linear(2, 2, bias=False)
            with torch.no_grad():
                self.conv.weight.copy_(torch.eye(2).view(2, 2, 1, 1))
                self.head.weight.copy_(torch.tensor([[4.0, -4.0], [-4.0, 4.0]]))

        def forward(self, x):
            return self.head(self.pool(self.relu(self.conv(x))).flatten(1))

    image = torch.zeros(1, 2, 2, 2)
    image[0, 0, :, 0] = image[0, 1, :, 1] = 3.0
    net = Halves()
    assert find_cam_layer(net, image) == "relu"
    np.testing.assert_allclose(grad_cam(net, image, 0)[0], [[3, 0], [3, 0]])  # mean gradient 4 / 4, times 3
    np.testing.assert_allclose(grad_cam(net, image, 1)[0], [[0, 3], [0, 3]])
    # before the rectifier half of the positions have no gradient
    np.testing.assert_allclose(grad_cam(net, image, 1, layer="conv")[0], [[0, 1.5], [0, 1.5]])
    with pytest.raises(ConfigError, match="no layer 'rellu'. Did you mean 'relu'"):
        grad_cam(net, image, 0, layer="rellu")
    with pytest.raises(ConfigError, match="gives no map"):
        grad_cam(net, image, 0, layer="head")


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6(inplace=True), nn.Conv2d(8, 8, 3, 1, 1),
        nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


@pytest.mark.parametrize("training", [True, False])
def test_the_network_comes_back_as_it_was(training):
    net = small_net().train(training)
    net[0].weight.requires_grad_(False)
    net(torch.rand(4, 3, 16, 16)).sum().backward()
    before = copy.deepcopy(net.state_dict())
    gradients = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    images = torch.rand(5, 3, 16, 16)
    with torch.no_grad():  # the caller's gradient mode does not matter, and is the caller's afterwards
        maps = explain(net, images, batch_size=2)
        assert not torch.is_grad_enabled()
    assert [net.training, *(m.training for m in net)] == [training] * 11
    assert net[2].inplace and net[4].inplace and type(net[2]) is nn.ReLU6
    assert not net[0].weight.requires_grad and net[3].weight.requires_grad and not images.requires_grad
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert all(not m._forward_hooks and not m._forward_pre_hooks and not m._backward_hooks for m in net.modules())
    for p, gradient in zip(net.parameters(), gradients, strict=True):
        assert (p.grad is None and gradient is None) or torch.equal(p.grad, gradient)
    assert maps.saliency.shape == maps.grad_cam.shape == (5, 16, 16) and maps.guided.shape == (5, 3, 16, 16)
    assert maps.layer == "4" and maps.rectifiers == 2
    assert set(maps.strengths()) == {"saliency", "guided back-propagation", "Grad-CAM"}


def test_a_batch_gives_each_image_the_maps_it_has_alone():
    net, images = small_net().eval(), torch.rand(3, 3, 16, 16)
    together = explain(net, images)
    alone = explain(net, images[1:2])
    assert together.target[1] == alone.target[0] == class_shares(net, images)[1].argmax()
    for name, maps in together.strengths().items():
        np.testing.assert_allclose(maps[1], alone.strengths()[name][0], atol=1e-6)


def test_logits_at_every_position_are_summed():
    """A network of segmentation: class 1 hangs on the pixels alone that its 1x1 convolution sees."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.Upsample(scale_factor=2))
    images = torch.rand(2, 3, 8, 8)
    maps = explain(net, images, 1)
    leaf = images.clone().requires_grad_()
    net(leaf)[:, 1].sum().backward()
    np.testing.assert_allclose(maps.saliency, leaf.grad.abs().amax(1).numpy(), rtol=1e-5)
    assert maps.layer == "2"
    np.testing.assert_allclose(class_shares(net, images).sum(1), 1, rtol=1e-5)


def test_a_module_with_two_names_is_guided_under_both():
    net = weighted(nn.ReLU6())
    net = nn.Sequential(net[0], net[1], net[1], net[2], net[3])
    np.testing.assert_array_equal(guided_backprop(net, PIXELS, 1), 0)


@pytest.mark.parametrize(("target", "sentence"), [
    (3, "classes 0 to 2"), (torch.tensor([0, 1]), "2 classes to explain for 1 images"),
])  # fmt: skip
def test_a_class_that_is_not_there_is_refused(target, sentence):
    with pytest.raises(ConfigError, match=sentence):
        saliency(small_net(), torch.rand(1, 3, 16, 16), target)


def test_a_network_without_maps_has_no_grad_cam():
    with pytest.raises(ConfigError, match="no convolution"):
        find_cam_layer(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.rand(1, 3, 2, 2))


def test_share_within_a_region():
    maps = np.zeros((3, 2, 2))
    maps[0, 0, 0], maps[1] = 5, 1
    region = np.array([[True, False], [False, False]])
    np.testing.assert_allclose(share_within(maps, region), [1, 0.25, np.nan])
    each = np.stack([~region, region, region])
    np.testing.assert_allclose(share_within(maps, each), [0, 0.25, np.nan])
