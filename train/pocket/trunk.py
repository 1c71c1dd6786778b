"""Features of the image tower's frozen trunk for all pictures, computed once.

    python -m train.pocket.trunk --arrays ARRAYS

Writes `<name>-grid.npy` (N, 16, 768) and `<name>-logits.npy` (N, 1000), float16, for the views and
each side's scenes, in pieces: a killed run resumes after the last one.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lambda_eclipse.pocket.tower import CHANNELS, CLASSES, GRID, GridTower
from train.pocket.pretrained import load_trunk
from train.world.arrays import SIDES, Arrays

PIECE = 64
Features = tuple[np.ndarray, np.ndarray]  # (n, 16, 768) and (n, 1000), float32


class Trunk(nn.Module):
    """uint8 pictures (B, 128, 128, 3) → the tower's frozen features."""

    def __init__(self, tower: GridTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        scaled = (pictures.permute(0, 3, 1, 2).float() - 127) / 128
        return self.tower.features(scaled)


class OnnxTrunk:
    """`Trunk` through onnxruntime, about twice as fast on two cores."""

    def __init__(self, tower: GridTower, folder: Path, threads: int) -> None:
        import onnxruntime

        path = folder / "trunk.onnx"
        example = torch.zeros(2, 128, 128, 3, dtype=torch.uint8)
        torch.onnx.export(
            Trunk(tower).eval(),
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

    def __call__(self, pictures: np.ndarray) -> Features:
        """(n, 128, 128, 3) uint8 → grid (n, 16, 768) and logits (n, 1000), float32."""
        grid, logits = self.session.run(None, {"pictures": np.ascontiguousarray(pictures)})
        return grid, logits


def extract(
    trunk: Callable[[np.ndarray], Features], folder: Path, name: str, pictures: np.ndarray
) -> None:
    """Compute and write the missing features of all pictures (N, 128, 128, 3)."""
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
        grid, logits = trunk(pictures[first : first + PIECE])
        out["grid"][first : first + PIECE] = grid
        out["logits"][first : first + PIECE] = logits
        progress.write_text(str(min(count, first + PIECE)))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Compute the frozen features of all pictures.")
    parser.add_argument("--arrays", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    arrays, tower = Arrays(arguments.arrays), GridTower().eval()
    load_trunk(tower, arrays.folder / "cache")
    trunk = OnnxTrunk(tower, arrays.folder, arguments.threads)
    for name in ("views", *SIDES):
        extract(trunk, arrays.folder, name, arrays.pictures(name))


if __name__ == "__main__":
    main()
