"""Traced networks: known counts, PyTorch's own counter, hooks, gradients, and pixels that are not numbers."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cnnlab.errors import ConfigError
from cnnlab.explain.receptive_field import disagreements, probe_pixels
from cnnlab.models import build_model
from cnnlab.models.arithmetic import receptive_field
from cnnlab.models.trace import input_size, on_meta, trace

# parameters, and thousand million multiply-adds, as published
KNOWN = {
    "alexnet": (61_100_840, 0.714), "vgg16": (138_357_544, 15.47), "resnet18": (11_689_512, 1.81),
    "squeezenet1_1": (1_235_496, 0.349), "efficientnet_lite0": (4_652_008, 0.385),
}  # fmt: skip
# torchvision's figures of GoogLeNet and Inception-v3 leave out the lateral heads, which ours counts
PUBLISHED = (
    "vgg16_bn", "resnet50", "resnext50_32x4d", "mobilenet_v2", "shufflenet_v2_x1_0", "densenet121", "efficientnet_b0",
)  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_known_counts(name):
    traced = trace(on_meta(name, 1000), (224, 224))
    assert traced.parameters == KNOWN[name][0]
    assert traced.multiply_adds / 1e9 == pytest.approx(KNOWN[name][1], abs=0.006)


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_those_that_torchvision_publishes(name):
    meta = torchvision.models.get_model_weights(name).DEFAULT.meta
    traced = trace(on_meta(name, 1000), (224, 224))
    assert traced.parameters == meta["num_params"]
    assert traced.multiply_adds / 1e9 == pytest.approx(meta["_ops"], rel=0.01, abs=0.001)


@pytest.mark.parametrize("name", ["simple_cnn", "face_fcn", "face_net", "squeezenet1_1", "efficientnet_lite0", "fcn8s"])
def test_every_layer_agrees_with_pytorchs_counter_and_hooks(name):
    model = on_meta(name).eval()
    size = input_size(model)
    traced = trace(model, size)
    shapes = {}
    for module_name, module in model.named_modules():
        module.register_forward_hook(lambda _m, _i, out, key=module_name: shapes.__setitem__(key, tuple(out.shape[1:])))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, *size, device="meta"))
    assert 2 * traced.multiply_adds == counter.get_total_flops()
    layers = [x for x in traced.layers if not list(model.get_submodule(x.name).children())]
    assert len(layers) >= 4 and all(x.output == shapes[x.name] for x in layers)
    assert sum(x.parameters for x in traced.layers) + sum(n for *_, n in traced.others) == traced.parameters
    assert traced.parameters == sum(p.numel() for p in model.parameters())
    for layer in layers:
        module = model.get_submodule(layer.name)
        assert layer.parameters == sum(p.numel() for p in module.parameters())
        if isinstance(module, nn.Conv2d):
            assert (layer.kernel, layer.stride, layer.groups) == (module.kernel_size, module.stride, module.groups)


@pytest.mark.parametrize(("name", "size", "fields"), [
    ("alexnet", 224, [11, 19, 51, 67, 99, 131, 163, 195]),
    ("vgg16", 224, [3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 100, 132, 164, 196, 212]),
    ("face_fcn", 48, [3, 5, 9, 13, 21, 25, 33, 49]),  # 49: its first pooling looks a pixel over the patch's edge
    ("simple_cnn", 50, [5, 13]),
])  # fmt: skip
def test_receptive_fields_by_the_formula(name, size, fields):
    windows = [x for x in trace(on_meta(name), (size, size)).windows() if "adaptive" not in x.kind]
    assert [x.receptive_field for x in windows] == [(side, side) for side in fields]
    chain = [(x.kernel[0], x.stride[0]) for x in windows]
    assert [receptive_field(chain[: i + 1])[0] for i in range(len(chain))] == fields


# ---- against the gradient of the network itself ----------------------------------------------------------------------
def transparent(model):
    """The same geometry, but every unit has a gradient at each pixel it sees: no maxima, no ReLU, positive weights."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                pool = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(module, name, pool)
            elif isinstance(child, nn.ReLU | nn.LeakyReLU | nn.Dropout):
                setattr(module, name, nn.Identity())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_().div_(parameter[0].sum().clamp(min=1e-3) if parameter.ndim > 1 else 1)
    return model.double().eval()


@pytest.mark.parametrize(("name", "settings", "size", "place"), [
    ("alexnet", {"conv_only": True}, 224, "features.12"), ("alexnet", {"conv_only": True}, 224, "features.3"),
    ("vgg16", {"conv_only": True}, 64, "features.16"), ("vgg16", {"conv_only": True}, 64, "features.26"),
    ("face_fcn", {}, 90, "11"), ("simple_cnn", {}, 50, "features.1.0"),
])  # fmt: skip
def test_the_field_is_where_the_gradient_is(name, settings, size, place):
    layer = next(x for x in trace(build_model(name, **settings), (size, size)).layers if x.name == place)
    model, kept = transparent(build_model(name, **settings)), {}
    model.get_submodule(place).register_forward_hook(lambda _m, _i, out: kept.__setitem__("out", out))
    picture = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    model(picture)
    out = kept["out"]
    for row, column in ((out.shape[2] // 2, out.shape[3] // 2), (0, out.shape[3] - 1)):
        (gradient,) = torch.autograd.grad(out[0, :, row, column].sum(), picture, retain_graph=True)
        rows, columns = np.nonzero(gradient[0].sum(0).numpy())
        assert (rows.min(), rows.max()) == (layer.rows.low[row], layer.rows.high[row])
        assert (columns.min(), columns.max()) == (layer.columns.low[column], layer.columns.high[column])
        assert len(rows) == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)


# ---- against the network with pixels that are not numbers ------------------------------------------------------------
@pytest.mark.parametrize(("name", "settings", "size"), [
    ("simple_cnn", {"norm": "lrn", "pool": 2}, (50, 50)), ("simple_cnn", {"norm": "weight"}, (50, 50)),
    ("face_fcn", {}, (67, 75)), ("face_net", {}, (75, 66)), ("alexnet", {"conv_only": True}, (131, 100)),
    ("vgg11", {"conv_only": True}, (39, 64)), ("squeezenet1_1", {}, (65, 66)), ("efficientnet_lite0", {}, (65, 48)),
    ("fcn8s", {"backbone": "efficientnet_lite0"}, (64, 96)), ("fcn8s", {"backbone": "alexnet"}, (64, 96)),
    ("fcn16s", {"backbone": "alexnet", "learn_last": True}, (64, 64)), ("resnet20", {}, (32, 32)),
    ("shufflenet_v2_x1_0", {}, (48, 32)),
])  # fmt: skip
def test_every_layer_sees_what_the_trace_says(name, settings, size):
    torch.manual_seed(0)
    model = build_model(name, 4, **settings)
    traced = trace(model, size)
    compared, wrong = disagreements(model, traced, probe_pixels(size, 3))
    assert compared >= 3 and wrong == []


class Branches(nn.Module):
    """What a walk along modules would miss: functional layers, concatenation, addition, slicing, a shared layer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.wide = nn.Conv2d(4, 4, 3, padding=3, dilation=3, groups=2)
        self.tall = nn.Conv2d(4, 4, (7, 1), padding=(3, 0))
        self.shared = nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x):
        x = F.relu(self.first(x))
        both = torch.cat([self.wide(x), F.max_pool2d(self.tall(x), 3, 1, 1)], 1)
        both = both + self.shared(both)
        both = self.shared(both)[:, :, ::2, ::2]
        return self.up(F.pad(both, (0, 1, 2, 0))) * self.scale


def test_branches_take_the_largest_path():
    torch.manual_seed(0)
    model = Branches()
    traced = trace(model, (40, 36))
    by = {}
    for layer in traced.layers:
        by.setdefault(layer.name or layer.kind, []).append(layer)
    assert by["wide"][0].receptive_field == (3 + 6 * 2, 3 + 6 * 2)
    assert by["tall"][0].receptive_field == (3 + 6 * 2, 3)
    assert by["max pooling"][0].receptive_field == (3 + 6 * 2 + 4, 3 + 4)
    assert [x.receptive_field for x in by["shared"]] == [(19 + 4, 15 + 4), (19 + 8, 15 + 8)]
    assert [x.parameters for x in by["shared"]] == [584, 0], "a layer that runs twice has its parameters once"
    up = by["up"][0]
    assert up.receptive_field == (27 + 4, 23 + 4) and up.jump == (2, 2) and up.kind == "transposed convolution"
    assert up.padding == ((1, 1), (1, 1)) and by["wide"][0].kind == "grouped convolution"
    assert traced.others == (("", "Branches", 4),)
    assert disagreements(model, traced, probe_pixels((40, 36)))[1] == []


def test_a_wrong_trace_would_be_found():
    torch.manual_seed(0)
    model, other = Branches(), Branches()
    other.wide = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2)
    assert disagreements(model, trace(other, (40, 36)), probe_pixels((40, 36)))[1]


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.before, self.squeeze = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)
        self.after = nn.Conv2d(4, 2, 3)

    def forward(self, x):
        x = self.before(x)
        return self.after(x * self.squeeze(x.mean((2, 3))).sigmoid()[:, :, None, None])


def test_gates_and_norms_over_the_map_are_told_apart():
    """A squeeze-and-excitation gate makes every unit depend on the whole picture; the path beside it stays local."""
    layers = {x.name: x for x in trace(Gate(), (12, 12)).layers}
    assert not layers["before"].gated and layers["after"].gated
    assert layers["after"].receptive_field == (5, 5) and layers["after"].box == (4, 4, 9, 9)
    assert layers["squeeze"].box == (0, 0, 12, 12) and layers["squeeze"].multiply_adds == 16
    normed = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 3))
    assert [x.gated for x in trace(normed, (12, 12)).layers] == [False, True, True]
    batch = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3))
    assert not any(x.gated for x in trace(batch, (12, 12)).layers)


@pytest.mark.parametrize("layer", [
    nn.AdaptiveAvgPool2d(3), nn.AdaptiveMaxPool2d((4, 5)), nn.Upsample(scale_factor=2), nn.ReflectionPad2d(2),
    nn.Upsample(scale_factor=3, mode="bilinear"), nn.Upsample(size=(7, 9), mode="bilinear", align_corners=True),
    nn.ReplicationPad2d((1, 2, 0, 1)), nn.ZeroPad2d((2, 0, 1, 0)), nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    nn.PixelShuffle(2), nn.ChannelShuffle(2), nn.ConvTranspose2d(4, 4, 3, 3, 1, 1), nn.ConstantPad2d(-1, 0.0),
], ids=lambda layer: type(layer).__name__)  # fmt: skip
def test_layers_that_change_the_grid(layer):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), layer, nn.Conv2d(1 if isinstance(layer, nn.PixelShuffle) else 4, 2, 3))
    if isinstance(layer, nn.PixelShuffle):  # moves channels to places: counted as seeing everything
        assert trace(model, (15, 17)).layers[-1].box == (0, 0, 17, 15)
        return
    compared, wrong = disagreements(model, trace(model, (15, 17)), probe_pixels((15, 17)))
    assert compared and wrong == []


def test_the_network_is_left_as_it_was():
    model = build_model("squeezenet1_1", 10).train()
    model.features[3].eval()
    before = [module.training for module in model.modules()], copy.deepcopy(model.state_dict())
    trace(model, (64, 64))
    assert [module.training for module in model.modules()] == before[0]
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert all(torch.equal(value, before[1][key]) for key, value in model.state_dict().items())


def test_a_size_that_the_network_refuses_is_named():
    with pytest.raises(ConfigError, match="alexnet does not take pictures of 20x20 pixels"):
        trace(on_meta("alexnet"), (20, 20))
    model = on_meta("alexnet")
    assert all(not m._forward_hooks for m in model.modules())


def test_each_network_knows_its_pictures():
    assert input_size(on_meta("simple_cnn")) == (50, 50) and input_size(on_meta("face_fcn")) == (48, 48)
    assert input_size(on_meta("alexnet")) == (224, 224) and input_size(on_meta("efficientnet_lite1")) == (240, 240)
