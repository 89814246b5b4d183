"""Question 1.1 of assignment D in words and figures: what a node behind two layers sees, and why depth works."""

from collections.abc import Mapping

from cnnlab.models.arithmetic import Convolution, receptive_field
from cnnlab.reports.text_tables import as_markdown

QUESTION = (5, 3)
"""Filters of the first and the second layer; both have stride 1."""


def answer_page(sides: Mapping[str, int], channels: int = 16, pixels: int = 50) -> str:
    """The answer in words, and what the same field costs in one, two and three layers.

    Args:
        sides: the field's side in pixels as the `formula`, a network as `traced`, and the `gradient` give it.
        channels, pixels: of the layers that are compared.
    """
    first, second = QUESTION
    rows = []
    for kernels in ((7,), QUESTION, (3, 3, 3)):
        convolutions = [
            Convolution((channels, pixels, pixels), channels, (k, k), padding=(k // 2, k // 2)) for k in kernels
        ]
        side = receptive_field([(k, 1) for k in kernels])[0]
        rows.append({
            "layers": " then ".join(f"{k}×{k}" for k in kernels), "receptive field": f"{side}×{side}",
            "weights": f"{sum(c.weights for c in convolutions):,}",
            "multiply-adds": f"{sum(c.multiply_adds for c in convolutions):,}", "non-linearities": str(len(kernels)),
        })  # fmt: skip
    strided = receptive_field([(3, 2)] * 5)[0]
    return f"""# Question 1.1

**{sides["formula"]} × {sides["formula"]} pixels.** A node of Z2 sees {second} × {second} nodes of Z1, each of which
sees {first} × {first} pixels, its neighbour's shifted by one: 1 + ({first} - 1) + ({second} - 1) = {sides["formula"]}.
In general 1 + sum of (F - 1) times the strides of all layers before. Traced through two real layers:
{sides["traced"]} × {sides["traced"]}; pixels with a gradient: {sides["gradient"]} × {sides["gradient"]}.

## Why deeper networks work

Each layer sees through all those before it, so the field grows with depth although every filter stays small. The same
field is cheaper in several layers, and each of them adds a non-linearity (here {channels} channels in and out on
{pixels} × {pixels} nodes):

{as_markdown(rows)}
With strides or pooling between them the growth is geometric: five 3×3 layers see
{receptive_field([(3, 1)] * 5)[0]} pixels at stride 1 and {strided} at stride 2. So first layers can be about edges and
colours, later ones about parts made of them, and the last about whole objects, each built from what the layer before
has found and shared by all that comes after. What a unit can see is not what it uses: the effective field, measured by
gradient beside each network here, is strongest in its middle, and in deep networks a good deal smaller.
"""
