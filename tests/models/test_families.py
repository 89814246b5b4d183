"""Which paper a network belongs to, and the network as images of 32x32 need it."""

import pytest
import torch

from cnnlab.errors import ConfigError
from cnnlab.models import build_model
from cnnlab.models.families import FAMILIES, check_cifar, cifar_model, family, of_family


def test_every_paper_has_its_networks_and_resnext_is_none_of_resnets():
    assert len(FAMILIES) == 11
    assert family("resnext29_8x64d") == "resnext" and family("resnet18") == "resnet" and family("alexnet") == ""
    for name in FAMILIES:
        assert of_family(name), f"no network of {name}"
    assert not set(of_family("resnet")) & set(of_family("resnext"))


def test_small_images_get_a_small_stem_and_vgg_a_small_head():
    assert cifar_model("vgg11").embed(torch.rand(1, 3, 32, 32)).shape == (1, 512)
    small, large = cifar_model("resnet18").eval(), build_model("resnet18", num_classes=10).eval()
    images = torch.rand(1, 3, 32, 32)
    assert small.forward_features(images).shape[-1] > large.forward_features(images).shape[-1]
    with pytest.raises(ConfigError, match="Did you mean 'resnet18'"):
        cifar_model("resnet81")


@pytest.mark.parametrize("name", ["alexnet", "simple_cnn", "face_fcn", "face_net", "fcn8s", "mlp"])
def test_what_cannot_classify_images_of_32x32_is_told_in_a_sentence(name):
    with pytest.raises(ConfigError, match=f"model={name} cannot classify images of 32x32 pixels"):
        check_cifar(name)


def test_what_can_classify_them_is_accepted():
    for name, settings in (("resnet20", {}), ("speednet", {}), ("vgg11", {}), ("googlenet", {"aux_logits": True})):
        check_cifar(name, 10, **settings)
    with pytest.raises(ConfigError, match="Did you mean 'resnet18'"):
        check_cifar("resnet81")
