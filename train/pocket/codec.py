"""Trains the codec of subjects' appearance (`lambda_eclipse.pocket.codec`).

    python -m train.pocket.codec --arrays ARRAYS --run RUN

Half of the frames are cut from scenes on white, at the true spots; the others from isolated views.
Codes are cut to the share that a subject of one, two, three or four has in an embedding. The loss
compares decoded frames with the true ones by pixels and by an ImageNet trunk
(`train.pocket.perceptual`). Writes `codec.pt` (encoder and decoder) beside the arrays.

Held-out metrics: PSNR in dB and perceptual distance of frames decoded from whole and from half
codes, for views of held-out sprites.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.pocket.codec import SubjectDecoder, SubjectEncoder, start_from_pca
from lambda_eclipse.pocket.embedding import APPEARANCE, crop
from lambda_eclipse.pocket.tower import on_white
from train.loop.loop import train
from train.loop.options import chosen, command
from train.loop.task import Losses, Settings, Task, generator
from train.pocket.movq import mean_psnr
from train.pocket.perceptual import Perceptual
from train.world.arrays import MATTES, Arrays, pixels

SETTINGS = Settings(
    steps=2400, batch=32, rate=1e-3, weight_decay=0.01, ema_decay=0.998, evaluations=12
)
PCA_FRAMES = 9000
NOISE = 0.15  # on codes, up to this share of each number's standard deviation
PERCEPTUAL = 2.0  # weight of the perceptual distance
VIEW_SPOT = (64.0, 64.0, 110.0)  # of an isolated view
EVALUATED = 256


class Frames:
    """Frames of subjects, cut from scenes and from views."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.views = arrays.pictures("views")
        self.held_views = np.setdiff1d(np.arange(len(self.views)), arrays.train_views)
        # scene index, number of subjects, spot
        self.spots = [
            (i, len(row.spots), spot)
            for i, row in enumerate(arrays.rows("train")[:MATTES])
            for spot in row.spots
        ]

    def of_views(self, index: np.ndarray, spots: Tensor | None = None) -> Tensor:
        """Frames (n, 3, 96, 96) of views, cut at spots (n, 3)."""
        if spots is None:
            spots = torch.tensor(VIEW_SPOT).expand(len(index), 3)
        return crop(pixels(self.views[index]), spots)

    def of_scenes(self, index: np.ndarray, spots: Tensor) -> Tensor:
        """Frames (n, 3, 96, 96) of training scenes on white, cut at spots (n, 3)."""
        scenes = pixels(self.arrays.pictures("train")[index])
        return crop(on_white(scenes, self.arrays.mattes("train", index)), spots)

    def batch(self, seed: int, step: int, count: int) -> tuple[Tensor, Tensor]:
        """The frames of a step, and how many subjects share each one's embedding (count,)."""
        rng, half = np.random.default_rng((seed, step)), count // 2
        chosen = [self.spots[i] for i in rng.choice(len(self.spots), count - half, False)]
        index, shares, spots = zip(*chosen, strict=True)
        scenes = self.of_scenes(np.array(index), torch.tensor(spots).float())
        jittered = np.array(VIEW_SPOT) + rng.uniform(-1, 1, (half, 3)) * (2, 2, 4)
        chosen_views = np.sort(rng.choice(self.arrays.train_views, half, False))
        views = self.of_views(chosen_views, torch.from_numpy(jittered).float())
        sharing = np.where(rng.random(half) < 0.5, 1, rng.integers(1, MAX_SUBJECTS + 1, half))
        return torch.cat([scenes, views]), torch.tensor([*shares, *sharing.tolist()])

    def for_pca(self, seed: int) -> Tensor:
        """Up to `PCA_FRAMES` frames of training views."""
        count = min(PCA_FRAMES, len(self.arrays.train_views))
        chosen = np.random.default_rng(seed).choice(self.arrays.train_views, count, False)
        pieces = np.array_split(np.sort(chosen), max(1, count // 500))
        return torch.cat([self.of_views(piece) for piece in pieces])


class Codec(nn.Module):
    """Encoder and decoder together."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = SubjectEncoder(), SubjectDecoder()

    def forward(self, frames: Tensor, sharing: Tensor, noise: Tensor | None = None) -> Tensor:
        """Frames decoded from codes cut to 1 / `sharing` (B,) of the embedding."""
        codes = self.encoder(frames)
        if noise is not None:
            codes = codes + noise * codes.detach().std(0)
        kept = torch.arange(APPEARANCE) < (APPEARANCE // sharing)[:, None]
        return self.decoder(codes * kept)


@torch.no_grad()
def evaluate(model: nn.Module, frames: Frames, distance: Perceptual) -> dict[str, float]:
    """The held-out metrics."""
    truth = frames.of_views(frames.held_views[:: max(1, len(frames.held_views) // EVALUATED)])
    result = {}
    for name, sharing in (("whole", 1), ("half", 2)):
        decoded = model(truth, torch.full((len(truth),), sharing))
        result[f"psnr_{name}_held"] = mean_psnr(decoded, truth)
        result[f"looks_{name}_held"] = float(distance(decoded, truth).mean())
    return result


def task(arrays: Arrays, settings: Settings) -> Task:
    """The codec's training."""
    torch.manual_seed(settings.seed)
    frames, model = Frames(arrays), Codec()
    distance = Perceptual(arrays.folder / "cache")
    start_from_pca(model.encoder, model.decoder, frames.for_pca(settings.seed))

    def loss(step: int) -> Losses:
        truth, sharing = frames.batch(settings.seed, step, settings.batch)
        random = generator(settings.seed, step)
        amount = NOISE * torch.rand(len(truth), 1, generator=random)
        noise = amount * torch.randn(len(truth), APPEARANCE, generator=random)
        decoded = model(truth, sharing, noise)
        l2, l1 = (decoded - truth).square().mean(), (decoded - truth).abs().mean()
        looks = distance(decoded, truth).mean()
        return {"loss": l2 + l1 + PERCEPTUAL * looks, "l2": l2, "l1": l1, "looks": looks}

    return Task(model, loss, lambda weights: evaluate(weights, frames, distance))


def main() -> None:
    """The command."""
    parser = command("Train the codec of appearance.", SETTINGS)
    parser.add_argument("--arrays", type=Path, required=True)
    arguments = parser.parse_args()
    settings = chosen(arguments, SETTINGS)
    model = train(task(Arrays(arguments.arrays), settings), settings, arguments.run)
    torch.save(model.state_dict(), arguments.arrays / "codec.pt")


if __name__ == "__main__":
    main()
