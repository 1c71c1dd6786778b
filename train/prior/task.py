"""The task of a prior's training: Eq. 1 on examples of any source."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lambda_eclipse.paper import TEXT_POSITIONS
from lambda_eclipse.prior import Prior, PriorConfig
from train.data.feature_shards import FeatureShards
from train.loop import ranks
from train.loop.precision import Precision
from train.loop.task import Losses, Task
from train.prior import published
from train.prior.batches import Features
from train.prior.loss import gather_texts, prior_loss
from train.prior.presets import Preset

CPU = torch.device("cpu")


class Data(Protocol):
    """A source of examples.

    dimension: D, width of the embeddings. inverse_temperature: of the CLIP that they are of.
    """

    dimension: int

    @property
    def inverse_temperature(self) -> float | Tensor: ...

    def batch(self, step: int) -> Any:
        """Examples of a step, with the attributes of `packed.Batch`."""
        ...

    def network(self, prior: Prior) -> nn.Module:
        """A module of the prior's parameters: a batch's inputs → embeddings (N, D)."""
        ...

    def auxiliary(self, batch: Any) -> dict[str, Tensor]:
        """Losses to add to Eq. 1, of the batch that the network has just seen."""
        ...

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Held-out metrics of a prior."""
        ...


class StepLoss:
    """Step → Eq. 1 of its examples, in `parts` whose losses add up to those of the whole step.

    Every part is contrasted with the texts of the global batch, so neither the number of parts nor
    that of processes changes the loss. precision: of the matrix products.
    """

    def __init__(
        self,
        data: Data,
        prior: Prior,
        preset: Preset,
        parts: int = 1,
        precision: Precision = "float32",
    ) -> None:
        self.data, self.parts = data, parts
        self.network = data.network(prior)
        if ranks.is_distributed():
            self.network = nn.parallel.DistributedDataParallel(self.network)
        self.weight = preset.contrast_weight
        device = prior.positional_embedding.device.type
        self.autocast = torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")

    def __call__(self, step: int) -> Iterator[Losses]:
        batch = self.data.batch(step)
        texts = gather_texts(batch.pooled, batch.keys)
        pieces, skip = batch.split(self.parts), 0
        for piece in pieces:
            with self._gradient_exchange(piece is pieces[-1]):
                with self.autocast:
                    predicted = self.network(*piece.inputs)
                losses = prior_loss(
                    predicted.float(),
                    piece.target,
                    texts,
                    self.data.inverse_temperature,
                    self.weight,
                    skip,
                )
                for name, value in self.data.auxiliary(piece).items():
                    losses |= {name: value, "loss": losses["loss"] + value}
                share = len(piece) / len(batch)
                yield {name: share * value for name, value in losses.items()}
            skip += len(piece)

    def _gradient_exchange(self, is_last: bool) -> contextlib.AbstractContextManager[Any]:
        """Processes add up their gradients once, in the last part's backward pass."""
        if isinstance(self.network, nn.parallel.DistributedDataParallel) and not is_last:
            return self.network.no_sync()
        return contextlib.nullcontext()


def parameter_groups(prior: nn.Module, preset: Preset) -> list[dict[str, Any]]:
    """Query and key weights use `routing` × the base rate."""
    routing: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in prior.named_parameters():
        if parameter.requires_grad:
            (routing if ".to_q." in name or ".to_k." in name else others).append(parameter)
    return [
        {"params": others, "lr": preset.rate},
        {"params": routing, "lr": preset.routing * preset.rate},
    ]


def build(
    data: Data,
    prior: Prior,
    preset: Preset,
    *,
    parts: int = 1,
    precision: Precision = "float32",
    fused: bool | None = None,
    identity: Mapping[str, Any] | None = None,
    export: Callable[[nn.Module, Path], None] | None = None,
) -> Task:
    """The task of training `prior` on `data`; the last three as in `Task`."""
    return Task(
        prior,
        StepLoss(data, prior, preset, parts, precision),
        data.evaluate,
        groups=parameter_groups(prior, preset),
        fused=fused,
        identity=identity or {},
        export=export,
    )


def from_scratch(preset: Preset, dim: int) -> Prior:
    """A prior with random weights; position embeddings and query are zeros, as in diffusers."""
    return Prior(PriorConfig(preset.heads, preset.head_dim, preset.layers, dim, TEXT_POSITIONS))


def build_features(
    features: FeatureShards,
    preset: Preset,
    *,
    start_from: str | None = None,
    device: torch.device = CPU,
    workers: int = 0,
    parts: int = 1,
    precision: Precision = "float32",
) -> Task:
    """The task of training on feature shards; exports to `prior` in the run's folder.

    start_from: as in `published.load`; None: random weights. ValueError when something does not
    fit.
    """
    torch.manual_seed(preset.seed)
    clip = features.clip
    if start_from is None:
        prior = from_scratch(preset, clip.dimension)
    else:
        prior = published.load(start_from, clip)
    prior.to(device)
    data = Features(features, preset, workers, device)
    identity = {
        **data.identity,
        **{name: list(v) if isinstance(v, tuple) else v for name, v in asdict(preset).items()},
        "head_dim": prior.config.attention_head_dim,
        "start": start_from,
        "parts": parts,
        "precision": precision,
    }

    def export(weights: Any, folder: Path) -> None:
        published.save(weights, folder / "prior", clip, **identity)

    return build(
        data,
        prior,
        preset,
        parts=parts,
        precision=precision,
        fused=True if device.type in ("cpu", "cuda") else None,  # one kernel for a group
        identity=identity,
        export=export,
    )
