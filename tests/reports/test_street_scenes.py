"""The written answers to Q2-2 and Q2-4 say what the figures bear, and no more."""

import pytest
import torch

from cnnlab.data.scene_classes import SCENE_CLASSES, THREE_CLASS_NAMES
from cnnlab.reports.scene_figures import Gain, Measured
from cnnlab.reports.street_scenes import fewer_classes, skip_connections

SIZES = torch.tensor([4000, 6000, 150, 8000, 2000, 3000, 150, 700, 1500, 200, 180])
NEXT = [1, 0, 1, 4, 3, 1, 1, 1, 9, 8, 8]  # the class that each is taken for


def counts(right, sizes=SIZES):
    """Counts in which a share `right` of each class is right and the rest is taken for one other class."""
    right = torch.as_tensor(right, dtype=torch.float64).expand(len(sizes))
    matrix = torch.diag((sizes * right).round().long())
    for i, other in enumerate(NEXT[: len(sizes)] if len(sizes) == 11 else [1, 2, 1]):
        matrix[i, other] += sizes[i] - matrix[i, i]
    return matrix


def network(name, rights, trimap=None, classes=SCENE_CLASSES, sizes=SIZES):
    whole = torch.stack([counts(right, sizes) for right in rights])
    bands = None if trimap is None else torch.stack([torch.stack([counts(r) for r in seed]) for seed in trimap])
    return Measured(name, classes, 101, "val", whole, bands, (1, 5, 20))


def seeds(base, *shifts):
    return [torch.as_tensor(base, dtype=torch.float64) + shift for shift in shifts]


FULL = torch.full((11,), 0.9, dtype=torch.float64)
THIN = FULL.clone()
THIN[[2, 6, 9, 10]] = 0.5  # pole, sign, pedestrian, bicyclist


def test_a_gain_is_shown_where_the_spread_allows():
    gain = Gain(torch.tensor([60.0, 61.0, 62.0]).numpy(), torch.tensor([65.0, 66.0, 67.0]).numpy())
    assert gain.points == pytest.approx(5) and gain.sign == 1
    # two equal samples of three: four degrees of freedom, t = 2.776, standard error sqrt(2 / 3)
    assert gain.interval == pytest.approx((5 - 2.776 * (2 / 3) ** 0.5, 5 + 2.776 * (2 / 3) ** 0.5), rel=1e-3)
    assert gain.words == "+5.0 points, 95 % interval +2.7 to +7.3"
    wide = Gain(torch.tensor([55.0, 61.0, 67.0]).numpy(), torch.tensor([60.0, 66.0, 72.0]).numpy())
    assert wide.sign == 0 and Gain(wide.after[:1], wide.before).interval is None


def test_skip_connections_that_pay_for_thin_classes():
    text = skip_connections(
        network("fcn8s", seeds(FULL, 0, 0.002, -0.002)), network("fcn32s", seeds(THIN, 0, 0.002, -0.002))
    )
    assert "**Yes: the skip connections raise mean IoU**" in text and "pixel accuracy rises as well" in text
    assert "3 seeds each, mean ± standard deviation, on 101 val frames, void left out." in text
    assert "Pole (+" in text and "what gains is small or thin" in text
    assert "| Pole | 0.6 |" in text and "Along borders" not in text


def test_skip_connections_that_hurt():
    text = skip_connections(network("fcn8s", seeds(THIN, 0, 0.002)), network("fcn32s", seeds(FULL, 0, 0.002)))
    assert "**No: the skip connections lower mean IoU**" in text and "pixel accuracy falls as well" in text
    assert "what gains is small" not in text


def test_no_difference_shown_where_the_seeds_scatter():
    shifts = (0, 0.04, -0.04)
    text = skip_connections(network("fcn8s", seeds(FULL + 0.01, *shifts)), network("fcn32s", seeds(FULL, *shifts)))
    assert "**No difference shown.**" in text and "holds zero" in text
    assert "No class's difference is shown by these seeds." in text and "(not shown)" in text
    assert "Yes" not in text and "raise" not in text


def test_a_single_seed_decides_nothing():
    text = skip_connections(network("fcn8s", seeds(FULL, 0)), network("fcn32s", seeds(THIN, 0)))
    assert "**Not decided.**" in text and "train each with 3 seeds" in text and "One seed each, on 101" in text
    assert "no class's difference is shown" in text and "±" not in text


@pytest.mark.parametrize(
    ("near", "whole", "words"),
    [
        (0.09, 0.02, "skip connections draw the outlines better"),
        (0.02, 0.02, "Near borders the gain is about that over whole frames"),
        (0.02, 0.09, "the outlines are not where most of it is won"),
        (0.0, 0.02, "No difference is shown at any of these widths"),
        (-0.1, 0.02, "Near borders skip connections do not help"),
    ],
)
def test_borders(near, whole, words):
    shifts = (0, 0.002, -0.002)
    with_skips, without = (
        network(name, seeds(FULL + more, *shifts), [[FULL + add + s] * 3 for s in (0, 0.001, -0.001)])
        for name, add, more in (("fcn8s", near, whole), ("fcn32s", 0.0, 0.0))
    )
    text = skip_connections(with_skips, without)
    assert "less than 1 px" in text and "less than 20 px" in text and words in text


def test_the_width_of_the_largest_gain_is_named_and_a_narrower_one_that_disagrees():
    shifts = (0, 0.002, -0.002)
    bands = [[[FULL + add + s / 2 for add in gains] for s in shifts] for gains in ((0.01, 0.09, 0.05), (0, 0, 0))]
    text = skip_connections(
        network("fcn8s", seeds(FULL + 0.04, *shifts), bands[0]), network("fcn32s", seeds(FULL, *shifts), bands[1])
    )
    assert "At less than 5 px from a border" in text and "At less than 1 px it is not" in text


def test_a_gain_that_only_one_width_shows_is_the_one_that_is_spoken_of():
    """A large gain that scatters proves nothing; a small one that does not is a gain, wherever it is."""
    shifts = (0, 0.002, -0.002)
    for place in range(3):
        gains = [0.012 if k == place else 0.02 for k in range(3)]
        noise = [0.001 if k == place else 0.03 for k in range(3)]
        bands = [[FULL + g + n * s for g, n in zip(gains, noise, strict=True)] for s in (0, 1, -1)]
        text = skip_connections(
            network("fcn8s", seeds(FULL + 0.012, *shifts), bands),
            network("fcn32s", seeds(FULL, *shifts), [[FULL] * 3] * 3),
        )
        assert "do not help" not in text and "No difference is shown at any" not in text, place
        assert "Near borders the gain is about that over whole frames" in text


def test_networks_that_cannot_be_compared():
    three = network("fcn8s", [0.9], classes=THREE_CLASS_NAMES, sizes=torch.tensor([100, 500, 50]))
    with pytest.raises(ValueError, match="fcn8s and fcn32s cannot be compared: they differ in classes"):
        skip_connections(three, network("fcn32s", [0.9]))
    with pytest.raises(ValueError, match="expected networks of 11 and 3 classes, not 3 and 3"):
        fewer_classes(three, three)


COARSE = torch.tensor([4000, 20000, 1880])


def test_fewer_classes_raise_miou_by_counting_alone():
    shifts = (0, 0.002, -0.002)
    eleven = network("fcn8s", seeds(THIN, *shifts))
    three = Measured("fcn8s", THREE_CLASS_NAMES, 101, "val", eleven.merged().counts)
    text = fewer_classes(eleven, three, three)
    assert "**Yes, it increased** from" in text
    assert "Counting the very same predictions in 3 classes instead of 11 changes mean IoU by +" in text
    assert "100 % of the whole difference" in text
    assert "are confusions inside of a group, most often Road taken for Pavement" in text
    assert "confusion between groups, most often Building taken for Sky" in text
    assert "Pole" in text and "goes from" in text and "into Surroundings" in text
    assert "No difference shown against the 11-class network counted in 3 classes" in text
    assert "changes mean IoU by +0.0 points" in text


def test_fewer_classes_can_lower_miou():
    shifts = (0, 0.002, -0.002)
    three = network("fcn8s", seeds(torch.full((3,), 0.4), *shifts), classes=THREE_CLASS_NAMES, sizes=COARSE)
    text = fewer_classes(network("fcn8s", seeds(FULL, *shifts)), three)
    assert "**No, it fell** from" in text and "Yes" not in text
    assert "No: it loses against the 11-class network counted in 3 classes" in text
    assert "(void is left out of the one and counted in the other)" in text


def test_fewer_classes_with_a_single_seed():
    three = network("fcn8s", seeds(torch.full((3,), 0.95), 0), classes=THREE_CLASS_NAMES, sizes=COARSE)
    text = fewer_classes(network("fcn8s", seeds(THIN, 0)), three, three)
    assert "Mean IoU over 3 classes is higher than over 11" in text and "a single seed" in text
    assert "that decides nothing" in text and "**Yes" not in text


def test_measured_from_what_a_run_stores():
    one = {"val": {"counts": counts(0.9).tolist(), "trimap": [counts(0.5).tolist()]}, "val_plain": {
        "counts": counts(0.8).tolist(), "trimap": None}}  # fmt: skip
    numbers = {"decoder": "fcn8s", "classes": list(SCENE_CLASSES), "splits": {"train": 367, "val": 101},
               "trimap_widths": [1], "seeds": [one, one]}  # fmt: skip
    measured = Measured.from_numbers(numbers)
    assert measured.counts.shape == (2, 11, 11) and measured.trimap.shape == (2, 1, 11, 11)
    assert measured.frames == 101 and measured.split == "val" and measured.widths == (1,)
    assert Measured.from_numbers(numbers, "val_plain").trimap is None
    with pytest.raises(KeyError):
        Measured.from_numbers(numbers, "test")
