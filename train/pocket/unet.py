"""Trains the pocket U-Net (`lambda_eclipse.pocket.unet`), image embeddings → pictures.

    python -m train.pocket.unet --arrays ARRAYS --movq MOVQ --run RUN [--export FOLDER]

Velocity prediction on a cosine schedule with zero terminal SNR, so that a few DDIM steps from pure
noise suffice. The hint (`lambda_eclipse.pocket.hint`) is trained with the rest, except its grounds;
its decoder of subjects starts from `train.pocket.codec`, and its outlines learn the true mattes.
Noise on the embeddings makes the network tolerate small errors of a prior. Pictures painted in one
step are also compared with the truth by an ImageNet trunk (`train.pocket.perceptual`), as a whole
and one subject close up: a squared error alone blurs whatever the embedding leaves open.

Held-out metrics: the same losses on held-out scenes, with fixed noise, and the share of the
grounds' variance that the hint explains.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler
from torch import Tensor

from lambda_eclipse.networks import read_model
from lambda_eclipse.pocket.embedding import crop
from lambda_eclipse.pocket.unet import LAST_TIME, PocketUNet
from train.loop.export import save_module
from train.loop.loop import train
from train.loop.options import chosen, command
from train.loop.task import Losses, Settings, Task, generator
from train.pocket.appearance import half_of_codec
from train.pocket.perceptual import Perceptual
from train.pocket.unet_data import Pairs, draw_batch
from train.world.arrays import Arrays, pixels

SETTINGS = Settings(
    steps=6000,
    batch=32,
    rate=1e-3,
    weight_decay=0.01,
    ema_decay=0.999,
    save_every=200,
    evaluations=12,
)
RIDGE_SCENES = 20_000  # that the hint's grounds are regressed on
PURE_NOISE = 0.7  # share of rows at the last time: the pocket stack paints in one step
COMPARED = 10  # rows of a step with a perceptual loss
CLOSE_UP = 2  # magnification of the subject in the close-up loss
EVALUATED = 256
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": True,
}


def draw_times(count: int, random: torch.Generator) -> Tensor:
    """Diffusion times (count,) int, stratified over the batch and shuffled.

    `PURE_NOISE` of them are the last time, where the embedding determines everything; the others
    are denser at high noise, which decides the picture.
    """
    uniform = (torch.arange(count) + torch.rand(count, generator=random)) / count
    uniform = uniform[torch.randperm(count, generator=random)]
    return (LAST_TIME * (uniform / (1 - PURE_NOISE)).clamp(max=1).sqrt()).round().long()


class Painting:
    """Losses of a U-Net on noisy latents."""

    def __init__(self, pairs: Pairs, movq: Path) -> None:
        self.pairs = pairs
        self.distance = Perceptual(pairs.arrays.folder / "cache")
        self.scheduler = DDIMScheduler.from_config(SCHEDULER)
        self.movq = read_model(movq, torch.float32).eval().requires_grad_(False)

    def errors(
        self, unet: Any, side: str, embeds: Tensor, index: np.ndarray, random: torch.Generator
    ) -> dict[str, Tensor]:
        """Losses for embeddings (n, D) of scenes `index` (n,) of a side.

        "velocity": squared error. "looks", "close": perceptual distance of `COMPARED` pictures
        painted from pure noise, whole and close up. "outlines": absolute error, where the matte is
        known. Rows with the null image's embedding only count for the velocity.
        """
        latents = self.pairs.latents[side][index].float()
        noise = torch.randn(latents.shape, generator=random)
        times = draw_times(len(latents), random)
        noisy = self.scheduler.add_noise(latents, noise, times)
        target = self.scheduler.get_velocity(latents, noise, times)
        hint, outline = unet.hint(embeds)
        conditions = {"image_embeds": embeds, "hint": hint}
        velocity = unet(noisy, times, None, added_cond_kwargs=conditions, return_dict=False)[0]
        velocity = velocity[:, : latents.shape[1]]
        conditioned = (embeds != self.pairs.null).any(1)
        rows = (conditioned & (times == LAST_TIME)).nonzero()[:COMPARED, 0]
        looks, close = self._perceptual(velocity[rows], side, index[rows.numpy()], random)
        arrays = self.pairs.arrays
        known = torch.from_numpy(index < len(arrays[f"{side}-mattes"]))
        rows = (conditioned & known).nonzero()[:, 0]
        outlines = (outline[rows] - arrays.mattes(side, index[rows.numpy()])).abs().mean()
        return {
            "velocity": (velocity - target).square().mean(),
            "looks": looks,
            "close": close,
            "outlines": outlines.nan_to_num(),
        }

    def _perceptual(
        self, velocity: Tensor, side: str, index: np.ndarray, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mean distances of whole pictures and of one subject each, at the last time."""
        painted = self.movq.decode(-velocity)["sample"]  # at zero SNR, v is −latents
        truth = pixels(self.pairs.arrays.pictures(side)[index])
        spots = self.pairs.spots(side, index, torch.rand(len(index), generator=random))
        one, other = (
            F.interpolate(crop(p, spots), scale_factor=CLOSE_UP) for p in (painted, truth)
        )
        return self.distance(painted, truth).mean(), self.distance(one, other).mean()


@torch.no_grad()
def evaluate(model: Any, painting: Painting) -> dict[str, float]:
    """The held-out metrics."""
    pairs, index = painting.pairs, np.arange(EVALUATED)
    result: dict[str, float] = {}
    for side in ("held", "seen"):
        parts = painting.errors(
            model, side, pairs.embeds[side][index].float(), index, generator(1, 0)
        )
        result |= {f"{name}_{side}": float(value) for name, value in parts.items()}
        embeds, grounds = pairs.grounds(side, EVALUATED)
        error = (model.hint.draw_ground(embeds) - grounds).square().mean()
        variance = (grounds - grounds.mean(0)).square().mean()
        result[f"ground_r2_{side}"] = float(1 - error / variance)
    return result


def build_model(painting: Painting, widths: tuple[int, ...], start_from: Path | None) -> PocketUNet:
    """The U-Net: an exported one, or a new one with the codec's decoder of subjects."""
    pairs = painting.pairs
    channels, side = pairs.latents["train"].shape[1:3]
    model = PocketUNet(
        sample_size=side,
        in_channels=channels,
        out_channels=2 * channels,
        block_out_channels=widths,
        cross_attention_dim=widths[-1],
        encoder_hid_dim=pairs.embeds["train"].shape[1],
    )
    if start_from is not None:
        model.load_state_dict(read_model(start_from / "unet", torch.float32).state_dict())
    else:
        codec = torch.load(pairs.arrays.folder / "codec.pt", weights_only=True)
        model.hint.subjects.load_state_dict(half_of_codec(codec, "decoder"))
        model.hint.start(*pairs.grounds("train", RIDGE_SCENES), painting.movq.patch_encode)
    model.hint.ground.requires_grad_(False)
    return model


def task(
    arrays: Arrays,
    settings: Settings,
    movq: Path,
    widths: tuple[int, ...],
    start_from: Path | None = None,
) -> Task:
    """The U-Net's training on latents of `movq`; it starts from an exported decoder if given."""
    torch.manual_seed(settings.seed)
    painting = Painting(Pairs(arrays), movq)
    model = build_model(painting, widths, start_from)

    def loss(step: int) -> Losses:
        seed = settings.seed
        embeds, index = draw_batch(painting.pairs, seed, step, settings.batch)
        parts = painting.errors(model, "train", embeds, index, generator(seed, step))
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    return Task(model, loss, lambda weights: evaluate(weights, painting))


def main() -> None:
    """The command."""
    parser = command("Train the pocket U-Net.", SETTINGS)
    parser.add_argument("--arrays", type=Path, required=True)
    parser.add_argument("--widths", type=int, nargs="+", default=[96, 96, 96])
    parser.add_argument(
        "--from", type=Path, dest="start_from", metavar="DECODER", help="start from this export"
    )
    parser.add_argument(
        "--movq", type=Path, required=True, help="folder of the finished autoencoder"
    )
    parser.add_argument("--export", type=Path, help="write fp16 weights and configuration here")
    arguments = parser.parse_args()
    settings = chosen(arguments, SETTINGS)
    trained = task(
        Arrays(arguments.arrays),
        settings,
        arguments.movq,
        tuple(arguments.widths),
        arguments.start_from,
    )
    model = train(trained, settings, arguments.run)
    if arguments.export:
        save_module(model, arguments.export / "unet")
        DDIMScheduler.from_config(SCHEDULER).save_config(arguments.export / "scheduler")


if __name__ == "__main__":
    main()
