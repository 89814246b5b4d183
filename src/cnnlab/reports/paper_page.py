"""The paper report as Markdown: one page for each of the eleven architectures in the order of the course's template.

Motivation, method (with drawings), evaluation, reproduction. Whatever a page says of accuracy comes from runs or
records; where there are none it says so, and sets the networks side by side by what they cost.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from cnnlab.models.families import cifar_model
from cnnlab.models.registry import _MODELS
from cnnlab.models.trace import Layer, Traced, input_size, on_meta, trace
from cnnlab.reports.arithmetic import pair, volume, weighted
from cnnlab.reports.paper_runs import Evidence, Measured
from cnnlab.reports.paper_words import (
    COSTS,
    accuracy_sentences,
    against_published,
    cost_sentences,
    relation_sentence,
)
from cnnlab.reports.papers import BLOCKS, CIFAR10_ERRORS, CLAIMS, RELATIONS, Block, Claim, Paper
from cnnlab.reports.shortcuts import as_markdown

SMALL = (32, 32)
TOLERANCE = 0.05  # papers give costs in two or three digits
NO_RUN = (
    "No finished run and no record of it is at hand: `mlflow run . -e cifar10_rank -P data=DIR` trains all eleven "
    "under one budget, `mlflow run . -e cifar10_train -P data=DIR -P model={model}` this one at length. Until then "
    "nothing is said here of its accuracy."
)


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
    own = on_meta(name)
    return Counted(name, trace(own, input_size(own)), trace(small_model(name), SMALL))


# ---- tables ----------------------------------------------------------------------------------------------------------
def variant_rows(variants: Sequence[Counted]) -> list[dict[str, str]]:
    """One row for each registered network of a paper."""
    return [
        {
            "network": f"`{v.name}`", "picture": pair(v.own.size), "layers with weights": str(weighted(v.own)),
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
        model = on_meta(claim.model)
        size = (claim.size, claim.size) if claim.size else input_size(model)
        counted = getattr(trace(model, size), claim.what)
        gap = counted / claim.value - 1
        verdict = "agrees" if abs(gap) <= TOLERANCE else f"differs by {100 * gap:+.0f} %"
        rows.append({
            "network": f"`{claim.model}`", "figure": claim.what.replace("_adds", "-adds"),
            "the paper": _short(claim.value), "counted in the code": _short(counted), "picture": pair(size), "": verdict,
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


# ---- a page ----------------------------------------------------------------------------------------------------------
def paper_page(
    paper: Paper, ranked: str, variants: Sequence[Counted], costs: Mapping[str, Mapping[str, float]],
    evidence: Evidence, elsewhere: Mapping[str, float],
) -> str:  # fmt: skip
    """One architecture's page.

    Args:
        paper: its module's words.
        ranked: the network that stands for it among the others, one of `variants`.
        variants: its registered networks.
        costs: network of each paper -> what it costs, for where no ranking is at hand.
        evidence: what was measured.
        elsewhere: network -> best test accuracy of public repositories, %.
    """
    parts = [
        f"# {paper.title}",
        paper.source,
        "## 1. Motivation",
        paper.motivation,
        "## 2. Method",
        paper.method,
        *(_drawing(block) for block in BLOCKS[paper.family]),
        "The drawings are made from the code: each is traced in the network's form for images of 32×32. Maps are "
        "columns × rows × channels, kernels rows × columns.",
        "### The registered networks",
        as_markdown(variant_rows(variants)),
        "Left: with the classes that a network has by default, on pictures of the size it is made for. Right: with ten "
        "classes in its form for 32×32. Multiply-adds count convolutions and linear layers for one picture.",
    ]
    one = next(v for v in variants if v.name == ranked)
    model = small_model(ranked)
    parts += [
        f"### The layers of `{ranked}` on 32×32",
        as_markdown(stage_rows(model, one.small)),
        f"Every layer with kernel, stride, padding and receptive field: [layers_{ranked}.md](layers_{ranked}.md).",
        "## 3. Evaluation",
        "### What the paper claims",
        paper.claims,
    ]
    if claims := CLAIMS.get(paper.family):
        parts += ["### Its costs, held to the code", as_markdown(claim_rows(claims))]
    parts += ["### Disadvantages", paper.drawbacks]
    parts += ["## 4. Reproduction", *_code(paper, ranked, model), *_measured(paper, ranked, evidence, elsewhere)]
    parts += _for_and_against(ranked, costs, evidence.ranking)
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _drawing(block: Block) -> str:
    return f"![{block.title}](../figures/block_{block.name}.png)\n\n*{block.title}: `{block.path}` of `{block.model}`*"


def _code(paper: Paper, ranked: str, model: nn.Module) -> list[str]:
    path = f"src/{paper.module.replace('.', '/')}.py"
    _, settings = model.architecture
    given = ", ".join(f"{k}={v!r}" for k, v in settings.items())
    return [
        f"The code is `{path}`, written from the paper; tests/models/ hold it to the paper's tables, and to "
        f"torchvision where that has the network. `build_model({ranked!r}, {given})` makes the network that is trained here:",
        "> " + (inspect.getdoc(_MODELS[ranked]) or "").split("\n\nArgs:")[0].replace("\n", "\n> "),
        f"    mlflow run . -e cifar10_train -P data=DIR -P model={ranked}\n"
        f"    mlflow run . -e conv_arithmetic -P models={ranked}",
    ]


def _measured(paper: Paper, ranked: str, evidence: Evidence, elsewhere: Mapping[str, float]) -> list[str]:
    found = evidence.of(paper.family)
    parts = ["### What we measured"]
    if not found:
        parts.append(NO_RUN.format(model=ranked))
    else:
        parts += [as_markdown(run_rows(found, evidence.ranking)), *(m.note for m in found if m.note)]
        parts += [_reach(evidence)] if evidence.ranking else []
    known = elsewhere.get(ranked)
    parts.append(
        f"Best of public repositories after full trainings on the official pixels, not measured here: {known:g} %."
        if known else f"No figure of public repositories is known for `{ranked}` on CIFAR-10 from random weights."
    )  # fmt: skip
    parts += ["### Where it disagrees with the paper", *_disagreements(paper, found, evidence)]
    return parts


def _disagreements(paper: Paper, found: Sequence[Measured], evidence: Evidence) -> list[str]:
    said = [
        against_published(m, round(100 - float(error), 2), where)
        for m in found if (known := CIFAR10_ERRORS.get(m.model)) for error, where in [known]
    ]  # fmt: skip
    said += [s for r in RELATIONS.get(paper.family, ()) if (s := relation_sentence(r, evidence.ranking))]
    if said:
        return ["\n".join(f"- {sentence}" for sentence in said)]
    if any(name in CIFAR10_ERRORS for name in _MODELS if name.startswith(f"{paper.family}")) and not found:
        return ["The paper has figures on CIFAR-10 (above); there is no run to set beside them."]
    return [
        "Of the networks that were measured the paper has no figure on CIFAR-10, so that there is nothing to agree or "
        "disagree with in accuracy; its figures are of ImageNet." if found else "Nothing was measured."
    ]  # fmt: skip


def _reach(evidence: Evidence) -> str:
    one = evidence.ranking[0]
    seeds = max(len(m.seeds) for m in evidence.ranking)
    text = (
        f"Places are among the {len(evidence.ranking)} networks of `cifar10_rank`: {one.budget} each, one recipe for "
        f"all, tuned for none; pixels: {one.pixels}; "
    )
    text += "one seed, so that another may change neighbours' places." if seeds == 1 else f"up to {seeds} seeds."
    return text + " They rank what this budget makes of the networks, not what they reach at full length."


def _for_and_against(ranked: str, costs: Mapping[str, Mapping[str, float]], ranking: Sequence[Measured]) -> list[str]:
    one = next((m for m in ranking if m.model == ranked), None)
    if one is None:
        good, bad = cost_sentences(ranked, costs)
        head = f"Among the {len(costs)} papers' networks for 32×32 by cost alone, since no ranking with it is at hand."
    else:
        good, bad = cost_sentences(ranked, {m.model: m.figures for m in ranking})
        more_good, more_bad = accuracy_sentences(one, ranking)
        good, bad = more_good + good, more_bad + bad
        head = (
            f"Among the {len(ranking)} networks under the same budget ({one.budget}; pixels: {one.pixels}): best and "
            "worst third of each figure. A difference in accuracy is called shown where its 95 % interval leaves out 0."
        )
    lists = []
    for title, sentences in (("Advantages", good), ("Drawbacks", bad)):
        listed = "\n".join(f"- {sentence}" for sentence in sentences) or "- none in these figures"
        lists.append(f"**{title} seen**\n\n{listed}")
    return ["### Advantages and drawbacks seen in the figures", head, *lists]


# ---- the index -------------------------------------------------------------------------------------------------------
def index_page(
    papers: Sequence[Paper], networks: Mapping[str, str], costs: Mapping[str, Mapping[str, float]], evidence: Evidence
) -> str:
    """The way to the pages, and the networks side by side."""
    rows = []
    for paper in papers:
        name = networks[paper.family]
        place, one = next(((k, m) for k, m in enumerate(evidence.ranking, 1) if m.model == name), (0, None))
        rows.append({
            "paper": f"[{paper.title}]({paper.family}.md)", "network": f"`{name}`",
            "parameters": f"{costs[name]['parameters']:,.0f}",
            "multiply-adds, 32×32": f"{costs[name]['multiply_adds']:,.0f}",
            "place": str(place or ""), "test accuracy": one.shown if one else "no run",
        })  # fmt: skip
    parts = ["# Landmark networks on CIFAR-10", as_markdown(rows)]
    if evidence.ranking:
        parts.append(_reach(evidence))
        if any(COSTS.keys() <= m.figures.keys() for m in evidence.ranking):
            parts.append("![Accuracy against cost](../figures/accuracy_against_cost.png)")
    else:
        parts.append("No finished ranking is at hand: `mlflow run . -e cifar10_rank -P data=DIR` makes one.")
    return "\n\n".join(part.rstrip() for part in parts) + "\n"
