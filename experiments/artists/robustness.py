"""D 1.7 · What the networks rely on: paintings moved, brightened, darkened, flipped, inverted, in other contrast.

    mlflow run . -e artists_robustness -P data=DIR

The baseline and the best network, each as five networks of the five folds, are asked for the paintings of their test
parts as those are and under each change at several strengths; no network was trained on any picture that it is asked
for. The best network is that of `artists_improve`: of the newest finished run on the same data and folds, or of
`-P model=RUN_ID`; if there is none, batch norm and augmentation are trained here and the run says so. The baseline
looks at a picture once, the best network as it did in its study (often mirrored and at several sizes, which is part of
what it withstands). `robustness.md` has the table, with the paired difference of the two and its interval, and the
reading, `figures/strengths.png` the curves, `figures/changes.png` what each change does to a painting.

Budget on two CPU cores: up to a quarter of an hour, most of it for the machines beside the best networks.

Result: artists_robustness on artists (train 360, test 451), seeds 0, AMD EPYC, 1 core, 24 GiB, no GPU, 1091 s,
    2026-11-22, commit 222336664e:
    test_baseline_unchanged  0.572 ± 0.073 (5) on 451 samples
    test_best_unchanged      0.836 ± 0.043 (5) on 451 samples
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import mlflow
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from cnnlab.data.augment import Augmentation
from cnnlab.data.folds import Fold
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.evaluation.robustness import CHANGES, STUDENT
from cnnlab.experiment import Outcome, main
from cnnlab.models.saved import load_model
from cnnlab.plots.robustness import change_sheet, strength_curves
from cnnlab.reports.differences import Difference
from cnnlab.reports.paintings import PaintingConfig, load_paintings, sizes_of_outer, train_outer
from cnnlab.reports.partners import ask_together
from cnnlab.reports.text_tables import percent
from cnnlab.tracking import Run, open_store
from cnnlab.tracking.models import model_file
from cnnlab.training import Training
from cnnlab.training.folds import assembled, run_jobs
from cnnlab.training.views import Views

SLIGHT = 2.0  # points that an accuracy may lose and still count as unmoved
CLEAR = 5.0  # points between two means from which on words tell them apart
Asked = tuple[nn.Module, Views]


@dataclass(frozen=True)
class Config(PaintingConfig):
    """Judge the baseline and the best network on changed paintings."""

    model: str = ""
    """a run of artists_improve; the newest finished one on these data and folds unless given"""
    seeds: int = 1
    """each fold is asked of one network"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seeds != 1:
            raise ConfigError(f"seeds must be 1, not {self.seeds}: each fold is asked of one network.")
        if self.resume:
            raise ConfigError("artists_robustness keeps nothing to go on from; leave resume out and start it anew.")
        if self.training.monitor != "last" or self.training.schedule == "plateau":
            raise ConfigError(
                "training.monitor must be last and training.schedule not plateau: these networks are trained on all "
                "folds but their test part, and nothing is left to choose by."
            )


def run(config: Config, run: Run) -> Outcome:
    """Ask both for every change and strength; draw and read."""
    pictures, folds = load_paintings(config, run, sizes_of_outer)
    run.log_figure("changes", change_sheet(pictures.images[int(pictures.labels.argmax())], CHANGES))
    networks = {"baseline": trained(config, pictures, folds)}
    best, origin = best_networks(config, pictures, folds)
    networks["best"] = best
    run.set_tags({"best": origin})
    right = {name: ask(five, pictures, folds, name) for name, five in networks.items()}
    found = {name: {change: by_fold(rows, folds) for change, rows in of.items()} for name, of in right.items()}
    gains = differences(right["baseline"], right["best"])
    chance = torch.bincount(pictures.labels).max().item() / len(pictures)
    run.log_figure("strengths", strength_curves(CHANGES, found, chance))
    text = "\n\n".join([table(found, gains, origin), reading(found, chance), told_apart(gains)]) + "\n"
    run.log_text("robustness.md", text)
    for file, arrays in (("accuracies.npz", found), ("right.npz", right)):
        named = {f"{name}/{change}": rows for name, of in arrays.items() for change, rows in of.items()}
        run.log_arrays(file, {key.replace(" ", "_"): rows for key, rows in named.items()})
    print(text, flush=True)
    metrics = {}
    for name, of_network in found.items():
        metrics[f"test_{name}_unchanged"] = of_network["flipped"][0].tolist()
        for change, rows in of_network.items():
            metrics[f"test_{name}_{change.replace(' ', '_')}_strongest"] = rows[-1].tolist()
    worst = min(CHANGES, key=lambda change: found["best"][change][-1].mean())
    return Outcome(
        metrics,
        f"Unchanged: baseline {percent(found['baseline']['flipped'][0])}, best "
        f"{percent(found['best']['flipped'][0])} (five folds, {pictures.name}). Hardest at full strength: "
        f"{worst}, {percent(found['best'][worst][-1])}. {told_apart(gains)} {origin}",
        [config.seed],
    )


def trained(config: PaintingConfig, pictures: ImageSet, folds: Sequence[Fold]) -> list[Asked]:
    """A configuration's network for each fold, and how it looks at a picture."""
    settings = PaintingConfig(
        data=config.data, seed=config.seed, size=config.size, layout=config.layout, training=config.training,
        augmentation=config.augmentation,
    )  # fmt: skip
    jobs = [(settings, outer, config.seed) for outer in range(len(folds))]
    done = dict(run_jobs(partial(train_outer, pictures, folds), jobs, config.workers))
    return [(done[outer].network, config.views) for outer in range(len(folds))]


def best_networks(config: Config, pictures: ImageSet, folds: Sequence[Fold]) -> tuple[list[Asked], str]:
    """The best network for each fold with how it looks at a picture, and where it comes from in words.

    Raises:
        ConfigError: the run that `model` names has no such networks, or they have seen pictures that they would be
            asked for.
    """
    source = config.model or newest_run(pictures.digest, config.seed)
    if source:
        loaded = [load_model(model_file(source, f"model_fold_{k}.pt")) for k in range(1, len(folds) + 1)]
        for number, (_, meta) in enumerate(loaded, 1):
            check_unseen(source, meta, number, pictures.digest, config.seed)
        looks = "in one look" if all(len(Views.of(meta)) == 1 for _, meta in loaded) else "looking as it did there"
        return (
            [(network.eval(), Views.of(meta)) for network, meta in loaded],
            f"The best network is that of run {source[:8]}, {looks}.",
        )
    training = Training(
        epochs=config.training.epochs if config.quick else 100, batch_size=32, optimizer="adamw", lr=3e-3,
        weight_decay=0.05, schedule="one_cycle", label_smoothing=0.1, monitor="last", precision="32-true", prefetch=0,
    )  # fmt: skip
    layout = replace(
        config.layout, kernels=(5, 3, 3), strides=(1, 1, 1), depths=(32, 64, 128), pool=2, norm="batch", dropout=0.3
    )
    augmentation = Augmentation(flip=0.5, shift=4, brightness=0.1, contrast=0.2, saturation=0.3)
    made = replace(config, training=training, layout=layout, augmentation=augmentation)
    return trained(made, pictures, folds), (
        "No finished run of artists_improve on these data: the best network is batch norm with augmentation, untuned."
    )


def check_unseen(source: str, meta: Mapping[str, Any], fold: int, digest: str, seed: int) -> None:
    """Refuse, with a ConfigError, a network that is not the one that has not seen this fold (from 1) of these data."""
    if meta.get("fold") != fold:
        raise ConfigError(
            f"model={source} has no network that has not seen fold {fold}; give a run of artists_improve."
        )
    if meta.get("data_digest") != digest:
        raise ConfigError(f"model={source} was trained on other pictures or in another size; give that data and size.")
    if meta.get("folds_seed") != seed:
        raise ConfigError(f"model={source} was trained on the folds of seed {meta.get('folds_seed')}; give that seed.")


def newest_run(digest: str, seed: int) -> str:
    """Id of the newest finished run of artists_improve on these data and folds, or nothing."""
    client = open_store()
    wanted = (
        "attributes.status = 'FINISHED' and tags.entry_point = 'artists_improve' and tags.quick = 'false' and "
        f"tags.`data.digest` = '{digest}' and tags.seed = '{seed}'"
    )
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs: list[mlflow.entities.Run] = client.search_runs(
        experiments, wanted, order_by=["attributes.start_time DESC"], max_results=1
    )
    return runs[0].info.run_id if runs else ""


def ask(
    networks: Sequence[Asked], pictures: ImageSet, folds: Sequence[Fold], title: str = "asking"
) -> dict[str, np.ndarray]:
    """Change -> what was right, bool (1 + strengths, N), the first row that of the unchanged pictures."""
    tests = [pictures.take(fold.test, "test") for fold in folds]

    def right(parts: Sequence[ImageSet]) -> np.ndarray:
        answers = [ask_together(*asked, part).argmax(1) for asked, part in zip(networks, parts, strict=True)]
        return assembled([(a == part.labels).numpy() for a, part in zip(answers, parts, strict=True)], folds)

    unchanged = right(tests)
    found = {}
    total = sum(len(change.strengths) for change in CHANGES.values())
    with tqdm(total=total, desc=title, unit="strength", leave=False, dynamic_ncols=True) as progress:
        for name, change in CHANGES.items():
            rows = [unchanged]
            for strength in change.strengths:
                rows.append(right([replace(test, images=change(test.images, strength)) for test in tests]))
                progress.update()
            found[name] = np.stack(rows)
    return found


def by_fold(right: np.ndarray, folds: Sequence[Fold]) -> np.ndarray:
    """Accuracies (rows, folds) of what was right, bool (rows, N)."""
    return np.stack([right[:, list(fold.test)].mean(1) for fold in folds], 1)


def differences(baseline: Mapping[str, np.ndarray], best: Mapping[str, np.ndarray]) -> dict[str, list[Difference]]:
    """Change -> best minus baseline on the same pictures, unchanged and at each strength."""
    return {
        change: [Difference.of(first[None], second[None]) for first, second in zip(baseline[change], rows, strict=True)]
        for change, rows in best.items()
    }


# ---- words -----------------------------------------------------------------------------------------------------------
def table(
    found: Mapping[str, Mapping[str, np.ndarray]], gains: Mapping[str, Sequence[Difference]], origin: str
) -> str:
    """Markdown: every change and strength."""
    names = list(found)
    lines = [
        "# Changed paintings", "",
        f"{origin} Mean ± standard deviation of five folds, %; each network is asked for pictures it has not seen. "
        "`difference`: best minus baseline on the same pictures in points, with its 95 % interval. `student`: a "
        "student report's figures on its own 87 validation pictures, at one strength of each change that it does not "
        "state.", "",
        "| change | strength | " + " | ".join(names) + " | difference | reading | student |",
        "|---|---|" + "---|" * (len(names) + 3),
        f"| none | | {' | '.join(percent(found[n]['flipped'][0]) for n in names)} | {_cells(gains['flipped'][0])} | |",
    ]  # fmt: skip
    for name, change in CHANGES.items():
        for row, strength in enumerate(change.strengths, 1):
            cells = " | ".join(percent(found[n][name][row]) for n in names)
            told = f"{STUDENT[name]}" if strength == change.strengths[-1] else ""
            cells += f" | {_cells(gains[name][row])}"
            lines.append(f"| {name} | {change.label(strength)} {change.unit} | {cells} | {told} |")
    return "\n".join(lines)


def _cells(gain: Difference) -> str:
    return f"{gain.points} | {gain.words}"


def told_apart(gains: Mapping[str, Sequence[Difference]]) -> str:
    """One sentence: unchanged and under each change at full strength, which of the two networks is better."""
    last = {"unchanged": next(iter(gains.values()))[0]} | {change: of[-1] for change, of in gains.items()}
    parts = [
        f"{words}: " + ", ".join(f"{name} ({gain.points})" for name, gain in last.items() if gain.words == words)
        for words in dict.fromkeys(gain.words for gain in last.values())
    ]
    return f"Best against baseline at full strength, in points, {'; '.join(parts)}."


def reading(found: Mapping[str, Mapping[str, np.ndarray]], chance: float) -> str:
    """What each network is invariant to and what it relies on, as far as the figures say."""
    lines = ["## What the networks rely on", ""]
    for name, of_network in found.items():
        unchanged = of_network["flipped"][0]
        loss = {change: 100 * (unchanged - rows[-1]) for change, rows in of_network.items()}
        order = sorted(loss, key=lambda change: loss[change].mean())
        calm = [change for change in order if loss[change].mean() < SLIGHT]
        lost = [change for change in order if of_network[change][-1].mean() <= chance + 0.05]
        text = f"- **{name}** ({percent(unchanged)} unchanged). Smallest loss at full strength: {order[0]} "
        text += f"({loss[order[0]].mean():.1f} points); largest: {order[-1]} ({loss[order[-1]].mean():.1f} points). "
        text += f"Less than {SLIGHT:g} points lost: {', '.join(calm) or 'none'}. "
        text += f"No better than always naming the most frequent artist ({100 * chance:.0f} %): "
        text += f"{', '.join(lost) or 'none'}."
        lines.append(text)
    best, base = found["best"], found["baseline"]
    tone = np.mean([best[c][-1].mean() for c in ("brightened", "darkened", "high contrast", "low contrast")])
    place = np.mean([best[c][-1].mean() for c in ("translated", "flipped")])
    lines += [
        "",
        f"At full strength the best network has {100 * place:.0f} % right where things are moved or mirrored and "
        f"{100 * tone:.0f} % where brightness or contrast change: at these strengths "
        f"{relies(place, tone)}. The negative, which keeps every edge, leaves "
        f"{100 * best['inverted'][-1].mean():.0f} % (baseline {100 * base['inverted'][-1].mean():.0f} %): "
        f"{'edges and drawing alone are not enough' if best['inverted'][-1].mean() < 0.5 else 'drawing carries much'}.",
    ]
    return "\n".join(lines)


def relies(place: float, tone: float) -> str:
    """What mean accuracies under changes of place and of tone say, where they are clearly apart."""
    if abs(place - tone) < CLEAR / 100:
        return "places and tones weigh alike"
    return f"it relies more on {'tones than on places' if place > tone else 'places than on tones'}"


if __name__ == "__main__":
    main(run, Config, entry_point="artists_robustness", question="D 1.7", doc=__doc__)
