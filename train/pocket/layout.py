"""Trains what finds the subjects in a picture (`lambda_eclipse.pocket.tower.Layout`).

    python -m train.pocket.layout --shards SHARDS --run RUN

Learned from scenes, whose layout is known, their edge maps, and subjects alone, after the trunk's
features and the matte. Writes `layout.pt` beside the shards.

Held-out metrics: how often the number of subjects is right, and the mean error of a spot's numbers
in pixels, on scenes of held-out sprites and on their edge maps.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.pocket.embedding import pack
from lambda_eclipse.pocket.tower import GridTower, Layout, Matte, on_white
from train.loop.loop import Run, command, options, train
from train.pocket.embeddings import edges
from train.pocket.trunk import FastFeatures, load_trunk
from train.world.arrays import known_layout, pixels, read_rows, read_sprites, train_views

LINES, ALONE = 8, 8  # one row of so many is an edge map, one a subject alone
VIEW = (64.0, 64.0, 109.0)  # where a subject alone stands
EVALUATED = 512


class Pictures:
    """Pictures on white with their features and layouts."""

    def __init__(self, folder: Path, threads: int) -> None:
        def array(name: str) -> np.ndarray:
            return np.load(folder / f"{name}.npy", mmap_mode="r")

        sides = ("train", "held", "views")
        self.pictures = {side: array(f"{side}-scenes") for side in sides[:2]}
        views = array("views")
        self.pictures["views"] = views.reshape(-1, *views.shape[3:])
        self.grids = {side: array(f"{side}-grid") for side in sides}
        self.rows = {side: read_rows(folder, side) for side in sides[:2]}
        self.train_views = train_views(read_sprites(folder)[1])
        self.matte = Matte()
        self.matte.load_state_dict(torch.load(folder / "matte.pt", weights_only=True))
        tower = GridTower().eval()
        load_trunk(tower, folder / "cache")
        self.fast = FastFeatures(tower, folder, threads)

    @torch.no_grad()
    def get(self, side: str, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Features (n, 16, 768) and pictures on white (n, 3, 128, 128)."""
        pictures = pixels(self.pictures[side][index])
        cut = on_white(pictures, self.matte(pictures))
        return torch.from_numpy(self.grids[side][index]).float(), cut

    @torch.no_grad()
    def lines(self, side: str, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """The same of edge maps of scenes."""
        maps = edges(self.pictures[side][index])
        pictures = pixels(maps)
        return torch.from_numpy(self.fast(maps)[0]), on_white(pictures, self.matte(pictures))

    def batch(self, seed: int, step: int, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A step's features, pictures on white, numbers of subjects and spots."""
        rng = np.random.default_rng((seed, step))
        index = rng.choice(len(self.rows["train"]), size - size // ALONE, False)
        drawn, scenes = index[: size // LINES], np.sort(index[size // LINES :])
        views = np.sort(rng.choice(self.train_views, size // ALONE, False))
        parts = (self.lines("train", drawn), self.get("train", scenes), self.get("views", views))
        grids, pictures = (torch.cat(rows) for rows in zip(*parts, strict=True))
        count, spots = known_layout([self.rows["train"][i] for i in (*drawn, *scenes)])
        view = torch.tensor(VIEW).expand(len(views), MAX_SUBJECTS, 3)
        count = torch.cat([count, torch.ones(len(views), dtype=count.dtype)])
        return grids, pictures, count, torch.cat([spots, view])


def build(shards: Path, folder: Path, steps: int, batch: int, rate: float, seed: int) -> Run:
    """A run of the layout network."""
    torch.manual_seed(seed)
    pictures, model = Pictures(shards, torch.get_num_threads()), Layout()

    def compute_loss(step: int) -> dict[str, Tensor]:
        grids, cut, count, spots = pictures.batch(seed, step, batch)
        found, wanted = model(grids, cut), pack(count, spots)
        there = (torch.arange(MAX_SUBJECTS) < count[:, None]).repeat_interleave(3, 1)
        far = F.smooth_l1_loss(
            found[:, MAX_SUBJECTS:], wanted[:, MAX_SUBJECTS:], reduction="none", beta=0.2
        )
        where = far[there].mean()
        number = F.cross_entropy(found[:, :MAX_SUBJECTS], count - 1)
        return {"loss": where + number, "where": where, "number": number}

    @torch.no_grad()
    def evaluate(weights: nn.Module) -> dict[str, float]:
        result, index = {}, np.arange(min(EVALUATED, len(pictures.rows["held"])))
        count, spots = known_layout([pictures.rows["held"][i] for i in index])
        there = torch.arange(MAX_SUBJECTS) < count[:, None]
        for name, given in (("scenes", pictures.get), ("edges", pictures.lines)):
            number, found = weights.find(*given("held", index))
            result[f"count_{name}_held"] = float((number == count).float().mean())
            result[f"px_{name}_held"] = float((found - spots)[there].abs().mean())
        return result

    return Run(
        folder,
        model,
        torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.05),
        steps,
        batch,
        compute_loss,
        evaluate,
        ema_decay=0.995,
        evaluations=8,
    )


def main() -> None:
    """The command."""
    parser = command("Train what finds the subjects.", steps=1600, batch=64, rate=1.5e-3)
    parser.add_argument("--shards", type=Path, required=True)
    arguments = parser.parse_args()
    model = train(build(arguments.shards, **options(arguments)))
    torch.save(model.state_dict(), arguments.shards / "layout.pt")


if __name__ == "__main__":
    main()
