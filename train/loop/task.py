"""What a training is: `Settings`, how long and how fast, and a `Task`, a model and its loss."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Losses = dict[str, Tensor]  # "loss", which is minimized, and its parts, which are reported


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a network is trained with AdamW.

    steps: in all. batch: examples per step in each process. rate: peak learning rate, reached after
    `warmup` steps. ema_decay: decay of the averaged weights, which are evaluated and exported in
    place of the last ones; None: no average. max_norm: longer gradients are scaled down to it.
    report_every, save_every: in steps. evaluations: in all.
    """

    steps: int
    batch: int
    rate: float
    seed: int = 0
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    warmup: int = 100
    ema_decay: float | None = None
    max_norm: float = 1.0
    report_every: int = 50
    save_every: int = 250
    evaluations: int = 10

    @property
    def evaluate_every(self) -> int:
        """Steps between evaluations."""
        return max(1, math.ceil(self.steps / self.evaluations))

    def rate_factor(self, step: int) -> float:
        """Share of the peak learning rate: linear warm-up, then a cosine decay to 2 %."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        progress = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Task:
    """What is trained.

    model: everything with weights to train, auxiliary heads included.
    loss: losses of a step; an iterator where a step is computed in parts, whose losses add up.
    evaluate: held-out metrics of a model.
    groups: the optimizer's parameter groups; None: one of all trainable parameters.
    fused: whether AdamW updates a group with one kernel; None: PyTorch's choice.
    identity: what a checkpoint must have been trained with to be resumed.
    export: receives the weights of each checkpoint, and the run's folder.
    """

    model: nn.Module
    loss: Callable[[int], Losses | Iterator[Losses]]
    evaluate: Callable[[Any], dict[str, float]]
    groups: list[dict[str, Any]] | None = None
    fused: bool | None = None
    identity: Mapping[str, Any] = field(default_factory=dict)
    export: Callable[[nn.Module, Path], None] | None = None

    def optimizer(self, settings: Settings) -> torch.optim.AdamW:
        """AdamW over the trained parameters, at their peak rates, "base_lr"."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            trained if self.groups is None else self.groups,
            settings.rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=self.fused,
        )
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
        return optimizer


def generator(seed: int, step: int, stream: int = 0) -> torch.Generator:
    """The random numbers of one step."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 101 + stream)
