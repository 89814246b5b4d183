"""Changes to pictures: known answers, and what leaves a picture as it was."""

import pytest
import torch

from cnnlab.evaluation.robustness import CHANGES, STUDENT

PICTURES = torch.randint(0, 256, (2, 3, 6, 7), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
AMOUNTS = [name for name, change in CHANGES.items() if not change.words]


@pytest.mark.parametrize("name", CHANGES)
def test_pictures_stay_bytes_of_the_same_shape_and_are_not_changed_in_place(name):
    before = PICTURES.clone()
    for strength in CHANGES[name].strengths:
        changed = CHANGES[name](PICTURES, strength)
        assert changed.dtype == torch.uint8 and changed.shape == PICTURES.shape
        assert not torch.equal(changed, PICTURES) and CHANGES[name].label(strength)
    assert torch.equal(PICTURES, before)


@pytest.mark.parametrize("name", AMOUNTS)
def test_at_the_strength_none_nothing_changes(name):
    assert torch.equal(CHANGES[name](PICTURES, CHANGES[name].none), PICTURES)


@pytest.mark.parametrize("name", AMOUNTS)
def test_a_stronger_change_is_further_from_the_picture(name):
    ramp = torch.linspace(64, 192, 32 * 32).round().to(torch.uint8).view(1, 1, 32, 32).expand(1, 3, 32, 32)
    moved = [(CHANGES[name](ramp, s).float() - ramp).abs().mean() for s in CHANGES[name].strengths]
    assert all(earlier < later for earlier, later in zip(moved, moved[1:], strict=False))


def test_translation_moves_right_and_down_and_leaves_black():
    changed = CHANGES["translated"](PICTURES, 2)
    assert torch.equal(changed[..., 2:, 2:], PICTURES[..., :-2, :-2])
    assert not changed[..., :2, :].any() and not changed[..., :2].any()


def test_the_negative_of_the_negative_is_the_picture_and_half_of_it_is_grey():
    invert = CHANGES["inverted"]
    assert torch.equal(invert(PICTURES, 1.0), 255 - PICTURES)
    assert torch.equal(invert(invert(PICTURES, 1.0), 1.0), PICTURES)
    assert set(invert(PICTURES, 0.5).unique().tolist()) <= {127, 128}


def test_brightness_and_contrast_end_at_black_and_white():
    grey = torch.tensor([0, 51, 102, 204, 255], dtype=torch.uint8).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert CHANGES["brightened"](grey, 0.2)[0, 0, 0].tolist() == [51, 102, 153, 255, 255]
    assert CHANGES["darkened"](grey, 0.2)[0, 0, 0].tolist() == [0, 0, 51, 153, 204]
    assert CHANGES["high contrast"](grey, 3.0)[0, 0, 0].tolist() == [0, 0, 51, 255, 255]
    assert CHANGES["low contrast"](grey, 0.2)[0, 0, 0].tolist() == [102, 112, 122, 143, 153]


def test_flips_and_their_names():
    flip = CHANGES["flipped"]
    assert torch.equal(flip(PICTURES, 1), PICTURES.flip(-1)) and flip.label(1) == "left-right"
    assert torch.equal(flip(PICTURES, 2), PICTURES.flip(-2)) and flip.label(2) == "top-bottom"
    assert torch.equal(flip(PICTURES, 3), torch.rot90(PICTURES, 2, (-1, -2))) and flip.label(3) == "both"


def test_every_change_has_the_student_report_s_figure():
    assert STUDENT.keys() == CHANGES.keys()
