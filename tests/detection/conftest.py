"""Fixtures of the tests on boxes."""

from collections.abc import Callable

import pytest
import torch


@pytest.fixture
def random_boxes() -> Callable[[int, int], torch.Tensor]:
    """`(count, seed)` -> boxes (count, 4) of 1 to 41 pixels within 121x121; the same seed gives the same boxes."""

    def draw(count: int, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        corner = torch.rand(count, 2, generator=generator) * 80
        return torch.cat((corner, corner + 1 + torch.rand(count, 2, generator=generator) * 40), dim=1)

    return draw
