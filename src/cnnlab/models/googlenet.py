"""GoogLeNet: Szegedy, Liu, Jia et al. 2014, "Going Deeper with Convolutions" (arXiv:1409.4842).

https://arxiv.org/abs/1409.4842. Table 1 gives the widths, figure 2 (b) the module, figure 3 the auxiliary heads.

Motivation: The surest way to better accuracy is a deeper and wider network, but that means more parameters, which
overfit, and more arithmetic, which has to be paid for. Theory says that the best network is sparse, with units joined
where their outputs correlate; hardware computes dense matrices only. Can a network of dense parts come near the sparse
optimum, within a budget of 1.5 billion multiply-adds?

Method: The Inception module: 1x1, 3x3 and 5x5 convolutions and a 3x3 max pooling see the same map, and their outputs
are joined, so that the next layer has all scales at once. 1x1 convolutions before the large ones and after the pooling
reduce the channels first, which makes it cheap and adds a rectifier. Nine modules stand on a plain stem, and an
average over the last map takes the place of hidden linear layers. Two auxiliary heads in the middle feed gradient to
the lower layers while training; their losses count 0.3 each.

Claims: First in ILSVRC 2014 with 6.67 % top-5 error (7 networks, 144 crops; table 2); one network with one crop has
10.07 % (table 3). Detection: 43.9 % mean average precision, first as well (table 4). "12 times fewer parameters" than
AlexNet, two years before; by its own table 1 it is 9 times.

Drawbacks: The authors call it "still questionable" whether the principles that led to the architecture are what makes
it good. More than fifty widths are set by hand, without a rule to change them. The many small branches use a processor
worse than the multiply-adds promise. Without batch normalisation it is hard to train; the auxiliary heads, meant
against vanishing gradients, turned out to be regularisers at best (arXiv:1512.00567, section 4).
"""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from cnnlab.models.inception_blocks import EPS, MEAN, STD, AuxiliaryBackbone, Branches
from cnnlab.models.layers import Stem, conv_norm, is_cifar
from cnnlab.models.layouts import Weights
from cnnlab.models.local_response import LocalResponseNorm
from cnnlab.models.registry import register_model

# Table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, batch_norm: bool = True) -> nn.Sequential:
    if batch_norm:
        return conv_norm(inputs, outputs, kernel, stride, eps=EPS)
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
    return nn.Sequential(OrderedDict(conv=conv, act=nn.ReLU()))


def inception_module(inputs: int, widths: tuple[int, ...], largest: int, batch_norm: bool) -> Branches:
    """Figure 2 (b): four branches. `widths` is a row of table 1, `largest` the kernel of the branch of 5x5."""
    one, three_reduce, three, five_reduce, five, projection = widths

    def conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
        return _conv(inputs, outputs, kernel, batch_norm=batch_norm)

    return Branches(
        branch1x1=conv(inputs, one, 1),
        branch3x3=nn.Sequential(conv(inputs, three_reduce, 1), conv(three_reduce, three, 3)),
        branch5x5=nn.Sequential(conv(inputs, five_reduce, 1), conv(five_reduce, five, largest)),
        branch_pool=nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(inputs, projection, 1)),
    )


class AuxiliaryHead(nn.Module):
    """Average to 4x4, a 1x1 convolution to 128 channels, linear layers of 1024 units and of the classes.

    The paper averages over 5x5 places, three apart, which makes 4x4 of the 14x14 of an image of 224 pixels; the
    average to 4x4 of any map is torchvision's.
    """

    def __init__(self, inputs: int, num_classes: int, dropout: float, batch_norm: bool) -> None:
        super().__init__()
        self.conv = _conv(inputs, 128, 1, batch_norm=batch_norm)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.act = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> logits (B, num_classes)."""
        x = self.conv(F.adaptive_avg_pool2d(x, 4)).flatten(1)
        return self.fc2(self.dropout(self.act(self.fc1(x))))


class GoogLeNet(AuxiliaryBackbone):
    """Stem, modules 3a to 5b, average, linear layer. Images of any size.

    Maps of 224x224 pixels: 3b (480, 28, 28), 4e (832, 14, 14), 5b (1024, 7, 7), the pyramid of strides 8, 16, 32;
    with the CIFAR stem, strides 1, 2, 4. The paper gives no initial weights: they are Glorot's and, without batch
    normalisation, biases of 0.2 as in Caffe's bvlc_googlenet.

    Args:
        num_classes: outputs, of the auxiliary heads too.
        dropout: before the last layer; the paper's 40 %.
        aux_logits: whether there are auxiliary heads, on 4a and 4d.
        aux_dropout: in them; the paper's 70 %.
        stem: `imagenet`, or `cifar`: one 3x3 convolution to 64 channels of stride 1 in place of the 7x7 of stride 2,
            and neither of the two poolings of the stem, so that 3a sees all pixels.
        batch_norm: normalise after each convolution (arXiv:1502.03167) in place of biases and local response
            normalisation. The paper, which is older, has the latter two.
        like_torchvision: what torchvision has and its weights need: 3x3 convolutions in the branches of 5x5, and a 2x2
            pooling before 5a.
    """

    def __init__(
        self, num_classes: int = 1000, dropout: float = 0.4, aux_logits: bool = False, aux_dropout: float = 0.7,
        stem: Stem = "imagenet", batch_norm: bool = True, like_torchvision: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(MEAN, STD)
        layers = _stem(is_cifar(stem), batch_norm)
        stride = 1 if is_cifar(stem) else 8
        inputs, cuts = 192, [len(layers)]
        outputs = {}
        for name, widths in MODULES.items():
            if name in ("4a", "5a"):
                cuts.append(len(layers))
                size = 2 if name == "5a" and like_torchvision else 3
                layers[f"pool{int(name[0]) - 1}"] = nn.MaxPool2d(size, stride=2, ceil_mode=True)
            layers[f"inception{name}"] = inception_module(inputs, widths, 3 if like_torchvision else 5, batch_norm)
            inputs = sum(widths[i] for i in (0, 2, 4, 5))
            outputs[name] = (len(layers) - 1, inputs)
        self.features = nn.Sequential(layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        taps = {f"inception{name}": outputs[name][1] for name in ("4a", "4d") if aux_logits}
        self.aux = nn.ModuleDict(
            {name: AuxiliaryHead(width, num_classes, aux_dropout, batch_norm) for name, width in taps.items()}
        )
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, num_classes))
        self._initialise()
        self.embedding_dim = inputs
        self._describe({stride: outputs["3b"], 2 * stride: outputs["4e"], 4 * stride: outputs["5b"]}, cuts, ())

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.constant_(layer.bias, 0.2 if isinstance(layer, nn.Conv2d) else 0.0)


def _stem(cifar: bool, batch_norm: bool) -> OrderedDict[str, nn.Module]:
    def pool() -> nn.Module:
        return nn.MaxPool2d(3, stride=2, ceil_mode=True)

    def response_norm() -> nn.Module:
        return LocalResponseNorm(5, alpha=1e-4, beta=0.75)

    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if cifar:
        layers["conv1"] = _conv(3, 64, 3, batch_norm=batch_norm)
    else:
        layers["conv1"] = _conv(3, 64, 7, stride=2, batch_norm=batch_norm)
        layers["pool1"] = pool()
    if not batch_norm:
        layers["norm1"] = response_norm()
    layers["conv2_reduce"] = _conv(64, 64, 1, batch_norm=batch_norm)
    layers["conv2"] = _conv(64, 192, 3, batch_norm=batch_norm)
    if not batch_norm:
        layers["norm2"] = response_norm()
    if not cifar:
        layers["pool2"] = pool()
    return layers


def rename_torchvision(state: Weights) -> Weights:
    """Names of torchvision's googlenet -> ours, of `googlenet(like_torchvision=True)`.

    Its weights want images from -1 to 1, as here; torchvision itself comes to that by `transform_input`.
    """
    outer = {
        "conv1": "features.conv1", "conv2": "features.conv2_reduce", "conv3": "features.conv2",
        "aux1": "aux.inception4a", "aux2": "aux.inception4d", "fc": "classifier.1",
    }  # fmt: skip
    branches = {"branch1": "branch1x1", "branch2": "branch3x3", "branch3": "branch5x5", "branch4": "branch_pool"}
    renamed = {}
    for key, value in state.items():
        first, *rest = key.split(".")
        names = [branches.get(name, "norm" if name == "bn" else name) for name in rest]
        renamed[".".join([outer.get(first, f"features.{first}"), *names])] = value
    return renamed


@register_model
def googlenet(
    num_classes: int = 1000, dropout: float = 0.4, aux_logits: bool = False, aux_dropout: float = 0.7,
    stem: Stem = "imagenet", batch_norm: bool = True, like_torchvision: bool = False,
) -> GoogLeNet:  # fmt: skip
    """GoogLeNet; 7.0 M parameters with 1000 classes, and 6.4 M in the auxiliary heads.

    Not as in the paper: the heads are off unless `aux_logits`, and batch normalisation after each convolution stands in
    place of the convolutions' biases and of local response normalisation, unless `batch_norm=False`.
    `stem="cifar"`: a 3x3 convolution of stride 1 in place of the 7x7 of stride 2, and no pooling before module 3a.
    """
    return GoogLeNet(num_classes, dropout, aux_logits, aux_dropout, stem, batch_norm, like_torchvision)
