"""How trials are judged: the score from stored detections, and patches as each network is to see them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cnnlab.data.face_crops import collages
from cnnlab.data.faces import load_face_data
from cnnlab.models import build_model
from cnnlab.reports.face_study import Judge, patches_for


@pytest.fixture(scope="module")
def data():
    return load_face_data("embedded", quick=True)


def perfect(photos):
    return [np.column_stack([photo.boxes, np.ones(len(photo.boxes))]) for photo in photos]


def test_the_score_is_the_mean_of_photographs_and_collages(data):
    photos = data.photos["val"]
    judge = Judge(data, photos)  # the photographs stand for collages too
    assert judge.metric == "val/score" and judge.count == 2 * len(photos)
    arrays = {f"photo_{i}": found for i, found in enumerate(perfect(photos))}
    arrays |= {f"collage_{i}": np.zeros((0, 5)) for i in range(len(photos))}
    assert judge.score(arrays, range(judge.count)) == pytest.approx(0.5)  # all found here, nothing there
    assert judge.score(arrays, range(len(photos))) == pytest.approx(1.0)


def test_photographs_without_a_face_are_judged_with_the_others_and_alone_score_nothing(data):
    empty = replace(data.photos["val"][0], boxes=np.zeros((0, 4), np.float32))

    class WithEmpty:
        photos, val = {"val": [empty, *data.photos["val"]]}, data.val

    judge = Judge(WithEmpty, data.photos["val"])
    arrays = {f"photo_{i}": found for i, found in enumerate(perfect(WithEmpty.photos["val"]))}
    arrays |= {f"collage_{i}": found for i, found in enumerate(perfect(data.photos["val"]))}
    assert judge.score(arrays, range(judge.count)) == pytest.approx(1.0)
    assert judge.score(arrays, [0, 0]) == 0.0, "as a bootstrap may draw them"
    assert len(collages([empty], 3)) == 0 and len(collages([empty, *data.photos["val"]], 3)) == 3


def test_without_photographs_patches_decide(data):
    class OnlyPatches:
        photos, val = {"val": []}, data.val

    judge = Judge(OnlyPatches, [])
    right = np.arange(len(data.val)) % 4 != 0
    assert judge.metric == "val/accuracy"
    assert judge.score({"right": right}, range(judge.count)) == pytest.approx(0.75)
    assert judge.after_epoch(build_model("face_fcn"), 1) == {}


def test_a_network_with_boxes_sees_patches_smaller(data):
    assert patches_for(build_model("face_fcn"), data.val) is data.val
    seen = patches_for(build_model("face_net"), data.val)
    assert seen.images.shape == data.val.images.shape and seen.images.dtype == torch.uint8
    assert torch.equal(seen.labels, data.val.labels)
    assert torch.equal(seen.images[:, :, 0, 0], seen.images[:, :, 5, 5])  # the rim repeats the patch's edge
    means = [images.float().mean().item() for images in (seen.images[:, :, 10:38, 10:38], data.val.images)]
    assert means[0] == pytest.approx(means[1], rel=0.05)
