"""GoogLeNet to EfficientNet offer what fine-tuning, FCN decoders and explanations ask of a backbone."""

import pytest
import torch
from torch import nn

from cnnlab.explain import attribution
from cnnlab.models import build_model
from cnnlab.models.fcn import FCN
from cnnlab.models.layers import Normalize
from cnnlab.models.trace import on_meta

NETWORKS = [
    "googlenet", "inception_v3", "inception_v4", "xception", "densenet40_12", "densenet_bc_100_12", "densenet121",
    "efficientnet_b0", "efficientnet_b2",
]  # fmt: skip
STEMS = [(name, stem) for name in NETWORKS for stem in ("imagenet", "cifar") if stem == "imagenet" or "_12" not in name]
ACTIVATIONS = nn.ReLU | nn.SiLU


@pytest.mark.parametrize(("name", "stem"), STEMS)
def test_every_backbone_keeps_the_protocol(name, stem):
    model = on_meta(name, 5, **({"stem": stem} if "_12" not in name else {})).eval()
    images = torch.empty(2, 3, 96, 128, device="meta")
    assert isinstance(next(model.children()), Normalize)
    maps = model.pyramid(images)
    assert model(images).shape == (2, 5) and model.embed(images).shape == (2, model.embedding_dim)
    assert {stride: x.shape[1] for stride, x in maps.items()} == model.pyramid_channels
    lost = 3 if name.startswith("inception") and stem == "imagenet" else 1  # those pad nothing
    for stride, x in maps.items():
        assert 0 <= 96 // stride - x.shape[2] <= lost and 0 <= 128 // stride - x.shape[3] <= lost
    assert maps[max(maps)].shape == model.forward_features(images).shape
    groups = model.groups()
    grouped = [id(p) for group in groups for p in group.parameters()]
    assert grouped == [id(p) for p in model.parameters()], "each parameter in one group, from input to output"
    assert model.classifier_layer in list(groups[-1].modules())
    assert len(groups) >= 4


@pytest.mark.parametrize("name", NETWORKS)
def test_each_activation_is_a_module_used_once(name):
    settings = {"aux_logits": True} if name.startswith(("googlenet", "inception")) else {}
    model, calls = on_meta(name, **settings).train(), {}
    for part in model.modules():
        if isinstance(part, ACTIVATIONS):
            part.register_forward_hook(lambda m, *_: calls.__setitem__(id(m), calls.get(id(m), 0) + 1))
            assert not part.inplace
    model(torch.empty(2, 3, 96, 96, device="meta"))
    activations = [m for m in model.modules() if isinstance(m, ACTIVATIONS)]
    assert len(activations) > 30 and set(calls.values()) == {1} and len(calls) == len(activations)


@pytest.mark.parametrize("name", [name for name in NETWORKS if "_12" not in name])
def test_an_fcn_stands_on_each(name):
    with torch.device("meta"):
        model = FCN(build_model(name, num_classes=1), 11, finest=8)
        assert model(torch.empty(2, 3, 100, 130)).shape == (2, 11, 100, 130)


def test_a_prediction_can_be_explained():
    torch.manual_seed(0)
    model = build_model("googlenet", num_classes=3).eval()
    shown = attribution.explain(model, torch.rand(1, 3, 64, 64))
    assert shown.layer == "features.inception5b.join" and shown.rectifiers == 57
    for kind in (shown.saliency, shown.guided, shown.grad_cam):
        assert kind.shape[-2:] == (64, 64)


@pytest.mark.parametrize("name", ["googlenet", "densenet40_12", "efficientnet_b0"])
def test_the_embedding_is_what_the_last_linear_layer_sees(name):
    torch.manual_seed(0)
    model = build_model(name, num_classes=3).eval()
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model(images), model.classifier_layer(model.embed(images)))
