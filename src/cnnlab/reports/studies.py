"""What a study's run shows: a table and a figure of all its configurations against the first, and its course."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mlflow
import numpy as np
import optuna
from optuna.trial import TrialState

from cnnlab import plots
from cnnlab.errors import ConfigError
from cnnlab.evaluation.bootstrap import paired_difference
from cnnlab.reports.text_tables import table_lines
from cnnlab.search import DIVERGED, LABEL, RUN_ID, trial_rows
from cnnlab.tracking import Run

Arrays = Mapping[str, np.ndarray]


def compare_trials(
    run: Run,
    study: optuna.Study,
    recipe: Mapping[str, Any],
    score: Callable[[Arrays, Sequence[int]], float],
    count: int,
    *,
    artifact: str,
    metric: str,
    what: str,
    block: int = 1,
    also: Mapping[str, Callable[[Arrays], str]] | None = None,
) -> str:
    """Store `comparison.md`, the figures `comparison` and `study`; print the table.

    Args:
        run: the study's run.
        study: its trials, of which the complete ones stored `artifact`, an npz of what they answered.
        recipe: parameters of the trial that all others are compared with.
        score: `(arrays of that npz, indices of the judged items) -> figure`, higher is better.
        count: number of judged items, the same in every trial.
        artifact: the npz file's name.
        metric: name of the figure.
        what: one sentence on what was judged and how.
        block: how many neighbouring items are alike and resampled together.
        also: heading of a further column -> its cell from a trial's arrays.

    Returns:
        The run id of the recipe's trial.

    Raises:
        ConfigError: no trial of the recipe has come to its end.
    """
    rows, arrays, also = [], {}, also or {}
    for trial in trial_rows(study):
        label = trial.user_attrs.get(LABEL, f"trial {trial.number}")
        changed = ", ".join(f"{k}={_short(v)}" for k, v in trial.params.items() if recipe[k] != v)
        if trial.state == TrialState.COMPLETE:
            path = mlflow.artifacts.download_artifacts(run_id=trial.user_attrs[RUN_ID], artifact_path=artifact)
            with np.load(path) as stored:
                arrays[label] = dict(stored)
        rows.append({
            "name": label, "changed": changed, "run_id": trial.user_attrs[RUN_ID],
            "mean": trial.value, "std": 0.0, "n": 1, "values": (),
            "diverged": DIVERGED in trial.user_attrs or trial.value is None,
        })  # fmt: skip
    base = next((row for row in rows if not row["changed"] and row["name"] in arrays), None)
    if base is None:
        raise ConfigError(
            f"The study {study.study_name} has no finished trial of the settings that all others are compared with: "
            "give the study another name with search.study=NAME."
        )
    complete = [row for row in rows if row["name"] in arrays and row is not base]
    for row in complete:
        pair = (arrays[base["name"]], arrays[row["name"]])
        row["interval"] = paired_difference(
            lambda items, which, pair=pair: score(pair[which], items), count, block=block
        )  # fmt: skip
    cells = []
    for row in sorted([base, *complete], key=lambda row: -row["mean"]):
        gain = "—"
        if row is not base:
            gain = "{:+.4f} [{:+.4f}, {:+.4f}]".format(row["mean"] - base["mean"], *row["interval"])
        further = [cell(arrays[row["name"]]) for cell in also.values()]
        cells.append([row["name"], f"{row['mean']:.4f}", gain, *further, row["changed"]])
    for row in rows:
        if row["name"] not in arrays:
            end = "diverged" if row["diverged"] else f"{row['mean']:.4f}, pruned"
            cells.append([row["name"], end, "", *[""] * len(also), row["changed"]])
    text = (
        f"{what} Gain over {base['name']} with the 95 % interval of a paired bootstrap over what was judged: one "
        "training each, so another seed may differ by more.\n\n"
        f"{table_lines(['configuration', metric, 'gain', *also, 'changed'], cells)}"
    )
    run.log_text("comparison.md", text + "\n")
    print(text, flush=True)
    run.log_figure("comparison", plots.ablation([base, *complete], metric=metric))
    history = [{"number": t.number, "value": t.value, "state": t.state.name} for t in study.trials]
    run.log_figure("study", plots.study_history(history, metric=metric))
    return base["run_id"]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
