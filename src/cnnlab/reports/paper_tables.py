"""The paper report's tables: the networks of a paper, their stages, the paper's costs held to the code, the runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from cnnlab.models.families import cifar_model
from cnnlab.models.trace import Layer, Traced, input_size, on_meta, trace
from cnnlab.reports.arithmetic import pair, volume, weighted
from cnnlab.reports.paper_runs import Measured
from cnnlab.reports.papers import PICTURES, Claim

SMALL = (32, 32)
TOLERANCE = 0.05  # papers give costs in two or three digits


@dataclass(frozen=True)
class Counted:
    """One network of a paper as `trace` sees it.

    Attributes:
        name: in the registry.
        own: with the paper's classes on pictures of the size it is made for.
        small: with ten classes on 32x32, in the form of `cifar_model`.
    """

    name: str
    own: Traced
    small: Traced


def small_model(name: str) -> nn.Module:
    """A network in its form for images of 32x32, without memory for its weights."""
    with torch.device("meta"):
        return cifar_model(name)


def count(name: str) -> Counted:
    """A network, counted in both forms."""
    return Counted(name, trace_own(name), trace(small_model(name), SMALL))


def trace_own(name: str) -> Traced:
    """A network with its usual classes on pictures as its paper has them."""
    model, side = on_meta(name), PICTURES.get(name)
    return trace(model, (side, side) if side else input_size(model))


def variant_rows(variants: Sequence[Counted]) -> list[dict[str, str]]:
    """One row for each registered network of a paper."""
    return [
        {
            "network": f"`{v.name}`", "picture": pair(v.own.size),
            "convolutions, linear layers": str(weighted(v.own)),
            "parameters": f"{v.own.parameters:,}", "multiply-adds": f"{v.own.multiply_adds:,}",
            "parameters, 32×32": f"{v.small.parameters:,}", "multiply-adds, 32×32": f"{v.small.multiply_adds:,}",
        }
        for v in variants
    ]  # fmt: skip


def stage_rows(model: nn.Module, traced: Traced) -> list[dict[str, str]]:
    """One row for each part of `features` that has a convolution or pooling, and for what follows them."""
    heads = [f"features.{name}" for name, _ in model.features.named_children()]
    grouped: dict[str, list[Layer]] = {}
    row = ""
    for layer in traced.layers:
        head = next((h for h in heads if layer.name == h or layer.name.startswith(f"{h}.")), "")
        head = head or layer.name.split(".")[0] or "(the network)"
        # a normalisation that stands by itself, as in VGG, belongs to the convolution before it
        row = row if row and "norm" in layer.kind and head not in grouped and head[-1].isdigit() else head
        grouped.setdefault(row, []).append(layer)
    rows = []
    for name, layers in grouped.items():
        kinds = [layer.kind for layer in layers if "norm" not in layer.kind]
        counts = {kind: kinds.count(kind) for kind in kinds}
        rows.append({
            "part": f"`{name}`", "what": ", ".join(f"{n} × {kind}" if n > 1 else kind for kind, n in counts.items()),
            "output W×H×D": volume(layers[-1].output), "parameters": f"{sum(x.parameters for x in layers):,}",
            "multiply-adds": f"{sum(x.multiply_adds for x in layers):,}",
        })  # fmt: skip
    total = {"part": "sum", "what": "", "output W×H×D": "", "parameters": f"{traced.parameters:,}",
             "multiply-adds": f"{traced.multiply_adds:,}"}  # fmt: skip
    return [*rows, total]


def claim_rows(claims: Sequence[Claim]) -> list[dict[str, str]]:
    """The paper's figures of cost beside what the code has."""
    rows = []
    for claim in claims:
        traced = trace_own(claim.model)
        counted = getattr(traced, claim.what)
        gap = counted / claim.value - 1
        verdict = "agrees" if abs(gap) <= TOLERANCE else f"differs by {100 * gap:+.0f} %"
        rows.append({
            "network": f"`{claim.model}`", "figure": claim.what.replace("_adds", "-adds"),
            "the paper": _short(claim.value), "counted in the code": _short(counted), "picture": pair(traced.size),
            "verdict": verdict,
        })  # fmt: skip
    return rows


def run_rows(measured: Sequence[Measured], ranking: Sequence[Measured]) -> list[dict[str, str]]:
    """One row for each measurement."""
    rows = []
    for one in measured:
        f = one.figures
        rank = next((str(k) for k, m in enumerate(ranking, 1) if m is one), "")
        speed, seen = f.get("train_images_per_second"), f.get("images_seen")
        rows.append({
            "network": f"`{one.model}`", "place": f"{rank} of {len(ranking)}" if rank else "",
            "test accuracy": f"{one.shown}, {one.count:,} images", "budget": one.budget, "pixels": one.pixels,
            "images seen": f"{seen:,.0f}" if seen else "", "train images/s": f"{speed:.0f}" if speed else "",
            "latency, ms": f"{f['latency_ms']:.1f}" if "latency_ms" in f else "",
            "memory, MB": f"{f['memory_mb']:.0f}" if "memory_mb" in f else "",
            "seeds": ", ".join(map(str, one.seeds)), "data": f"{one.data} `{one.digest[:8]}`",
            "commit": f"`{one.commit}`", "machine": one.hardware, "from": one.source,
        })  # fmt: skip
    return rows


def _short(value: float) -> str:
    return f"{value / 1e9:.3g} billion" if value >= 1e9 else f"{value / 1e6:.3g} M"
