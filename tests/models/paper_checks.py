"""What the tests of the published networks ask of each."""

import inspect

import torch
import torchvision
from torch import Tensor, nn

from cnnlab.models import build_model
from cnnlab.models.layouts import from_torchvision
from cnnlab.models.trace import Traced, on_meta, trace


def traced(name: str, num_classes: int = 1000, size: int = 224, **settings) -> Traced:
    """The network's layers as they run, without its weights."""
    return trace(on_meta(name, num_classes, **settings), (size, size))


def maps(name: str, size: int = 224, **settings) -> dict[str, tuple[int, int]]:
    """(channels, side) after each part of the network's features, by its name."""
    model = on_meta(name, **settings).eval()
    x, shapes = torch.empty(1, 3, size, size, device="meta"), {}
    with torch.no_grad():
        for part, layer in model.features.named_children():
            x = layer(x)
            shapes[part] = (x.shape[1], x.shape[2])
    return shapes


def weighted_layers(model: nn.Module) -> int:
    """Convolutions and linear layers on the longest way through residual blocks: shortcuts do not count."""
    layers = {name for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    return len({name for name in layers if "shortcut" not in name})


def assert_equals_torchvision(name: str, side: int = 64, **settings) -> tuple[nn.Module, nn.Module]:
    """Our network with torchvision's state gives its outputs, with random weights and batch-norm statistics.

    Both come back, ours with images as torchvision wants them.
    """
    torch.manual_seed(0)
    with torch.device("meta"):  # without the time that initialisations take
        theirs = torchvision.models.get_model(name, weights=None, num_classes=7)
        ours = build_model(name, num_classes=7, **settings).eval()
    theirs.to_empty(device="cpu").eval()
    with torch.no_grad():
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train().reset_running_stats()
                module.momentum = 1.0
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.uniform_(-1, 1).mul_((6 / module.weight[0].numel()) ** 0.5)
                if module.bias is not None:
                    module.bias.uniform_(-0.5, 0.5)
        theirs(torch.randn(4, 3, side, side))  # statistics of a batch: no constants, and outputs near 1
    theirs.eval()
    state = theirs.state_dict()
    renamed = from_torchvision(state, ours)
    assert len(renamed) == len(state) and renamed.keys() == ours.state_dict().keys()
    assert from_torchvision(renamed, ours) is renamed, "our names stay"
    ours.load_state_dict(renamed, strict=True, assign=True)
    ours.normalize = nn.Identity()
    images = torch.randn(2, 3, side, side)
    with torch.no_grad():
        expected = theirs(images)
        assert expected.std() > 1e-2
        torch.testing.assert_close(ours(images), expected, atol=1e-5, rtol=1e-5)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    return ours, theirs


def assert_runs_and_learns(name: str, sides: tuple[int, ...] = (32, 224), **settings) -> None:
    """Ten logits for images of these sizes; the gradient of a loss reaches every parameter, at the first size."""
    torch.manual_seed(0)
    model = build_model(name, num_classes=10, **settings)
    images = torch.rand(4, 3, sides[0], sides[0])  # two would do no work in a norm over maps of one pixel: always ±1
    nn.functional.cross_entropy(model(images), torch.arange(4)).backward()
    missed = [key for key, p in model.named_parameters() if p.grad is None or not _finite_and_there(p.grad)]
    assert not missed
    for side in sides[1:]:
        with torch.device("meta"):
            shape = build_model(name, num_classes=10, **settings).eval()(torch.empty(2, 3, side, side)).shape
        assert shape == (2, 10)


def _finite_and_there(gradient: Tensor) -> bool:
    return bool(gradient.isfinite().all()) and bool(gradient.any())


def assert_tells_its_paper(module) -> None:
    """The four sections of the report, each a paragraph of the module's docstring, and the paper's address."""
    paragraphs = inspect.getdoc(module).split("\n\n")
    for section in ("Motivation: ", "Method: ", "Claims: ", "Drawbacks: "):
        assert sum(paragraph.startswith(section) for paragraph in paragraphs) == 1
    assert "https://arxiv.org/abs/" in module.__doc__
