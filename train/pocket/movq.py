"""Trains the pocket autoencoder (`lambda_eclipse.pocket.movq`) on scenes of sticker world.

    python -m train.pocket.movq --run RUN [--export assets/pocket/decoder/movq]

Loss: absolute plus squared error of the reconstruction, with a little noise on the latents, so that
the decoder tolerates small errors of a diffusion model. The network is convolutional, so it trains
on quarters of pictures: four times as many subjects for the same work. Held-out metric: PSNR in dB
of whole scenes with held-out sprites (and of new scenes with training sprites).
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lambda_eclipse.pocket.movq import PocketMOVQ
from train.loop.export import save_module
from train.loop.loop import train
from train.loop.options import chosen, command
from train.loop.task import Losses, Settings, Task, generator
from train.world.arrays import pixels
from train.world.render import render, subject_view
from train.world.scenes import sample_scene

SETTINGS = Settings(steps=4400, batch=32, rate=1.5e-3, ema_decay=0.998)
NOISE = 0.05  # of latents with mean square 1
CROP_PX, GRID_PX = 64, 8


def pictures(seed: int, first: int, count: int, side: str, breadth: bool = False) -> Tensor:
    """Scenes first … first + count − 1 of a side; every eighth is a subject's view on white.

    `breadth` as in `sample_scene`. Returns (count, 3, 128, 128) in [−1, 1].
    """
    rows = []
    for index in range(first, first + count):
        scene = sample_scene(seed, index, side, breadth)
        rows.append(np.asarray(subject_view(scene, 0) if index % 8 == 7 else render(scene)))
    return pixels(np.stack(rows))


def crop(batch: Tensor, seed: int, step: int) -> Tensor:
    """Random squares (B, 3, CROP_PX, CROP_PX) of pictures (B, 3, H, W), on the latents' grid."""
    positions = (batch.shape[-1] - CROP_PX) // GRID_PX + 1
    corners = GRID_PX * torch.randint(
        positions, (len(batch), 2), generator=generator(seed, step, stream=1)
    )
    return torch.stack(
        [
            picture[:, y : y + CROP_PX, x : x + CROP_PX]
            for picture, (y, x) in zip(batch, corners.tolist(), strict=True)
        ]
    )


def mean_psnr(pictures: Tensor, truth: Tensor) -> float:
    """Mean over pictures (B, 3, H, W) of the peak signal-to-noise ratio, dB, of [−1, 1]."""
    errors = (pictures.clamp(-1, 1) - truth).square().mean((1, 2, 3)) / 4  # in [0, 1]
    return float((-10 * errors.clamp(min=1e-10).log10()).mean())


@torch.no_grad()
def psnr(model: Any, batch: Tensor) -> float:
    """`mean_psnr` of the reconstructions."""
    return mean_psnr(model.decode(model.encode(batch))["sample"], batch)


def task(settings: Settings, breadth: bool = True) -> Task:
    """The autoencoder's training; `breadth`: also on subjects that are no concept."""
    seed, size = settings.seed, settings.batch
    torch.manual_seed(seed)
    model = PocketMOVQ()
    model.start_from_pca(pictures(seed, 10_000_000, 512, "train"))
    evaluated = {side: pictures(1, 0, 256, side) for side in ("held", "seen")}

    def loss(step: int) -> Losses:
        target = crop(pictures(seed, step * size, size, "train", breadth), seed, step)
        latents = model.encode(target)
        noise = torch.randn(latents.shape, generator=generator(seed, step))
        error = model.decode(latents + NOISE * noise)["sample"] - target
        # Latents keep their scale: the encoder could otherwise outgrow the noise.
        scale = (latents.square().mean() - 1).square()
        l1, l2 = error.abs().mean(), error.square().mean()
        return {"loss": l1 + 2 * l2 + 0.1 * scale, "l1": l1, "l2": l2, "scale": scale}

    def evaluate(weights: nn.Module) -> dict[str, float]:
        return {f"psnr_{side}": psnr(weights, batch) for side, batch in evaluated.items()}

    return Task(model, loss, evaluate)


def main() -> None:
    """The command."""
    parser = command("Train the pocket autoencoder.", SETTINGS)
    parser.add_argument("--core", action="store_true", help="only concepts, no breadth")
    parser.add_argument("--export", type=Path, help="write fp16 weights and configuration here")
    arguments = parser.parse_args()
    settings = chosen(arguments, SETTINGS)
    model = train(task(settings, not arguments.core), settings, arguments.run)
    if arguments.export:
        save_module(model, arguments.export)


if __name__ == "__main__":
    main()
