"""The paper report as Markdown: one page for each of the eleven architectures in the order of the course's template.

Motivation, method (with drawings), evaluation, reproduction. Whatever a page says of accuracy comes from runs or
records; where there are none it says so, and sets the networks side by side by what they cost.
"""

import inspect
from collections.abc import Mapping, Sequence

from torch import nn

from cnnlab.models.families import family
from cnnlab.models.registry import builder
from cnnlab.reports.paper_runs import Evidence, Measured
from cnnlab.reports.paper_tables import Counted, claim_rows, run_rows, small_model, stage_rows, variant_rows
from cnnlab.reports.paper_words import (
    COSTS,
    accuracy_sentences,
    against_published,
    cost_sentences,
    relation_sentence,
)
from cnnlab.reports.papers import BLOCKS, CIFAR10_ERRORS, CLAIMS, RELATIONS, Block, Paper
from cnnlab.reports.text_tables import as_markdown

NO_RUN = (
    "No finished run and no record of it is at hand: `mlflow run . -e cifar10_rank -P data=DIR` trains all eleven "
    "under one budget, `mlflow run . -e cifar10_train -P data=DIR -P model={model}` this one at length. Until then "
    "nothing is said here of its accuracy."
)


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
    held = claim_rows(CLAIMS.get(paper.family, ()))
    if held:
        parts += ["### Its costs, held to the code", as_markdown(held)]
    parts += ["### Disadvantages", paper.drawbacks]
    parts += ["## 4. Reproduction", *_code(paper, ranked, model), *_measured(paper, ranked, evidence, elsewhere, held)]
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
        f"torchvision where that has the network. `build_model({ranked!r}, {given})` makes what is trained here:",
        "> " + (inspect.getdoc(builder(ranked)) or "").split("\n\nArgs:")[0].replace("\n", "\n> "),
        f"    mlflow run . -e cifar10_train -P data=DIR -P model={ranked}\n"
        f"    mlflow run . -e conv_arithmetic -P models={ranked}",
    ]


def _measured(
    paper: Paper, ranked: str, evidence: Evidence, elsewhere: Mapping[str, float], held: Sequence[Mapping[str, str]]
) -> list[str]:  # fmt: skip
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
    parts += ["### Where it disagrees with the paper", *_disagreements(paper, found, evidence, held)]
    return parts


def _disagreements(
    paper: Paper, found: Sequence[Measured], evidence: Evidence, held: Sequence[Mapping[str, str]]
) -> list[str]:  # fmt: skip
    costs = [
        f"- {row['figure'].capitalize()} of {row['network']} on {row['picture']}: {row['the paper']} in the paper, "
        f"{row['counted in the code']} counted ({row['verdict']})."
        for row in held if row["verdict"] != "agrees"
    ]  # fmt: skip
    said = [
        against_published(m, round(100 - float(error), 2), where)
        for m in found if (known := CIFAR10_ERRORS.get(m.model)) for error, where in [known]
    ]  # fmt: skip
    said += [s for r in RELATIONS.get(paper.family, ()) if (s := relation_sentence(r, evidence.ranking))]
    if not found and any(family(name) == paper.family for name in CIFAR10_ERRORS):
        said.append("The paper has figures on CIFAR-10 (above); there is no run to set beside them.")
    if said or costs:
        costs += [f"- {sentence}" for sentence in said]
        return ["\n".join(costs)]
    if not found:
        known = "Its costs agree with the code; accuracy" if held else "Accuracy"
        return [f"{known} was not measured, so that there is nothing to set beside the paper's."]
    return [
        "Of the networks that were measured the paper has no figure on CIFAR-10, trained there from the start, so that "
        "there is nothing to agree or disagree with in accuracy; its figures are of other data."
    ]


def _reach(evidence: Evidence) -> str:
    one = evidence.ranking[0]
    seeds = max(len(m.seeds) for m in evidence.ranking)
    text = (
        f"Places are among the {len(evidence.ranking)} networks of `cifar10_rank`: {one.budget} for each, one recipe "
        f"for all, tuned for none; pixels: {one.pixels}; "
    )
    text += "one seed, so that another may change neighbours' places." if seeds == 1 else f"up to {seeds} seeds."
    text += " They go by accuracy alone; the run's ranking.md says between which networks a difference is shown."
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
