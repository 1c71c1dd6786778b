"""Trains the image tower's matte (`lambda_eclipse.pocket.tower.Matte`): foreground and ground.

    python -m train.pocket.matte --arrays ARRAYS --run RUN

The loss compares pictures composited on white, so that a white ground needs no matte. Scenes have
true mattes; isolated subjects and edge maps are all foreground. Writes `matte.pt` beside the
arrays.

Held-out metric: PSNR in dB of composited scenes of held-out sprites, and of the untouched scenes.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lambda_eclipse.pocket.tower import Matte, on_white
from train.loop.loop import train
from train.loop.options import chosen, command
from train.loop.task import Losses, Settings, Task
from train.pocket.embeddings import edge_maps
from train.pocket.movq import mean_psnr
from train.world.arrays import Arrays, pixels

SETTINGS = Settings(steps=2600, batch=32, rate=2e-3, ema_decay=0.995, evaluations=6)
WHOLE = 8  # one of so many pictures is an isolated subject, and one an edge map
EVALUATED = 256


def composite(arrays: Arrays, side: str, index: np.ndarray) -> tuple[Tensor, Tensor]:
    """Scenes, and the same on white, (n, 3, 128, 128) each."""
    scenes = pixels(arrays.pictures(side)[index])
    return scenes, on_white(scenes, arrays.mattes(side, index))


def draw_batch(arrays: Arrays, seed: int, step: int, count: int) -> tuple[Tensor, Tensor]:
    """The pictures of a step, and the same on white."""
    rng, whole = np.random.default_rng((seed, step)), count // WHOLE
    total = len(arrays["train-mattes"])
    scenes, cut = composite(arrays, "train", np.sort(rng.choice(total, count - 2 * whole, False)))
    views = arrays.pictures("views")[np.sort(rng.choice(arrays.train_views, whole))]
    lines = edge_maps(arrays.pictures("train")[np.sort(rng.choice(total, whole))])
    foreground = pixels(np.concatenate([views, lines]))
    return torch.cat([scenes, foreground]), torch.cat([cut, foreground])


@torch.no_grad()
def evaluate(model: nn.Module, arrays: Arrays) -> dict[str, float]:
    """The held-out metrics."""
    index = np.arange(min(EVALUATED, len(arrays["held-mattes"])))
    pictures, truth = composite(arrays, "held", index)
    cut = torch.cat([on_white(piece, model(piece)) for piece in pictures.split(64)])
    return {"psnr_held": mean_psnr(cut, truth), "psnr_untouched": mean_psnr(pictures, truth)}


def task(arrays: Arrays, settings: Settings) -> Task:
    """The matte's training."""
    torch.manual_seed(settings.seed)
    model = Matte()

    def loss(step: int) -> Losses:
        pictures, truth = draw_batch(arrays, settings.seed, step, settings.batch)
        error = on_white(pictures, model(pictures)) - truth
        l1, l2 = error.abs().mean(), error.square().mean()
        return {"loss": l1 + l2, "l1": l1, "l2": l2}

    return Task(model, loss, lambda weights: evaluate(weights, arrays))


def main() -> None:
    """The command."""
    parser = command("Train the image tower's matte.", SETTINGS)
    parser.add_argument("--arrays", type=Path, required=True)
    arguments = parser.parse_args()
    settings = chosen(arguments, SETTINGS)
    model = train(task(Arrays(arguments.arrays), settings), settings, arguments.run)
    torch.save(model.state_dict(), arguments.arrays / "matte.pt")


if __name__ == "__main__":
    main()
