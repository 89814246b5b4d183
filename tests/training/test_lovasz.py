"""The Lovász-softmax loss against what it extends, the Jaccard loss."""

import pytest
import torch
import torch.nn.functional as F

from cnnlab.evaluation.segmentation import confusion, iou_per_class
from cnnlab.training.lovasz import lovasz_softmax
from cnnlab.training.objective import Segmentation


def one_hot(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return F.one_hot(labels, classes).movedim(-1, 1).float()


@pytest.mark.parametrize("seed", range(4))
def test_of_hard_predictions_it_is_the_mean_of_one_minus_iou(seed):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, 4, (2, 6, 7), generator=generator)
    found = torch.where(torch.rand(truth.shape, generator=generator) < 0.5, truth, truth.roll(1))
    expected = 1 - iou_per_class(confusion(found, truth, 4))[truth.unique()].mean()
    assert lovasz_softmax(one_hot(found, 4), truth).item() == pytest.approx(expected.item(), abs=1e-6)


def test_it_is_zero_for_the_truth_and_ignores_what_is_to_be_ignored():
    truth = torch.tensor([[[0, 1, 2], [255, 1, 0]]])
    found = one_hot(truth.where(truth < 255, 0), 3)
    assert lovasz_softmax(found, truth).item() == 0
    found[0, :, 1, 0] = torch.tensor([0.0, 0.0, 1.0])  # only the ignored pixel changes
    assert lovasz_softmax(found, truth).item() == 0
    assert lovasz_softmax(found, torch.full_like(truth, 255)).item() == 0


def test_the_objective_adds_it_with_its_weight_and_descends():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    truth = torch.randint(0, 3, (2, 8, 8))
    plain, both = Segmentation(), Segmentation(lovasz=0.5, lovasz_stride=1)
    gained = both.loss(logits, truth) - plain.loss(logits, truth)
    assert gained.item() == pytest.approx(0.5 * lovasz_softmax(logits.softmax(1), truth).item(), abs=1e-6)
    (gradient,) = torch.autograd.grad(both.loss(logits, truth), logits)
    assert both.loss(logits - 0.5 * gradient, truth) < both.loss(logits, truth)
