"""The sanity check of attribution maps: known correlations, what randomising changes, and the network unharmed."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.explain.sanity import SanityCheck, cascade, check_sanity, rank_correlation, similarity
from cnnlab.plots.sanity import randomisation_curves


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 3),
    )  # fmt: skip


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    maps = rng.random((2, 8, 8))
    assert np.allclose(rank_correlation(maps, np.exp(5 * maps)), 1), "ranks, not values"
    assert np.allclose(rank_correlation(maps, -maps), -1)
    assert np.isnan(rank_correlation(maps, np.zeros_like(maps))).all(), "an empty map can be compared with none"
    assert abs(rank_correlation(rng.random((1, 64, 64)), rng.random((1, 64, 64)))[0]) < 0.1


def test_similarity_does_not_mind_the_scale():
    maps = np.random.default_rng(0).random((1, 16, 16))
    assert np.allclose(similarity(maps, 7 * maps), 1)
    assert similarity(maps, maps[:, ::-1].copy())[0] < 0.5
    assert np.isnan(similarity(maps, np.zeros_like(maps)))[0]


def test_maps_that_vanish_have_not_passed_the_check():
    """One of two Grad-CAM maps is empty once every layer is randomised; the other has changed."""
    correlation = {"saliency": np.ones((3, 2)), "Grad-CAM": np.array([[1, 1], [0.2, 0.4], [0.3, np.nan]])}
    check = SanityCheck(("trained", "b", "a"), (), correlation, correlation, {}, {})
    assert check.kept() == {"saliency": 1.0, "Grad-CAM": pytest.approx(0.3)} and check.empty()["Grad-CAM"] == 1
    words = check.verdict()
    assert "leaves nothing to compare of Grad-CAM (of 1 pictures), whose maps are empty" in words
    correlation["Grad-CAM"][2] = np.nan
    assert "changes Grad-CAM" not in check.verdict().split(" Randomising the last")[0]
    assert len(randomisation_curves(check.stages, correlation, correlation, {k: np.zeros(0) for k in correlation}).axes)


def test_each_step_loses_one_more_layer_from_the_output_on():
    model = network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    seen = []
    for name, randomised in cascade(model, seed=1):
        state = randomised.state_dict()
        changed = {key.split(".")[0] for key in before if not torch.equal(state[key], before[key])}
        seen.append((name, changed))
        for key, value in state.items():
            assert torch.equal(value.flatten().sort().values, before[key].flatten().sort().values), "the same spread"
    assert seen == [("6", {"6"}), ("2", {"2", "6"}), ("0", {"0", "2", "6"})]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_maps_change_with_the_weights_and_the_first_stage_is_the_trained_network():
    images = torch.rand(2, 3, 16, 16)
    check = check_sanity(network(), images)
    assert check.stages == ("trained", "6", "2", "0")
    for kind in ("saliency", "guided back-propagation", "Grad-CAM"):
        assert check.correlation[kind].shape == check.ssim[kind].shape == (4, 2)
        assert np.allclose(check.correlation[kind][0][check.maps[0].strengths()[kind].any((1, 2))], 1)
        check.correlation[kind][:] = np.nan_to_num(check.correlation[kind])
    assert (check.maps[-1].target == check.maps[0].target).all(), "the same class is asked about"
    assert check.kept()["saliency"] < 0.9
    words = check.verdict()
    for kind, value in (check.kept() | {f"{k} ": v for k, v in check.kept(1).items()}).items():
        assert f"{kind.strip()} ({value:.2f})" in words


def test_a_map_that_shows_only_the_picture_is_named_in_the_verdict():
    """A single linear layer whose weights are all alike: shuffling them changes no map."""
    model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    nn.init.constant_(model[0].weight, 0.1)
    images = torch.rand(1, 3, 16, 16)
    images[..., :8] = 0  # a ReLU without a signal stops the gradient: the map is not constant
    check = check_sanity(model, images, target=0)
    assert check.kept()["saliency"] == pytest.approx(1)
    assert check.verdict().startswith("Randomising every layer does NOT change saliency (1.00)")


def test_a_single_picture_is_not_compared_with_itself():
    one, two = (check_sanity(network(), torch.rand(n, 3, 16, 16, generator=torch.Generator())) for n in (1, 2))
    lines = []
    for check in (one, two):
        assert {values.shape for values in check.other_picture.values()} == {(0,) if check is one else (2,)}
        axes = randomisation_curves(check.stages, check.correlation, check.ssim, check.other_picture).axes
        lines.append(sum(line.get_linestyle() == ":" for line in axes[0].lines))
        assert ("dotted" in axes[1].get_xlabel()) == (check is two)
    assert lines == [0, 3]


def test_what_cannot_be_checked_is_refused_in_a_sentence():
    with pytest.raises(ConfigError, match="at least 7"):
        check_sanity(network(), torch.rand(1, 3, 4, 4))
    with pytest.raises(ConfigError, match="no layer with weights"):
        next(cascade(nn.ReLU()))
