"""Trains the code of what subjects look like (`lambda_eclipse.pocket.codec`).

    python -m train.pocket.codec --shards SHARDS --run RUN

Frames are cut from scenes on white, where their subjects stand, and from subjects alone; half of
these are told by the part of the code that they would have in a picture of two, three or four. The
frames drawn from the code must be right in their pixels and look right to an ImageNet trunk
(`train.pocket.perceptual`). Writes `subjects.pt` (both networks) beside the shards.

Held-out metrics: PSNR in dB and distance of looks of frames drawn from whole codes and from the
half that each of two subjects has, for views of held-out sprites.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.pocket.codec import SubjectDecoder, SubjectEncoder, start_from_pca
from lambda_eclipse.pocket.embedding import APPEARANCE, crop
from lambda_eclipse.pocket.tower import on_white
from train.loop.loop import Run, command, generator, options, train
from train.pocket.movq import mean_psnr
from train.pocket.perceptual import Perceptual
from train.world.arrays import MATTES, pixels, read_rows, read_sprites, train_views

PCA_FRAMES = 9000
FORGIVEN = 0.15  # noise on codes, up to this share of each number's own spread
LOOKS = 2.0  # weight of looks


class Frames:
    """Frames of subjects, cut from scenes and from views."""

    def __init__(self, folder: Path) -> None:
        def array(name: str) -> np.ndarray:
            return np.load(folder / f"{name}.npy", mmap_mode="r")

        self.scenes, self.mattes = array("train-scenes"), array("train-mattes")
        views = array("views")
        self.views = views.reshape(-1, *views.shape[3:])
        held = read_sprites(folder)[1]
        self.train_views = train_views(held)
        self.held_views = np.setdiff1d(np.arange(len(self.views)), self.train_views)
        self.spots = [
            (i, len(row.spots), spot)
            for i, row in enumerate(read_rows(folder, "train")[:MATTES])
            for spot in row.spots
        ]

    def of_views(self, index: np.ndarray, spots: Tensor) -> Tensor:
        """Frames (n, 3, 96, 96) of views, cut at spots (n, 3)."""
        return crop(pixels(self.views[index]), spots)

    def batch(self, seed: int, step: int, count: int) -> tuple[Tensor, Tensor]:
        """A step's frames, and how many subjects share the picture of each (count,)."""
        rng, half = np.random.default_rng((seed, step)), count // 2
        chosen = [self.spots[i] for i in rng.choice(len(self.spots), count - half, False)]
        index = np.array([i for i, _, _ in chosen])
        mattes = torch.from_numpy(self.mattes[index])[:, None].float() / 255
        cut = on_white(pixels(self.scenes[index]), mattes)
        frames = crop(cut, torch.tensor([spot for _, _, spot in chosen]).float())
        spots = np.array([64, 64, 110]) + rng.uniform(-1, 1, (half, 3)) * (2, 2, 4)
        alone = self.of_views(
            np.sort(rng.choice(self.train_views, half, False)), torch.from_numpy(spots).float()
        )
        shared = np.where(rng.random(half) < 0.5, 1, rng.integers(1, MAX_SUBJECTS + 1, half))
        sharing = torch.tensor([n for _, n, _ in chosen] + shared.tolist())
        return torch.cat([frames, alone]), sharing


class Codec(nn.Module):
    """Encoder and decoder together."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = SubjectEncoder(), SubjectDecoder()

    def forward(self, frames: Tensor, sharing: Tensor, noise: Tensor | None = None) -> Tensor:
        """Frames as drawn from codes cut to an equal share of the embedding."""
        codes = self.encoder(frames)
        if noise is not None:
            codes = codes + noise * codes.detach().std(0)
        kept = torch.arange(APPEARANCE) < (APPEARANCE // sharing)[:, None]
        return self.decoder(codes * kept)


def build(shards: Path, folder: Path, steps: int, batch: int, rate: float, seed: int) -> Run:
    """A run of the codec."""
    torch.manual_seed(seed)
    frames, model, looks = Frames(shards), Codec(), Perceptual(shards / "cache")
    whole = torch.tensor([64.0, 64.0, 110.0])
    rng = np.random.default_rng(seed)
    count = min(PCA_FRAMES, len(frames.train_views))
    chosen = np.sort(rng.choice(frames.train_views, count, False))
    pieces = np.array_split(chosen, max(1, count // 500))
    start = torch.cat([frames.of_views(piece, whole.expand(len(piece), 3)) for piece in pieces])
    start_from_pca(model.encoder, model.decoder, start)

    def compute_loss(step: int) -> dict[str, Tensor]:
        truth, sharing = frames.batch(seed, step, batch)
        random = generator(seed, step)
        amount = FORGIVEN * torch.rand(len(truth), 1, generator=random)
        noise = amount * torch.randn(len(truth), APPEARANCE, generator=random)
        drawn = model(truth, sharing, noise)
        parts = {
            "l2": (drawn - truth).square().mean(),
            "l1": (drawn - truth).abs().mean(),
            "looks": looks(drawn, truth).mean(),
        }
        return {"loss": parts["l2"] + parts["l1"] + LOOKS * parts["looks"], **parts}

    @torch.no_grad()
    def evaluate(weights: nn.Module) -> dict[str, float]:
        index = frames.held_views[:: max(1, len(frames.held_views) // 256)]
        truth = frames.of_views(index, whole.expand(len(index), 3))
        result = {}
        for name, n in (("whole", 1), ("half", 2)):
            drawn = weights(truth, torch.full((len(truth),), n))
            result[f"psnr_{name}_held"] = mean_psnr(drawn, truth)
            result[f"looks_{name}_held"] = float(looks(drawn, truth).mean())
        return result

    return Run(
        folder,
        model,
        torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.01),
        steps,
        batch,
        compute_loss,
        evaluate,
        ema_decay=0.998,
        evaluations=12,
    )


def main() -> None:
    """The command."""
    parser = command("Train the code of subjects' looks.", steps=2400, batch=32, rate=1e-3)
    parser.add_argument("--shards", type=Path, required=True)
    arguments = parser.parse_args()
    model = train(build(arguments.shards, **options(arguments)))
    torch.save(model.state_dict(), arguments.shards / "subjects.pt")


if __name__ == "__main__":
    main()
