"""explain: a network that was offered the background looks at it; any stored model on any image; bad input is named."""

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.errors import ConfigError, DataError
from cnnlab.experiment import execute
from cnnlab.explain import explain, share_within
from cnnlab.explain.regions import find_region, plain_background
from cnnlab.models import build_model
from cnnlab.models.kernel_machine import committee_of
from cnnlab.models.saved import load_model, save_model
from cnnlab.tracking import Run


@pytest.fixture
def lesson(load_program):
    return load_program("experiments/transfer/explain")


def run(lesson, **settings):
    config = lesson.Config(**settings)
    outcome = execute(lesson.run, config, entry_point="explain", question="B", doc="doc")
    stored = mlflow.search_runs(search_all_experiments=True, output_format="list")[0]
    client = mlflow.MlflowClient()
    names = {a.path for a in client.list_artifacts(stored.info.run_id)}
    return outcome, stored, names | {a.path for a in client.list_artifacts(stored.info.run_id, "figures")}


# ---- the lesson ------------------------------------------------------------------------------------------------------
def test_a_network_trained_on_the_leak_looks_at_the_background(lesson):
    """Averaged over all validation pictures of the leaky world, for both networks the same pictures."""
    worlds = [lesson.draw_worlds(leak, seed=0, per_class=160) for leak in (True, False)]
    asked = worlds[0][1]
    images, background = asked.images.float() / 255, plain_background(asked.images.numpy())
    shares, elsewhere = [], []
    for train, val in worlds:
        model = lesson.train_small(train, val, epochs=16, seed=0)
        maps = explain(model, images).strengths()
        shares.append({kind: np.nanmean(share_within(values, background)) for kind, values in maps.items()})
        elsewhere.append(lesson._accuracy(model, worlds[1][1]))
    for kind in ("saliency", "guided back-propagation"):
        assert shares[0][kind] > shares[1][kind] + 0.1, (kind, shares)
    assert elsewhere[0] < 0.65 and elsewhere[1] > 0.9, "where the background tells nothing it is lost"


def test_the_lesson_is_the_default(lesson, store):
    outcome, stored, names = run(lesson, quick=True)
    assert {"figures/attributions_leak.png", "figures/attributions_no_leak.png", "figures/background_shares.png",
            "attributions_leak.npz"} <= names  # fmt: skip
    assert 0 < outcome.metrics["val_saliency_share_of_leak"] < 1
    assert outcome.metrics["val_region_area"] == pytest.approx(0.76, abs=0.05)
    assert stored.inputs.dataset_inputs and stored.data.tags["embedded_data"] == "true"


# ---- any model on any images -----------------------------------------------------------------------------------------
@pytest.fixture
def saved(store):
    torch.manual_seed(0)
    path = store / "saved/model.pt"
    save_model(path, build_model("squeezenet1_1", num_classes=2), {"classes": ["cat", "dog"], "size": [64, 48]})
    return str(path)


def picture(path, seed=0, mode="RGB", size=(40, 50)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def test_a_folder_of_pictures_with_a_broken_one(lesson, store, saved, capsys):
    for number, mode in enumerate(("RGB", "L", "RGBA", "P")):
        picture(store / f"pictures/{number}.png", number, mode)
    (store / "pictures/9.png").write_bytes(b"no picture")
    outcome, stored, names = run(lesson, model=saved, images="pictures", target="dog", region="0,0,0.5,1")
    assert "9.png" in capsys.readouterr().out
    assert {"figures/attributions.png", "attributions.npz"} <= names
    assert stored.data.tags["embedded_data"] == "false"
    assert outcome.metrics["images_region_area"] == pytest.approx(0.5)
    folder = mlflow.artifacts.download_artifacts(run_id=stored.info.run_id, artifact_path="attributions.npz")
    with np.load(folder) as arrays:
        assert arrays["saliency"].shape == (4, 64, 48) and (arrays["target"] == 1).all()


def test_pictures_come_to_a_networks_size_as_they_did_in_its_training(lesson, store):
    picture(store / "tall/0.png", size=(32, 64))
    stretched, _, _ = lesson.read_pictures("tall", (64, 64), 1)
    padded, _, _ = lesson.read_pictures("tall", (64, 64), 1, "pad")
    assert (padded[..., :16] == padded[..., 16:17]).all() and not (stretched[..., :16] == stretched[..., 16:17]).all()
    for fit in ("stretch", "pad"):
        meta = {"classes": ["cat", "dog"], "size": [64, 64], "fit": fit}
        save_model(store / f"{fit}.pt", build_model("squeezenet1_1", num_classes=2), meta)
    digests = [
        run(lesson, model=str(store / f"{fit}.pt"), images="tall")[1].data.tags["data.digest"]
        for fit in ("stretch", "pad")
    ]
    assert digests[0] != digests[1]


def test_class_folders_tell_the_truth_and_many_images_take_pages(lesson, store, saved):
    for name in ("cat", "dog"):
        for number in range(6):
            picture(store / f"pets/train/{name}/{number}.png", number)
            picture(store / f"pets/val/{name}/{number}.png", number)
    pixels, names, truths = lesson.read_pictures("pets", (64, 48), 8)
    assert pixels.shape == (8, 3, 64, 48) and sorted(truths) == ["cat"] * 4 + ["dog"] * 4
    _, _, names = run(lesson, model=saved, images="pets", count=10)
    assert {"figures/attributions_1.png", "figures/attributions_2.png"} <= names


def test_a_single_file(lesson, store, saved):
    picture(store / "one.png")
    outcome, _, _ = run(lesson, model=saved, images="one.png")
    assert "1 images explained" in outcome.summary


def test_of_a_committee_the_network_is_explained(lesson, store, saved):
    picture(store / "one.png")
    network = load_model(saved)[0]
    machine = build_model("backbone_machine", num_classes=2, size=(64, 48), grid=(2, 2), dims=4)
    save_model(store / "both.pt", committee_of([network, machine]), {"classes": ["cat", "dog"], "size": [64, 48]})
    maps = []
    for model in (saved, str(store / "both.pt")):
        outcome, stored, _ = run(lesson, model=model, images="one.png", target="dog")
        path = mlflow.artifacts.download_artifacts(run_id=stored.info.run_id, artifact_path="attributions.npz")
        with np.load(path) as arrays:
            maps.append(arrays["grad_cam"])
    np.testing.assert_array_equal(*maps)
    assert "a committee, of which the network" in outcome.summary
    save_model(store / "machine.pt", machine, {"classes": ["cat", "dog"], "size": [64, 48]})
    with pytest.raises(ConfigError, match="is a kernel machine"):
        lesson.run(lesson.Config(model=str(store / "machine.pt"), images="one.png"), Run.inactive())


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"images": "somewhere"}, "images need a model"),
    ({"model": "m.pt"}, "model needs images="),
    ({"count": 0}, "count must be at least 1"),
])  # fmt: skip
def test_settings_that_do_not_go_together(lesson, settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        lesson.Config(**settings)


@pytest.mark.parametrize(("settings", "error", "sentence"), [
    ({"images": "nowhere"}, DataError, "nowhere"),
    ({"images": "one.png", "target": "cow"}, ConfigError, "target=cow is no class of this model; there are cat, dog"),
    ({"images": "one.png", "layer": "featurs"}, ConfigError, "no layer 'featurs'"),
    ({"images": "one.png", "region": "middle"}, ConfigError, "region=middle"),
    ({"images": "one.png", "region": "0.5,0,0.2,1"}, ConfigError, "x1 < x2"),
    ({"images": "broken.png"}, DataError, "None of the images in broken.png can be read"),
])  # fmt: skip
def test_bad_input_is_named(lesson, store, saved, settings, error, sentence):
    picture(store / "one.png")
    (store / "broken.png").write_bytes(b"no picture")
    with pytest.raises(error, match=sentence):
        lesson.run(lesson.Config(model=saved, **settings), Run.inactive())


# ---- regions ---------------------------------------------------------------------------------------------------------
def test_the_border_is_a_tenth_on_each_side():
    border = find_region("border", np.zeros((2, 3, 20, 40), np.uint8))
    assert border.shape == (2, 20, 40) and border[0, :2].all() and border[1, :, -4:].all()
    assert not border[0, 2:-2, 4:-4].any()


def test_a_plain_background_goes_around_the_object_and_not_into_it():
    image = np.full((1, 3, 20, 20), 250, np.uint8)
    image[0, :, 5:15, 5:15] = 20
    image[0, :, 8:12, 8:12] = 250  # an eye of the background's colour
    image += np.random.default_rng(0).integers(0, 5, image.shape, dtype=np.uint8)  # what compression does
    expected = np.ones((20, 20), bool)
    expected[5:15, 5:15] = False
    np.testing.assert_array_equal(plain_background(image)[0], expected)
