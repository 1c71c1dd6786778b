"""The run of a prior's training: Eq. 1 on examples of either source, for `loop.train`."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lambda_eclipse.paper import TEXT_POSITIONS
from lambda_eclipse.prior import Prior, PriorConfig
from train.data.feature_shards import FeatureShards, Source
from train.loop import ranks
from train.loop.loop import CHECKPOINT, Losses, Run
from train.loop.precision import Precision
from train.prior import published
from train.prior.batches import Features
from train.prior.loss import gather_texts, prior_loss
from train.prior.presets import PRESETS, Preset

CPU = torch.device("cpu")


class Data(Protocol):
    """Where examples come from: `Features` or `Stickers`."""

    dimension: int
    inverse_temperature: float | Tensor
    settings: dict[str, Any]

    def network(self, prior: Prior) -> nn.Module: ...
    def batch(self, step: int) -> Any: ...
    def aside(self, batch: Any) -> dict[str, Tensor]: ...
    def evaluate(self, prior: nn.Module) -> dict[str, float]: ...


def groups(model: nn.Module, rate: float, routing: float) -> list[dict[str, Any]]:
    """Parameters and their rates: what decides where attention looks moves `routing` as fast."""
    slow, others = [], []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (slow if ".to_q." in name or ".to_k." in name else others).append(parameter)
    return [{"params": others, "lr": rate}, {"params": slow, "lr": routing * rate}]


def step_losses(
    data: Data,
    prior: Prior,
    preset: Preset,
    parts: int = 1,
    precision: Precision = "float32",
) -> Callable[[int], Iterator[Losses]]:
    """Step → its losses, in `parts` that add up to those of all of it.

    Every part is compared with the texts of the global batch, so that neither parts nor processes
    change the loss.
    """
    network = data.network(prior)
    device = prior.positional_embedding.device
    if ranks.is_distributed():
        network = nn.parallel.DistributedDataParallel(network)
    weight = preset.weight / data.dimension if preset.summed else preset.weight
    low = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")

    def compute(step: int) -> Iterator[Losses]:
        batch = data.batch(step)
        texts = gather_texts(batch.pooled, batch.keys)
        pieces, skip = batch.split(parts), 0
        for piece in pieces:
            last = piece is pieces[-1]
            # Processes add up their gradients once, with the last part.
            alone = ranks.is_distributed() and not last
            with network.no_sync() if alone else contextlib.nullcontext():
                with low:
                    predicted = network(*piece.inputs)
                share = len(piece) / len(batch)
                losses = prior_loss(
                    predicted.float(), piece.target, texts, data.inverse_temperature, weight, skip
                )
                for name, value in data.aside(piece).items():
                    losses |= {name: value, "loss": losses["loss"] + value}
                yield {name: share * value for name, value in losses.items()}
            skip += len(piece)

    return compute


def build(
    data: Data,
    prior: Prior,
    preset: Preset,
    folder: Path,
    *,
    parts: int = 1,
    precision: Precision = "float32",
    clip: Source | None = None,
    settings: dict[str, Any] | None = None,
    tensorboard: bool = False,
) -> Run:
    """A run that trains `prior` on `data`; settings: what it can't go on without."""
    device = prior.positional_embedding.device
    # One kernel for all of a group, on features; the pocket's runs are kept as they are.
    fused = True if clip is not None and device.type in ("cpu", "cuda") else None
    optimizer = torch.optim.AdamW(
        groups(prior, preset.rate, preset.routing),
        preset.rate,
        betas=preset.betas,
        weight_decay=preset.weight_decay,
        fused=fused,
    )

    def export(weights: nn.Module) -> None:
        published.save(weights, folder / "prior", clip, **(settings or {}))

    return Run(
        folder,
        prior,
        optimizer,
        preset.steps,
        preset.batch * ranks.world(),
        step_losses(data, prior, preset, parts, precision),
        data.evaluate,
        warmup=preset.warmup,
        ema_decay=preset.ema_decay,
        report_every=preset.report_every,
        save_every=preset.save_every,
        evaluations=preset.evaluations,
        settings=settings or {},
        export=export if clip is not None else None,
        tensorboard=tensorboard,
    )


def scratch(preset: Preset, dim: int) -> Prior:
    """A prior with random weights; positions and query start as zeros, as diffusers has them."""
    return Prior(PriorConfig(preset.heads, preset.head_dim, preset.layers, dim, TEXT_POSITIONS))


def build_stickers(
    shards: Path,
    clip_folder: Path,
    folder: Path,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    start_from: Path | None = None,
) -> Run:
    """A run on sticker world's arrays; it starts from the run `start_from` if given."""
    from train.pocket.prior.training import Stickers

    torch.manual_seed(seed)
    data = Stickers(shards, clip_folder, batch, seed)
    preset = replace(PRESETS["pocket"], steps=steps, batch=batch, rate=rate)
    prior = scratch(preset, data.dimension)
    if start_from is None:
        if not (folder / CHECKPOINT).exists():  # else the run goes on from there
            data.start(prior)
    else:
        prior.load_state_dict(published.load(start_from).state_dict())
    return build(data, prior, preset, folder)


def build_features(
    features: FeatureShards,
    preset: Preset,
    folder: Path,
    *,
    seed: int = 0,
    start_from: str | None = None,
    device: torch.device = CPU,
    workers: int = 0,
    parts: int = 1,
    precision: Precision = "float32",
    tensorboard: bool = False,
) -> Run:
    """A run on feature shards; raises ValueError where something does not fit."""
    torch.manual_seed(seed)
    clip = features.clip
    if start_from is None:
        prior = scratch(preset, clip.dimension)
    else:
        prior = published.load(start_from, clip)
    prior.to(device)
    data = Features(features, preset, preset.batch, preset.steps, seed, workers, device)
    settings = {
        **data.settings,
        **{name: list(v) if isinstance(v, tuple) else v for name, v in asdict(preset).items()},
        "head_dim": prior.config.attention_head_dim,
        "seed": seed,
        "start": start_from,
        "parts": parts,
        "precision": precision,
    }
    return build(
        data, prior, preset, folder, parts=parts, precision=precision, clip=clip,
        settings=settings, tensorboard=tensorboard,
    )  # fmt: skip
