"""What the paper report knows of each of the eleven papers: its module's words, its building blocks, its figures.

`read_paper` takes Motivation, Method, Claims and Drawbacks from the module's docstring. `BLOCKS` names the part of a
network that is each paper's building block. `CLAIMS`, `CIFAR10_ERRORS` and `RELATIONS` are those of the papers'
figures, all to be found in the docstrings, that the code and its runs can be held to. paper_page.py makes the pages.
"""

import importlib
import inspect
import re
from dataclasses import dataclass

from cnnlab.errors import DataError
from cnnlab.models.families import FAMILIES
from cnnlab.reports.paper_words import Relation

PARAGRAPHS = ("Motivation", "Method", "Claims", "Drawbacks")
TITLES = {
    "vgg": "VGG", "mobilenet": "MobileNet", "resnet": "ResNet", "shufflenet": "ShuffleNet", "googlenet": "GoogLeNet",
    "inception_v3": "Inception-v3", "inception_v4": "Inception-v4", "xception": "Xception", "resnext": "ResNeXt",
    "densenet": "DenseNet", "efficientnet": "EfficientNet",
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    """A part of a network that is drawn.

    Attributes:
        name: of its figure, `block_<name>`.
        title: above it.
        model: the network, in its form for images of 32x32.
        path: of the part, see `models.block_graph.block_graph`.
    """

    name: str
    title: str
    model: str
    path: str


BLOCKS = {
    "vgg": (Block("vgg", "VGG-16, third block", "vgg16_bn", "features[14:24]"),),
    "mobilenet": (
        Block("mobilenet_v2", "MobileNet v2, inverted residual", "mobilenet_v2", "features.3"),
        Block("mobilenet_v1", "MobileNet v1, separable convolution", "mobilenet_v1", "features.3"),
    ),
    "resnet": (
        Block("resnet_basic", "ResNet, basic block", "resnet18", "features.conv2_x.0"),
        Block("resnet_projection", "ResNet, projection shortcut", "resnet18", "features.conv3_x.0"),
        Block("resnet_bottleneck", "ResNet, bottleneck", "resnet50", "features.conv2_x.1"),
    ),
    "shufflenet": (
        Block("shufflenet_v2", "ShuffleNet v2, unit", "shufflenet_v2_x1_0", "features.stage2.1"),
        Block("shufflenet_v2_down", "ShuffleNet v2, unit of stride 2", "shufflenet_v2_x1_0", "features.stage2.0"),
        Block("shufflenet_v1", "ShuffleNet v1, unit", "shufflenet_v1_g3", "features.stage2.1"),
        Block("shufflenet_v1_down", "ShuffleNet v1, unit of stride 2", "shufflenet_v1_g3", "features.stage3.0"),
    ),
    "googlenet": (Block("googlenet", "GoogLeNet, Inception module 3a", "googlenet", "features.inception3a"),),
    "inception_v3": (
        Block("inception_v3_b", "Inception-v3, factorised 7×7", "inception_v3", "features.Mixed_6b"),
        Block("inception_v3_a", "Inception-v3, factorised 5×5", "inception_v3", "features.Mixed_5b"),
        Block("inception_v3_c", "Inception-v3, last grid", "inception_v3", "features.Mixed_7b"),
        Block("inception_v3_reduction", "Inception-v3, first reduction", "inception_v3", "features.Mixed_6a"),
    ),
    "inception_v4": (
        Block("inception_v4_b", "Inception-v4, Inception-B", "inception_v4", "features.inception_b1"),
        Block("inception_v4_a", "Inception-v4, Inception-A", "inception_v4", "features.inception_a1"),
        Block("inception_v4_c", "Inception-v4, Inception-C", "inception_v4", "features.inception_c1"),
    ),
    "xception": (
        Block("xception_middle", "Xception, middle flow", "xception", "features.middle1"),
        Block("xception_entry", "Xception, entry flow", "xception", "features.entry2"),
    ),
    "resnext": (Block("resnext", "ResNeXt-29 (8×64d), block", "resnext29_8x64d", "features.conv2_x.1"),),
    "densenet": (
        Block("densenet", "DenseNet-BC, two dense layers", "densenet_bc_100_12", "features.denseblock1[0:2]"),
        Block("densenet_transition", "DenseNet-BC, transition", "densenet_bc_100_12", "features.transition1"),
    ),
    "efficientnet": (Block("efficientnet", "EfficientNet-B0, MBConv", "efficientnet_b0", "features.stage2.1"),),
}
"""Each paper's building blocks, the characteristic one first."""


@dataclass(frozen=True)
class Claim:
    """A figure of cost in a paper that the code can be held to.

    Attributes:
        model: of the registry, in its form for the paper's images.
        what: `parameters` or `multiply_adds`.
        value: the paper's.
        quote: as the module's docstring has it.
    """

    model: str
    what: str
    value: float
    quote: str


PICTURES = {"inception_v3": 299, "inception_v4": 299, "xception": 299}
"""Side of a paper's pictures where it is not what `trace.input_size` says."""
# none for inception_v4, whose paper gives no such figure in numbers
CLAIMS = {
    "vgg": (
        Claim("vgg11", "parameters", 133e6, "133 to 144 M"), Claim("vgg19", "parameters", 144e6, "144 M parameters"),
        Claim("vgg16", "multiply_adds", 15.5e9, "15.5 billion multiply-adds"),
    ),
    "mobilenet": (
        Claim("mobilenet_v1", "parameters", 4.2e6, "4.2 M parameters"),
        Claim("mobilenet_v1", "multiply_adds", 569e6, "569 M multiply-adds"),
        Claim("mobilenet_v2", "parameters", 3.4e6, "300 M and 3.4 M"),
        Claim("mobilenet_v2", "multiply_adds", 300e6, "300 M and 3.4 M"),
    ),
    "resnet": (
        *(Claim(f"resnet{depth}", "parameters", value, "0.27, 0.46, 0.66, 0.85 and 1.7 M parameters")
          for depth, value in ((20, 0.27e6), (32, 0.46e6), (44, 0.66e6), (56, 0.85e6), (110, 1.7e6))),
        *(Claim(f"resnet{depth}", "multiply_adds", value, "1.8, 3.6, 3.8 and 7.6 billion multiply-adds")
          for depth, value in ((18, 1.8e9), (34, 3.6e9), (50, 3.8e9), (101, 7.6e9))),
    ),
    "shufflenet": (
        Claim("shufflenet_v1_g3", "multiply_adds", 140e6, "about 140 M multiply-adds"),
        *(Claim(f"shufflenet_v2_x{size}", "multiply_adds", value, "41, 146, 299 and 591 M")
          for size, value in (("0_5", 41e6), ("1_0", 146e6), ("1_5", 299e6), ("2_0", 591e6))),
    ),
    "googlenet": (Claim("googlenet", "multiply_adds", 1.5e9, "budget of 1.5 billion multiply-adds"),),
    "inception_v3": (Claim("inception_v3", "multiply_adds", 5e9, "5 billion multiply-adds"),),
    "xception": (Claim("xception", "parameters", 22.9e6, "22.9 and 23.6 M"),),
    "resnext": (
        Claim("resnext29_8x64d", "parameters", 34.4e6, "34.4 and 68.1 M parameters"),
        Claim("resnext29_16x64d", "parameters", 68.1e6, "34.4 and 68.1 M parameters"),
    ),
    "densenet": (
        Claim("densenet40_12", "parameters", 1.0e6, "1.0 M parameters"),
        Claim("densenet_bc_100_12", "parameters", 0.8e6, "k = 12, 0.8 M"),
    ),
    "efficientnet": (
        Claim("efficientnet_b0", "parameters", 5.3e6, "5.3 M parameters"),
        Claim("efficientnet_b0", "multiply_adds", 0.39e9, "0.39 billion multiply-adds"),
        Claim("efficientnet_b3", "parameters", 12e6, "12 M and 1.8 billion"),
        Claim("efficientnet_b3", "multiply_adds", 1.8e9, "12 M and 1.8 billion"),
    ),
}  # fmt: skip
# test error on CIFAR-10 as the papers give it, %, and where
CIFAR10_ERRORS = {
    "resnet20": ("8.75", "table 6"), "resnet32": ("7.51", "table 6"), "resnet44": ("7.17", "table 6"),
    "resnet56": ("6.97", "table 6"), "resnet110": ("6.43", "table 6"), "resnext29_8x64d": ("3.65", "table 7"),
    "resnext29_16x64d": ("3.58", "table 7"), "densenet40_12": ("5.24", "table 2"),
    "densenet_bc_100_12": ("4.51", "table 2"),
}  # fmt: skip
RELATIONS = {
    "shufflenet": (
        Relation("shufflenet_v2_x1_0", "mobilenet_v2", "train_images_per_second", 1,
                 "at 500 M on a GPU 58 % faster than MobileNet v2 (for one pass, without training)"),
    ),
    "inception_v4": (
        Relation("inception_v4", "inception_v3", "test_accuracy", 1,
                 "on ImageNet 20.0 % top-1 error against 21.2 % of Inception-v3"),
    ),
    "xception": (
        Relation("xception", "inception_v3", "test_accuracy", 1,
                 "on ImageNet 79.0 % top-1 accuracy against 78.2 % of Inception-v3"),
        Relation("xception", "inception_v3", "train_images_per_second", -1,
                 "28 steps per second against 31 of Inception-v3"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Paper:
    """One paper, as its module tells it.

    Attributes:
        family: one of `FAMILIES`.
        title: name of the architecture.
        module: dotted name.
        source: what the docstring says before its four paragraphs: authors, year, links.
        motivation, method, claims, drawbacks: the paragraphs.
    """

    family: str
    title: str
    module: str
    source: str
    motivation: str
    method: str
    claims: str
    drawbacks: str


def read_paper(family: str) -> Paper:
    """The paper of a family, from the docstring of its module.

    Raises:
        DataError: there is no such module, or its docstring lacks one of the four paragraphs.
    """
    name = f"cnnlab.models.{family}"
    if family not in FAMILIES:
        raise DataError(f"There is no paper '{family}'. Known: {', '.join(FAMILIES)}.")
    text = inspect.getdoc(importlib.import_module(name)) or ""
    source, parts = paragraphs(text)
    missing = [part for part in PARAGRAPHS if not parts.get(part)]
    if missing:
        raise DataError(f"The docstring of {name} has no paragraph {', '.join(missing)}; add one that begins so.")
    return Paper(family, TITLES[family], name, source, *(parts[part] for part in PARAGRAPHS))


def paragraphs(docstring: str) -> tuple[str, dict[str, str]]:
    """What stands before the first of `PARAGRAPHS`, and each of them: text up to the next, without its first word."""
    begins = re.compile(rf"^({'|'.join(PARAGRAPHS)}):\s*", re.MULTILINE)
    first, *rest = begins.split(docstring)
    return first.strip(), {name: text.strip() for name, text in zip(rest[::2], rest[1::2], strict=True)}
