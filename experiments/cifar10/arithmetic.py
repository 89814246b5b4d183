"""C · What does a convolution cost? Output size, parameters and multiply-adds, of one layer and of whole networks.

    mlflow run . -e conv_arithmetic                                            # the first layer of AlexNet, and others
    mlflow run . -e conv_arithmetic -P W=32 -P D=3 -P K=10 -P F=5 -P S=1 -P P=2    # a layer of your own
    mlflow run . -e conv_arithmetic -P models=resnet20 -P size=32                  # any network of the registry
    mlflow run . -e conv_arithmetic -P models=all                                  # all of them, side by side

The layer is the lecture's: a volume W x H x D met by K filters of size F at stride S with padding P. Of a network every
layer is counted by the same code, from one pass over shapes alone, so that the largest one takes no memory. The run
holds a table for each network (Markdown and CSV), what each layer costs, and where the filters stand. Seconds.

Result: conv_arithmetic on shapes alone (layers 1, networks 2), seeds 0, AMD EPYC, 2 cores, 24 GiB, no GPU, 7 s,
    2026-11-23, commit 53576266f4:
    layer_output_side      55.00 (1)
    layer_parameters       34944 (1)
    layer_multiply_adds    105415200 (1)
    alexnet_parameters     61100840 (1)
    alexnet_multiply_adds  714188480 (1)
    vgg16_parameters       138357544 (1)
    vgg16_multiply_adds    15470264320 (1)
"""

from dataclasses import dataclass, replace

from cnnlab.errors import ConfigError
from cnnlab.experiment import Experiment, Outcome, fingerprint, main
from cnnlab.models import list_models
from cnnlab.models.arithmetic import Convolution
from cnnlab.models.kernel_machine import COMPOSED
from cnnlab.models.trace import Traced, input_size, on_meta, trace
from cnnlab.plots.receptive_field import cost_plane, filter_places, layer_costs
from cnnlab.reports.arithmetic import aligned, convolution_words, layer_rows, network_page, network_rows, volume
from cnnlab.reports.text_tables import as_csv, as_markdown
from cnnlab.tracking import Run

MOST_FIGURES = 12  # networks that get a figure of their own


@dataclass(frozen=True)
class Config(Experiment):
    """Count what a layer or a network costs."""

    W: int = 227
    """columns of the input volume"""
    H: int = 0
    """its rows; 0: as many as columns"""
    D: int = 3
    """its channels"""
    K: int = 96
    """filters"""
    F: int = 11
    """their size"""
    S: int = 4
    """stride"""
    P: int = 0
    """zeros around the input"""
    dilation: int = 1
    """distance of a filter's taps"""
    groups: int = 1
    """each filter sees D / groups channels"""
    bias: bool = True
    """one for each filter"""
    models: str = "alexnet,vgg16"
    """networks of the registry, separated by commas; `all`, or `none`"""
    size: int = 0
    """side of the pictures for the networks; 0: what each is made for"""
    num_classes: int = 0
    """outputs of the networks; 0: what each has by default"""

    def __post_init__(self) -> None:
        unknown = [name for name in self.names if name not in list_models()]
        if unknown:
            raise ConfigError(f"There is no model '{unknown[0]}'. Known: {', '.join(list_models())}; or all, none.")
        if self.size < 0 or self.num_classes < 0:
            raise ConfigError("size and num_classes are at least 1, or 0 for what each network is made for.")
        self.layer.output  # noqa: B018  (a layer that cannot be is refused here)

    @property
    def names(self) -> list[str]:
        """The networks' names."""
        if self.models in ("all", "none"):
            return [name for name in list_models() if name not in COMPOSED] if self.models == "all" else []
        return [name.strip() for name in self.models.split(",") if name.strip()]

    @property
    def layer(self) -> Convolution:
        """The single layer."""
        pairs = {"kernel": self.F, "stride": self.S, "padding": self.P, "dilation": self.dilation}
        return Convolution(
            (self.D, self.H or self.W, self.W), self.K, groups=self.groups, bias=self.bias,
            **{name: (value, value) for name, value in pairs.items()},
        )  # fmt: skip

    def shrunk(self) -> "Config":
        return replace(self, models=",".join(self.names[:1]) or "none")


def run(config: Config, run: Run) -> Outcome:
    """Count the layer and the networks."""
    layer = config.layer
    words = convolution_words(layer)
    print(words, flush=True)
    run.log_text("layer.md", f"# One convolution\n\n{words}")
    extent = config.dilation * (config.F - 1) + 1
    run.log_figure("layer", filter_places(
        layer.inputs[1:], (extent, extent), layer.stride, layer.padding, layer.output[1:],
        f"{volume(layer.inputs)} -> {volume(layer.output)}: the first two places and the last; grey: padding",
    ))  # fmt: skip
    traced = {name: count(name, config) for name in config.names}
    run.log_data("shapes alone", fingerprint({"layer": words} | {n: str(t.size) for n, t in traced.items()}),
                 {"layers": 1, "networks": len(traced)}, "no data")  # fmt: skip
    figures: dict[str, float | list[float]] = {
        "layer_output_side": layer.output[2], "layer_parameters": layer.parameters,
        "layer_multiply_adds": layer.multiply_adds,
    }  # fmt: skip
    for place, (name, network) in enumerate(traced.items()):
        rows = layer_rows(network)
        run.log_text(f"networks/{name}.md", network_page(name, network))
        run.log_text(f"networks/{name}.csv", as_csv(rows))
        if place < MOST_FIGURES:
            print(f"{name}\n{aligned(rows)}\n", flush=True)
            costs = [(f"{x.name} · {x.kind}", x.parameters, x.multiply_adds) for x in network.layers]
            costs = [cost for cost in costs if cost[1] or cost[2]]
            run.log_figure(f"costs_{name}", layer_costs(*zip(*costs, strict=True), f"What the layers of {name} cost"))
        figures |= {f"{name}_parameters": network.parameters, f"{name}_multiply_adds": network.multiply_adds}
    if traced:
        rows = network_rows(traced)
        print(aligned(rows), flush=True)
        run.log_text("networks.md", "# Networks\n\n" + as_markdown(rows))
        run.log_figure("networks", cost_plane({n: (t.parameters, t.multiply_adds) for n, t in traced.items()},
                                              "Networks by what they cost"))  # fmt: skip
    told = [
        f"{n}: {t.parameters / 1e6:.2f} M parameters, {t.multiply_adds / 1e9:.3g} G multiply-adds at {t.size[0]} pixels"
        for n, t in list(traced.items())[:MOST_FIGURES]
    ]
    return Outcome(
        figures,
        f"{volume(layer.inputs)} -> {volume(layer.output)} with {layer.parameters:,} parameters and "
        f"{layer.multiply_adds:,} multiply-adds. " + "; ".join(told) + "." * bool(told),
        [config.seed],
    )


def count(name: str, config: Config) -> Traced:
    """One network, by its name."""
    model = on_meta(name, config.num_classes)
    return trace(model, (config.size, config.size) if config.size else input_size(model))


if __name__ == "__main__":
    main(run, Config, entry_point="conv_arithmetic", question="C · arithmetic of convolutions", doc=__doc__)
