"""C · The paper report: for each of the eleven architectures what the paper says, what was measured, and its block.

    mlflow run . -e cifar10_report
    mlflow run . -e cifar10_report -P families=resnet,densenet -P output=DIR      # some of them, also as files in DIR

A page for each, in the chapters of the course's template: motivation, method with drawings of the building blocks that
are made from the code itself, evaluation, reproduction. The words come from the module, parameters and multiply-adds
from the network, accuracies from the newest finished children of `cifar10_rank` and runs of `cifar10_train` in the
tracking store; for what has no run its record in results/ stands in. Where they disagree with the paper the page says
by how much, under which budget and on which pixels. Advantages and drawbacks are written from the figures. A page
without runs says so and has all the rest. Runs on stand-in data do not count.

Budget: two minutes on two CPU cores, all of it counting and drawing.

Result: cifar10_report on papers, networks and runs (papers 11, measured 12), seeds 0, AMD EPYC, 2 cores, 24 GiB, no
    GPU, 28 s, 2026-11-23, commit 655e6f8499:
    papers                            11.00 (1)
    networks_measured                 12.00 (1)
    test_accuracy_vgg16_bn            0.7856 (1)
    test_accuracy_resnet18            0.7252 (1)
    test_accuracy_mobilenet_v2        0.6226 (1)
    test_accuracy_shufflenet_v2_x1_0  0.5967 (1)
    test_accuracy_googlenet           0.5502 (1)
    test_accuracy_efficientnet_b0     0.5389 (1)
    test_accuracy_densenet_bc_100_12  0.5385 (1)
    test_accuracy_xception            0.5196 (1)
    test_accuracy_inception_v3        0.4796 (1)
    test_accuracy_resnext29_8x64d     0.2723 (1)
    test_accuracy_inception_v4        0.1637 (1)
"""

from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure
from rank import ELSEWHERE, ONE_OF_EACH

from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome, fingerprint, main
from cnnlab.models.block_graph import block_graph, submodule
from cnnlab.models.families import FAMILIES, family, of_family
from cnnlab.models.trace import trace
from cnnlab.plots.blocks import building_block
from cnnlab.plots.ranking import accuracy_against_cost
from cnnlab.plots.style import DPI
from cnnlab.reports.arithmetic import network_page
from cnnlab.reports.paper_page import index_page, paper_page
from cnnlab.reports.paper_runs import Evidence, collect
from cnnlab.reports.paper_tables import SMALL, count, small_model
from cnnlab.reports.paper_words import COSTS
from cnnlab.reports.papers import BLOCKS, Block, read_paper
from cnnlab.reports.records import read_records
from cnnlab.tracking import Run, open_store

NETWORKS = {family(name): name for name in ONE_OF_EACH}


@dataclass(frozen=True)
class Config(Experiment):
    """Write the paper report."""

    data: str = ""
    """only runs that were given these data; without it all, and the records"""
    families: tuple[str, ...] = FAMILIES
    """papers, by the names that their networks begin with"""
    output: str = ""
    """a folder that gets the pages and figures as well"""

    def __post_init__(self) -> None:
        unknown = [name for name in self.families if name not in FAMILIES]
        if unknown or not self.families:
            raise ConfigError(f"There is no paper '{', '.join(unknown)}'. Known: {', '.join(FAMILIES)}.")

    def shrunk(self) -> "Config":
        return replace(self, families=("vgg", "resnet"))


def run(config: Config, run: Run) -> Outcome:
    """Count, draw, collect, write."""
    papers = {name: read_paper(name) for name in config.families}
    evidence = collect(open_store(), read_records("results"), config.data)
    compared = config.families if config.quick else FAMILIES
    costs = {}
    for name in (NETWORKS[paper] for paper in compared):
        traced = trace(small_model(name), SMALL)
        costs[name] = {"parameters": float(traced.parameters), "multiply_adds": float(traced.multiply_adds)}
    pages = {}
    for name, paper in papers.items():
        variants = [count(v) for v in of_family(name) if not config.quick or v == NETWORKS[name]]
        ranked = next(v for v in variants if v.name == NETWORKS[name])
        pages[name] = paper_page(paper, ranked.name, variants, costs, evidence, ELSEWHERE)
        pages[f"layers_{ranked.name}"] = network_page(ranked.name, ranked.small)
        for block in BLOCKS[name]:
            keep_figure(run, f"block_{block.name}", drawn(block), config.output)
        print(f"{paper.title}: {len(variants)} networks, {len(evidence.of(name))} measured", flush=True)
    pages["index"] = index_page(list(papers.values()), NETWORKS, costs, evidence)
    if figure := ranking_figure(evidence):
        keep_figure(run, "accuracy_against_cost", figure, config.output)
    for name, text in pages.items():
        run.log_text(f"papers/{name}.md", text)
        if config.output:
            folder = Path(config.output) / "papers"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.md").write_text(text, encoding="utf-8")
    print("\n" + pages["index"], flush=True)
    measured = {m.model: m for m in (*evidence.others, *evidence.ranking)}
    digest = fingerprint({"pages": pages, "data": sorted({m.digest for m in measured.values()})})
    run.log_data("papers, networks and runs", digest, {"papers": len(papers), "measured": len(measured)}, "no data")
    figures: dict[str, float | list[float]] = {"papers": len(papers), "networks_measured": len(measured)}
    figures |= {f"test_accuracy_{m.model}": m.accuracy for m in evidence.ranking}
    return Outcome(figures, summary(len(papers), evidence), [config.seed])


def drawn(block: Block) -> Figure:
    """A building block, traced in its network."""
    model = small_model(block.model)
    parts = set(submodule(model, block.path)[0].modules())
    names = {name for name, module in model.named_modules() if module in parts}
    layers = [layer for layer in trace(model, SMALL).layers if layer.name in names]
    parameters, multiply_adds = (
        sum(getattr(layer, key) for layer in layers) for key in ("parameters", "multiply_adds")
    )
    costs = f"{parameters:,} parameters, {multiply_adds / 1e6:,.1f} M multiply-adds"
    return building_block(block_graph(model, block.path, SMALL), block.title, f"{block.model}: {costs}")


def ranking_figure(evidence: Evidence) -> Figure | None:
    """Accuracy against cost of what has every cost."""
    rows = [
        {"name": m.model, "test_accuracy": m.accuracy, "interval": m.interval, **m.figures} for m in evidence.ranking
    ]
    rows = [row for row in rows if COSTS.keys() <= row.keys()]
    return accuracy_against_cost(rows) if rows else None


def keep_figure(run: Run, name: str, figure: Figure, output: str) -> None:
    """Store a figure with the run, and in the folder that was asked for."""
    run.log_figure(name, figure)
    if output:
        folder = Path(output) / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / f"{name}.png", dpi=DPI)


def summary(papers: int, evidence: Evidence) -> str:
    """The report in a sentence or two."""
    text = f"{papers} pages in papers/, drawings in figures/."
    if evidence.ranking:
        best = evidence.ranking[0]
        text += (
            f" Of {len(evidence.ranking)} networks ranked ({best.budget}; pixels: {best.pixels}) {best.model} is "
            f"first: {best.shown} of test."
        )
    else:
        text += " No finished ranking of the eleven is at hand."
    return text + f" {len(evidence.others)} networks measured otherwise." * bool(evidence.others)


if __name__ == "__main__":
    main(run, Config, entry_point="cifar10_report", question="C", doc=__doc__)
