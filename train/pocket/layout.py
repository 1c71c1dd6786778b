"""Trains the detector of subjects' spots (`lambda_eclipse.pocket.tower.Layout`).

    python -m train.pocket.layout --arrays ARRAYS --run RUN

It learns from scenes with known layouts, their edge maps, and isolated subjects, after the trunk's
features and the matte. Writes `layout.pt` beside the arrays.

Held-out metrics: accuracy of the number of subjects, and the mean error of a spot's coordinates in
pixels, on scenes of held-out sprites and on their edge maps.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.pocket.embedding import pack
from lambda_eclipse.pocket.tower import GridTower, Layout, Matte, on_white
from train.loop.loop import train
from train.loop.options import chosen, command
from train.loop.task import Losses, Settings, Task
from train.pocket.embeddings import edge_maps
from train.pocket.pretrained import load_trunk
from train.pocket.trunk import OnnxTrunk
from train.world.arrays import Arrays, pixels, true_layout

SETTINGS = Settings(
    steps=1600,
    batch=64,
    rate=1.5e-3,
    betas=(0.9, 0.98),
    weight_decay=0.05,
    ema_decay=0.995,
    evaluations=8,
)
EDGE_MAPS, ALONE = 8, 8  # one of so many pictures is an edge map, one an isolated subject
VIEW = (64.0, 64.0, 109.0)  # spot of an isolated subject
EVALUATED = 512


class Inputs:
    """The network's inputs: trunk features (n, 16, 768) and pictures on white (n, 3, 128, 128)."""

    def __init__(self, arrays: Arrays, threads: int) -> None:
        self.arrays = arrays
        self.matte = Matte()
        self.matte.load_state_dict(torch.load(arrays.folder / "matte.pt", weights_only=True))
        tower = GridTower().eval()
        load_trunk(tower, arrays.folder / "cache")
        self.trunk = OnnxTrunk(tower, arrays.folder, threads)

    @torch.no_grad()
    def pictures(self, name: str, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Inputs of scenes of a side, or of "views"."""
        pictures = pixels(self.arrays.pictures(name)[index])
        grid = torch.from_numpy(self.arrays[f"{name}-grid"][index]).float()
        return grid, on_white(pictures, self.matte(pictures))

    @torch.no_grad()
    def edges(self, side: str, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Inputs of edge maps of scenes."""
        maps = edge_maps(self.arrays.pictures(side)[index])
        pictures = pixels(maps)
        return torch.from_numpy(self.trunk(maps)[0]), on_white(pictures, self.matte(pictures))

    def batch(self, seed: int, step: int, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A step's features, pictures on white, numbers of subjects and spots."""
        rng, rows = np.random.default_rng((seed, step)), self.arrays.rows("train")
        index = rng.choice(len(rows), size - size // ALONE, False)
        edges, scenes = index[: size // EDGE_MAPS], np.sort(index[size // EDGE_MAPS :])
        views = np.sort(rng.choice(self.arrays.train_views, size // ALONE, False))
        parts = (
            self.edges("train", edges),
            self.pictures("train", scenes),
            self.pictures("views", views),
        )
        grids, pictures = (torch.cat(part) for part in zip(*parts, strict=True))
        count, spots = true_layout([rows[i] for i in (*edges, *scenes)])
        view = torch.tensor(VIEW).expand(len(views), MAX_SUBJECTS, 3)
        count = torch.cat([count, torch.ones(len(views), dtype=count.dtype)])
        return grids, pictures, count, torch.cat([spots, view])


def losses(predicted: Tensor, count: Tensor, spots: Tensor) -> Losses:
    """Cross-entropy of the number of subjects, and a smooth L1 of the spots that exist."""
    target = pack(count, spots)
    exists = (torch.arange(MAX_SUBJECTS) < count[:, None]).repeat_interleave(3, 1)
    spot_error = F.smooth_l1_loss(
        predicted[:, MAX_SUBJECTS:], target[:, MAX_SUBJECTS:], reduction="none", beta=0.2
    )
    where = spot_error[exists].mean()
    number = F.cross_entropy(predicted[:, :MAX_SUBJECTS], count - 1)
    return {"loss": where + number, "where": where, "number": number}


@torch.no_grad()
def evaluate(model: Any, inputs: Inputs) -> dict[str, float]:
    """The held-out metrics."""
    rows = inputs.arrays.rows("held")[:EVALUATED]
    index = np.arange(len(rows))
    count, spots = true_layout(rows)
    exists = torch.arange(MAX_SUBJECTS) < count[:, None]
    result = {}
    for name, read in (("scenes", inputs.pictures), ("edges", inputs.edges)):
        number, detected = model.find(*read("held", index))
        result[f"count_{name}_held"] = float((number == count).float().mean())
        result[f"px_{name}_held"] = float((detected - spots)[exists].abs().mean())
    return result


def task(arrays: Arrays, settings: Settings) -> Task:
    """The layout network's training."""
    torch.manual_seed(settings.seed)
    inputs, model = Inputs(arrays, torch.get_num_threads()), Layout()

    def loss(step: int) -> Losses:
        grids, pictures, count, spots = inputs.batch(settings.seed, step, settings.batch)
        return losses(model(grids, pictures), count, spots)

    return Task(model, loss, lambda weights: evaluate(weights, inputs))


def main() -> None:
    """The command."""
    parser = command("Train the detector of subjects' spots.", SETTINGS)
    parser.add_argument("--arrays", type=Path, required=True)
    arguments = parser.parse_args()
    settings = chosen(arguments, SETTINGS)
    model = train(task(Arrays(arguments.arrays), settings), settings, arguments.run)
    torch.save(model.state_dict(), arguments.arrays / "layout.pt")


if __name__ == "__main__":
    main()
