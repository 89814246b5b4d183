"""D 1.4 · Regularise SimpleCNN, each technique alone: dropout, weight decay, optimisers, early stopping, schedules.

    mlflow run . -e artists_regularization -P data=DIR

Every variant is the baseline with one change, on the same five folds; an optimiser comes with its customary learning
rate, since that of gradient descent means nothing to it. Early stopping and the plateau schedule look at the validation
part of each fold, a tenth of all pictures, never at its test part. Each variant is a child run; `ablation.md` is the
table with its reading, `figures/effects.png` the gains. A run that was stopped goes on with `-P resume=true`.

Budget on two CPU cores, 2 seeds: 12 minutes.

Result: artists_regularization on artists (train 318, val 42, test 451), seeds 0, 1, AMD EPYC, 1 core, 24 GiB, no GPU,
    2642 s, 2026-11-22, commit 222336664e:
    test_accuracy  0.574 ± 0.042 (5) on 451 samples
"""

from dataclasses import dataclass

from cnnlab.experiment import Outcome, main
from cnnlab.reports.ablation import Variant, reading
from cnnlab.reports.paintings import (
    PaintingConfig,
    ablate_paintings,
    layout_variants,
    training_variants,
)
from cnnlab.tracking import Run

DROPOUTS = (0.1, 0.2, 0.3, 0.4, 0.5)
WEIGHT_DECAYS = (1e-3, 1e-2, 3e-2, 1e-1)
OPTIMISERS = {
    "SGD with Nesterov momentum 0.9": {"optimizer": "sgd", "lr": 0.01},
    "Adam": {"optimizer": "adam", "lr": 1e-3},
    "AdamW, decay 0.01": {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.01},
    "AdamW, decay 0.3": {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.3},
    "RMSprop": {"optimizer": "rmsprop", "lr": 1e-3},
    "Adagrad": {"optimizer": "adagrad", "lr": 0.01},
}
STOPPING = {
    "patience 3, val loss": {"monitor": "val/loss", "patience": 3},
    "patience 5, val loss": {"monitor": "val/loss", "patience": 5},
    "patience 10, val loss": {"monitor": "val/loss", "patience": 10},
    "patience 10, val accuracy": {"monitor": "val/accuracy", "patience": 10},
}
SCHEDULES = {
    "StepLR, /10 at 1/2 and 3/4": {"schedule": "step"},
    "StepLR, /2 every 10 epochs": {"schedule": "step", "step_epochs": 10, "step_gamma": 0.5},
    "cosine": {"schedule": "cosine"},
    "one cycle": {"schedule": "one_cycle"},
    "one cycle, peak 0.05": {"schedule": "one_cycle", "lr": 0.05},
    "plateau, /10 after 5 epochs": {"schedule": "plateau"},
}


@dataclass(frozen=True)
class Config(PaintingConfig):
    """Dropout, weight decay, optimisers, early stopping and schedules, each alone."""


def run(config: Config, run: Run) -> Outcome:
    """Train all variants on the five folds; table, figure and reading."""
    groups = {
        "dropout": layout_variants(config, {f"dropout {p}": {"dropout": p} for p in DROPOUTS}),
        "weight decay": training_variants(config, {f"weight decay {d:g}": {"weight_decay": d} for d in WEIGHT_DECAYS}),
        "optimiser": training_variants(config, OPTIMISERS),
        "early stopping": training_variants(config, STOPPING),
        "schedule": training_variants(config, SCHEDULES),
    }
    return ablate_paintings(config, run, "Regularisation", groups, most_effective)


def most_effective(variants: list[Variant]) -> str:
    """The answer to "which technique was most effective", as far as the figures say."""
    base = variants[0]
    helped = [v for v in variants[1:] if reading(*v.gain_over(base)[1:]) == "better"]
    saved = [
        f"- {v.name}: kept epoch {v.mean_of('best_epoch'):.0f} of {base.config.training.epochs}, "
        f"{v.mean_of('seconds') / base.mean_of('seconds'):.0%} of the baseline's time."
        for v in variants
        if v.group == "early stopping"
    ]
    lines = ["## Which was most effective?", ""]
    if not helped:
        lines.append("None of the techniques alone shows an improvement over the baseline on these folds.")
    else:
        best = max(helped, key=lambda v: v.accuracy)
        others = [v.name for v in helped if v is not best]
        gain, low, high = (100 * value for value in best.gain_over(base))
        lines.append(f"**{best.name}** ({best.group}), by {gain:.1f} points [{low:.1f}, {high:.1f}].")
        if others:
            lines.append(f"Also better than the baseline: {', '.join(others)}.")
    return "\n".join([*lines, "", "## What early stopping saves", "", *saved])


if __name__ == "__main__":
    main(run, Config, entry_point="artists_regularization", question="D 1.4", doc=__doc__)
