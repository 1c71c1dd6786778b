"""Trains the pocket U-Net (`lambda_eclipse.unet`) to paint pictures from image embeddings.

    python -m train.decoder --shards SHARDS --run RUN [--export assets/pocket/decoder]

Velocity prediction on a cosine schedule with zero terminal signal (so that a few DDIM steps from
pure noise suffice), the condition dropped to the null image for `DROP` of the pictures (for
guidance). What draws the hint stays as it is given (`train.subjects`) or regressed. A little noise
on the embeddings teaches the network to forgive what a prior gets slightly wrong. With
--perceptual, what is painted in one step must also look like the truth to an ImageNet trunk
(`train.perceptual`): a squared error alone blurs whatever the embedding leaves open.

Held-out metrics: the same losses on held-out scenes, with fixed noise, and the share of the
grounds' variance that the hint explains.
"""

from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from lambda_eclipse.movq import PocketMOVQ
from lambda_eclipse.slots import LAYOUT
from lambda_eclipse.tower import SEMANTIC
from lambda_eclipse.unet import PocketUNet
from train.loop import Run, command, generator, options, train
from train.perceptual import Perceptual
from train.shards import pixels, read_rows
from train.stickers.places import PLACES

DROP = 0.1
RIDGE_SCENES = 20_000  # that the hint is regressed on
PURE = 0.7  # share of rows that are all noise: the pocket stack paints in one step
LOOKED_AT = 12  # rows of a step that --perceptual compares
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
        self.places = array("places-latents").float()
        order = {place.name: i for i, place in enumerate(PLACES)}
        self.place = {
            name: torch.tensor([order[row.place] for row in read_rows(folder, name)])
            for name in self.embeds
        }
        self.null = array("null-embed").float()
        self.spread = self.embeds["train"][:4096].float().std(0)  # (D,)
        self.spread[SEMANTIC : SEMANTIC + LAYOUT] *= SURE
        path = folder / "train-predicted.npy"
        self.predicted = torch.from_numpy(np.load(path)) if path.exists() else None

    def get(self, name: str, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """(n, D), (n, C, S, S) float32."""
        return self.embeds[name][index].float(), self.latents[name][index].float()

    def grounds(self, name: str, count: int) -> tuple[Tensor, Tensor]:
        """Of the first scenes: embeddings, and latents of their grounds."""
        return self.embeds[name][:count].float(), self.places[self.place[name][:count]]


def draw_batch(
    pairs: Pairs, seed: int, step: int, batch: int, predicted_share: float = 0.0
) -> tuple[Tensor, Tensor, np.ndarray]:
    """The step's embeddings (B, D), latents (B, C, S, S), and the numbers of their scenes (B,).

    Embeddings are noisy, and some dropped to the null image. For `predicted_share` of the scenes
    that have one, the embedding is the prior's prediction.
    """
    rng = np.random.default_rng((seed, step))
    index = rng.choice(len(pairs.embeds["train"]), batch, False)
    (embeds, latents), chance = pairs.get("train", index), rng.random(batch)
    if predicted_share:
        if pairs.predicted is None:
            raise ValueError("train-predicted.npy is missing: write it with train.prior --predict")
        use = (chance < predicted_share) & (index < len(pairs.predicted))
        embeds[use] = pairs.predicted[index[use]].float()
    amount = torch.from_numpy(FORGIVEN * rng.random((batch, 1))).float()
    noise = torch.randn(embeds.shape, generator=generator(seed, step, stream=1))
    embeds = embeds + amount * pairs.spread * noise
    dropped = torch.from_numpy(rng.random(batch) < DROP)
    return torch.where(dropped[:, None], pairs.null, embeds), latents, index


def losses(
    unet: nn.Module,
    scheduler: DDIMScheduler,
    embeds: Tensor,
    latents: Tensor,
    random: torch.Generator,
) -> dict[str, Tensor]:
    """The velocity's squared error."""
    noise = torch.randn(latents.shape, generator=random)
    # stratified over the batch, denser at high noise, where the picture is decided, and often pure
    # noise, where all of it is read from the embedding
    count = len(latents)
    uniform = (torch.arange(count) + torch.rand(count, generator=random)) / count
    uniform = uniform[torch.randperm(count, generator=random)]  # rows have an order of their own
    times = (999 * (uniform / (1 - PURE)).clamp(max=1).sqrt()).round().long()
    noisy = scheduler.add_noise(latents, noise, times)
    target = scheduler.get_velocity(latents, noise, times)
    predicted = unet(
        noisy, times, None, added_cond_kwargs={"image_embeds": embeds}, return_dict=False
    )[0][:, : latents.shape[1]]
    return {"loss": (predicted - target).square().mean()}


class Look:
    """What a U-Net paints in one step, compared with the truth by looks."""

    def __init__(self, pairs: Pairs, movq: Path, cache: Path) -> None:
        self.pairs, self.distance = pairs, Perceptual(cache)
        self.movq = PocketMOVQ.from_pretrained(movq, torch_dtype=torch.float32).eval()
        self.movq.requires_grad_(False)

    def __call__(self, unet: nn.Module, name: str, embeds: Tensor, index: np.ndarray) -> Tensor:
        """Mean distance of pictures of embeddings (n, D) to scenes `index` (n,), a scalar."""
        channels, side = self.pairs.places.shape[1:3]
        noise = torch.randn(len(embeds), channels, side, side, generator=generator(2, len(embeds)))
        times = torch.full((len(embeds),), 999)
        velocity = unet(
            noise, times, None, added_cond_kwargs={"image_embeds": embeds}, return_dict=False
        )[0][:, :channels]
        painted = self.movq.decode(-velocity)["sample"]  # without any signal, v is −latents
        return self.distance(painted, pixels(self.pairs.pictures[name][index])).mean()


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
    perceptual: float = 0.0,
    movq: Path | None = None,
) -> Run:
    """A run of the U-Net; it starts from an exported one if given, but for what draws the hint.

    `perceptual`: weight of looks, for which the autoencoder `movq` is needed.
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
    if start_from is not None:
        exported = PocketUNet.from_pretrained(start_from / "unet", torch_dtype=torch.float32)
        model.load_state_dict(exported.state_dict())
    drawn = torch.load(shards / "subjects.pt", weights_only=True)
    half = "decoder."
    drawn = {name[len(half) :]: t for name, t in drawn.items() if name.startswith(half)}
    model.subjects.load_state_dict(drawn)
    model.set_hint(*pairs.grounds("train", RIDGE_SCENES))
    for fixed in (model.subjects, model.seen, model.ground):
        fixed.requires_grad_(False)
    scheduler = DDIMScheduler.from_config(SCHEDULER)
    look = None
    if perceptual:
        if movq is None:
            raise ValueError("looks need the autoencoder: give --movq")
        look = Look(pairs, movq, shards / "cache")

    def compute_loss(step: int) -> dict[str, Tensor]:
        embeds, latents, index = draw_batch(pairs, seed, step, batch, predicted_share)
        parts = losses(model, scheduler, embeds, latents, generator(seed, step))
        if look is not None:
            told = np.flatnonzero((embeds != pairs.null).any(1))[:LOOKED_AT]
            parts["looks"] = look(model, "train", embeds[told], index[told])
            parts["loss"] = parts["loss"] + perceptual * parts["looks"]
        return parts

    @torch.no_grad()
    def evaluate(weights: nn.Module) -> dict[str, float]:
        result = {}
        for name in ("held", "seen"):
            embeds, latents = pairs.get(name, np.arange(256))
            parts = losses(weights, scheduler, embeds, latents, generator(1, 0))
            result[f"velocity_{name}"] = float(parts["loss"])
            if look is not None:
                result[f"looks_{name}"] = float(look(weights, name, embeds[:64], np.arange(64)))
            embeds, grounds = pairs.grounds(name, 256)
            hint = weights.draw_hint(embeds)[:, -grounds.shape[1] :]
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
    parser = command("Train the pocket U-Net.", steps=5000, batch=32, rate=6e-4)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--widths", type=int, nargs="+", default=[96, 96, 96])
    parser.add_argument(
        "--predicted-share", type=float, default=0.0, help="of scenes painted from the prior's word"
    )
    parser.add_argument(
        "--from", type=Path, dest="start_from", metavar="DECODER", help="start from this export"
    )
    parser.add_argument(
        "--perceptual", type=float, default=0.0, metavar="WEIGHT", help="of looks; needs --movq"
    )
    parser.add_argument("--movq", type=Path, help="folder of the finished autoencoder")
    arguments = parser.parse_args()
    if arguments.perceptual and not arguments.movq:
        parser.error("--perceptual needs --movq")
    run = build(
        arguments.shards,
        widths=tuple(arguments.widths),
        perceptual=arguments.perceptual,
        movq=arguments.movq,
        predicted_share=arguments.predicted_share,
        start_from=arguments.start_from,
        **options(arguments),
    )
    model = train(run)
    if arguments.export:
        from train.export import save_module

        save_module(model, arguments.export / "unet")
        DDIMScheduler.from_config(SCHEDULER).save_config(arguments.export / "scheduler")


if __name__ == "__main__":
    main()
