"""Tables and sentences about what layers and networks cost and see, made from models/arithmetic.py and trace.py."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from cnnlab.models.arithmetic import Convolution, Pair
from cnnlab.models.trace import Layer, Traced
from cnnlab.reports.text_tables import as_markdown

Row = dict[str, str]


def layer_rows(traced: Traced) -> list[Row]:
    """One row for each layer, then one for parameters of no layer, then the sum."""
    rows = [_layer_row(layer, traced.size) for layer in traced.layers]
    for name, kind, count in traced.others:
        rows.append({key: "" for key in _KEYS} | {"layer": name, "kind": f"{kind} (no layer, or not run)",
                    "parameters": f"{count:,}"})  # fmt: skip
    total = {"layer": "sum", "parameters": f"{traced.parameters:,}", "multiply-adds": f"{traced.multiply_adds:,}"}
    return [*rows, {key: "" for key in _KEYS} | total]


_KEYS = (
    "layer", "kind", "kernel", "stride", "padding", "output W×H×D", "parameters", "multiply-adds",
    "receptive field", "jump", "middle unit sees",
)  # fmt: skip


def _layer_row(layer: Layer, size: Pair) -> Row:
    window = layer.kernel != (1, 1) or "convolution" in layer.kind
    kind = layer.kind + (f", {layer.groups} groups" if layer.kind.startswith("grouped") else "")
    kind += f", dilation {pair(layer.dilation)}" if layer.dilation != (1, 1) else ""
    # a vector's units see all that the last map saw: the formula's window has no meaning any more
    side = pair(layer.receptive_field) if len(layer.output) == 3 else ""
    x1, y1, x2, y2 = layer.box
    whole = (x2 - x1, y2 - y1) == size[::-1]
    sees = "the whole picture" if whole else f"columns {x1} to {x2 - 1}, rows {y1} to {y2 - 1}"
    values = (
        layer.name or "(the network)", kind, pair(layer.kernel) if window else "", pair(layer.stride) if window else "",
        _padding(layer.padding) if window else "", volume(layer.output), f"{layer.parameters:,}",
        f"{layer.multiply_adds:,}", side, pair(layer.jump) if side else "",
        sees + (", a gate all of it" if layer.gated and not whole else ""),
    )  # fmt: skip
    return dict(zip(_KEYS, values, strict=True))


def pair(values: Sequence[int | Fraction]) -> str:
    """`3×3`, columns first as the lecture has them."""
    return f"{values[1]}×{values[0]}"


def volume(shape: Sequence[int]) -> str:
    """(C, H, W) as the lecture's W×H×D; a vector as its length."""
    return f"{shape[2]}×{shape[1]}×{shape[0]}" if len(shape) == 3 else "×".join(map(str, shape))


def _padding(padding: tuple[Pair, Pair]) -> str:
    (top, bottom), (left, right) = padding
    if top == bottom and left == right:
        return str(top) if top == left else pair((top, left))
    return f"left {left}, right {right}, above {top}, below {bottom}"


def network_rows(traced: Mapping[str, Traced]) -> list[Row]:
    """One row for each network: what it costs and sees."""
    rows = []
    for name, network in traced.items():
        rows.append({
            "network": name, "picture": pair(network.size), "layers with weights": str(weighted(network)),
            "parameters": f"{network.parameters:,}", "multiply-adds": f"{network.multiply_adds:,}",
            "receptive field": pair(network.receptive_field) if network.maps() else "",
        })  # fmt: skip
    return rows


def weighted(traced: Traced) -> int:
    """Convolutions and linear layers."""
    return sum("convolution" in layer.kind or layer.kind == "linear" for layer in traced.layers)


def convolution_words(layer: Convolution) -> str:
    """The lecture's formulas with one layer's numbers put in, as Markdown."""
    (depth, height, width), (_, rows, columns) = layer.inputs, layer.output
    lines = [f"Input {volume(layer.inputs)}; K = {layer.filters} filters, F = {pair(layer.kernel)}, "
             f"S = {pair(layer.stride)}, P = {pair(layer.padding)}"
             + f", dilation {pair(layer.dilation)}" * (layer.dilation != (1, 1))
             + f", {layer.groups} groups" * (layer.groups > 1) + ".", ""]  # fmt: skip
    for side, name, size, units in ((1, "W", width, columns), (0, "H", height, rows)):
        extent = layer.dilation[side] * (layer.kernel[side] - 1) + 1
        exact = layer.exact[side]
        lines.append(
            f"- {name}2 = ({name}1 - F + 2P) / S + 1 = ({size} - {extent} + {2 * layer.padding[side]}) / "
            f"{layer.stride[side]} + 1 = {_number(exact)}" + _remainder(layer, side, exact, units)
        )
    each = f"F · F · D1 = {layer.kernel[1]} · {layer.kernel[0]} · {depth // layer.groups} = {layer.weights_per_filter}"
    lines += [
        f"- D2 = K = {layer.filters}; output {volume(layer.output)} = {layer.filters * rows * columns:,} numbers",
        f"- weights: {each} for each filter, (F · F · D1) · K = {layer.weights:,}; biases: {layer.biases:,}; "
        f"parameters: {layer.parameters:,}",
        f"- multiply-adds: W2 · H2 · (F · F · D1) · K = {columns} · {rows} · {layer.weights:,} = "
        f"{layer.multiply_adds:,}",
    ]
    return "\n".join(lines) + "\n"


def _number(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"{float(value):.4g}"


def _remainder(layer: Convolution, side: int, exact: Fraction, units: int) -> str:
    if exact.denominator == 1:
        return ""
    left = (exact - units) * layer.stride[side]
    return f", rounded down to {units}: the last {left} of the padded input are met by no filter"


def aligned(rows: Sequence[Row]) -> str:
    """The rows for a terminal, numbers to the right."""
    if not rows:
        return ""
    lines = [list(rows[0]), *([*row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    numeric = [all(not (c := line[i]) or c[0].isdigit() for line in lines[1:]) for i in range(len(widths))]
    return "\n".join(
        "  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(line, widths, numeric, strict=True)).rstrip()
        for line in lines
    )


def network_page(name: str, traced: Traced) -> str:
    """One network's table as Markdown."""
    head = (
        f"# {name} on pictures of {pair(traced.size)}\n\n{traced.parameters:,} parameters, {traced.multiply_adds:,} "
        f"multiply-adds for one picture, {weighted(traced)} layers with weights.\n\nMultiply-adds count convolutions "
        "and linear layers, without biases. The receptive field is the formula's, the largest over all paths; what the "
        "middle unit sees are this picture's pixels, cut at its border.\n\n"
    )
    return head + as_markdown(layer_rows(traced))
