"""Training on scenes and looking at whole images: views, class weights, judgement, resuming."""

import pytest
import torch
from torch import nn

from cnnlab.data.camvid import load_camvid
from cnnlab.errors import ConfigError
from cnnlab.models import build_model
from cnnlab.training import Training
from cnnlab.training.segmentation import (
    SINGLE_VIEW,
    TRIMAP_WIDTHS,
    Crops,
    Inference,
    SceneLoss,
    class_weights,
    judge_scenes,
    segment,
    train_scenes,
)

CROSS_ENTROPY = SceneLoss(lovasz=0.0)


@pytest.fixture(scope="module")
def scenes():
    return load_camvid("embedded", quick=True, classes=3)


class Redness(nn.Module):
    """Class 0 where a pixel is red, 1 where it is green, 2 where it is blue."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(20.0))

    def forward(self, x):
        return x * self.gain


class Drawn(nn.Module):
    """Knows the truth of one frame by its position only: class = column // 40."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        columns = torch.arange(x.shape[-1]) * 3 // x.shape[-1]
        return 9 * nn.functional.one_hot(columns, 3).T.float()[None, :, None].expand(len(x), 3, *x.shape[-2:])


def test_one_view_is_the_softmax_of_the_network():
    image = torch.randint(0, 256, (2, 3, 20, 30), dtype=torch.uint8)
    scores = segment(Redness(), image)
    torch.testing.assert_close(scores, (20 * image.float() / 255).softmax(1), atol=0.02, rtol=0.02)
    torch.testing.assert_close(scores.sum(1), torch.ones(2, 20, 30))


def test_more_views_are_averaged_probabilities_in_the_images_own_place_and_size():
    image = torch.zeros(1, 3, 24, 36, dtype=torch.uint8)
    image[:, 0, :, :18] = 255
    image[:, 2, :, 18:] = 255
    scores = segment(Redness(), image, Inference(tta=True, tta_scales=(0.5, 1.0, 2.0)))
    assert scores.shape == (1, 3, 24, 36)
    torch.testing.assert_close(scores.sum(1), torch.ones(1, 24, 36))
    assert (scores.argmax(1)[..., :17] == 0).all() and (scores.argmax(1)[..., 19:] == 2).all()


def test_mirrored_views_are_mirrored_back():
    image = torch.zeros(1, 3, 8, 30, dtype=torch.uint8)
    one, two = segment(Drawn(), image), segment(Drawn(), image, Inference(tta=True, tta_scales=(1.0,)))
    torch.testing.assert_close(two, (one + one.flip(-1)) / 2)


def test_inference_says_what_it_is_and_refuses_scales_of_nothing():
    assert str(SINGLE_VIEW) == "single view" and "6 views" in str(Inference(True, (0.75, 1.0, 1.25)))
    with pytest.raises(ConfigError, match="above 0"):
        Inference(tta_scales=(0.0, 1.0))
    with pytest.raises(ConfigError, match="tta_scales"):
        Inference(tta_scales=())


def test_judging_counts_every_labelled_pixel_of_every_frame(scenes):
    judged = judge_scenes(Drawn(), scenes.val, SINGLE_VIEW, trimap=True)
    assert judged.counts.sum() == (scenes.val.masks != 255).sum()
    assert judged.predictions.shape == scenes.val.masks.shape and judged.predictions.dtype == torch.uint8
    right = (judged.predictions == scenes.val.masks).sum() / (scenes.val.masks != 255).sum()
    assert judged.figures["pixel_accuracy"] == pytest.approx(right.item())
    assert judged.trimap.shape == (len(TRIMAP_WIDTHS), 3, 3) and (judged.trimap.sum((1, 2)).diff() >= 0).all()


def test_class_weights_are_median_frequencies(scenes):
    from dataclasses import replace

    masks = torch.full((2, 10, 10), 255, dtype=torch.uint8)
    masks[0, :, :] = 0
    masks[0, :2] = 1  # class 1: 20 of the 100 labelled pixels of the one frame that shows it
    masks[1, :5] = 0  # class 0: 80 + 50 of 100 + 50; class 2 never
    two = replace(scenes.val, images=torch.zeros(2, 3, 10, 10, dtype=torch.uint8), masks=masks, names=["a", "b"])
    weights = class_weights(two, "median_frequency")
    frequency = torch.tensor([130 / 150, 20 / 100])
    torch.testing.assert_close(weights, torch.cat([frequency.median() / frequency, torch.ones(1)]))
    torch.testing.assert_close(class_weights(two, "root_median_frequency"), weights.sqrt())
    assert class_weights(two, "none") is None


def train(scenes, epochs, checkpoint=None, stop=None, loss=CROSS_ENTROPY, seed=0, **crops):
    torch.manual_seed(seed)
    model = build_model("fcn32s", num_classes=3, backbone="efficientnet_lite0")
    seen = []

    def on_epoch(epoch, metrics):
        seen.append((epoch, metrics))
        if epoch == stop:
            raise KeyboardInterrupt

    training = Training(epochs=epochs, batch_size=6, optimizer="adamw", lr=2e-3, schedule="one_cycle", monitor="last")
    settings = Crops(size=(32, 32), **crops)
    try:
        train_scenes(model, scenes.train, scenes.val, settings, loss, training, judge_every=2,
                     on_epoch=on_epoch, checkpoint=checkpoint, fingerprint="x")  # fmt: skip
    except KeyboardInterrupt:
        pass
    return model, seen


def test_val_is_judged_every_few_epochs_and_after_the_last(scenes):
    _, seen = train(scenes, 3, loss=SceneLoss(1.0, "median_frequency"), rare=0.5)
    assert [epoch for epoch, metrics in seen if "val/miou" in metrics] == [2, 3]
    assert all({"train/loss", "val/loss", "val/accuracy", "data_wait", "memory_mb"} <= metrics.keys()
               for _, metrics in seen)  # fmt: skip


def test_a_stopped_training_ends_as_the_unbroken_one(scenes, tmp_path):
    whole, _ = train(scenes, 2)
    train(scenes, 2, tmp_path / "c.pt", stop=1)
    resumed, _ = train(scenes, 2, tmp_path / "c.pt", seed=9)  # its own weights do not matter
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, msg=name)
