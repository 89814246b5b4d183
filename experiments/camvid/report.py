"""Q2-2, Q2-4 · What the street-scene runs found: a table, the figures side by side, two discussions drawn from them.

    mlflow run . -e camvid_report
    mlflow run . -e camvid_report -P output=report.md    # also as a file

Collects the newest finished run of camvid_fcn8s, camvid_fcn16s, camvid_fcn32s and camvid_three_classes from the
tracking store, all on the data and with the settings of the newest; for a run that is not there its record in
results/ stands in the table. Did the skip connections pay, also along borders (Q2-2)? Did mean IoU rise with fewer
classes, and why (Q2-4)? A difference counts where its interval over seeds leaves out zero. In quick mode it trains
the four itself, on a handful of frames.

Budget: seconds.

Result: camvid_report on CamVid (train 367, val 101), seeds 0, 1, 2, AMD EPYC, 2 cores, 24 GiB, no GPU, 8 s,
    2026-11-23, commit a1b68de716:
    val_miou_fcn8s                    0.7236 ± 0.0043 (3) on 101 samples
    val_pixel_accuracy_fcn8s          0.93464 ± 0.00032 (3) on 101 samples
    val_miou_fcn16s                   0.7093 (1) on 101 samples
    val_pixel_accuracy_fcn16s         0.9335 (1) on 101 samples
    val_miou_fcn32s                   0.654 ± 0.010 (3) on 101 samples
    val_pixel_accuracy_fcn32s         0.9155 ± 0.0055 (3) on 101 samples
    val_miou_three_classes            0.9068 (1) on 101 samples
    val_pixel_accuracy_three_classes  0.9837 (1) on 101 samples
"""

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException

from cnnlab.data.camvid import load_camvid, three_classes
from cnnlab.errors import ConfigError
from cnnlab.evaluation.segmentation import mean_iou, pixel_accuracy
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.plots.segmentation import iou_bars, trimap_curves
from cnnlab.reports.pages import check_page, keep_page
from cnnlab.reports.records import read_records
from cnnlab.reports.scene_figures import Measured, figure
from cnnlab.reports.scenes import NUMBERS_FILE, SceneConfig, train_seeds
from cnnlab.reports.street_scenes import fewer_classes, skip_connections
from cnnlab.tracking import Run, had_data, open_store

DECODERS = ("camvid_fcn8s", "camvid_fcn16s", "camvid_fcn32s")
COMMANDS = (*DECODERS, "camvid_three_classes")
Numbers = dict[str, Any]


@dataclass(frozen=True)
class Config(Experiment):
    """Compare the decoders, and 11 with 3 classes."""

    data: str = ""
    """only runs that were given these data (`embedded` or a folder); those of the newest run unless given"""
    backbone: str = ""
    """only runs with this backbone; that of the newest run unless given"""
    output: str = ""
    """a Markdown file to which the report is written as well"""

    def __post_init__(self) -> None:
        check_page(self.output)


def run(config: Config, run: Run) -> Outcome:
    """Collect, draw, discuss."""
    found = train_quickly(config, run) if config.quick else collect(open_store(), config.data, config.backbone, run)
    recorded = {} if config.quick or config.data or config.backbone else read_records("results")
    if not found and not recorded.keys() & set(COMMANDS):
        raise ConfigError(f"No finished run to report on: start {', '.join(COMMANDS)} with the same data.")
    measured = {name: Measured.from_numbers(numbers) for name, numbers in found.items()}
    digests = {one["digest"] for one in run.datasets.values()}
    recorded = {
        name: record for name, record in recorded.items()
        if name in COMMANDS and name not in found and (not found or record.data["digest"] in digests)
    }  # fmt: skip
    text = markdown(found, measured, recorded)
    draw(run, measured)
    keep_page(run, text, config.output, "mlflow run . -e camvid_report")
    metrics: dict[str, float | list[float]] = {}
    for name, one in measured.items():
        short = name.removeprefix("camvid_")
        metrics |= {f"val_miou_{short}": list(one.values(mean_iou) / 100)}
        metrics |= {f"val_pixel_accuracy_{short}": list(one.values(pixel_accuracy) / 100)}
    figures = ", ".join(f"{name.removeprefix('camvid_')} {figure(m.values(mean_iou))}" for name, m in measured.items())
    summary = f"mIoU on val, %: {figures or 'see the table'}. {missing_sentence(measured)}".strip()
    seeds = sorted({one["seed"] for numbers in found.values() for one in numbers["seeds"]})
    return Outcome(metrics, summary, seeds or [config.seed])


def collect(client: mlflow.MlflowClient, data: str, backbone: str, run: Run) -> dict[str, Numbers]:
    """What the newest finished run of each command stored, all on the data and with the settings of the newest."""
    experiments = [e.experiment_id for e in client.search_experiments()]
    stored = {}
    for name in COMMANDS:
        wanted = f"attributes.status = 'FINISHED' and tags.entry_point = '{name}' and tags.quick = 'false'"
        stored[name] = client.search_runs(experiments, wanted, order_by=["attributes.start_time DESC"])
    every = sorted((r for runs in stored.values() for r in runs), key=lambda r: -r.info.start_time)
    every = [r for r in every if had_data(r, data)]
    every = [r for r in every if not backbone or r.data.params.get("cfg/backbone") == backbone]
    same = [r for r in every if settings(r) == settings(every[0])]
    newest = {name: next((r for r in same if r in runs), None) for name, runs in stored.items()}
    for name, runs in stored.items():
        if newest[name] is None and (other := next((r for r in every if r in runs), None)):
            a, b = settings(every[0]), settings(other)
            differing = ", ".join(sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key)))
            print(f"{name}: run {other.info.run_id[:8]} is passed over, it differs in {differing}.", flush=True)
    found = {}
    for name, one in newest.items():
        if one is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = client.download_artifacts(one.info.run_id, NUMBERS_FILE, folder)
            except (MlflowException, OSError):
                continue
            found[name] = json.loads(Path(path).read_text()) | {"run": one.info.run_id}
        tags = one.data.tags
        run.log_data(tags["data"], tags["data.digest"], found[name]["splits"], one.data.params["cfg/data"])
    return found


def settings(run: mlflow.entities.Run) -> dict[str, str]:
    """What must be the same in runs that are set side by side: everything but the decoder and the seeds."""
    free = {f"cfg/{name}" for name in ("decoder", "seed", "seeds", "resume", "record", "judge_every", "data")}
    params = {key: value for key, value in run.data.params.items() if key.startswith("cfg/") and key not in free}
    return params | {"data": run.data.tags["data.digest"], "weights": run.data.tags.get("weights.sha256", "")}


def train_quickly(config: Config, run: Run) -> dict[str, Numbers]:
    """The four commands on a handful of frames, stored nowhere."""
    found = {}
    for name in COMMANDS:
        decoder = "fcn8s" if name == "camvid_three_classes" else name.removeprefix("camvid_")
        settings = SceneConfig(data=config.data or "embedded", decoder=decoder, quick=True, seed=config.seed).shrunk()
        settings = replace(settings, training=replace(settings.training, epochs=1))
        data, labelled = load_camvid(settings.data, quick=True, seed=config.seed), None
        if name == "camvid_three_classes":
            labelled = three_classes(data.val, ignore_void=True)
            data = load_camvid(settings.data, quick=True, seed=config.seed, classes=3)
        _, _, found[name] = train_seeds(settings, Run.inactive(name), data, labelled)
        run.log_data(data.name, data.digest, data.splits, settings.data)
    return found


def markdown(found: dict[str, Numbers], measured: dict[str, Measured], recorded: dict[str, Any]) -> str:
    """The table and the discussions that the runs at hand allow."""
    lines = [
        "# Street scenes", "", "| command | classes | backbone | seeds | mean IoU, % | pixel accuracy, % | from |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, one in measured.items():
        shown = f"{figure(one.values(mean_iou))} | {figure(one.values(pixel_accuracy))}"
        place = f"run {found[name]['run'][:8]}" if "run" in found[name] else "this run"
        lines.append(
            f"| `{name}` | {len(one.classes)} | {found[name]['backbone']} | {len(one.counts)} | {shown} | {place} |"
        )
    for name, record in recorded.items():
        shares = (record.metrics[key] for key in ("val_miou", "val_pixel_accuracy"))
        shown = " | ".join(f"{100 * f['mean']:.1f} ± {100 * f['std']:.1f}" for f in shares)
        classes = 3 if name == "camvid_three_classes" else 11
        lines.append(f"| `{name}` | {classes} | | {len(record.seeds)} | {shown} | results/{name}.json |")
    some = next(iter(found.values()), None)
    if some:
        one = next(iter(measured.values()))
        lines += ["", f"On {one.frames} val frames of {some['data']}, {some['inference']}. {some['weights']}"]
    text = "\n".join(lines) + "\n"
    if {"camvid_fcn8s", "camvid_fcn32s"} <= measured.keys():
        text += "\n" + skip_connections(measured["camvid_fcn8s"], measured["camvid_fcn32s"])
    if {"camvid_fcn8s", "camvid_three_classes"} <= measured.keys():
        numbers = found["camvid_three_classes"]
        labelled = Measured.from_numbers(numbers, "val_labelled") if "val_labelled" in numbers["seeds"][0] else None
        text += "\n" + fewer_classes(measured["camvid_fcn8s"], measured["camvid_three_classes"], labelled)
    return text + (f"\n{missing_sentence(measured)}\n" if missing_sentence(measured) else "")


def missing_sentence(measured: dict[str, Measured]) -> str:
    """Which commands have no run at hand, if any."""
    missing = [name for name in COMMANDS if name not in measured]
    return f"There is no finished run of {', '.join(missing)} on these data: start it for the whole report." * bool(
        missing
    )


def draw(run: Run, measured: dict[str, Measured]) -> None:
    """IoU per class and mean IoU near borders, the networks side by side."""
    decoders = {m.name: m for name, m in measured.items() if name in DECODERS}
    if decoders:
        classes = next(iter(decoders.values())).classes
        run.log_figure("iou_val", iou_bars({n: m.class_values() / 100 for n, m in decoders.items()}, classes))
    curves = {
        n: [[mean_iou(counts) for counts in seed] for seed in m.trimap]
        for n, m in decoders.items() if m.trimap is not None
    }  # fmt: skip
    if curves:
        run.log_figure("trimap_val", trimap_curves(next(iter(decoders.values())).widths, curves))
    if "camvid_three_classes" in measured:
        three = measured["camvid_three_classes"]
        shown = {"trained on 3 classes": three.class_values() / 100}
        if "camvid_fcn8s" in measured:
            shown["trained on 11, counted in 3"] = measured["camvid_fcn8s"].merged().class_values() / 100
        run.log_figure("iou_val_three_classes", iou_bars(shown, three.classes))


if __name__ == "__main__":
    main(run, Config, entry_point="camvid_report", question="Q2-2, Q2-4", doc=__doc__)
