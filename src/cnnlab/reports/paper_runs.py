"""What runs and records say about the eleven papers' networks on CIFAR-10; paper_words.py makes sentences of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

import mlflow
from mlflow.entities import Run as StoredRun

from cnnlab.evaluation.comparison import unpaired_interval, wilson_interval
from cnnlab.models import list_models
from cnnlab.models.families import family
from cnnlab.reports.records import Record
from cnnlab.tracking import had_data
from cnnlab.tracking.run import PARENT

RANK, TRAIN = "cifar10_rank", "cifar10_train"
FIGURES = (
    "val_accuracy", "parameters", "multiply_adds", "train_images_per_second", "train_seconds", "images_seen",
    "latency_ms", "memory_mb",
)  # fmt: skip
# settings in which runs that are set side by side may differ
_FREE = {f"cfg/{name}" for name in ("models", "model", "seed", "seeds", "resume", "record", "quick", "data")}
TEST_IMAGES = 10_000
OTHER_PIXELS = "not the official pixels"  # as `data.cifar10.Cifar10.caveat` says it


@dataclass(frozen=True)
class Measured:
    """One network on CIFAR-10's test images under one budget.

    Attributes:
        model: name in the registry.
        source: the run, or the record's file.
        accuracy: on test, a share, the mean over seeds.
        std: over seeds, of the sample; 0 for one seed, None where a run of several does not say it.
        seeds: numbers of the seeds, each one training.
        count: test images.
        figures: of `FIGURES` those that are known, means over seeds.
        budget: in words.
        pixels, data, digest: what it saw.
        commit, hardware: as the run says; "with changes" where the tree held more than the commit.
        condition: equal for those that may be set side by side.
        note: what the run says of itself.
    """

    model: str
    source: str
    accuracy: float
    std: float | None
    seeds: tuple[int, ...]
    count: int
    figures: dict[str, float]
    budget: str
    pixels: str
    data: str
    digest: str
    commit: str
    hardware: str
    condition: tuple = ()
    note: str = ""

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy by the number of test images; another seed may move it by more."""
        return wilson_interval(self.accuracy, self.count)

    @property
    def shown(self) -> str:
        """The accuracy in per cent, with its spread over seeds or its interval."""
        if len(self.seeds) > 1 and self.std is not None:
            return f"{100 * self.accuracy:.2f} ± {100 * self.std:.2f} % ({len(self.seeds)} seeds)"
        low, high = self.interval
        return f"{100 * self.accuracy:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f})"

    def above(self, other: "Measured") -> tuple[float, float]:
        """Ends of the 95 % interval of this accuracy minus the other's, the images taken as independent."""
        mine, theirs = ((m.accuracy, m.std or 0.0, len(m.seeds)) for m in (self, other))
        return unpaired_interval(theirs, mine, min(self.count, other.count))


@dataclass
class Evidence:
    """All that was measured.

    Attributes:
        ranking: networks under one budget, the best first; empty without a finished one.
        others: measured otherwise: single trainings, and rankings under another budget.
    """

    ranking: list[Measured] = field(default_factory=list)
    others: list[Measured] = field(default_factory=list)

    def of(self, paper: str) -> list[Measured]:
        """All of one paper's networks."""
        return [m for m in (*self.ranking, *self.others) if family(m.model) == paper]


def collect(client: mlflow.MlflowClient, records: Mapping[str, Record], data: str = "") -> Evidence:
    """What the tracking store and, where it has nothing, the records hold.

    Finished children of `cifar10_rank` count even where the ranking did not come to its end. Side by side are those of
    the newest one's budget, settings, data and machine. Runs on stand-in data and in quick mode do not count.

    Args:
        client: of the store.
        records: by name, as `read_records` gives them.
        data: only runs that were given these data.
    """
    ranked = _newest(list(_ranked(client, data)))
    condition = ranked[0][1].condition if ranked else ()
    side_by_side = [m for _, m in ranked if m.condition == condition]
    evidence = Evidence(_over_seeds(side_by_side), [])
    later = {m.model for m in evidence.ranking}
    for _, one in ranked:  # of another budget: the newest of each network that the ranking lacks
        if one.model not in later:
            later.add(one.model)
            evidence.others.append(one)
    trained = [m for _, m in _newest(list(_trained(client, data)))]
    evidence.others += list({m.model: m for m in reversed(trained)}.values())
    if not data:
        _add_records(evidence, records)
    evidence.ranking.sort(key=lambda m: -m.accuracy)
    return evidence


def _newest(found: list[tuple[int, Measured]]) -> list[tuple[int, Measured]]:
    return sorted(found, key=lambda pair: -pair[0])


# ---- the store -------------------------------------------------------------------------------------------------------
def _runs(client: mlflow.MlflowClient, entry_point: str, data: str) -> Iterable[StoredRun]:
    experiments = [e.experiment_id for e in client.search_experiments()]
    wanted = f"tags.entry_point = '{entry_point}' and tags.quick = 'false' and tags.embedded_data = 'false'"
    for run in client.search_runs(experiments, wanted, max_results=1000):
        if had_data(run, data):
            yield run


def _ranked(client: mlflow.MlflowClient, data: str) -> Iterable[tuple[int, Measured]]:
    for parent in _runs(client, RANK, data):
        wanted = f"tags.`{PARENT}` = '{parent.info.run_id}' and attributes.status = 'FINISHED'"
        children = client.search_runs([parent.info.experiment_id], wanted, max_results=1000)
        diverged = {child.data.tags.get("model") for child in children if "diverged" in child.data.tags}
        for child in children:
            if child.data.tags.get("model") in diverged:  # with another seed: it has no rank there either
                continue
            if "test_accuracy" in child.data.metrics and child.data.tags.get("model") in list_models():
                budget = rank_budget(parent.data.params, parent.data.tags.get("hardware", ""))
                yield child.info.start_time, _of_run(child, parent, budget)


def _trained(client: mlflow.MlflowClient, data: str) -> Iterable[tuple[int, Measured]]:
    for run in _runs(client, TRAIN, data):
        known = run.data.tags.get("model") in list_models() and "test_accuracy" in run.data.metrics
        if known and run.info.status == "FINISHED":
            epochs = run.data.params.get("cfg/training.epochs", "?")
            yield run.info.start_time, _of_run(run, run, f"{epochs} epochs (the best on validation judged)")


def rank_budget(params: Mapping[str, str], hardware: str) -> str:
    """The budget of a ranking in words, from its settings; `auto` is time where there was no GPU."""
    budget = params.get("cfg/budget", "auto")
    if budget == "time" or (budget == "auto" and "no GPU" in hardware):
        return f"{float(params.get('cfg/minutes', 'nan')):g} minutes of training (last state judged)"
    return f"{params.get('cfg/epochs', '?')} epochs (last state judged)"


def _of_run(run: StoredRun, parent: StoredRun, budget: str) -> Measured:
    tags, params, metrics = parent.data.tags, parent.data.params, run.data.metrics
    sizes = [d.dataset.name for d in parent.inputs.dataset_inputs if "/test (" in d.dataset.name]
    settings = {k: v for k, v in params.items() if k.startswith("cfg/") and k not in _FREE}
    # a child is one training and says with which seed; a run of several seeds has their mean and spread
    seed, seeds = int(params.get("cfg/seed", 0)), int(params.get("cfg/seeds", 1))
    if run is not parent:
        seed, seeds = int(run.data.tags.get("seed", seed)), 1
    changed = " with changes" if tags.get("dirty") == "true" else ""
    return Measured(
        run.data.tags["model"], f"{tags['entry_point']} run {run.info.run_id[:8]}", metrics["test_accuracy"],
        metrics.get("test_accuracy_std") if seeds > 1 else 0.0,
        tuple(range(seed, seed + seeds)), int(sizes[0].rpartition("(")[2].rstrip(")")) if sizes else TEST_IMAGES,
        {name: metrics[name] for name in FIGURES if name in metrics}, budget, tags.get("pixels", "unknown"),
        tags.get("data", ""), tags.get("data.digest", ""), tags.get("commit", "unknown")[:10] + changed,
        tags.get("hardware", ""), (tags.get("data.digest"), tags.get("hardware"), *sorted(settings.items())),
        tags.get("summary", "") if run is parent else "",
    )  # fmt: skip


def _over_seeds(found: list[Measured]) -> list[Measured]:
    """One for each network: its newest run of each seed, taken together."""
    kept: dict[str, dict[int, Measured]] = {}
    for one in found:  # the newest first
        kept.setdefault(one.model, {}).setdefault(one.seeds[0], one)
    out = []
    for seeds in kept.values():
        ones = list(seeds.values())
        values = [one.accuracy for one in ones]
        figures = {
            k: fmean(one.figures[k] for one in ones) for k in ones[0].figures if all(k in o.figures for o in ones)
        }
        changes: dict[str, Any] = {
            "source": ", ".join(one.source for one in ones), "accuracy": fmean(values), "figures": figures,
            "std": stdev(values) if len(values) > 1 else 0.0, "seeds": tuple(sorted(seeds)),
        }  # fmt: skip
        out.append(Measured(**{**ones[0].__dict__, **changes}))
    return out


# ---- records ---------------------------------------------------------------------------------------------------------
def _add_records(evidence: Evidence, records: Mapping[str, Record]) -> None:
    """What the records hold of networks that no run was found of; the ranking's only where there is no run of one."""
    known = {m.model for m in (*evidence.ranking, *evidence.others)}
    if RANK in records:
        ranked = [_of_record(records[RANK], name, f"_{name}") for name in list_models()]
        found = [m for m in ranked if m is not None]
        if evidence.ranking:
            evidence.others += [m for m in found if m.model not in known]
        else:
            evidence.ranking += found
    trained = {m.model for m in evidence.others if m.source.startswith(TRAIN)}
    for name in list_models():
        if f"{TRAIN}_{name}" in records and name not in trained:
            if one := _of_record(records[f"{TRAIN}_{name}"], name, ""):
                evidence.others.append(one)


def _of_record(record: Record, model: str, suffix: str) -> Measured | None:
    if f"test_accuracy{suffix}" not in record.metrics:
        return None
    figures = {k: record.metrics[k + suffix]["mean"] for k in FIGURES if k + suffix in record.metrics}
    accuracy = record.metrics[f"test_accuracy{suffix}"]
    budget = "as its command says"
    seen = [m["mean"] for name, m in record.metrics.items() if name.startswith("images_seen_")]
    if len(seen) > 1 and len(set(seen)) == 1 and "train" in record.data["splits"]:  # equal epochs
        budget = f"{seen[0] / record.data['splits']['train']:.0f} epochs (last state judged)"
    elif "train_seconds" in figures:
        budget = f"about {figures['train_seconds']:.0f} s of training (last state judged)"
    elif "epochs" in record.metrics:
        budget = f"{record.metrics['epochs']['mean']:.0f} epochs (the best on validation judged)"
    pixels = next((part for part in record.note.split("; ") if OTHER_PIXELS in part), "official")
    return Measured(
        model, f"results/{record.entry_point}.json", accuracy["mean"], accuracy["std"], tuple(record.seeds),
        record.data["splits"].get("test", TEST_IMAGES), figures, budget, pixels,
        record.data["name"], record.data["digest"], record.commit[:10] + " with changes" * record.dirty,
        record.hardware, (record.run_id,),
    )  # fmt: skip
