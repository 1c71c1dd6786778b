"""Trains the image tower's matte (`lambda_eclipse.pocket.tower.Matte`): what in a picture is not
ground.

    python -m train.pocket.matte --shards SHARDS --run RUN

Learned from scenes and the alpha of what stands in them; subjects on white and edge maps are all
foreground. The error is that of the picture on white, so that nothing is asked where the ground is
white already. Writes `matte.pt` beside the shards.

Held-out metric: PSNR in dB of scenes of held-out sprites on white, and of the untouched scenes.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lambda_eclipse.pocket.tower import Matte, on_white
from train.loop.loop import Run, command, options, train
from train.pocket.embeddings import edges
from train.pocket.movq import mean_psnr
from train.world.arrays import pixels, read_sprites, train_views

WHOLE = 8  # one row of so many is a subject on white, and one an edge map


class Cuts:
    """Pictures, and the same on white."""

    def __init__(self, folder: Path) -> None:
        def array(name: str) -> np.ndarray:
            return np.load(folder / f"{name}.npy", mmap_mode="r")

        self.pictures = {side: array(f"{side}-scenes") for side in ("train", "held", "seen")}
        self.mattes = {side: array(f"{side}-mattes") for side in ("train", "held")}
        views = array("views")
        self.pictures["views"] = views.reshape(-1, *views.shape[3:])
        self.train_views = train_views(read_sprites(folder)[1])

    def get(self, side: str, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Scenes as they are and on white, (n, 3, 128, 128) each."""
        scenes = pixels(self.pictures[side][index])
        return scenes, on_white(
            scenes, torch.from_numpy(self.mattes[side][index])[:, None].float() / 255
        )

    def batch(self, seed: int, step: int, count: int) -> tuple[Tensor, Tensor]:
        """A step's pictures: scenes, and some that are all foreground."""
        rng, whole, total = np.random.default_rng((seed, step)), count // WHOLE, self.count
        scenes, cut = self.get("train", np.sort(rng.choice(total, count - 2 * whole, False)))
        views = self.pictures["views"][np.sort(rng.choice(self.train_views, whole))]
        lines = edges(self.pictures["train"][np.sort(rng.choice(total, whole))])
        alike = pixels(np.concatenate([views, lines]))
        return torch.cat([scenes, alike]), torch.cat([cut, alike])

    @property
    def count(self) -> int:
        """Training scenes whose matte is known."""
        return len(self.mattes["train"])


def build(shards: Path, folder: Path, steps: int, batch: int, rate: float, seed: int) -> Run:
    """A run of the matte."""
    torch.manual_seed(seed)
    cuts, model = Cuts(shards), Matte()

    def compute_loss(step: int) -> dict[str, Tensor]:
        pictures, truth = cuts.batch(seed, step, batch)
        error = on_white(pictures, model(pictures)) - truth
        l1, l2 = error.abs().mean(), error.square().mean()
        return {"loss": l1 + l2, "l1": l1, "l2": l2}

    @torch.no_grad()
    def evaluate(weights: nn.Module) -> dict[str, float]:
        pictures, truth = cuts.get("held", np.arange(min(256, len(cuts.mattes["held"]))))
        cut = torch.cat([on_white(piece, weights(piece)) for piece in pictures.split(64)])
        return {"psnr_held": mean_psnr(cut, truth), "psnr_untouched": mean_psnr(pictures, truth)}

    return Run(
        folder,
        model,
        torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.0),
        steps,
        batch,
        compute_loss,
        evaluate,
        ema_decay=0.995,
        evaluations=6,
    )


def main() -> None:
    """The command."""
    parser = command("Train the image tower's matte.", steps=2600, batch=32, rate=2e-3)
    parser.add_argument("--shards", type=Path, required=True)
    arguments = parser.parse_args()
    run = build(arguments.shards, **options(arguments))
    torch.save(train(run).state_dict(), arguments.shards / "matte.pt")


if __name__ == "__main__":
    main()
