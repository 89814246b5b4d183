"""D 2.5 · Which pixels made it say that name? Guided back-propagation, its plain gradient and Grad-CAM, and a check.

    mlflow run . -e facescrub_guided_backprop -P data=DIR -P model=RUN_ID        # a run of facescrub_finetune
    mlflow run . -e facescrub_guided_backprop -P model=RUN_ID -P image=FACE.jpg -P target=carell
    mlflow run . -e facescrub_guided_backprop -P data=DIR                        # the registered network
    mlflow run . -e facescrub_guided_backprop                                    # a stand-in, in seconds

`image` is a file, or the name of a test face as predictions_test.csv has it (carell/carell3.jpg); without it, one test
face of each person. `target` is a person, or `predicted`. Captum computes the maps.

A picture of edges convinces, whether or not it shows what was learned. So the run makes the sanity check of Adebayo et
al. 2018 ("Sanity Checks for Saliency Maps", arXiv:1810.03292): the weights are randomised layer by layer, from the last
to the first, and each map is held against the trained network's, by Spearman's rank correlation and by structural
similarity. Maps of another class for the same picture are compared too. A map that stays the same shows the picture,
not the network; the run's summary says which do.

Where neither a model nor data nor an image file is named, a small convolutional network is trained on six people of
the ORL portraits.

Budget on two CPU cores: 12 faces at 224x224, under a minute.

Result: facescrub_guided_backprop on facescrub (test 12), seeds 0, AMD EPYC, 2 cores, 24 GiB, no GPU, 8 s, 2026-11-23,
    commit e404330382:
    test_saliency_rank_correlation_head           0.4370 (1) on 12 samples
    test_saliency_rank_correlation_all            0.1698 (1) on 12 samples
    test_saliency_ssim_all                        0.1712 (1) on 12 samples
    test_saliency_rank_correlation_other_class    0.4803 (1) on 12 samples
    test_saliency_rank_correlation_other_picture  0.2459 (1) on 12 samples
    test_guided_rank_correlation_head             0.9458 (1) on 12 samples
    test_guided_rank_correlation_all              0.2172 (1) on 12 samples
    test_guided_ssim_all                          0.5003 (1) on 12 samples
    test_guided_rank_correlation_other_class      0.9395 (1) on 12 samples
    test_guided_rank_correlation_other_picture    0.2264 (1) on 12 samples
    test_grad_cam_rank_correlation_head           0.01392 (1) on 12 samples
    test_grad_cam_rank_correlation_other_class    -0.1358 (1) on 12 samples
    test_grad_cam_rank_correlation_other_picture  0.2217 (1) on 12 samples
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cnnlab.data.facescrub import load_facescrub
from cnnlab.data.folders import resize_image
from cnnlab.data.images import read_image
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.experiment import Outcome, main
from cnnlab.explain import Attributions, class_shares
from cnnlab.explain.sanity import SanityCheck, check_sanity, finite_mean
from cnnlab.models import build_model
from cnnlab.plots.explain import attribution_sheet
from cnnlab.plots.sanity import randomisation_curves, randomisation_sheet
from cnnlab.reports.identification import REGISTERED, FaceConfig, load_namer
from cnnlab.tracking import Run
from cnnlab.training import Training, fit

KEYS = {"saliency": "saliency", "guided back-propagation": "guided", "Grad-CAM": "grad_cam"}
"""Kind of map -> its name in metrics."""


@dataclass(frozen=True)
class Config(FaceConfig):
    """Explain why a network names a face so, and check the explanation."""

    model: str = ""
    """a run id, a registered model or a model.pt file; empty: the champion that facescrub_finetune registered where
    data or an image file is given, else a stand-in trained in seconds"""
    image: str = ""
    """a file, or the name of a test face (PERSON/FILE); empty: some test faces of each person"""
    target: str = "predicted"
    """whom to explain: a person, or `predicted`"""
    layer: str = ""
    """layer whose map Grad-CAM uses; empty: the last one before pooling"""
    per_person: int = 2
    """test faces of each person that the check is made on, where no image is named"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per_person < 1:
            raise ConfigError(f"per_person must be at least 1, not {self.per_person}.")
        if self.image and self.data == "embedded" and not self.names_file and not self.image.startswith("orl/"):
            raise ConfigError(f"image={self.image} is no file; name one, or with data=DIR a test face (PERSON/FILE).")
        if self.model and self.data == "embedded" and not self.names_file:
            raise ConfigError("model needs faces to be explained on: data=DIR with facescrub/, or image=FILE.")

    @property
    def names_file(self) -> bool:
        """Whether `image` is a file, and not the name of a test face."""
        return bool(self.image) and Path(self.image).is_file()

    @property
    def made_up(self) -> bool:
        """Whether the stand-in is explained: nothing else is named."""
        return not self.model and self.data == "embedded" and not self.names_file

    def shrunk(self) -> "Config":
        return replace(self, per_person=1) if self.made_up else self


def run(config: Config, run: Run) -> Outcome:
    """The maps of the chosen faces, and what is left of them without the weights."""
    model, people, faces = load(config, run)
    target = None if config.target == "predicted" else _index(config.target, people)
    images = faces.images.float() / 255
    check = check_sanity(model, images, target, config.layer, config.seed)
    shares = class_shares(model, images)
    log_maps(run, faces, check.maps[0], shares, people)
    log_check(run, faces, check, people)
    metrics = _metrics(check, faces.split)
    asked = people[int(check.maps[0].target[0])]
    who = f"{faces.names[0]} asked for {asked}" if len(faces) == 1 else f"{len(faces)} test faces"
    sensitive = ", ".join(f"{kind} {_told(finite_mean(values))}" for kind, values in check.other_class.items())
    return Outcome(
        metrics, f"{who}: {check.verdict()} Maps of the two likeliest people of one face correlate so: {sensitive}.",
        [config.seed],
    )  # fmt: skip


def load(config: Config, run: Run) -> tuple[nn.Module, tuple[str, ...], ImageSet]:
    """The network, whom it knows, and the faces to explain."""
    if config.made_up:
        data = load_facescrub("embedded", (64, 64), config.quick, config.seed)
        faces = choose(config, data.test)
        run.log_data(data.name, data.digest, data.sizes | {"test": len(faces)}, "embedded")
        return stand_in(config, data), data.people, faces
    model, people, size, _ = load_namer(config.model)
    run.set_tags({"model": config.model or REGISTERED, "people": ", ".join(people)})
    if config.names_file:
        pixels = torch.from_numpy(resize_image(read_image(config.image), size)).permute(2, 0, 1)[None].contiguous()
        name = Path(config.image).name
        run.log_data(name, hashlib.sha256(pixels.numpy().tobytes()).hexdigest()[:16], {"image": 1}, config.image)
        if config.data == "embedded":
            run.set_tags({"embedded_data": "false", "mlflow.runName": "facescrub_guided_backprop"})
        return model, people, ImageSet(pixels, torch.zeros(1, dtype=torch.long), people, name, "image", [name])
    data = load_facescrub(config.data, size, config.quick, config.seed, config.least, find_repeats=False)
    if data.people != people:
        known = f"model={config.model or REGISTERED} knows {', '.join(people)}"
        raise ConfigError(f"{known}, but {config.data} has other people.")
    faces = choose(config, data.test)
    run.log_data(data.name, data.digest, {"test": len(faces)}, config.data)
    return model, people, faces


def choose(config: Config, test: ImageSet) -> ImageSet:
    """The test face that the settings name, or the first ones of each person.

    Raises:
        ConfigError: there is no such face.
    """
    names = test.names or []
    if not config.image:
        firsts = [
            (test.labels == label).nonzero()[: config.per_person, 0].tolist() for label in range(len(test.classes))
        ]
        return test.take([index for of_person in firsts for index in of_person])
    found = [i for i, name in enumerate(names) if name == config.image]
    if not found:
        raise ConfigError(
            f"image={config.image} is neither a file nor a test face such as {names[0]}; "
            "predictions_test.csv of facescrub_finetune lists them."
        )
    return test.take(found)


def stand_in(config: Config, data) -> nn.Module:
    """A small convolutional network, trained on the stand-in for seconds."""
    torch.manual_seed(config.seed)
    model = build_model("alexnet", len(data.people), conv_only=True, dropout=0.2)
    settings = Training(epochs=2 if config.quick else 30, batch_size=16, lr=5e-4, monitor="last")
    fit(model, data.train, data.val, settings, seed=config.seed, title="stand-in")
    return model


# ---- what the run stores ---------------------------------------------------------------------------------------------
def log_maps(run: Run, faces: ImageSet, maps: Attributions, shares: np.ndarray, people: Sequence[str]) -> None:
    """One sheet: each face beside its plain gradient, guided back-propagation and Grad-CAM."""
    titles, wrong = [], []
    for index, row in enumerate(shares):
        text = f"{people[row.argmax()]} {row.max():.0%}"
        if maps.target[index] != row.argmax():
            text += f", asked: {people[maps.target[index]]} {row[maps.target[index]]:.0%}"
        wrong.append(faces.split == "test" and int(faces.labels[index]) != int(row.argmax()))
        titles.append(f"{text} · {faces.names[index]}")
    shown = _one_of_each(faces)
    run.log_figure("attributions", attribution_sheet(
        faces.images.numpy()[shown], maps.saliency[shown], maps.guided[shown], maps.grad_cam[shown],
        [titles[i] for i in shown], title=f"saliency is the plain gradient; Grad-CAM at {maps.layer}",
        wrong=[wrong[i] for i in shown],
    ))  # fmt: skip
    run.log_arrays("attributions.npz", {
        "images": faces.images.numpy(), "target": maps.target, "saliency": maps.saliency.astype(np.float16),
        "guided": maps.guided.astype(np.float16), "grad_cam": maps.grad_cam.astype(np.float16),
    })  # fmt: skip


def log_check(run: Run, faces: ImageSet, check: SanityCheck, people: Sequence[str]) -> None:
    """The first face's maps at every stage, the curves over all faces, and both as a table."""
    stages = [{kind: values[0] for kind, values in maps.strengths().items()} for maps in check.maps]
    run.log_figure("randomised", randomisation_sheet(
        faces.images[0].numpy(), stages, check.stages, {kind: v[:, 0] for kind, v in check.correlation.items()},
        f"{faces.names[0]}, asked for {people[check.maps[0].target[0]]}: weights randomised from the last layer to the "
        "first; below each map its rank correlation with the trained network's",
    ))  # fmt: skip
    run.log_figure("sanity_check", randomisation_curves(
        check.stages, check.correlation, check.ssim, check.other_picture, f"Sanity check on {len(faces)} faces"
    ))  # fmt: skip
    lines = ["stage,map,rank_correlation,ssim"]
    lines += [
        f"{stage},{kind},{finite_mean(check.correlation[kind][i]):.4f},{finite_mean(check.ssim[kind][i]):.4f}"
        for i, stage in enumerate(check.stages) for kind in check.correlation
    ]  # fmt: skip
    run.log_text("sanity_check.csv", "\n".join(lines) + "\n")


def _metrics(check: SanityCheck, split: str) -> dict[str, float | list[float]]:
    """Named by what was explained: `test` faces, or an `image` that is in no split. Empty maps have no figures."""
    figures: dict[str, float | list[float]] = {}
    for kind, key in KEYS.items():
        found = {
            "rank_correlation_head": check.correlation[kind][1], "rank_correlation_all": check.correlation[kind][-1],
            "ssim_all": check.ssim[kind][-1], "rank_correlation_other_class": check.other_class[kind],
            "rank_correlation_other_picture": check.other_picture[kind],
        }  # fmt: skip
        figures |= {f"{split}_{key}_{name}": finite_mean(of) for name, of in found.items() if np.isfinite(of).any()}
    return figures


def _told(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "of empty maps"


def _one_of_each(faces: ImageSet) -> list[int]:
    if len(faces) == 1:
        return [0]
    return [int((faces.labels == label).nonzero()[0, 0]) for label in faces.labels.unique()]


def _index(name: str, people: Sequence[str]) -> int:
    if name not in people:
        raise ConfigError(f"target={name} is nobody this network knows; there are {', '.join(people)}, or `predicted`.")
    return list(people).index(name)


if __name__ == "__main__":
    main(run, Config, entry_point="facescrub_guided_backprop", question="D 2.5", doc=__doc__)
