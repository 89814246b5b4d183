"""The fast local response normalisation is torch's."""

import pytest
import torch
from torch import nn

from cnnlab.models.local_response import LocalResponseNorm


@pytest.mark.parametrize("size", [1, 3, 5, 9])
@pytest.mark.parametrize("beta", [0.75, 0.5])
@pytest.mark.parametrize("channels", [1, 3, 8])
def test_outputs_and_gradients_are_torchs(size, beta, channels):
    torch.manual_seed(0)
    x = torch.randn(2, channels, 4, 5, dtype=torch.float64, requires_grad=True)
    ours, torchs = (kind(size, 0.3, beta, 2.0)(x) for kind in (LocalResponseNorm, nn.LocalResponseNorm))
    grad = torch.randn_like(x)
    torch.testing.assert_close(ours, torchs)
    torch.testing.assert_close(torch.autograd.grad(ours, x, grad), torch.autograd.grad(torchs, x, grad))


def test_the_papers_formula_by_hand():
    x = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    sums = torch.tensor([5.0, 14.0, 13.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(LocalResponseNorm(3, alpha=3.0, beta=1.0, k=2.0)(x), x / (2 + sums))


def test_an_even_size_is_refused():
    with pytest.raises(ValueError, match="must be odd, not 4"):
        LocalResponseNorm(4)
