"""Accuracy by layer of a frozen network, as a run stores it."""

from collections.abc import Mapping, Sequence

import numpy as np

from cnnlab.plots.features import layer_curve
from cnnlab.reports.text_tables import as_markdown, percent
from cnnlab.tracking import Run


def log_layers(
    run: Run, curves: Mapping[str, Mapping[str, Sequence[float]]], widths: Mapping[str, int], counts: Mapping[str, int],
    chosen: str, left_out: str = "",
) -> dict[str, list[float]]:  # fmt: skip
    """Store `layers.csv`, `layers.md` and the figure `layers`.

    Args:
        run: where to.
        curves: split -> layer -> accuracy of each seed, the layers in their order.
        widths: layer -> number of its activations.
        counts: split -> number of its images.
        chosen: the layer that is set apart.
        left_out: a sentence on layers that are not there, below the table and above the figure.

    Returns:
        `<split>_accuracy_<layer>` -> accuracy of each seed.
    """
    run.log_figure("layers", layer_curve(curves, widths, counts, chosen, left_out))
    lines = ["layer,activations,split,mean,std"]
    for split, curve in curves.items():
        for layer, values in curve.items():
            spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
            lines.append(f"{layer},{widths[layer]},{split},{np.mean(values):.4f},{spread:.4f}")
    run.log_text("layers.csv", "\n".join(lines) + "\n")
    rows = [
        {"layer": layer, "activations": f"{width:,}"}
        | {f"{split}, {counts[split]} images": percent(curve[layer], "seeds") for split, curve in curves.items()}
        for layer, width in widths.items()
    ]
    run.log_text("layers.md", f"# Accuracy by layer\n\n{as_markdown(rows)}\n{left_out}".rstrip() + "\n")
    return {f"{split}_accuracy_{layer}": list(of) for split, curve in curves.items() for layer, of in curve.items()}
