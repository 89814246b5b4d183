"""The classifiers are the published networks, and offer what fine-tuning, FCN decoders and explanations ask for."""

import pytest
import torch
import torchvision
from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.models import build_model, layouts
from cnnlab.models.layers import IMAGENET_MEAN, IMAGENET_STD, Normalize, SameConv2d

NETWORKS = ["alexnet", "vgg16", "vgg11_bn", "squeezenet1_1", "efficientnet_lite0", "efficientnet_lite2"]
NETWORKS += ["resnet20", "resnet18", "resnet50", "resnext50_32x4d", "mobilenet_v1", "mobilenet_v2"]
NETWORKS += ["shufflenet_v1_g3", "shufflenet_v2_x0_5"]


def small(name: str, **settings) -> nn.Module:
    settings |= {"conv_only": True} if name.startswith(("alexnet", "vgg")) else {}
    torch.manual_seed(0)
    return build_model(name, num_classes=5, **settings).eval()


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "vgg13_bn", "squeezenet1_1"])
def test_outputs_equal_torchvisions_with_its_weights(name):
    """Names of the state dictionary are torchvision's; only the normalisation moved into the network."""
    torch.manual_seed(0)
    with torch.device("meta"):  # without the time that two initialisations of 138 M weights take
        theirs = torchvision.models.get_model(name, weights=None, num_classes=7).eval()
        ours = build_model(name, num_classes=7).eval()
    theirs.to_empty(device="cpu")
    for tensor in theirs.state_dict().values():
        if tensor.ndim > 1:
            tensor.uniform_(-1, 1).mul_((6 / tensor[0].numel()) ** 0.5)
        elif tensor.ndim == 1:
            tensor.uniform_(0, 1)  # biases and batch-norm statistics, variances among them
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    ours.normalize = Normalize()
    images = torch.rand(2, 3, 96, 80)
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    with torch.no_grad():
        expected = theirs((images - mean.view(3, 1, 1)) / std.view(3, 1, 1))
        assert expected.std() > 1e-3
        torch.testing.assert_close(ours(images), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("size", "parameters"), [(0, 4_652_008), (1, 5_416_680), (2, 6_092_072)])
def test_efficientnet_lite_has_the_published_number_of_parameters(size, parameters):
    model = build_model(f"efficientnet_lite{size}", num_classes=1000)
    assert sum(p.numel() for p in model.parameters()) == parameters  # 4.65 M, 5.42 M, 6.09 M


def test_the_layers_of_efficientnet_lite0():
    """Table 1 of arXiv:1905.11946: channels and size at 224 pixels after each stage."""
    table = {0: (32, 112), 1: (16, 112), 3: (24, 56), 5: (40, 28), 8: (80, 14), 11: (112, 14), 15: (192, 7)}
    table |= {16: (320, 7), 17: (1280, 7)}
    model = build_model("efficientnet_lite0", num_classes=2).eval()
    assert len(model.features) == 18
    x = torch.zeros(1, 3, 224, 224)
    with torch.no_grad():
        for index, layer in enumerate(model.features):
            x = layer(x)
            if index in table:
                assert tuple(x.shape[1:3]) == table[index]
    kernels = [block.depthwise.conv.kernel_size[0] for block in model.features[1:17]]
    assert kernels == [3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3]
    assert not any("bn" in name or isinstance(m, nn.SiLU) for name, m in model.named_modules())


def test_lite_weights_of_the_package_are_renamed_one_to_one():
    model = build_model("efficientnet_lite1", num_classes=3)
    theirs = {}
    names = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1"), "project": ("_project_conv",
             "_bn2")}  # fmt: skip
    last = len(model.features) - 1
    for key, value in model.state_dict().items():
        parts = key.split(".")
        if parts[0] == "classifier":
            theirs[f"_fc.{parts[2]}"] = value
        elif parts[1] in ("0", str(last)):
            outer = ("_conv_stem", "_bn0") if parts[1] == "0" else ("_conv_head", "_bn1")
            theirs[f"{outer[parts[2] == 'norm']}.{parts[3]}"] = value
        else:
            theirs[f"_blocks.{int(parts[1]) - 1}.{names[parts[2]][parts[3] == 'norm']}.{parts[4]}"] = value
    renamed = layouts.rename_lite(theirs)
    assert renamed.keys() == model.state_dict().keys()
    assert all(
        renamed[key] is theirs_value for key, theirs_value in zip(model.state_dict(), theirs.values(), strict=True)
    )


@pytest.mark.parametrize("size", [7, 8, 9, 12])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_same_padding_is_tensorflows(size, kernel, stride):
    """ceil(size / stride) places; the odd pixel of padding is at the end: checked against a plain sum."""
    conv = SameConv2d(1, 1, kernel, stride)
    nn.init.ones_(conv.weight)
    line = torch.rand(size)
    image = torch.zeros(1, 1, size, size)
    image[0, 0, size // 2] = line
    out = conv(image)[0, 0]
    places = -(-size // stride)
    assert out.shape == (places, places)
    before = max((places - 1) * stride + kernel - size, 0) // 2
    expected = [line[max(i * stride - before, 0) : i * stride - before + kernel].sum() for i in range(places)]
    torch.testing.assert_close(out.max(0).values, torch.stack(expected))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_backbone_keeps_the_protocol(name):
    model = small(name)
    images = torch.rand(2, 3, 96, 128)
    assert isinstance(next(model.children()), Normalize)
    with torch.no_grad():
        logits, embedding, maps, last = model(images), model.embed(images), model.pyramid(images), None
        last = model.forward_features(images)
    assert logits.shape == (2, 5) and embedding.shape == (2, model.embedding_dim)
    assert {stride: x.shape[1] for stride, x in maps.items()} == model.pyramid_channels
    for stride, x in maps.items():  # AlexNet and SqueezeNet do not pad their pooling: a cell fewer
        assert 0 <= 96 // stride - x.shape[2] <= 1 and 0 <= 128 // stride - x.shape[3] <= 1
    torch.testing.assert_close(maps[max(maps)], last)
    groups = model.groups()
    grouped = [id(p) for group in groups for p in group.parameters()]
    assert grouped == [id(p) for p in model.parameters()], "each parameter in one group, from input to output"
    assert model.classifier_layer in list(groups[-1].modules())
    assert len(groups) >= 4
    assert not any(isinstance(m, nn.ReLU | nn.ReLU6) and m.inplace for m in model.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_each_activation_is_a_module_used_once(name):
    model = small(name)
    calls = {}
    for part in model.modules():
        if isinstance(part, nn.ReLU | nn.ReLU6):
            part.register_forward_hook(lambda m, *_: calls.__setitem__(id(m), calls.get(id(m), 0) + 1))
    with torch.no_grad():
        model(torch.rand(1, 3, 96, 96))
    activations = [m for m in model.modules() if isinstance(m, nn.ReLU | nn.ReLU6)]
    assert len(activations) > 4 and set(calls.values()) == {1} and len(calls) == len(activations)


def test_the_embedding_is_what_the_last_linear_layer_sees():
    model = build_model("alexnet", num_classes=3).eval()
    images = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(model(images), model.classifier_layer(model.embed(images)))
    assert model.embedding_dim == 4096
    assert build_model("alexnet", num_classes=3, conv_only=True).embedding_dim == 256 * 6 * 6


def test_normalisation_is_not_stored_with_the_weights():
    assert not [key for key in small("efficientnet_lite0").state_dict() if "normalize" in key]
    grey = torch.full((1, 3, 2, 2), 127 / 255)
    assert small("efficientnet_lite0").normalize(grey).abs().max() < 1e-6


def test_dropout_is_a_setting_of_each():
    for name in NETWORKS:
        rates = {m.p for m in small(name, dropout=0.25).modules() if isinstance(m, nn.Dropout)}
        assert rates == {0.25}
    with pytest.raises(ConfigError, match="no setting 'dropuot'. Did you mean 'dropout'"):
        build_model("alexnet", dropuot=0.1)
