"""Losses and counts with known answers: labels, soft labels, pixels; mixing of pairs."""

import math

import pytest
import torch
import torch.nn.functional as F
from test_loop import FAST, bright_or_dark, small_net
from torch import nn
from torch.utils.data import Dataset

from cnnlab.errors import ConfigError
from cnnlab.training import Classification, Segmentation, fit, predict
from cnnlab.training.inference import PIXELS_AT_ONCE, batch_size_for
from cnnlab.training.objective import main_output, mix


def scores(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_soft_targets_are_met_as_labels_are():
    outputs, labels = scores(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    soft = F.one_hot(labels, 3).float()
    objective = Classification(label_smoothing=0.1)
    torch.testing.assert_close(objective.loss(outputs, soft), objective.loss(outputs, labels))
    assert objective.correct(outputs, soft) == objective.correct(outputs, labels)


def test_ignored_pixels_count_nowhere():
    outputs, targets = scores(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.uint8)
    targets[:, 2:] = 255
    objective = Segmentation()
    seen = F.cross_entropy(outputs[:, :, :2], targets[:, :2].long())
    torch.testing.assert_close(objective.loss(outputs, targets), seen)
    right, answers = objective.correct(outputs, targets)
    assert answers == 20 and right == (outputs[:, :, :2].argmax(1) == 0).sum()
    changed = outputs.clone()
    changed[:, :, 2:] = 99.0
    assert objective.loss(changed, targets) == objective.loss(outputs, targets)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_weights_are_those_of_cross_entropy(smoothing):
    outputs = scores(2, 3, 4, 5)
    targets = torch.randint(0, 3, (2, 4, 5), generator=torch.Generator().manual_seed(0))
    targets[0, 0] = 255
    weights = torch.tensor([1.0, 2.0, 0.5])
    got = Segmentation(class_weights=weights, label_smoothing=smoothing).loss(outputs, targets)
    want = F.cross_entropy(outputs, targets, weights, ignore_index=255, label_smoothing=smoothing)
    torch.testing.assert_close(got, want)


def test_a_batch_of_ignored_pixels_has_no_loss_and_a_finite_gradient():
    outputs = scores(1, 3, 4, 5).requires_grad_()
    loss = Segmentation().loss(outputs, torch.full((1, 4, 5), 255, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0 and not outputs.grad.any()


def test_outputs_of_another_size_than_the_masks_are_named():
    with pytest.raises(ConfigError, match=r"\(1, 3, 2, 5\) are not \(B, C, H, W\) of targets \(1, 4, 5\)"):
        Segmentation().loss(scores(1, 3, 2, 5), torch.zeros(1, 4, 5, dtype=torch.uint8))


class Halves(Dataset):
    """Pictures with a bright and a dark half: the mask says which pixels are bright; a stripe is ignored."""

    def __init__(self, count: int, height: int = 12, width: int = 16) -> None:
        generator = torch.Generator().manual_seed(count)
        self.masks = torch.zeros(count, height, width, dtype=torch.uint8)
        self.masks[::2, :, : width // 2] = 1
        self.masks[1::2, :, width // 2 :] = 1
        noise = torch.randint(0, 60, (count, 3, height, width), generator=generator)
        self.images = (noise + 120 * self.masks[:, None]).to(torch.uint8)
        self.masks[:, 5] = 255

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices):
        return self.images[indices], self.masks[indices]


def test_a_network_of_pixels_is_trained_judged_and_predicts():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    val = Halves(10)
    training = FAST.__class__(epochs=4, batch_size=8, lr=3e-2, precision="32-true", mixup=0.2, label_smoothing=0.1)
    objective = Segmentation(label_smoothing=0.1)
    result = fit(model, Halves(32), val, training, objective=objective)
    assert result.best["val/accuracy"] > 0.95
    outputs, masks = predict(model, val)
    assert outputs.shape == (10, 2, 12, 16) and masks.dtype == torch.uint8
    classes, _ = predict(model, val, batch_size=3, keep=lambda logits: logits.argmax(1).byte())
    assert torch.equal(classes, outputs.argmax(1).byte())
    counted = masks != 255
    assert (classes == masks)[counted].float().mean().item() == pytest.approx(result.best["val/accuracy"])
    assert objective.label_smoothing == 0.1  # judged without smoothing, by a copy


def test_large_images_are_judged_few_at_once():
    assert batch_size_for(bright_or_dark("val")) == 256
    large = Halves(2, 360, 480)
    assert 1 <= batch_size_for(large) <= PIXELS_AT_ONCE // (360 * 480)
    assert batch_size_for(large, wanted=32) == 32


def test_mixing_is_a_blend_whose_loss_is_the_blend_of_losses():
    torch.manual_seed(0)
    images = torch.rand(8, 3, 4, 4)
    blended, partners, share = mix(images, 0.4)
    assert 0.5 <= share <= 1 and sorted(partners.tolist()) == list(range(8))
    torch.testing.assert_close(blended, share * images + (1 - share) * images[partners])
    outputs, labels = scores(8, 3), torch.arange(8) % 3
    soft = share * F.one_hot(labels, 3) + (1 - share) * F.one_hot(labels[partners], 3)
    objective = Classification(label_smoothing=0.1)
    torch.testing.assert_close(
        share * objective.loss(outputs, labels) + (1 - share) * objective.loss(outputs, labels[partners]),
        objective.loss(outputs, soft),
    )


def test_label_smoothing_is_for_training_alone():
    from dataclasses import replace

    training = replace(FAST, epochs=6, lr=3e-2, label_smoothing=0.3)
    result = fit(small_net(), bright_or_dark("train"), bright_or_dark("val"), training)
    floor = -(0.85 * math.log(0.85) + 0.15 * math.log(0.15))  # no output has a smaller smoothed loss
    assert result.history[-1]["train/loss"] >= floor > result.best["val/loss"]


def test_smoothing_that_an_objective_does_not_have_is_refused():
    with pytest.raises(ConfigError, match="label_smoothing is 0.1, which this training's objective, Segmentation"):
        training = FAST.__class__(epochs=1, label_smoothing=0.1)
        fit(small_net(), bright_or_dark("train"), bright_or_dark("val"), training, objective=Segmentation())


def test_auxiliary_heads_count_three_tenths_of_the_loss_and_answer_nothing():
    outputs, first, second, labels = scores(6, 3), scores(6, 3).flip(1), -scores(6, 3), torch.arange(6) % 3
    objective = Classification(label_smoothing=0.1)
    alone = [objective.loss(logits, labels) for logits in (outputs, first, second)]
    torch.testing.assert_close(objective.loss((outputs, first, second), labels), alone[0] + 0.3 * (alone[1] + alone[2]))
    torch.testing.assert_close(Classification(0.1, aux_weight=0.0).loss((outputs, first), labels), alone[0])
    assert main_output((outputs, first)) is outputs and main_output(outputs) is outputs


class WithHead(nn.Module):
    """Answers by a linear layer; while training, a second one answers beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.side = nn.Linear(192, 2), nn.Linear(192, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        x = x.flatten(1) - 0.35  # between dark and bright
        return (self.main(x), self.side(x)) if self.training else self.main(x)


def test_a_network_with_an_auxiliary_head_is_trained_judged_and_predicts():
    torch.manual_seed(0)
    model = WithHead()
    before = model.side.weight.clone()
    training = FAST.__class__(epochs=3, batch_size=16, lr=1e-2, precision="32-true", mixup=0.2, label_smoothing=0.1)
    result = fit(model, bright_or_dark("train"), bright_or_dark("val"), training)
    assert result.best["val/accuracy"] > 0.95 and result.history[-1]["train/accuracy"] > 0.9
    assert not torch.equal(model.side.weight, before)
    outputs, _ = predict(model, bright_or_dark("val"))
    assert outputs.shape == (64, 2)
