"""Trains the pocket U-Net (`lambda_eclipse.pocket.unet`) to paint pictures from image embeddings.

    python -m train.pocket.unet --shards SHARDS --movq MOVQ --run RUN [--export
    assets/pocket/decoder]

Velocity prediction on a cosine schedule with zero terminal signal (so that a few DDIM steps from
pure noise suffice), the condition dropped to the null image for `DROP` of the pictures (for
guidance). The hint (`lambda_eclipse.pocket.hint`) is trained with the rest, but for its grounds,
its
outlines from the scenes' own; what draws subjects starts as `train.pocket.codec` left it. A little
noise on the embeddings teaches the network to forgive what a prior gets slightly wrong. What is
painted in one step must also look like the truth to an ImageNet trunk (`train.pocket.perceptual`),
as a
whole and one of its subjects close up: a squared error alone blurs whatever the embedding leaves
open.

Held-out metrics: the same losses on held-out scenes, with fixed noise, and the share of the
grounds' variance that the hint explains.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler
from torch import Tensor, nn

from lambda_eclipse.networks import read_model
from lambda_eclipse.pocket.embedding import LAYOUT, crop
from lambda_eclipse.pocket.tower import SEMANTIC
from lambda_eclipse.pocket.unet import LAST_TIME, PocketUNet
from train.loop.loop import Run, command, generator, options, train
from train.pocket.perceptual import Perceptual
from train.world.arrays import pixels, read_rows
from train.world.places import PLACES

DROP = 0.1
RIDGE_SCENES = 20_000  # that the hint is regressed on
PURE = 0.7  # share of rows that are all noise: the pocket stack paints in one step
LOOKED_AT = 10  # rows of a step whose looks are compared
CLOSER = 2  # so much a subject is enlarged whose looks are compared close up
WEIGHTS = {"velocity": 1.0, "looks": 1.0, "close": 1.0, "outlines": 1.0}  # of errors, in the loss
FORGIVEN = 0.25  # noise on embeddings, up to this share of their own spread
SURE = 0.2  # of that for the numbers that say where subjects stand
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
    """Embeddings and latents, in memory, and pictures."""

    def __init__(self, folder: Path) -> None:
        def array(name: str) -> Tensor:
            return torch.from_numpy(np.load(folder / f"{name}.npy"))

        self.embeds = {name: array(f"{name}-embed") for name in ("train", "held", "seen")}
        self.latents = {name: array(f"{name}-latents") for name in self.embeds}
        self.pictures = {
            name: np.load(folder / f"{name}-scenes.npy", mmap_mode="r") for name in self.embeds
        }
        self.mattes = {
            name: np.load(folder / f"{name}-mattes.npy", mmap_mode="r") for name in self.embeds
        }
        self.places = array("places-latents").float()
        order = {place.name: i for i, place in enumerate(PLACES)}
        rows = {name: read_rows(folder, name) for name in self.embeds}
        self.place = {
            name: torch.tensor([order[row.place] for row in own]) for name, own in rows.items()
        }
        self.spots = {name: [row.spots for row in own] for name, own in rows.items()}
        self.null = array("null-embed").float()
        self.spread = self.embeds["train"][:4096].float().std(0)  # (D,)
        self.spread[SEMANTIC : SEMANTIC + LAYOUT] *= SURE
        path = folder / "train-predicted.npy"
        self.predicted = torch.from_numpy(np.load(path)) if path.exists() else None

    def outlines(self, name: str, index: np.ndarray) -> Tensor:
        """What is not ground (n, 1, 128, 128), of scenes whose matte is known."""
        return torch.from_numpy(self.mattes[name][index])[:, None].float() / 255

    def spot(self, name: str, index: np.ndarray, chance: Tensor) -> Tensor:
        """Where one subject of each scene stands (n, 3), by `chance` (n,) in [0, 1)."""
        scenes = [self.spots[name][i] for i in index]
        pairs = zip(scenes, chance.tolist(), strict=True)
        return torch.tensor([spots[int(c * len(spots))] for spots, c in pairs]).float()

    def grounds(self, name: str, count: int) -> tuple[Tensor, Tensor]:
        """Of the first scenes: embeddings, and latents of their grounds."""
        return self.embeds[name][:count].float(), self.places[self.place[name][:count]]


def draw_batch(
    pairs: Pairs, seed: int, step: int, batch: int, predicted_share: float = 0.0
) -> tuple[Tensor, np.ndarray]:
    """The step's embeddings (B, D), and the numbers of their scenes (B,).

    Embeddings are noisy, and some dropped to the null image. For `predicted_share` of the scenes
    that have one, the embedding is the prior's prediction.
    """
    rng = np.random.default_rng((seed, step))
    index = rng.choice(len(pairs.embeds["train"]), batch, False)
    embeds, chance = pairs.embeds["train"][index].float(), rng.random(batch)
    if predicted_share:
        if pairs.predicted is None:
            raise ValueError(
                "train-predicted.npy is missing: write it with train.pocket.prior --predict"
            )
        use = (chance < predicted_share) & (index < len(pairs.predicted))
        embeds[use] = pairs.predicted[index[use]].float()
    amount = torch.from_numpy(FORGIVEN * rng.random((batch, 1))).float()
    noise = torch.randn(embeds.shape, generator=generator(seed, step, stream=1))
    embeds = embeds + amount * pairs.spread * noise
    dropped = torch.from_numpy(rng.random(batch) < DROP)
    return torch.where(dropped[:, None], pairs.null, embeds), index


class Painting:
    """What a U-Net makes of noisy latents, and how far it is off."""

    def __init__(self, pairs: Pairs, movq: Path, cache: Path) -> None:
        self.pairs, self.distance = pairs, Perceptual(cache)
        self.scheduler = DDIMScheduler.from_config(SCHEDULER)
        self.movq = read_model(movq, torch.float32).eval().requires_grad_(False)

    def errors(
        self, unet: nn.Module, name: str, embeds: Tensor, index: np.ndarray, random: torch.Generator
    ) -> dict[str, Tensor]:
        """Of embeddings (n, D) of scenes `index` (n,) of a side, or the null image's.

        The velocity's squared error, the mean distance of looks of `LOOKED_AT` of the pictures that
        were painted from nothing but noise, and of one subject of each, and the mean error of
        outlines where they are known.
        """
        pairs, latents = self.pairs, self.pairs.latents[name][index].float()
        noise = torch.randn(latents.shape, generator=random)
        # stratified over the batch, denser at high noise, where the picture is decided, and often
        # pure noise, where all of it is read from the embedding
        count = len(latents)
        uniform = (torch.arange(count) + torch.rand(count, generator=random)) / count
        uniform = uniform[torch.randperm(count, generator=random)]  # rows have their own order
        times = (LAST_TIME * (uniform / (1 - PURE)).clamp(max=1).sqrt()).round().long()
        noisy = self.scheduler.add_noise(latents, noise, times)
        target = self.scheduler.get_velocity(latents, noise, times)
        hint, outline = unet.hint(embeds)
        given = {"image_embeds": embeds, "hint": hint}
        predicted = unet(noisy, times, None, added_cond_kwargs=given, return_dict=False)[0]
        predicted = predicted[:, : latents.shape[1]]
        shown = (embeds != pairs.null).any(1)
        looked = (shown & (times == LAST_TIME)).nonzero()[:LOOKED_AT, 0]
        painted = self.movq.decode(-predicted[looked])["sample"]  # without signal, v is −latents
        truth = pixels(pairs.pictures[name][index[looked.numpy()]])
        spots = pairs.spot(name, index[looked.numpy()], torch.rand(len(looked), generator=random))
        close = (F.interpolate(crop(p, spots), scale_factor=CLOSER) for p in (painted, truth))
        cut = (shown & torch.from_numpy(index < len(pairs.mattes[name]))).nonzero()[:, 0]
        outlines = pairs.outlines(name, index[cut.numpy()])
        return {
            "velocity": (predicted - target).square().mean(),
            "looks": self.distance(painted, truth).mean(),
            "close": self.distance(*close).mean(),
            "outlines": (outline[cut] - outlines).abs().mean().nan_to_num(),
        }


def build(
    shards: Path,
    folder: Path,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    widths: tuple[int, ...],
    predicted_share: float = 0.0,
    start_from: Path | None = None,
    *,
    movq: Path,
) -> Run:
    """A run of the U-Net that paints latents of `movq`; it starts from an exported one if given.

    Else what draws subjects starts as that of `train.pocket.codec`.
    """
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
    painting = Painting(pairs, movq, shards / "cache")
    if start_from is not None:
        model.load_state_dict(read_model(start_from / "unet", torch.float32).state_dict())
    else:
        half = "decoder."
        codec = torch.load(shards / "subjects.pt", weights_only=True)
        drawn = {name[len(half) :]: t for name, t in codec.items() if name.startswith(half)}
        model.hint.subjects.load_state_dict(drawn)
        model.hint.start(*pairs.grounds("train", RIDGE_SCENES), painting.movq.patch_encode)
    model.hint.ground.requires_grad_(False)

    def compute_loss(step: int) -> dict[str, Tensor]:
        embeds, index = draw_batch(pairs, seed, step, batch, predicted_share)
        parts = painting.errors(model, "train", embeds, index, generator(seed, step))
        return {"loss": sum(WEIGHTS[name] * part for name, part in parts.items()), **parts}

    @torch.no_grad()
    def evaluate(weights: nn.Module) -> dict[str, float]:
        result, index = {}, np.arange(256)
        for name in ("held", "seen"):
            embeds = pairs.embeds[name][index].float()
            parts = painting.errors(weights, name, embeds, index, generator(1, 0))
            result |= {f"{part}_{name}": float(value) for part, value in parts.items()}
            embeds, grounds = pairs.grounds(name, 256)
            hint = weights.hint.draw_ground(embeds)
            spread = (grounds - grounds.mean(0)).square().mean()
            result[f"ground_r2_{name}"] = float(1 - (hint - grounds).square().mean() / spread)
        return result

    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, betas=(0.9, 0.99), weight_decay=0.01)
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
        evaluations=12,
        save_every=200,
    )


def main() -> None:
    """The command."""
    parser = command("Train the pocket U-Net.", steps=6000, batch=32, rate=1e-3)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--widths", type=int, nargs="+", default=[96, 96, 96])
    parser.add_argument(
        "--predicted-share", type=float, default=0.0, help="of scenes painted from the prior's word"
    )
    parser.add_argument(
        "--from", type=Path, dest="start_from", metavar="DECODER", help="start from this export"
    )
    parser.add_argument(
        "--movq", type=Path, required=True, help="folder of the finished autoencoder"
    )
    arguments = parser.parse_args()
    run = build(
        arguments.shards,
        widths=tuple(arguments.widths),
        movq=arguments.movq,
        predicted_share=arguments.predicted_share,
        start_from=arguments.start_from,
        **options(arguments),
    )
    model = train(run)
    if arguments.export:
        from train.loop.export import save_module

        save_module(model, arguments.export / "unet")
        DDIMScheduler.from_config(SCHEDULER).save_config(arguments.export / "scheduler")


if __name__ == "__main__":
    main()
