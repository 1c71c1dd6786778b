"""Trains the pocket U-Net (`lambda_eclipse.unet`) to paint pictures from image embeddings.

    python -m train.decoder --shards SHARDS --run RUN --steps 3000 [--export assets/pocket/decoder]

Velocity prediction on a cosine schedule with zero terminal signal (so that a few DDIM steps from
pure noise suffice), the condition dropped to the null image for `DROP` of the pictures (for
guidance), and the hint's own squared error. Data: embeddings and latents of the training scenes and
of training sprites alone on white. Held-out metric: the same losses on held-out scenes, with fixed
noise, and the share of latent variance that the hint explains.
"""

import math
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from lambda_eclipse.unet import PocketUNet
from train.loop import Run, command, generator, train
from train.shards import train_views

DROP = 0.1
VIEW_SHARE = 0.125  # of a batch are subjects alone on white, as the plain place shows them
HINT_WEIGHT = 0.5
RIDGE_SCENES = 20_000  # that the hint's linear part is regressed on
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": True,
}


class Pairs:
    """Embeddings and latents, in memory."""

    def __init__(self, folder: Path) -> None:
        def array(name: str) -> Tensor:
            return torch.from_numpy(np.load(folder / f"{name}.npy"))

        self.embeds = {name: array(f"{name}-embed") for name in ("train", "held", "seen", "views")}
        self.latents = {name: array(f"{name}-latents") for name in self.embeds}
        self.null = array("null-embed").float()
        self.views = train_views()
        path = folder / "train-predicted.npy"
        self.predicted = torch.from_numpy(np.load(path)) if path.exists() else None

    def get(self, name: str, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """(n, D), (n, C, S, S) float32."""
        return self.embeds[name][index].float(), self.latents[name][index].float()


def draw_batch(
    pairs: Pairs, seed: int, step: int, batch: int, predicted_share: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The step's embeddings (B, D), some dropped to the null image, and latents (B, C, S, S).

    For `predicted_share` of the scenes that have one, the embedding is the prior's prediction.
    """
    rng = np.random.default_rng((seed, step))
    alone = round(batch * VIEW_SHARE)
    index = rng.choice(len(pairs.embeds["train"]), batch - alone, False)
    scenes = pairs.get("train", index)
    if predicted_share:
        if pairs.predicted is None:
            raise ValueError("train-predicted.npy is missing: write it with train.prior --predict")
        use = (rng.random(len(index)) < predicted_share) & (index < len(pairs.predicted))
        scenes[0][use] = pairs.predicted[index[use]].float()
    views = pairs.get("views", rng.choice(pairs.views, alone, False))
    embeds, latents = (torch.cat(pair) for pair in zip(scenes, views, strict=True))
    dropped = torch.from_numpy(rng.random(batch) < DROP)
    return torch.where(dropped[:, None], pairs.null, embeds), latents


def losses(
    unet: nn.Module,
    scheduler: DDIMScheduler,
    embeds: Tensor,
    latents: Tensor,
    random: torch.Generator,
) -> dict[str, Tensor]:
    """The velocity's and the hint's squared error."""
    noise = torch.randn(latents.shape, generator=random)
    # stratified over the batch, and denser at high noise, where the picture is decided
    count = len(latents)
    uniform = (torch.arange(count) + torch.rand(count, generator=random)) / count
    uniform = uniform[torch.randperm(count, generator=random)]  # rows have an order of their own
    times = (999 * uniform.sqrt()).round().long()
    noisy = scheduler.add_noise(latents, noise, times)
    target = scheduler.get_velocity(latents, noise, times)
    predicted = unet(
        noisy, times, None, added_cond_kwargs={"image_embeds": embeds}, return_dict=False
    )[0][:, : latents.shape[1]]
    velocity = (predicted - target).square().mean()
    hint = (unet.draw_hint(embeds) - latents).square().mean()
    return {"loss": velocity + HINT_WEIGHT * hint, "velocity": velocity, "hint": hint}


def build(
    shards: Path,
    folder: Path,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    widths: tuple[int, ...],
    predicted_share: float = 0.0,
) -> Run:
    """A run of the U-Net."""
    torch.manual_seed(seed)
    pairs = Pairs(shards)
    channels, side = pairs.latents["train"].shape[1:3]
    model = PocketUNet(
        sample_size=side,
        in_channels=channels,
        out_channels=2 * channels,
        block_out_channels=widths,
        cross_attention_dim=widths[-1],
        encoder_hid_dim=pairs.embeds["train"].shape[1],
    )
    model.start_hint(*pairs.get("train", np.arange(min(RIDGE_SCENES, len(pairs.embeds["train"])))))
    scheduler = DDIMScheduler.from_config(SCHEDULER)

    def compute_loss(step: int) -> dict[str, Tensor]:
        embeds, latents = draw_batch(pairs, seed, step, batch, predicted_share)
        return losses(model, scheduler, embeds, latents, generator(seed, step))

    @torch.no_grad()
    def evaluate(weights: nn.Module) -> dict[str, float]:
        result = {}
        for name in ("held", "seen"):
            embeds, latents = pairs.get(name, np.arange(256))
            parts = losses(weights, scheduler, embeds, latents, generator(1, 0))
            spread = (latents - latents.mean(0)).square().mean()
            result[f"velocity_{name}"] = float(parts["velocity"])
            result[f"hint_r2_{name}"] = float(1 - parts["hint"] / spread)
        return result

    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.01)
    return Run(
        folder,
        model,
        optimizer,
        steps,
        batch,
        compute_loss,
        evaluate,
        warmup=100,
        ema_decay=0.999,
        evaluate_every=max(1, math.ceil(steps / 12)),
        save_every=200,
    )


def main() -> None:
    """The command."""
    parser = command("Train the pocket U-Net.", steps=5000, batch=32, rate=6e-4)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 128, 192])
    parser.add_argument(
        "--predicted-share", type=float, default=0.0, help="of scenes painted from the prior's word"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    run = build(
        arguments.shards,
        arguments.run,
        arguments.steps,
        arguments.batch,
        arguments.rate,
        arguments.seed,
        tuple(arguments.widths),
        arguments.predicted_share,
    )
    model = train(run)
    if arguments.export:
        from train.export import save_module

        save_module(model, arguments.export / "unet")
        DDIMScheduler.from_config(SCHEDULER).save_config(arguments.export / "scheduler")


if __name__ == "__main__":
    main()
