"""Features put to use: a linear SVM, image retrieval and clusters on what a frozen network sees in any image folder.

    mlflow run . -e features_explore -P data=DIR      # class folders, with or without splits; or one heap of pictures
    mlflow run . -e features_explore -P data=DIR -P backbone=alexnet -P size=224
    mlflow run . -e features_explore -P data=DIR -P model=RUN_ID              # the features of a network of your own

Every image goes through the backbone once; the input of its last layer is the image's feature vector. On these vectors:
a linear support vector machine (standardised features, C by cross-validation on train), judged on val, or by 5-fold
cross-validation where there is no val; retrieval by cosine (precision at 1, 5 and 10; a contact sheet with right
neighbours framed green and wrong ones red), val asking train, or every image asking all others; k-means with as many
clusters as classes, its agreement with the classes, the pictures of each cluster, and the plane. Of pictures without
classes there is retrieval without a verdict, and `clusters` clusters.

Budget on two CPU cores: 2,400 portraits at 160x160 with efficientnet_lite0, about two minutes.

Result: features_explore on heavy_makeup_CelebA (train 2000, val 400), seeds 0, AMD EPYC, 1 core, 24 GiB, no GPU, 61
    s, 2026-11-22, commit 222336664e:
    val_svm_accuracy         0.8425 (1) on 400 samples
    val_precision_at_1       0.8000 (1) on 400 samples
    val_precision_at_5       0.7795 (1) on 400 samples
    val_precision_at_10      0.7702 (1) on 400 samples
    val_precision_by_chance  0.5000 (1) on 400 samples
    val_adjusted_rand        0.3954 (1) on 400 samples
    val_nmi                  0.3211 (1) on 400 samples
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from sklearn.metrics import confusion_matrix
from tqdm import tqdm

from cnnlab import plots
from cnnlab.data.folders import load_image_folder, load_pictures, spread_evenly, spread_places
from cnnlab.data.imageset import ImageSet
from cnnlab.data.makeup import load_makeup
from cnnlab.data.picture_tree import read_tree
from cnnlab.errors import ConfigError, DataError
from cnnlab.evaluation.clustering import agreement, k_means, project
from cnnlab.evaluation.comparison import wilson_interval
from cnnlab.evaluation.linear import cross_validated, fit_linear_svm
from cnnlab.evaluation.retrieval import chance_precision, nearest_neighbours, precision_at
from cnnlab.experiment import Experiment, Outcome, checkpoint_path, fingerprint, main
from cnnlab.files import replacing
from cnnlab.models.backbone import Backbone
from cnnlab.models.kernel_machine import trained_network
from cnnlab.models.pretrained import pretrained_model
from cnnlab.models.registry import model_settings
from cnnlab.models.saved import load_model
from cnnlab.plots.features import embedding_map, retrieval_sheet
from cnnlab.tracking import Run
from cnnlab.tracking.models import model_file
from cnnlab.training import make_fabric
from cnnlab.training.batches import batches, to_float

KS = (1, 5, 10)
QUERIES = 10  # rows of the contact sheet
_MAPPED = 2000  # points of the plane; t-SNE of more takes minutes


@dataclass(frozen=True)
class Config(Experiment):
    """Use the features of a frozen network."""

    backbone: str = "efficientnet_lite0"
    """a network of the registry with `embed`, such as alexnet, vgg16, squeezenet1_1"""
    weights: str = "auto"
    """auto, torchvision, packages, random, or the path of a .pth file"""
    model: str = ""
    """instead of backbone and weights: a run id, a registered model or a model.pt file"""
    size: int = 160
    """height and width in pixels that the images are brought to"""
    per_class: int = 1000
    """most images of each class and split, spread evenly over its files"""
    clusters: int = 0
    """of k-means; 0 is as many as there are classes, and 8 without classes"""
    projection: Literal["tsne", "pca"] = "tsne"
    """how the features come onto a plane"""

    def __post_init__(self) -> None:
        for name, lowest in (("size", 32), ("per_class", 2), ("clusters", 0)):
            if getattr(self, name) < lowest:
                raise ConfigError(f"{name} must be at least {lowest}, not {getattr(self, name)}.")

    def shrunk(self) -> "Config":
        return replace(self, weights="random", size=64, per_class=12, projection="pca")


def run(config: Config, run: Run) -> Outcome:
    """Embed, then classify, retrieve and cluster."""
    train, val = load_splits(config)
    parts = [train, val] if val else [train]
    digest = fingerprint({"parts": [part.digest for part in parts]})
    run.log_data(train.name, digest, {part.split: len(part) for part in parts}, config.data)
    model, origin = load_backbone(config, run)
    features = [embed_once(config, run, model, part, origin) for part in parts]
    judged, vectors = parts[-1], features[-1]
    gallery = (features[0], train) if val else None
    metrics, told, kind = {}, "There are no classes, so that nothing is called right or wrong.", "a heap of pictures"
    if len(train.classes) > 1:
        kind = f"{len(train.classes)} classes"
        metrics, told = classify(config, run, train, features[0], val, vectors)
    found, words = retrieve(run, judged, vectors, gallery)
    grouped, agrees = cluster(config, run, judged, vectors)
    return Outcome(
        metrics | found | grouped,
        f"{train.name}, {kind}, features of {origin[0]} ({vectors.shape[1]} numbers). {told} {words} {agrees}",
        [config.seed], note=origin[1],
    )  # fmt: skip


def load_splits(config: Config) -> tuple[ImageSet, ImageSet | None]:
    """Training images and, where the folder has such a split, held-out ones (val before test); or one heap."""
    size = (config.size, config.size)
    fit = load_model(model_file(config.model))[1].get("fit", "stretch") if config.model else "stretch"
    if config.data == "embedded":
        splits = load_makeup("embedded", size, config.quick, config.seed, fit)
        return splits.train, splits.val
    tree = read_tree(config.data)
    if tree.target != "class":
        paths = spread_evenly(tree.paths, config.per_class)
        if len(paths) < 3:
            raise DataError(f"{tree.root}: {len(paths)} pictures only; neighbours and clusters need three at least.")
        return load_pictures(paths, size, tree.root.name, fit), None
    places = {name: tree.root / name for name in tree.split_names} if tree.split_names != ("all",) else {
        "train": tree.root
    }  # fmt: skip
    chosen = list(places.items())[:2]  # read_tree lists train, val, test in this order
    loaded = [
        load_image_folder(folder, size, _plain(split), tree.classes, tree.root.name, fit, config.per_class)
        for split, folder in chosen
    ]
    return loaded[0], loaded[1] if len(loaded) > 1 else None


def load_backbone(config: Config, run: Run) -> tuple[Backbone, tuple[str, str]]:
    """The network that embeds, and where its weights come from: words, and what a reader of the figures must know."""
    if config.model:
        path = model_file(config.model)
        model = trained_network(load_model(path)[0])
        name, origin = model.architecture[0], (f"{model.architecture[0]} of {config.model}", "")
    else:
        name = config.backbone
        model, report = pretrained_model(config.backbone, 2, config.weights)
        if not report.complete and config.weights != "random":  # not through layers that nothing has trained
            if "conv_only" not in model_settings(config.backbone):
                raise ConfigError(f"{report.sentence} Its features would say nothing; take complete weights.")
            model, report = pretrained_model(config.backbone, 2, config.weights, conv_only=True)
        run.log_weights(report)
        origin = (f"{config.backbone} ({report.source})", "" if report.complete else report.sentence)
    if not isinstance(model, Backbone):
        raise ConfigError(f"{name} has no features to explore; take a network such as efficientnet_lite0 or alexnet.")
    return model, origin


# ---- features --------------------------------------------------------------------------------------------------------
def embed_once(config: Config, run: Run, model: Backbone, part: ImageSet, origin: tuple[str, str]) -> np.ndarray:
    """Features (N, D) of a split, stored in the run; with resume=true those of an earlier one."""
    weights = fingerprint({"sums": [float(p.double().abs().sum()) for p in model.state_dict().values()]})
    stamp = fingerprint({"origin": origin[0], "weights": weights, "size": config.size}, part.digest)
    path = checkpoint_path("features_explore", stamp, config.resume)
    if path.exists():
        features = torch.load(path, weights_only=True).numpy()
    else:
        features = embed_all(model, part)
        with replacing(path) as partial:
            torch.save(torch.from_numpy(features), partial)
    run.log_arrays(f"features_{part.split}.npz", {
        "features": features.astype(np.float16), "labels": part.labels.numpy(), "names": np.array(part.names or []),
        "classes": np.array(part.classes),
    })  # fmt: skip
    return features


@torch.inference_mode()
def embed_all(model: Backbone, images: ImageSet, batch_size: int = 64, precision: str = "auto") -> np.ndarray:
    """`model.embed` of every image in order, float32 (N, D); bf16 where the processor computes in it."""
    fabric = make_fabric(precision)
    model = fabric.to_device(model.eval().to(memory_format=torch.channels_last))
    parts = []
    for pixels, _ in tqdm(batches(images, batch_size), desc=f"features of {images.split}", unit="batch",
                          disable=len(images) < 500 or None, leave=False):  # fmt: skip
        inputs = fabric.to_device(to_float(pixels)).contiguous(memory_format=torch.channels_last)
        with fabric.autocast():
            parts.append(model.embed(inputs).float().flatten(1).cpu())
    return torch.cat(parts).numpy()


# ---- three uses ------------------------------------------------------------------------------------------------------
def classify(
    config: Config, run: Run, train: ImageSet, features: np.ndarray, val: ImageSet | None, vectors: np.ndarray
) -> tuple[dict[str, float | list[float]], str]:
    """Linear SVM: accuracy on val, or by cross-validation on the one split there is."""
    if val is None:
        scores, predicted = cross_validated(features, train.labels.numpy(), config.seed)
        name, truth, count = "train_svm_cv_accuracy", train.labels.numpy(), len(train)
        how = f"in {len(scores)}-fold cross-validation"
    else:
        machine = fit_linear_svm(features, train.labels.numpy(), config.seed)
        chosen = {"svm_c": machine.best_params_["svm__C"], "train_svm_best_cv_accuracy": machine.best_score_}
        run.log_metrics(chosen)
        predicted, truth, count = machine.predict(vectors), val.labels.numpy(), len(val)
        name, how = f"{val.split}_svm_accuracy", f"on {val.split}"
    accuracy = float((predicted == truth).mean())
    low, high = wilson_interval(accuracy, count)
    matrix = confusion_matrix(truth, predicted, labels=range(len(train.classes)))
    run.log_figure("confusion_svm", plots.confusion_matrix(matrix, train.classes))
    said = f"Linear SVM: {accuracy:.1%} of {count} right {how} (95 % interval {low:.1%} to {high:.1%})."
    return {name: accuracy}, said


def retrieve(
    run: Run, judged: ImageSet, vectors: np.ndarray, gallery: tuple[np.ndarray, ImageSet] | None
) -> tuple[dict[str, float | list[float]], str]:
    """Precision at k and the contact sheet."""
    asked = gallery[1] if gallery else judged
    indices, similarities = nearest_neighbours(vectors, gallery[0] if gallery else None, max(KS))
    labels, truth, several = asked.labels.numpy(), judged.labels.numpy(), len(judged.classes) > 1
    rows = _queries(truth, QUERIES)
    names = np.array(judged.classes)[labels] if several else np.array(asked.names)
    own = np.array(judged.classes)[truth] if several else names
    run.log_figure("retrieval", retrieval_sheet(
        judged.images[rows].numpy(), own[rows], asked.images[indices[rows]].numpy(), names[indices[rows]],
        labels[indices[rows]] == truth[rows, None] if several else None, similarities[rows],
        f"{judged.split} asks {asked.split if gallery else 'all others'}",
    ))  # fmt: skip
    if not several:
        near = float(similarities[:, 0].mean())
        return {f"{judged.split}_nearest_similarity": near}, f"Retrieval: the nearest has a cosine of {near:.2f}."
    precision = precision_at(labels[indices], truth, KS)
    chance = chance_precision(truth, labels if gallery else None)
    figures = {f"{judged.split}_precision_at_{k}": value for k, value in precision.items()}
    said = ", ".join(f"{value:.1%} at {k}" for k, value in precision.items())
    figures[f"{judged.split}_precision_by_chance"] = chance
    return figures, f"Retrieval: precision {said}; chance {chance:.1%}."


def cluster(
    config: Config, run: Run, judged: ImageSet, vectors: np.ndarray
) -> tuple[dict[str, float | list[float]], str]:
    """k-means, its agreement with the classes, the pictures of each cluster, and the plane."""
    truth, several = judged.labels.numpy(), len(judged.classes) > 1
    count = min(config.clusters or (len(judged.classes) if several else 8), len(truth))
    clusters = k_means(vectors, count, config.seed)
    names = [f"cluster {number}" for number in range(count)]
    run.log_figure("clusters", plots.class_grid(judged.images, torch.from_numpy(clusters), names))
    scores = agreement(truth, clusters) if several else {}
    rows = np.sort(np.random.default_rng(config.seed).permutation(len(truth))[:_MAPPED])
    plane = project(vectors[rows], config.projection, config.seed)
    said = f"k-means: {count} clusters"
    if several:
        said += f"; against the classes adjusted Rand {scores['adjusted_rand']:.2f}, NMI {scores['nmi']:.2f}"
    title = f"{judged.name}, {judged.split}: {len(rows)} images by {config.projection}\n{said}"
    run.log_figure("plane", embedding_map(plane, truth[rows], clusters[rows], judged.classes, title))
    return {f"{judged.split}_{k}": v for k, v in scores.items()}, f"{said}."


def _queries(labels: np.ndarray, count: int) -> np.ndarray:
    """Rows of about `count` queries, the classes in turn."""
    turns = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    share = max(1, count // len(turns))
    picked = [of[spread_places(len(of), share)] for of in turns]
    return np.concatenate(picked)[: max(count, share)]


def _plain(split: str) -> str:
    return next((name for name in ("train", "val", "test") if split.lower().startswith(name[:2])), split.lower())


if __name__ == "__main__":
    main(run, Config, entry_point="features_explore", question="B · features put to use", doc=__doc__)
