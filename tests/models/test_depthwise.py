"""The fast depthwise gradients are the gradients."""

import pytest
import torch
import torch.nn.functional as F

from cnnlab.models.depthwise import _Depthwise, depthwise_conv2d


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(9, 12), (10, 11)])
@pytest.mark.parametrize("padded", [True, False])
def test_the_gradients_are_those_of_the_plain_convolution(kernel, stride, size, padded):
    torch.manual_seed(0)
    padding = kernel // 2 if padded else 0
    x = torch.randn(2, 6, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 1, kernel, kernel, dtype=torch.float64, requires_grad=True)
    plain = F.conv2d(x, weight, None, stride, padding, groups=6)
    ours = _Depthwise.apply(x, weight, stride, padding)
    grad = torch.randn_like(plain)
    torch.testing.assert_close(ours, plain)
    for a, b in zip(
        torch.autograd.grad(ours, (x, weight), grad), torch.autograd.grad(plain, (x, weight), grad), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_under_autocast_it_computes_in_bfloat16_and_gives_gradients_in_the_type_of_the_weights():
    x, weight = torch.randn(1, 4, 8, 8), torch.randn(4, 1, 5, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = depthwise_conv2d(x, weight, 2, 2)
    y.float().sum().backward()
    assert y.dtype == torch.bfloat16 and weight.grad.dtype == torch.float32
    torch.testing.assert_close(y.float(), F.conv2d(x, weight, None, 2, 2, groups=4), atol=0.1, rtol=0.05)


def test_without_autocast_it_is_the_plain_convolution():
    x, weight = torch.randn(1, 4, 8, 8), torch.randn(4, 1, 3, 3, requires_grad=True)
    y = depthwise_conv2d(x, weight, 1, 1)
    assert torch.equal(y, F.conv2d(x, weight, None, 1, 1, groups=4)) and "Convolution" in y.grad_fn.name()
